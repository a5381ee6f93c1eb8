/* A growing byte buffer with a mandatory maximum: see buf.h.
 *
 * `capacity` is always larger than `len` once anything is allocated, so that a NUL fits behind the
 * contents even when the maximum is reached. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

enum { FIRST_CAPACITY = 64 };

void buf_init(Buf *buf, size_t max) {
    check(max < SIZE_MAX / 2);
    *buf = (Buf){.max = max};
}

void buf_done(Buf *buf) {
    if (!buf) return;
    free(buf->data);
    *buf = (Buf){.max = buf->max};
}

void buf_clear(Buf *buf) {
    buf->len = 0;
    buf->overflow = false;
}

static void grow(Buf *buf, size_t needed) {
    size_t capacity = buf->capacity ? 2 * buf->capacity : FIRST_CAPACITY;
    if (capacity > buf->max + 1) capacity = buf->max + 1;
    if (capacity < needed) capacity = needed;
    buf->data = alloc_again(buf->data, capacity, 1);
    buf->capacity = capacity;
}

char *buf_reserve(Buf *buf, size_t len) {
    if (buf->max - buf->len < len) {
        buf->overflow = true;
        return NULL;
    }
    size_t needed = buf->len + len + 1;
    if (needed > buf->capacity) grow(buf, needed);
    char *at = buf->data + buf->len;
    buf->len += len;
    return at;
}

void buf_add_bytes(Buf *buf, const void *bytes, size_t len) {
    if (len == 0) return;
    char *at = buf_reserve(buf, len);
    if (at) memcpy(at, bytes, len);
}

void buf_add(Buf *buf, Str bytes) {
    buf_add_bytes(buf, bytes.ptr, bytes.len);
}

void buf_add_char(Buf *buf, char byte) {
    char *at = buf_reserve(buf, 1);
    if (at) *at = byte;
}

void buf_add_uint(Buf *buf, uint64_t value) {
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    buf_add_bytes(buf, digits + at, sizeof(digits) - at);
}

void buf_add_int(Buf *buf, int64_t value) {
    if (value >= 0) {
        buf_add_uint(buf, (uint64_t)value);
        return;
    }
    char digits[20];
    size_t at = sizeof(digits);
    uint64_t rest = 0 - (uint64_t)value;
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    digits[--at] = '-';
    buf_add_bytes(buf, digits + at, sizeof(digits) - at);
}

void buf_format(Buf *buf, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    size_t room = buf->capacity - buf->len; /* buf->len < buf->capacity or both 0 */
    int len = vsnprintf(room ? buf->data + buf->len : NULL, room, format, arguments);
    va_end(arguments);
    check(len >= 0);
    if ((size_t)len > buf->max - buf->len) {
        buf->overflow = true;
    } else if ((size_t)len < room) {
        buf->len += (size_t)len;
    } else {
        char *at = buf_reserve(buf, (size_t)len);
        check(at);
        vsnprintf(at, (size_t)len + 1, format, again);
    }
    va_end(again);
}

void buf_drop(Buf *buf, size_t len) {
    if (len >= buf->len) {
        buf->len = 0;
        return;
    }
    if (len == 0) return;
    memmove(buf->data, buf->data + len, buf->len - len);
    buf->len -= len;
}

Str buf_str(const Buf *buf) {
    return (Str){buf->data ? buf->data : "", buf->len};
}

const char *buf_cstr(Buf *buf) {
    if (!buf->data) return "";
    buf->data[buf->len] = 0;
    return buf->data;
}
