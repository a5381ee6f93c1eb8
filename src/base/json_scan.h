/* The steps over JSON bytes that the checker, the reader and the writer share.
 *
 * Internal to base/. skip_plain() and skip_blanks() are safe on any bytes; the others expect
 * checked JSON and rely on it. */
#pragma once

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/json.h"
#include "base/utf8.h"

static inline bool json_is_blank(char byte) {
    return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

static inline const char *json_skip_blanks(const char *at, const char *end) {
    while (at < end && json_is_blank(*at)) {
        at++;
    }
    return at;
}

/* To the first byte that a JSON string can't hold as it stands or that needs a closer look: quote,
 * backslash, control character or not ASCII. Eight bytes at a time: a subtraction borrows into the
 * top bit of the first byte that is below the bound; what it may set behind that one is not read.
 */
static inline const char *json_skip_plain(const char *at, const char *end) {
    const uint64_t ones = UINT64_C(0x0101010101010101);
    while (end - at >= 8) {
        uint64_t word;
        memcpy(&word, at, sizeof(word));
        word = le64toh(word);
        uint64_t quote = word ^ (ones * '"');
        uint64_t backslash = word ^ (ones * '\\');
        uint64_t found = ((word - ones * 0x20) | (quote - ones) | (backslash - ones) | word);
        found &= ones * 0x80;
        if (found) {
            at += __builtin_ctzll(found) / 8;
            return at;
        }
        at += 8;
    }
    while (at < end && *at != '"' && *at != '\\' && (uint8_t)*at >= 0x20 && (uint8_t)*at < 0x80) {
        at++;
    }
    return at;
}

/* From behind the opening quote of a checked string to its closing quote. */
static inline const char *json_string_end(const char *at, const char *end) {
    for (;;) {
        at = json_skip_plain(at, end);
        if (*at == '"') return at;
        at += *at == '\\' ? 2 : 1;
    }
}

static inline uint32_t json_hex_digit(char digit) {
    if (digit >= '0' && digit <= '9') return (uint32_t)(digit - '0');
    if (digit >= 'a' && digit <= 'f') return (uint32_t)(digit - 'a' + 10);
    if (digit >= 'A' && digit <= 'F') return (uint32_t)(digit - 'A' + 10);
    return UINT32_MAX;
}

/* Four hexadecimal digits, or UINT32_MAX. The caller has made sure that there are four bytes. */
static inline uint32_t json_hex4(const char *at) {
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        uint32_t digit = json_hex_digit(at[i]);
        if (digit == UINT32_MAX) return UINT32_MAX;
        value = value << 4 | digit;
    }
    return value;
}

/* Unescapes one character at *at, in a checked string, into ret and moves *at behind it. Returns
 * its length in bytes; a multi-byte character that is not escaped comes byte by byte. */
static inline size_t json_unescape_step(const char **at, char ret[4]) {
    const char *from = *at;
    if (*from != '\\') {
        ret[0] = *from;
        *at = from + 1;
        return 1;
    }
    *at = from + 2;
    switch (from[1]) {
    case 'b': ret[0] = '\b'; return 1;
    case 'f': ret[0] = '\f'; return 1;
    case 'n': ret[0] = '\n'; return 1;
    case 'r': ret[0] = '\r'; return 1;
    case 't': ret[0] = '\t'; return 1;
    case 'u': break;
    default: ret[0] = from[1]; return 1;
    }
    uint32_t point = json_hex4(from + 2);
    *at = from + 6;
    if (point >= 0xd800 && point < 0xdc00) {
        point = 0x10000 + ((point - 0xd800) << 10) + (json_hex4(from + 8) - 0xdc00);
        *at = from + 12;
    }
    return utf8_encode(point, ret);
}

/* From the first byte of a checked value. */
static inline JsonKind json_kind_of(char first) {
    switch (first) {
    case 'n': return JSON_NULL;
    case 'f': return JSON_FALSE;
    case 't': return JSON_TRUE;
    case '"': return JSON_STRING;
    case '[': return JSON_ARRAY;
    case '{': return JSON_OBJECT;
    default: return JSON_NUMBER;
    }
}
