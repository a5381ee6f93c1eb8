/* The handshake of the worker protocol: +HI {"v":2,…} and HELLO {…}.
 *
 * The greeting's bytes are fixed: clients compare them byte for byte or refuse a blank in them. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "base/str.h"
#include <stdint.h>

enum {
    GREETING_VERSION = 2,
    GREETING_ROUNDS_MIN = 4000, /* a challenge's rounds are drawn from 4000..8095 */
    GREETING_ROUNDS_SPAN = 4096,
    GREETING_ROUNDS_LIMIT = 1000000, /* a client refuses to be kept busy beyond this */
    GREETING_SALT_SIZE = 17,
    PASSWORD_HASH_SIZE = 65,
};

/* rounds 0: no password is asked for. */
typedef struct Challenge {
    int64_t rounds;
    char salt[64]; /* NUL-terminated; a server's own has at most 16 hex digits */
} Challenge;

/* A challenge out of 64 + 64 bits of the operating system's randomness. */
Challenge challenge_make(uint64_t random_rounds, uint64_t random_salt);

/* Server: appends the greeting, line end included. */
void greeting_write(Buf *buf, const Challenge *challenge);

/* Client: reads the text of the greeting's simple string (`HI {…}`). ERR_INVALID when it is
 * none, when the version is not 2, or when rounds or salt are out of bounds. */
Err greeting_parse(Str text, Challenge *ret, Error *error) must_check;

/* Lower-case hex of SHA-256 applied `rounds` times to password ++ salt. A client that announces a
 * version below 2 (or none) hashes once. rounds ≥ 1. */
void password_hash(Str password, const Challenge *challenge, int64_t version,
                   char ret_hex[PASSWORD_HASH_SIZE]);

/* Compares in constant time; `given` is what HELLO brought. */
bool password_matches(Str given, const char expected[PASSWORD_HASH_SIZE]);

typedef struct Hello {
    int64_t version; /* 0 when absent */
    Str hostname;
    Str wid; /* absent or empty: a producer */
    int64_t pid;
    Json labels; /* array of strings, or absent */
    Str pwdhash;
    Str username;
    bool opted_in; /* "takt": {…} was there */
    Str token;     /* of "takt": {"token": …}, or absent */
} Hello;

/* Server: parses the argument of HELLO. It must begin with '{'; unknown members are ignored, null
 * counts as absent, a wrong type is refused. Strings are slices of the input or live in the arena.
 * Errors: ERR_INVALID; the caller closes without a reply. */
Err hello_parse(Str argument, Arena *arena, Hello *ret, Error *error) must_check;

/* Client: appends the whole line `HELLO {…}`. Absent strings and a pid of 0 are left out. */
void hello_write(Buf *buf, const Hello *hello);
