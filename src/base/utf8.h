/* One UTF-8 sequence at a time (RFC 3629): the step that str.c, json_*.c and error.c share.
 *
 * Internal to base/. Never looks at or behind `end`. Surrogates, overlong forms and anything above
 * U+10FFFF are malformed. */
#pragma once

#include <stddef.h>
#include <stdint.h>

static inline int utf8_is_continuation(char byte) {
    return ((uint8_t)byte & 0xc0) == 0x80;
}

/* Length (1 to 4) of the well-formed sequence at `at`, or 0 when it is malformed or at == end. The
 * ranges are those of Unicode's table 3-7. */
static inline size_t utf8_sequence(const char *at, const char *end) {
    size_t room = (size_t)(end - at);
    if (room == 0) return 0;
    uint8_t first = (uint8_t)at[0];
    if (first < 0x80) return 1;
    if (first < 0xc2 || first > 0xf4 || room < 2) return 0;
    if (first < 0xe0) return utf8_is_continuation(at[1]) ? 2 : 0;
    uint8_t second = (uint8_t)at[1];
    uint8_t lowest = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    uint8_t highest = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (second < lowest || second > highest) return 0;
    if (room < 3 || !utf8_is_continuation(at[2])) return 0;
    if (first < 0xf0) return 3;
    if (room < 4 || !utf8_is_continuation(at[3])) return 0;
    return 4;
}

/* Writes a code point (not a surrogate, at most U+10FFFF) and returns its length, 1 to 4. */
static inline size_t utf8_encode(uint32_t point, char ret[4]) {
    if (point < 0x80) {
        ret[0] = (char)point;
        return 1;
    }
    if (point < 0x800) {
        ret[0] = (char)(0xc0 | (point >> 6));
        ret[1] = (char)(0x80 | (point & 0x3f));
        return 2;
    }
    if (point < 0x10000) {
        ret[0] = (char)(0xe0 | (point >> 12));
        ret[1] = (char)(0x80 | ((point >> 6) & 0x3f));
        ret[2] = (char)(0x80 | (point & 0x3f));
        return 3;
    }
    ret[0] = (char)(0xf0 | (point >> 18));
    ret[1] = (char)(0x80 | ((point >> 12) & 0x3f));
    ret[2] = (char)(0x80 | ((point >> 6) & 0x3f));
    ret[3] = (char)(0x80 | (point & 0x3f));
    return 4;
}
