/* A growing byte buffer with a mandatory maximum.
 *
 * Appending past the maximum appends nothing and sets `overflow`, so a writer may append freely and
 * ask once at the end. Out of memory aborts. Not thread safe. */
#pragma once

#include "base/check.h"
#include "base/str.h"
#include <stdbool.h>
#include <stdint.h>

typedef struct Buf {
    char *data; /* owned; len bytes are valid, followed by a NUL after buf_cstr() */
    size_t len;
    size_t capacity;
    size_t max; /* most bytes it may ever hold; 0 is valid for a zero Buf and allows nothing */
    bool overflow;
} Buf;

/* In place; nothing is allocated before the first append. */
void buf_init(Buf *buf, size_t max);

/* Frees; valid and empty with the same maximum afterwards. Accepts NULL. */
void buf_done(Buf *buf);

/* Empties it, keeps the memory, clears overflow. */
void buf_clear(Buf *buf);

void buf_add(Buf *buf, Str bytes);
void buf_add_char(Buf *buf, char byte);
void buf_add_bytes(Buf *buf, const void *bytes, size_t len);
void buf_add_int(Buf *buf, int64_t value);
void buf_add_uint(Buf *buf, uint64_t value);
void buf_format(Buf *buf, const char *format, ...) printf_like(2, 3);

/* Appends `len` uninitialised bytes and returns where they begin, or NULL (and overflow) when
 * they do not fit. Valid until the next append. */
char *buf_reserve(Buf *buf, size_t len);

/* Drops the first `len` bytes (at most all). */
void buf_drop(Buf *buf, size_t len);

/* A view on the contents, valid until the next change. */
Str buf_str(const Buf *buf);

/* The contents with a NUL behind them (not counted); "" for an empty buffer. */
const char *buf_cstr(Buf *buf);
