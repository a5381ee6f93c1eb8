/* Tokens: what is minted is accepted, and a matrix of forged, broken and foreign ones is refused
 * with the right one of six reasons. Hostile tokens are built by hand, with their own HMAC. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/token.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/time.h"

#define NOW_S INT64_C(1800000000)
#define NOW_US (NOW_S * US_PER_S)
#define SECRET "0123456789abcdef0123456789abcdef"
#define HEADER "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define TAKT "\"takt\":{\"roles\":[\"viewer\"]}"
#define CLAIMS "{\"sub\":\"s\",\"exp\":1800000100," TAKT "}"

static TokenKeys *keys;
static Arena arena;

static int start(void **state) {
    (void)state;
    keys = token_keys_new();
    return token_keys_add(keys, STR(SECRET), NULL) == OK ? 0 : -1;
}

static int end(void **state) {
    (void)state;
    token_keys_free(keys);
    arena_done(&arena);
    return 0;
}

static Str encode(Str bytes) {
    cleanup(buf_done) Buf buf;
    buf_init(&buf, 1 << 20);
    base64url_encode(&buf, bytes.ptr, bytes.len);
    return arena_str(&arena, buf_str(&buf));
}

static Str sign(Str input, Str key) {
    unsigned char mac[32];
    unsigned len = 0;
    HMAC(EVP_sha256(), key.ptr, (int)key.len, (const unsigned char *)input.ptr, input.len, mac,
         &len);
    return encode((Str){(char *)mac, len});
}

/* A token whose signature is right whatever its header and claims say. */
static Str forge(Str header, Str claims) {
    Str input =
        arena_format(&arena, STR_FMT "." STR_FMT, STR_ARG(encode(header)), STR_ARG(encode(claims)));
    return arena_format(&arena, STR_FMT "." STR_FMT, STR_ARG(input),
                        STR_ARG(sign(input, STR(SECRET))));
}

static TokenVerdict verify_at(Str token, int64_t now_s) {
    Principal principal;
    return token_verify(keys, token, now_s * US_PER_S, &arena, &principal);
}

static void assert_verdict(const char *what, Str token, TokenVerdict expected) {
    TokenVerdict verdict = verify_at(token, NOW_S);
    if (verdict != expected) {
        fail_msg("%s: %s, expected %s", what, token_verdict_name(verdict),
                 token_verdict_name(expected));
    }
}

static Str mint(const TokenGrant *grant, char id[TOKEN_ID_SIZE]) {
    cleanup(buf_done) Buf token;
    buf_init(&token, TOKEN_MAX_SIZE);
    assert_int_equal(token_mint(keys, grant, NOW_US, &token, id, NULL), OK);
    return arena_str(&arena, buf_str(&token));
}

static void a_minted_token_says_what_was_granted(void **state) {
    (void)state;
    static const Role ROLES[] = {ROLE_OPERATOR, ROLE_WORKER};
    static const Str QUEUES[] = {{"billing.*", 9}, {"mail", 4}};
    TokenGrant grant = {STR("Zoë \"z\""), ROLES, 2, QUEUES, 2, 3600};
    char id[TOKEN_ID_SIZE];
    Str token = mint(&grant, id);
    for (int seen = 0; seen < 2; seen++) { /* the second time out of the cache */
        Principal principal = {0};
        assert_int_equal(token_verify(keys, token, NOW_US, &arena, &principal), TOKEN_VALID);
        assert_true(str_eq(principal.subject, grant.subject));
        assert_int_equal(principal.roles, role_bits(ROLE_OPERATOR) | role_bits(ROLE_WORKER));
        assert_int_equal(principal.queue_count, 2);
        assert_true(str_eq(principal.queues[0], QUEUES[0]));
        assert_true(str_eq(principal.queues[1], QUEUES[1]));
        assert_true(str_eq(principal.token_id, str_from(id)));
        assert_int_equal(principal.expires_at_us, NOW_US + 3600 * US_PER_S);
    }
}

static void a_minted_token_has_the_contracts_claims(void **state) {
    (void)state;
    static const Role ROLE[] = {ROLE_ADMIN};
    TokenGrant grant = {.subject = STR("cli"), .roles = ROLE, .role_count = 1, .ttl_s = 60};
    char id[TOKEN_ID_SIZE];
    Str rest = mint(&grant, id);
    Str header = str_split(&rest, '.');
    Str claims = str_split(&rest, '.');
    Str input = {header.ptr, header.len + 1 + claims.len};
    assert_true(str_eq(rest, sign(input, STR(SECRET))));
    cleanup(buf_done) Buf text;
    buf_init(&text, 4096);
    assert_true(base64url_decode(&text, claims));
    Str expected =
        arena_format(&arena,
                     "{\"iss\":\"takt\",\"sub\":\"cli\",\"iat\":1800000000,"
                     "\"exp\":1800000060,\"jti\":\"%s\",\"takt\":{\"roles\":[\"admin\"]}}",
                     id);
    assert_string_equal(buf_cstr(&text), expected.ptr);
    char other[TOKEN_ID_SIZE];
    mint(&grant, other);
    assert_string_not_equal(id, other);
}

static void a_grant_that_makes_no_sense_is_refused(void **state) {
    (void)state;
    static const Role ROLE[] = {ROLE_ADMIN};
    static const Str BAD_QUEUE[] = {{"a b", 3}};
    const TokenGrant GRANTS[] = {
        {.subject = STR(""), .roles = ROLE, .role_count = 1, .ttl_s = 60},
        {.subject = STR("a\nb"), .roles = ROLE, .role_count = 1, .ttl_s = 60},
        {.subject = STR("s"), .roles = ROLE, .role_count = 0, .ttl_s = 60},
        {.subject = STR("s"), .roles = ROLE, .role_count = 1, .ttl_s = 0},
        {.subject = STR("s"), .roles = ROLE, .role_count = 1, .ttl_s = INT64_MAX},
        {.subject = STR("s"),
         .roles = ROLE,
         .role_count = 1,
         .ttl_s = 60,
         .queues = BAD_QUEUE,
         .queue_count = 1},
    };
    for (size_t i = 0; i < LENGTH(GRANTS); i++) {
        Buf token;
        char id[TOKEN_ID_SIZE];
        Error error;
        buf_init(&token, TOKEN_MAX_SIZE);
        assert_int_equal(token_mint(keys, &GRANTS[i], NOW_US, &token, id, &error), ERR_INVALID);
        assert_int_equal(token.len, 0);
    }
}

static void headers_are_believed_only_for_hs256(void **state) {
    (void)state;
    static const struct {
        const char *header;
        TokenVerdict verdict;
    } CASES[] = {
        {HEADER, TOKEN_VALID},
        {"{\"alg\":\"HS256\"}", TOKEN_VALID},
        {"{\"typ\":\"jwt\",\"alg\":\"HS256\"}", TOKEN_VALID},
        {"{\"alg\":\"HS256\",\"jku\":\"http://evil\",\"jwk\":{},\"x5u\":1,\"x5c\":[]}",
         TOKEN_VALID},
        {"{\"alg\":\"none\"}", TOKEN_UNTRUSTED},
        {"{\"alg\":\"None\"}", TOKEN_UNTRUSTED},
        {"{\"alg\":\"nOnE\"}", TOKEN_UNTRUSTED},
        {"{\"alg\":\"\"}", TOKEN_UNTRUSTED},
        {"{\"alg\":\"hs256\"}", TOKEN_UNTRUSTED},
        {"{\"alg\":\"HS512\"}", TOKEN_UNTRUSTED},
        {"{\"alg\":\"RS256\"}", TOKEN_UNTRUSTED},
        {"{\"alg\":\"ES256\"}", TOKEN_UNTRUSTED},
        {"{\"alg\":\"EdDSA\"}", TOKEN_UNTRUSTED},
        {"{\"alg\":256}", TOKEN_UNTRUSTED},
        {"{\"alg\":[\"HS256\"]}", TOKEN_UNTRUSTED},
        {"{\"typ\":\"JWT\"}", TOKEN_UNTRUSTED},
        {"{\"alg\":\"HS256\",\"crit\":[\"exp\"]}", TOKEN_UNTRUSTED},
        {"{\"alg\":\"HS256\",\"crit\":[]}", TOKEN_UNTRUSTED},
        {"{\"alg\":\"HS256\",\"b64\":false}", TOKEN_UNTRUSTED},
        {"{\"alg\":\"HS256\",\"b64\":true}", TOKEN_UNTRUSTED},
        {"{\"alg\":\"HS256\",\"zip\":\"DEF\"}", TOKEN_UNTRUSTED},
        {"{\"alg\":\"HS256\",\"cty\":\"JWT\"}", TOKEN_UNTRUSTED},
        {"{\"alg\":\"HS256\",\"enc\":\"A128GCM\"}", TOKEN_UNTRUSTED},
        {"{\"alg\":\"HS256\",\"typ\":\"id_token\"}", TOKEN_UNTRUSTED},
        {"{\"alg\":\"HS256\",\"typ\":1}", TOKEN_UNTRUSTED},
        {"{\"alg\":\"HS256\",\"kid\":\"../../dev/null\"}", TOKEN_UNTRUSTED},
        {"{\"alg\":\"HS256\",\"kid\":\"\"}", TOKEN_UNTRUSTED},
        {"{\"alg\":\"HS256\",\"kid\":\"' OR 1=1\"}", TOKEN_UNTRUSTED},
        {"{\"alg\":\"HS256\",\"kid\":7}", TOKEN_UNTRUSTED},
        {"{\"alg\":\"none\",\"alg\":\"HS256\"}", TOKEN_MALFORMED},
        {"{\"alg\":\"HS256\",}", TOKEN_MALFORMED},
        {"[\"HS256\"]", TOKEN_MALFORMED},
        {"\"HS256\"", TOKEN_MALFORMED},
        {"null", TOKEN_MALFORMED},
        {"", TOKEN_MALFORMED},
    };
    for (size_t i = 0; i < LENGTH(CASES); i++) {
        assert_verdict(CASES[i].header, forge(str_from(CASES[i].header), STR(CLAIMS)),
                       CASES[i].verdict);
    }
}

#define EXP "\"exp\":1800000100,"
static const struct {
    const char *claims;
    TokenVerdict verdict;
} claim_cases[] = {
    {CLAIMS, TOKEN_VALID},
    {"{\"sub\":\"s\",\"exp\":1800000100.75," TAKT "}", TOKEN_VALID},
    {"{\"sub\":\"s\"," EXP "\"iss\":\"takt\",\"aud\":\"takt\",\"x\":{}," TAKT "}", TOKEN_VALID},
    {"{\"sub\":\"s\"," EXP "\"aud\":[\"a\",\"takt\"]," TAKT "}", TOKEN_VALID},
    {"{\"sub\":\"s\"," EXP "\"nbf\":1800000060,\"iat\":1800000060," TAKT "}", TOKEN_VALID},
    /* exp */
    {"{\"sub\":\"s\"," TAKT "}", TOKEN_BAD_CLAIMS},
    {"{\"sub\":\"s\",\"exp\":\"1800000100\"," TAKT "}", TOKEN_BAD_CLAIMS},
    {"{\"sub\":\"s\",\"exp\":1e400," TAKT "}", TOKEN_BAD_CLAIMS},
    {"{\"sub\":\"s\",\"exp\":1e300," TAKT "}", TOKEN_BAD_CLAIMS},
    {"{\"sub\":\"s\",\"exp\":-1," TAKT "}", TOKEN_BAD_CLAIMS},
    {"{\"sub\":\"s\",\"exp\":0," TAKT "}", TOKEN_BAD_CLAIMS},
    {"{\"sub\":\"s\",\"exp\":null," TAKT "}", TOKEN_BAD_CLAIMS},
    {"{\"sub\":\"s\",\"exp\":true," TAKT "}", TOKEN_BAD_CLAIMS},
    {"{\"sub\":\"s\",\"exp\":1799999941," TAKT "}", TOKEN_VALID},
    {"{\"sub\":\"s\",\"exp\":1799999940," TAKT "}", TOKEN_EXPIRED},
    {"{\"sub\":\"s\",\"exp\":5," TAKT "}", TOKEN_EXPIRED},
    /* nbf and iat */
    {"{\"sub\":\"s\"," EXP "\"nbf\":1800000061," TAKT "}", TOKEN_NOT_YET_VALID},
    {"{\"sub\":\"s\"," EXP "\"iat\":1800000061," TAKT "}", TOKEN_NOT_YET_VALID},
    {"{\"sub\":\"s\"," EXP "\"nbf\":\"1\"," TAKT "}", TOKEN_BAD_CLAIMS},
    {"{\"sub\":\"s\"," EXP "\"iat\":[]," TAKT "}", TOKEN_BAD_CLAIMS},
    /* sub and jti */
    {"{" EXP TAKT "}", TOKEN_BAD_CLAIMS},
    {"{\"sub\":\"\"," EXP TAKT "}", TOKEN_BAD_CLAIMS},
    {"{\"sub\":7," EXP TAKT "}", TOKEN_BAD_CLAIMS},
    {"{\"sub\":\"a\\u0000b\"," EXP TAKT "}", TOKEN_BAD_CLAIMS},
    {"{\"sub\":\"s\",\"jti\":7," EXP TAKT "}", TOKEN_BAD_CLAIMS},
    {"{\"sub\":\"s\",\"jti\":\"\"," EXP TAKT "}", TOKEN_BAD_CLAIMS},
    /* iss and aud */
    {"{\"sub\":\"s\",\"iss\":\"other\"," EXP TAKT "}", TOKEN_BAD_CLAIMS},
    {"{\"sub\":\"s\",\"aud\":\"other\"," EXP TAKT "}", TOKEN_BAD_CLAIMS},
    {"{\"sub\":\"s\",\"aud\":[\"other\"]," EXP TAKT "}", TOKEN_BAD_CLAIMS},
    {"{\"sub\":\"s\",\"aud\":[]," EXP TAKT "}", TOKEN_BAD_CLAIMS},
    {"{\"sub\":\"s\",\"aud\":{}," EXP TAKT "}", TOKEN_BAD_CLAIMS},
    /* takt */
    {"{\"sub\":\"s\"," EXP "\"takt\":[]}", TOKEN_BAD_CLAIMS},
    {"{\"sub\":\"s\"," EXP "\"takt\":{}}", TOKEN_BAD_CLAIMS},
    {"{\"sub\":\"s\"," EXP "\"x\":1}", TOKEN_BAD_CLAIMS},
    {"{\"sub\":\"s\"," EXP "\"takt\":{\"roles\":\"admin\"}}", TOKEN_BAD_CLAIMS},
    {"{\"sub\":\"s\"," EXP "\"takt\":{\"roles\":[]}}", TOKEN_BAD_CLAIMS},
    {"{\"sub\":\"s\"," EXP "\"takt\":{\"roles\":[1]}}", TOKEN_BAD_CLAIMS},
    {"{\"sub\":\"s\"," EXP "\"takt\":{\"roles\":[\"root\"]}}", TOKEN_BAD_CLAIMS},
    {"{\"sub\":\"s\"," EXP "\"takt\":{\"roles\":[\"viewer\"],\"queues\":[]}}", TOKEN_BAD_CLAIMS},
    {"{\"sub\":\"s\"," EXP "\"takt\":{\"roles\":[\"viewer\"],\"queues\":\"*\"}}", TOKEN_BAD_CLAIMS},
    {"{\"sub\":\"s\"," EXP "\"takt\":{\"roles\":[\"viewer\"],\"queues\":[\"a b\"]}}",
     TOKEN_BAD_CLAIMS},
    {"{\"sub\":\"s\"," EXP "\"takt\":{\"roles\":[\"viewer\"],\"queues\":[null]}}",
     TOKEN_BAD_CLAIMS},
    /* form */
    {"{\"sub\":\"s\",\"sub\":\"t\"," EXP TAKT "}", TOKEN_MALFORMED},
    {"{\"sub\":\"s\"," EXP "\"takt\":{\"roles\":[\"viewer\"],\"roles\":[\"admin\"]}}",
     TOKEN_MALFORMED},
    {"[]", TOKEN_MALFORMED},
    {"{", TOKEN_MALFORMED},
    {"", TOKEN_MALFORMED},
};

static void claims_must_be_there_and_of_their_kind(void **state) {
    (void)state;
#undef EXP
    for (size_t i = 0; i < LENGTH(claim_cases); i++) {
        assert_verdict(claim_cases[i].claims, forge(STR(HEADER), str_from(claim_cases[i].claims)),
                       claim_cases[i].verdict);
    }
}

static void a_thousand_roles_are_refused(void **state) {
    (void)state;
    cleanup(buf_done) Buf claims;
    buf_init(&claims, 1 << 20);
    buf_add(&claims, STR("{\"sub\":\"s\",\"exp\":1800000100,\"takt\":{\"roles\":["));
    for (int i = 0; i < 17; i++)
        buf_format(&claims, "%s\"admin\"", i > 0 ? "," : "");
    buf_add(&claims, STR("]}}"));
    assert_verdict("17 roles", forge(STR(HEADER), buf_str(&claims)), TOKEN_BAD_CLAIMS);
    claims.len -= 3;
    for (int i = 0; i < 983; i++)
        buf_add(&claims, STR(",\"admin\""));
    buf_add(&claims, STR("]}}"));
    assert_verdict("1000 roles", forge(STR(HEADER), buf_str(&claims)), TOKEN_MALFORMED); /* 10 KB */
}

static void broken_forms_are_refused(void **state) {
    (void)state;
    Str good = forge(STR(HEADER), STR(CLAIMS));
    Str rest = good;
    Str header = str_split(&rest, '.');
    Str claims = str_split(&rest, '.');
    Str input = {good.ptr, header.len + 1 + claims.len};
    assert_verdict("good", good, TOKEN_VALID);
    assert_verdict("empty", STR(""), TOKEN_MALFORMED);
    assert_verdict("absent", (Str){NULL, 0}, TOKEN_MALFORMED);
    assert_verdict("no dots", header, TOKEN_MALFORMED);
    assert_verdict("two parts", input, TOKEN_MALFORMED);
    static const struct {
        const char *before;
        const char *after;
        TokenVerdict verdict;
    } AROUND[] = {
        {"", ".", TOKEN_MALFORMED},    {"", ".x.y", TOKEN_MALFORMED}, {".", "", TOKEN_MALFORMED},
        {" ", "", TOKEN_MALFORMED},    {"", "\n", TOKEN_MALFORMED},   {"", "=", TOKEN_MALFORMED},
        {"", "AA", TOKEN_MALFORMED},   {"", "AAAA", TOKEN_UNTRUSTED}, {"", "+", TOKEN_MALFORMED},
        {"AAAA", "", TOKEN_MALFORMED},
    };
    for (size_t i = 0; i < LENGTH(AROUND); i++) {
        Str token = arena_format(&arena, "%s" STR_FMT "%s", AROUND[i].before, STR_ARG(good),
                                 AROUND[i].after);
        TokenVerdict verdict = verify_at(token, NOW_S);
        assert_int_not_equal(verdict, TOKEN_VALID);
        if (AROUND[i].verdict == TOKEN_UNTRUSTED)
            continue; /* length decides, either reason is fine */
        assert_int_equal(verdict, TOKEN_MALFORMED);
    }
    assert_verdict("empty signature", arena_format(&arena, STR_FMT ".", STR_ARG(input)),
                   TOKEN_UNTRUSTED);
    assert_verdict("half a signature", (Str){good.ptr, good.len - 23}, TOKEN_UNTRUSTED);
    assert_verdict("nested dots", STR(".."), TOKEN_MALFORMED);
    char *large = malloc(16384);
    memset(large, 'A', 16384);
    assert_verdict("16 KiB", (Str){large, 16384}, TOKEN_MALFORMED);
    free(large);
}

/* Any one character changed makes another token, also the last one with its unused bits. */
static void no_character_can_be_changed(void **state) {
    (void)state;
    Str good = forge(STR(HEADER), STR(CLAIMS));
    for (size_t i = 0; i < good.len; i++) {
        for (int bit = 0; bit < 7; bit++) {
            char *copy = arena_cstr(&arena, good);
            copy[i] = (char)(copy[i] ^ (1 << bit));
            assert_int_not_equal(verify_at((Str){copy, good.len}, NOW_S), TOKEN_VALID);
        }
    }
}

static void another_key_is_not_trusted(void **state) {
    (void)state;
    Str good = forge(STR(HEADER), STR(CLAIMS));
    Str input = {good.ptr, good.len - 44};
    static const Str KEYS[] = {
        {"", 0}, {"0123456789abcdef0123456789abcdeF", 32}, {"-----BEGIN PUBLIC KEY-----", 26}};
    for (size_t i = 0; i < LENGTH(KEYS); i++) {
        assert_verdict("other key",
                       arena_format(&arena, STR_FMT "." STR_FMT, STR_ARG(input),
                                    STR_ARG(sign(input, KEYS[i]))),
                       TOKEN_UNTRUSTED);
    }
}

static void keys_rotate_and_are_found_by_their_id(void **state) {
    (void)state;
    static const Role ROLE[] = {ROLE_VIEWER};
    TokenGrant grant = {.subject = STR("s"), .roles = ROLE, .role_count = 1, .ttl_s = 60};
    char id[TOKEN_ID_SIZE];
    Str old = mint(&grant, id);
    Str without_kid = forge(STR(HEADER), STR(CLAIMS));
    TokenKeys *before = keys;
    keys = token_keys_new();
    assert_int_equal(token_keys_add(keys, STR("another key, which has more than 32 bytes"), NULL),
                     OK);
    assert_verdict("key is gone", old, TOKEN_UNTRUSTED);
    assert_int_equal(token_keys_add(keys, STR(SECRET), NULL), OK);
    assert_verdict("key verifies again", old, TOKEN_VALID);
    assert_verdict("no kid with two keys", without_kid, TOKEN_UNTRUSTED);
    assert_verdict("signed by the first", mint(&grant, id), TOKEN_VALID);
    token_keys_free(before);
}

static void the_cache_never_outlives_time_or_revocation(void **state) {
    (void)state;
    static const Role ROLE[] = {ROLE_VIEWER};
    TokenGrant grant = {.subject = STR("s"), .roles = ROLE, .role_count = 1, .ttl_s = 100};
    char id[TOKEN_ID_SIZE];
    Str token = mint(&grant, id);
    assert_int_equal(verify_at(token, NOW_S), TOKEN_VALID);
    assert_int_equal(verify_at(token, NOW_S + 159), TOKEN_VALID);
    assert_int_equal(verify_at(token, NOW_S + 160), TOKEN_EXPIRED);
    assert_int_equal(verify_at(token, NOW_S - 61), TOKEN_NOT_YET_VALID);
    assert_int_equal(verify_at(token, NOW_S), TOKEN_VALID);
    token_revoke(keys, STR("another"), 0);
    assert_int_equal(verify_at(token, NOW_S), TOKEN_VALID);
    token_revoke(keys, str_from(id), NOW_US + 100 * US_PER_S);
    token_revoke(keys, str_from(id), NOW_US + 100 * US_PER_S);
    assert_int_equal(verify_at(token, NOW_S), TOKEN_REVOKED);
    token_prune(keys, NOW_US + 100 * US_PER_S);
    assert_int_equal(verify_at(token, NOW_S), TOKEN_REVOKED);
    token_prune(keys, NOW_US + 300 * US_PER_S);
    assert_int_equal(verify_at(token, NOW_S + 300), TOKEN_EXPIRED);
}

static void the_cache_is_bounded_and_still_right(void **state) {
    (void)state;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 5000; i++) {
            Str claims = arena_format(&arena,
                                      "{\"sub\":\"s%d\",\"exp\":1800000100,"
                                      "\"takt\":{\"roles\":[\"worker\"]}}",
                                      i);
            Principal principal;
            assert_int_equal(
                token_verify(keys, forge(STR(HEADER), claims), NOW_US, &arena, &principal),
                TOKEN_VALID);
            assert_true(str_eq(principal.subject, arena_format(&arena, "s%d", i)));
        }
        arena_reset(&arena);
    }
}

static void refusals_have_stable_codes(void **state) {
    (void)state;
    static const struct {
        TokenVerdict verdict;
        const char *code;
    } CASES[] = {
        {TOKEN_MALFORMED, "invalid-token"},  {TOKEN_UNTRUSTED, "invalid-token"},
        {TOKEN_BAD_CLAIMS, "invalid-token"}, {TOKEN_EXPIRED, "token-expired"},
        {TOKEN_REVOKED, "invalid-token"},    {TOKEN_NOT_YET_VALID, "token-not-yet-valid"},
    };
    for (size_t i = 0; i < LENGTH(CASES); i++) {
        Error error;
        assert_int_equal(token_refusal(CASES[i].verdict, &error), ERR_DENIED);
        assert_string_equal(error.code, CASES[i].code);
        assert_true(error.message[0] != '\0');
    }
}

/* ---- files ---- */

static char directory[] = "/tmp/takt-token-XXXXXX";
static char path[200];

static int make_directory(void **state) {
    (void)state;
    return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state) {
    (void)state;
    snprintf(path, sizeof(path), "%s/signing.key", directory);
    unlink(path);
    return rmdir(directory);
}

static void write_key(const char *bytes, size_t len, mode_t mode) {
    snprintf(path, sizeof(path), "%s/signing.key", directory);
    unlink(path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    fclose(file);
    chmod(path, mode);
}

static void the_key_is_made_once_and_private(void **state) {
    (void)state;
    TokenKeys *first = token_keys_new();
    TokenKeys *second = token_keys_new();
    assert_int_equal(token_keys_load_or_make(first, directory, NULL), OK);
    struct stat status;
    snprintf(path, sizeof(path), "%s/signing.key", directory);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(status.st_size, TOKEN_KEY_SIZE);
    assert_int_equal(status.st_nlink, 1);
    assert_int_equal(token_keys_load_or_make(second, directory, NULL), OK);
    static const Role ROLE[] = {ROLE_VIEWER};
    TokenGrant grant = {.subject = STR("s"), .roles = ROLE, .role_count = 1, .ttl_s = 60};
    char id[TOKEN_ID_SIZE];
    Buf token;
    Principal principal;
    buf_init(&token, TOKEN_MAX_SIZE);
    assert_int_equal(token_mint(first, &grant, NOW_US, &token, id, NULL), OK);
    assert_int_equal(token_verify(second, buf_str(&token), NOW_US, &arena, &principal),
                     TOKEN_VALID);
    assert_int_equal(verify_at(buf_str(&token), NOW_S), TOKEN_UNTRUSTED);
    buf_done(&token);
    token_keys_free(first);
    token_keys_free(second);
}

static void unfit_key_files_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *name;
        const char *bytes;
        size_t len;
        mode_t mode;
        Err err;
    } CASES[] = {
        {"exact", SECRET, 32, 0600, OK},
        {"for the group", SECRET, 32, 0640, OK},
        {"for everybody", SECRET, 32, 0644, ERR_INVALID},
        {"31 bytes", SECRET, 31, 0600, ERR_INVALID},
        {"empty", "", 0, 0600, ERR_INVALID},
        {"PEM", "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2Vw\n", 45, 0600, ERR_INVALID},
    };
    for (size_t i = 0; i < LENGTH(CASES); i++) {
        TokenKeys *fresh = token_keys_new();
        Error error = {0};
        write_key(CASES[i].bytes, CASES[i].len, CASES[i].mode);
        if (token_keys_load_or_make(fresh, directory, &error) != CASES[i].err) {
            fail_msg("%s: %s", CASES[i].name, error.message);
        }
        if (CASES[i].err != OK) {
            assert_non_null(strstr(error.message, path));
            assert_null(strstr(error.message, "0123456789"));
        }
        token_keys_free(fresh);
    }
    char *long_key = calloc(1, 4097);
    TokenKeys *fresh = token_keys_new();
    write_key(long_key, 4097, 0600);
    assert_int_equal(token_keys_load(fresh, path, NULL), ERR_INVALID);
    assert_int_equal(token_keys_load(fresh, directory, NULL), ERR_INVALID);
    assert_int_equal(token_keys_load(fresh, "/nonexistent/key", NULL), ERR_NOT_FOUND);
    token_keys_free(fresh);
    free(long_key);
}

#define KEY_TEST(test) cmocka_unit_test_setup_teardown(test, start, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        KEY_TEST(a_minted_token_says_what_was_granted),
        KEY_TEST(a_minted_token_has_the_contracts_claims),
        KEY_TEST(a_grant_that_makes_no_sense_is_refused),
        KEY_TEST(headers_are_believed_only_for_hs256),
        KEY_TEST(claims_must_be_there_and_of_their_kind),
        KEY_TEST(a_thousand_roles_are_refused),
        KEY_TEST(broken_forms_are_refused),
        KEY_TEST(no_character_can_be_changed),
        KEY_TEST(another_key_is_not_trusted),
        KEY_TEST(keys_rotate_and_are_found_by_their_id),
        KEY_TEST(the_cache_never_outlives_time_or_revocation),
        KEY_TEST(the_cache_is_bounded_and_still_right),
        cmocka_unit_test(refusals_have_stable_codes),
        KEY_TEST(the_key_is_made_once_and_private),
        KEY_TEST(unfit_key_files_are_refused),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
