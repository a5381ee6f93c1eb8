/* Errors: a code for the caller to act on and a sentence for a person to read.
 *
 * Fallible functions return Err and take an Error as their very last parameter. A code exists only
 * where the caller acts differently. The sentence says what we were doing and names the offending
 * value. Programming mistakes are check() (check.h), never an Err. */
#pragma once

#include "base/check.h"

typedef enum Err {
    OK = 0,
    ERR_INVALID,     /* the input is wrong: 400/422, exit 2 or 3 */
    ERR_NOT_FOUND,   /* 404, exit 5 */
    ERR_CONFLICT,    /* 409, exit 6 */
    ERR_DENIED,      /* 401/403, exit 4 */
    ERR_LIMIT,       /* larger or more than is allowed: 413/429 */
    ERR_UNAVAILABLE, /* a dependency is away; try again: 503, exit 7 */
    ERR_TIMEOUT,     /* 408, exit 7 */
    ERR_INTERNAL,    /* our fault: 500, exit 1 */
} Err;

typedef struct Error {
    Err err;
    char code[40];     /* stable slug for machines, "" when none, e.g. "not-unique" */
    char message[256]; /* NUL-terminated, cut to fit on a UTF-8 boundary */
} Error;

/* Fills *error (may be NULL) with a formatted sentence and returns err: `return error_set(…)` is
 * the one way to fail. */
Err error_set(Error *error, Err err, const char *format, ...) printf_like(3, 4);

/* The same with the stable slug that the API shows as `code`. */
Err error_code(Error *error, Err err, const char *code, const char *format, ...) printf_like(4, 5);

/* Puts "<context>: " before the message, once per layer of meaning, and returns error->err
 * (ERR_INTERNAL where error is NULL). */
Err error_context(Error *error, const char *format, ...) printf_like(2, 3);

/* "invalid", "not-found", …: the code's name for logs. Never NULL. */
const char *err_name(Err err);

/* Returns from the calling function when `call` fails. The only macro in the code base that hides a
 * return. */
#define TRY(call)                                                                                  \
    do {                                                                                           \
        Err try_err = (call);                                                                      \
        if (try_err != OK) return try_err;                                                         \
    } while (0)
