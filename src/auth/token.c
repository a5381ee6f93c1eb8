/* Minting and verifying: the compact form, the header, the signature, the clock, the cache.
 *
 * The order is the safety: form, header, signature, and only then claims. So whoever can't sign
 * learns nothing about claims. Keys are token_key.c, claims token_claims.c. */
#include "auth/token_internal.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/time.h"

static const struct {
    const char *name;
    const char *code;
    const char *sentence;
} VERDICTS[] = {
    [TOKEN_VALID] = {"valid", "", ""},
    [TOKEN_MALFORMED] = {"malformed", "invalid-token", "the token is not a well-formed JWT"},
    [TOKEN_UNTRUSTED] = {"untrusted", "invalid-token", "the token is not signed by a key of ours"},
    [TOKEN_BAD_CLAIMS] = {"bad-claims", "invalid-token",
                          "the token lacks a claim or has one that is not acceptable"},
    [TOKEN_EXPIRED] = {"expired", "token-expired", "the token has expired"},
    [TOKEN_NOT_YET_VALID] = {"not-yet-valid", "token-not-yet-valid", "the token is not valid yet"},
    [TOKEN_REVOKED] = {"revoked", "invalid-token", "the token has been revoked"},
};

const char *token_verdict_name(TokenVerdict verdict) {
    return VERDICTS[verdict].name;
}

Err token_refusal(TokenVerdict verdict, Error *error) {
    check(verdict != TOKEN_VALID);
    return error_code(error, ERR_DENIED, VERDICTS[verdict].code, "%s", VERDICTS[verdict].sentence);
}

/* ---- revocation ---- */

typedef struct RevokedToken {
    Str id; /* in the same block */
    int64_t expires_at_us;
    char text[];
} RevokedToken;

void token_revoke(TokenKeys *keys, Str token_id, int64_t expires_at_us) {
    if (token_id.len == 0) return;
    RevokedToken *revoked = alloc(sizeof(*revoked) + token_id.len);
    memcpy(revoked->text, token_id.ptr, token_id.len);
    revoked->id = (Str){revoked->text, token_id.len};
    revoked->expires_at_us = expires_at_us > 0 ? expires_at_us : INT64_MAX;
    free(map_remove(&keys->revoked, token_id)); /* its key goes with it */
    map_put(&keys->revoked, revoked->id, revoked);
}

void token_prune(TokenKeys *keys, int64_t now_us) {
    int64_t horizon = now_us == INT64_MAX ? now_us : now_us - 2 * TOKEN_SKEW_S * US_PER_S;
    size_t at = 0;
    RevokedToken *revoked = NULL;
    while ((revoked = map_next(&keys->revoked, &at))) {
        if (revoked->expires_at_us > horizon) continue;
        map_remove(&keys->revoked, revoked->id);
        free(revoked);
    }
}

/* ---- minting ---- */

static Err check_grant(const TokenGrant *grant, Error *error) {
    enum { LONGEST_TTL_S = 10 * 366 * 86400 };
    if (!token_subject_is_valid(grant->subject)) {
        return error_set(error, ERR_INVALID, "a token's subject is 1 to 256 printable bytes");
    }
    if (grant->role_count == 0 || grant->role_count > TOKEN_MAX_ROLES) {
        return error_set(error, ERR_INVALID, "a token needs 1 to %d roles", TOKEN_MAX_ROLES);
    }
    if (grant->queue_count > TOKEN_MAX_QUEUES) {
        return error_set(error, ERR_INVALID, "a token names at most %d queues", TOKEN_MAX_QUEUES);
    }
    for (size_t i = 0; i < grant->queue_count; i++) {
        if (token_queue_is_valid(grant->queues[i])) continue;
        return error_set(error, ERR_INVALID, "'" STR_FMT "' is not a queue name or glob",
                         STR_ARG(grant->queues[i]));
    }
    if (grant->ttl_s <= 0 || grant->ttl_s > LONGEST_TTL_S) {
        return error_set(error, ERR_INVALID, "a token lives 1 second to 10 years");
    }
    return OK;
}

static void write_claims(Buf *buf, const TokenGrant *grant, int64_t now_us, const char *id) {
    int64_t now_s = now_us / US_PER_S;
    JsonWriter writer = json_writer(buf);
    json_begin_object(&writer);
    json_put_string(&writer, "iss", STR(TOKEN_ISSUER));
    json_put_string(&writer, "sub", grant->subject);
    json_put_int(&writer, "iat", now_s);
    json_put_int(&writer, "exp", now_s + grant->ttl_s);
    json_put_string(&writer, "jti", str_from(id));
    json_write_key(&writer, STR("takt"));
    json_begin_object(&writer);
    json_write_key(&writer, STR("roles"));
    json_begin_array(&writer);
    for (size_t i = 0; i < grant->role_count; i++) {
        json_write_string(&writer, str_from(role_name(grant->roles[i])));
    }
    json_end_array(&writer);
    if (grant->queue_count > 0) {
        json_write_key(&writer, STR("queues"));
        json_begin_array(&writer);
        for (size_t i = 0; i < grant->queue_count; i++) {
            json_write_string(&writer, grant->queues[i]);
        }
        json_end_array(&writer);
    }
    json_end_object(&writer);
    json_end_object(&writer);
}

static void make_id(char ret_id[TOKEN_ID_SIZE]) {
    uint8_t bytes[(TOKEN_ID_SIZE - 1) / 2];
    check(RAND_bytes(bytes, sizeof(bytes)) == 1);
    cleanup(buf_done) Buf text;
    buf_init(&text, TOKEN_ID_SIZE);
    hex_encode(&text, bytes, sizeof(bytes));
    memcpy(ret_id, buf_cstr(&text), TOKEN_ID_SIZE);
}

Err token_mint(const TokenKeys *keys, const TokenGrant *grant, int64_t now_us, Buf *token,
               char ret_id[TOKEN_ID_SIZE], Error *error) {
    check(keys->key_count > 0);
    TRY(check_grant(grant, error));
    const TokenKey *key = keys->keys[0];
    char id[TOKEN_ID_SIZE];
    make_id(id);
    cleanup(buf_done) Buf part;
    cleanup(buf_done) Buf made;
    buf_init(&part, TOKEN_MAX_SIZE);
    buf_init(&made, TOKEN_MAX_SIZE);
    buf_format(&part, "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"%s\"}", key->kid);
    base64url_encode(&made, part.data, part.len);
    buf_add_char(&made, '.');
    buf_clear(&part);
    write_claims(&part, grant, now_us, id);
    base64url_encode(&made, part.data, part.len);
    uint8_t signature[TOKEN_SIGNATURE_SIZE];
    token_sign(key, buf_str(&made), signature);
    buf_add_char(&made, '.');
    base64url_encode(&made, signature, sizeof(signature));
    if (part.overflow || made.overflow) {
        return error_set(error, ERR_INVALID, "the token would be longer than %d bytes",
                         TOKEN_MAX_SIZE);
    }
    buf_add(token, buf_str(&made));
    memcpy(ret_id, id, sizeof(id));
    return OK;
}

/* ---- verifying ---- */

/* The three parts of RFC 7515 section 7.1; `input` is what was signed. */
typedef struct CompactForm {
    Str input;
    Str header;
    Str payload;
    Str signature;
} CompactForm;

static bool decode(Str text, Arena *arena, Str *ret) {
    cleanup(buf_done) Buf buf;
    buf_init(&buf, TOKEN_MAX_SIZE);
    if (!base64url_decode(&buf, text)) return false;
    *ret = arena_str(arena, (Str){buf.len > 0 ? buf.data : "", buf.len});
    return true;
}

static bool split(Str token, Arena *arena, CompactForm *ret) {
    if (token.len == 0 || token.len > TOKEN_MAX_SIZE) return false;
    Str rest = token;
    Str header = str_split(&rest, '.');
    if (!rest.ptr) return false;
    Str payload = str_split(&rest, '.');
    if (!rest.ptr || memchr(rest.ptr, '.', rest.len)) return false;
    ret->input = (Str){token.ptr, header.len + 1 + payload.len};
    return decode(header, arena, &ret->header) && decode(payload, arena, &ret->payload) &&
           decode(rest, arena, &ret->signature);
}

/* A string member, or the absent Str; false when it is of another kind. */
static bool header_string(Json header, Str name, Arena *arena, Str *ret) {
    Json value = json_member(header, name);
    *ret = (Str){NULL, 0};
    if (!value.text.ptr) return true;
    if (value.kind != JSON_STRING) return false;
    *ret = json_string(value, arena);
    return true;
}

/* Members that change what the payload means are refused whatever they say; those that point to
 * keys (jku, jwk, x5u, x5c) are not looked at. */
static TokenVerdict read_header(Str text, const TokenKeys *keys, Arena *arena,
                                const TokenKey **ret_key) {
    static const Str CHANGERS[] = {{"crit", 4}, {"b64", 3}, {"zip", 3}, {"cty", 3}, {"enc", 3}};
    Json header;
    Error ignored;
    if (json_check(text, &header, &ignored) != OK || header.kind != JSON_OBJECT) {
        return TOKEN_MALFORMED;
    }
    for (size_t i = 0; i < LENGTH(CHANGERS); i++) {
        if (json_member(header, CHANGERS[i]).text.ptr) return TOKEN_UNTRUSTED;
    }
    Str algorithm, type, kid;
    if (!header_string(header, STR("alg"), arena, &algorithm) ||
        !header_string(header, STR("typ"), arena, &type) ||
        !header_string(header, STR("kid"), arena, &kid)) {
        return TOKEN_UNTRUSTED;
    }
    if (!str_eq(algorithm, STR("HS256"))) return TOKEN_UNTRUSTED;
    if (type.ptr && !str_eq_ignore_case(type, STR("JWT"))) return TOKEN_UNTRUSTED;
    *ret_key = token_find_key(keys, kid);
    return *ret_key ? TOKEN_VALID : TOKEN_UNTRUSTED;
}

/* All that does not depend on the time. */
static TokenVerdict examine(const TokenKeys *keys, Str token, Arena *arena, TokenClaims *ret) {
    CompactForm form;
    if (!split(token, arena, &form)) return TOKEN_MALFORMED;
    const TokenKey *key = NULL;
    TokenVerdict verdict = read_header(form.header, keys, arena, &key);
    if (verdict != TOKEN_VALID) return verdict;
    uint8_t expected[TOKEN_SIGNATURE_SIZE];
    token_sign(key, form.input, expected);
    if (form.signature.len != sizeof(expected) ||
        CRYPTO_memcmp(form.signature.ptr, expected, sizeof(expected)) != 0) {
        return TOKEN_UNTRUSTED;
    }
    return token_read_claims(form.payload, arena, ret);
}

static TokenVerdict check_time(const TokenKeys *keys, const TokenClaims *claims, int64_t now_us) {
    int64_t skew_us = TOKEN_SKEW_S * US_PER_S;
    if (now_us >= claims->principal.expires_at_us + skew_us) return TOKEN_EXPIRED;
    if (claims->not_before_us > now_us + skew_us) return TOKEN_NOT_YET_VALID;
    Str id = claims->principal.token_id;
    return id.ptr && map_get(&keys->revoked, id) ? TOKEN_REVOKED : TOKEN_VALID;
}

static void copy_principal(const Principal *from, Arena *arena, Principal *ret) {
    Principal copy = *from;
    copy.subject = arena_str(arena, from->subject);
    copy.token_id = arena_str(arena, from->token_id);
    if (from->queue_count > 0) {
        Str *queues = arena_zero(arena, from->queue_count, sizeof(Str));
        for (size_t i = 0; i < from->queue_count; i++)
            queues[i] = arena_str(arena, from->queues[i]);
        copy.queues = queues;
    }
    *ret = copy;
}

static void remember(TokenKeys *keys, Str token, const TokenClaims *claims) {
    if (token.len > TOKEN_CACHE_TEXT) return;
    CachedToken **place = &keys->cached[keys->cache_next];
    keys->cache_next = (keys->cache_next + 1) % TOKEN_CACHE_SIZE;
    if (*place) {
        map_remove(&keys->cache, (*place)->token);
        arena_done(&(*place)->arena);
        free(*place);
    }
    CachedToken *cached = alloc_zero(1, sizeof(*cached));
    cached->token = arena_str(&cached->arena, token);
    cached->claims.not_before_us = claims->not_before_us;
    copy_principal(&claims->principal, &cached->arena, &cached->claims.principal);
    map_put(&keys->cache, cached->token, cached);
    *place = cached;
}

TokenVerdict token_verify(TokenKeys *keys, Str token, int64_t now_us, Arena *arena,
                          Principal *ret) {
    const CachedToken *cached = token.len > 0 ? map_get(&keys->cache, token) : NULL;
    if (cached) {
        TokenVerdict verdict = check_time(keys, &cached->claims, now_us);
        if (verdict == TOKEN_VALID) copy_principal(&cached->claims.principal, arena, ret);
        return verdict;
    }
    TokenClaims claims;
    TokenVerdict verdict = examine(keys, token, arena, &claims);
    if (verdict != TOKEN_VALID) return verdict;
    verdict = check_time(keys, &claims, now_us);
    if (verdict != TOKEN_VALID) return verdict;
    remember(keys, token, &claims);
    *ret = claims.principal;
    return TOKEN_VALID;
}
