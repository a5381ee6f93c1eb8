/* What the files token*.c share: keys as loaded, and the claims of one token. Only for src/auth. */
#pragma once

#include "auth/token.h"
#include "base/hash.h"
#include "base/map.h"

enum {
    TOKEN_MAX_KEYS = 16,
    TOKEN_KEY_MAX = 4096, /* bytes of one key */
    TOKEN_KID_SIZE = 17,  /* 16 hexadecimal digits and a NUL */
    TOKEN_CACHE_SIZE = 2048,
    TOKEN_CACHE_TEXT = 2048, /* longer tokens are not cached */
    TOKEN_SIGNATURE_SIZE = SHA256_SIZE,
};

#define TOKEN_ISSUER "takt"

typedef struct TokenKey {
    char kid[TOKEN_KID_SIZE]; /* derived from the key, so that all nodes agree on it */
    size_t len;
    uint8_t bytes[TOKEN_KEY_MAX];
} TokenKey;

/* What a token says, once its signature is found good. Texts belong to the arena given. */
typedef struct TokenClaims {
    Principal principal;
    int64_t not_before_us; /* the later of nbf and iat; 0 without either */
} TokenClaims;

typedef struct CachedToken {
    Str token; /* in the arena; the key in the map */
    TokenClaims claims;
    Arena arena;
} CachedToken;

struct TokenKeys {
    TokenKey *keys[TOKEN_MAX_KEYS]; /* owned */
    size_t key_count;
    Map cache;
    CachedToken *cached[TOKEN_CACHE_SIZE]; /* owned; a ring: the oldest makes room */
    size_t cache_next;
    Map revoked;
};

/* HMAC-SHA256 of the text under the key. */
void token_sign(const TokenKey *key, Str text, uint8_t ret[TOKEN_SIGNATURE_SIZE]);

/* The key a header's `kid` means, by exact match; without a kid the only key. NULL: none. */
const TokenKey *token_find_key(const TokenKeys *keys, Str kid);

/* Reads and checks the claims of a payload, all but their times against the clock. */
TokenVerdict token_read_claims(Str payload, Arena *arena, TokenClaims *ret);

/* True for 1–256 bytes of UTF-8 without control characters. */
bool token_subject_is_valid(Str subject);

/* True for 1–64 bytes of A-Za-z0-9_.:- and the wildcards * and ?. */
bool token_queue_is_valid(Str glob);
