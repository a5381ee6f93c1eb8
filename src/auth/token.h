/* Access tokens: JWT (RFC 7519) signed with HS256 (RFC 7515, RFC 7518 section 3.2) by the node's
 * keys.
 *
 * The algorithm belongs to the key, never to the token: a token that names any other is refused
 * before anything in it is believed. A refusal gives one of six public reasons and nothing more.
 * Users and passwords are not here; what a token allows is core/access.h. Not thread safe: loop
 * thread only. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "core/access.h"

enum {
    TOKEN_KEY_SIZE = 32,   /* bytes of a key made here, and the fewest that any key may have */
    TOKEN_MAX_SIZE = 8192, /* bytes of a token */
    TOKEN_MAX_ROLES = 16,
    TOKEN_MAX_QUEUES = 100,
    TOKEN_ID_SIZE = 33, /* 32 hexadecimal digits and a NUL */
    TOKEN_SKEW_S = 60,  /* by which clocks may differ: for exp, nbf and iat */
};

typedef struct TokenKeys TokenKeys; /* signing keys, the tokens seen lately, the revoked ones */

/* No keys yet: add at least one before anything else. Free with token_keys_free() (accepts NULL).
 */
TokenKeys *token_keys_new(void);
void token_keys_free(TokenKeys *keys);

/* Adds the key that is the whole content of a file, byte for byte. The first key added signs; all
 * of them verify, so that keys can be rotated. ERR_INVALID: unreadable, shorter than 32 bytes,
 * longer than 4096, a PEM file, or readable by every user of the machine. */
Err token_keys_load(TokenKeys *keys, const char *path, Error *error) must_check;

/* Adds DIR/signing.key, made of 32 random bytes with mode 0600 if it does not exist. It appears
 * whole and on disk or not at all, whatever crashes or races meanwhile. */
Err token_keys_load_or_make(TokenKeys *keys, const char *directory, Error *error) must_check;

/* Adds a key given as bytes (copied): a cluster's key out of the store. */
Err token_keys_add(TokenKeys *keys, Str bytes, Error *error) must_check;

/* Whether there is a key: without one nothing can be made or verified. */
bool token_keys_are_there(const TokenKeys *keys);

/* A key for another purpose, named by the label, out of the signing key: HMAC-SHA256 of the
 * label. What it signs can't be taken for a token, nor the other way round. Needs at least one
 * key. */
void token_derive(const TokenKeys *keys, Str label, uint8_t ret[TOKEN_KEY_SIZE]);

/* What a new token is to say. */
typedef struct TokenGrant {
    Str subject;       /* 1–256 bytes without control characters */
    const Role *roles; /* at least one */
    size_t role_count;
    const Str *queues; /* globs; none: every queue */
    size_t queue_count;
    int64_t ttl_s; /* > 0, at most ten years */
} TokenGrant;

/* Appends a new token, with a random `jti` that is also given in ret_id. ERR_INVALID names what is
 * wrong with the grant. */
Err token_mint(const TokenKeys *keys, const TokenGrant *grant, int64_t now_us, Buf *token,
               char ret_id[TOKEN_ID_SIZE], Error *error) must_check;

/* Why a token was refused; these are the values of takt_auth_failures_total{reason}. */
typedef enum TokenVerdict {
    TOKEN_VALID = 0,
    TOKEN_MALFORMED,  /* not a compact JWS of strict base64url and JSON */
    TOKEN_UNTRUSTED,  /* algorithm, key or signature: which one is not told */
    TOKEN_BAD_CLAIMS, /* a claim is missing, of a wrong kind or not for us */
    TOKEN_EXPIRED,
    TOKEN_NOT_YET_VALID, /* nbf or iat lies ahead */
    TOKEN_REVOKED,
} TokenVerdict;

/* Checks a token at the time now_us. When valid, *ret is filled in with texts of the arena. A token
 * seen before is not checked again but for expiry and revocation. */
TokenVerdict token_verify(TokenKeys *keys, Str token, int64_t now_us, Arena *arena, Principal *ret)
    must_check;

/* "malformed", "expired", …. Never NULL. */
const char *token_verdict_name(TokenVerdict verdict);

/* The refusal as an Error: ERR_DENIED with the code "invalid-token", or "token-expired" and
 * "token-not-yet-valid", and a public sentence. Not for TOKEN_VALID. */
Err token_refusal(TokenVerdict verdict, Error *error);

/* From now on tokens with this jti are refused. Remembered until expires_at_us (0: for ever);
 * filled from the store at start and whenever it tells of a revocation. */
void token_revoke(TokenKeys *keys, Str token_id, int64_t expires_at_us);

/* Forgets revocations of tokens that have expired anyway: once an hour is enough. */
void token_prune(TokenKeys *keys, int64_t now_us);
