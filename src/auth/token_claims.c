/* The claims of a token: what must be there, of which kind, and what is meant for others.
 *
 * Pure: it reads a payload whose signature is good and never the clock. Members it does not know
 * are left alone, as RFC 7519 section 4 wants. */
#include "auth/token_internal.h"

#include "base/json.h"
#include "base/time.h"

/* RFC 7519 section 2 NumericDate, fractions allowed; years beyond 9999 and negative ones are
 * refused. An absent claim gives 0. */
static bool read_date(Json payload, Str name, int64_t *ret_us) {
    static const double LATEST_S = 253402300799.0;
    Json value = json_member(payload, name);
    double seconds = 0;
    if (!value.text.ptr) {
        *ret_us = 0;
        return true;
    }
    if (!json_double(value, &seconds) || seconds < 1 || seconds > LATEST_S) return false;
    *ret_us = (int64_t)(seconds * (double)US_PER_S);
    return true;
}

/* False when the member is no string; absent gives the absent Str. */
static bool read_string(Json payload, Str name, Arena *arena, Str *ret) {
    Json value = json_member(payload, name);
    if (!value.text.ptr) {
        *ret = (Str){NULL, 0};
        return true;
    }
    if (value.kind != JSON_STRING) return false;
    *ret = json_string(value, arena);
    return true;
}

bool token_subject_is_valid(Str subject) {
    if (subject.len == 0 || subject.len > 256 || !str_is_utf8(subject)) return false;
    for (size_t i = 0; i < subject.len; i++) {
        unsigned char byte = (unsigned char)subject.ptr[i];
        if (byte < ' ' || byte == 0x7f) return false;
    }
    return true;
}

bool token_queue_is_valid(Str glob) {
    if (glob.len == 0 || glob.len > 64) return false;
    for (size_t i = 0; i < glob.len; i++) {
        char byte = glob.ptr[i];
        bool is_word = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                       (byte >= '0' && byte <= '9');
        bool is_sign =
            byte == '_' || byte == '.' || byte == ':' || byte == '-' || byte == '*' || byte == '?';
        if (!is_word && !is_sign) return false;
    }
    return true;
}

static bool read_roles(Json takt, Arena *arena, RoleSet *ret) {
    Json roles = json_member(takt, STR("roles"));
    if (!roles.text.ptr || roles.kind != JSON_ARRAY) return false;
    size_t count = json_count(roles);
    if (count == 0 || count > TOKEN_MAX_ROLES) return false;
    RoleSet set = 0;
    JsonIter iter = json_iter(roles);
    Json value;
    while (json_next(&iter, NULL, &value)) {
        Role role;
        if (value.kind != JSON_STRING || !role_parse(json_string(value, arena), &role))
            return false;
        set |= role_bits(role);
    }
    *ret = set;
    return true;
}

/* An empty list is refused: it could be read as "none" or as "all". */
static bool read_queues(Json takt, Arena *arena, Principal *principal) {
    Json queues = json_member(takt, STR("queues"));
    if (!queues.text.ptr) return true;
    if (queues.kind != JSON_ARRAY) return false;
    size_t count = json_count(queues);
    if (count == 0 || count > TOKEN_MAX_QUEUES) return false;
    Str *globs = arena_zero(arena, count, sizeof(Str));
    JsonIter iter = json_iter(queues);
    Json value;
    for (size_t i = 0; json_next(&iter, NULL, &value); i++) {
        if (value.kind != JSON_STRING) return false;
        globs[i] = arena_str(arena, json_string(value, arena));
        if (!token_queue_is_valid(globs[i])) return false;
    }
    principal->queues = globs;
    principal->queue_count = count;
    return true;
}

/* RFC 7519 section 4.1.3: a token with an audience that we are not in must be refused. */
static bool is_for_us(Json payload, Arena *arena) {
    static const Str ISSUER = {TOKEN_ISSUER, sizeof(TOKEN_ISSUER) - 1};
    Str issuer;
    if (!read_string(payload, STR("iss"), arena, &issuer)) return false;
    if (issuer.ptr && !str_eq(issuer, ISSUER)) return false;
    Json audience = json_member(payload, STR("aud"));
    if (!audience.text.ptr) return true;
    if (audience.kind == JSON_STRING) return str_eq(json_string(audience, arena), ISSUER);
    if (audience.kind != JSON_ARRAY) return false;
    JsonIter iter = json_iter(audience);
    Json value;
    while (json_next(&iter, NULL, &value)) {
        if (value.kind == JSON_STRING && str_eq(json_string(value, arena), ISSUER)) return true;
    }
    return false;
}

TokenVerdict token_read_claims(Str text, Arena *arena, TokenClaims *ret) {
    Json payload;
    Error ignored;
    if (json_check(text, &payload, &ignored) != OK || payload.kind != JSON_OBJECT) {
        return TOKEN_MALFORMED;
    }
    TokenClaims claims = {0};
    Principal *principal = &claims.principal;
    int64_t issued_us = 0;
    if (!read_date(payload, STR("exp"), &principal->expires_at_us) ||
        principal->expires_at_us == 0 || !read_date(payload, STR("nbf"), &claims.not_before_us) ||
        !read_date(payload, STR("iat"), &issued_us)) {
        return TOKEN_BAD_CLAIMS;
    }
    if (issued_us > claims.not_before_us) claims.not_before_us = issued_us;
    Json takt = json_member(payload, STR("takt"));
    if (!takt.text.ptr || takt.kind != JSON_OBJECT ||
        !read_string(payload, STR("sub"), arena, &principal->subject) ||
        !token_subject_is_valid(principal->subject) ||
        !read_string(payload, STR("jti"), arena, &principal->token_id) ||
        (principal->token_id.ptr && !token_subject_is_valid(principal->token_id)) ||
        !read_roles(takt, arena, &principal->roles) || !read_queues(takt, arena, principal) ||
        !is_for_us(payload, arena)) {
        return TOKEN_BAD_CLAIMS;
    }
    *ret = claims;
    return TOKEN_VALID;
}
