/* Bytes with a length: see str.h.
 *
 * Everything here reads borrowed bytes and allocates nothing. An absent Str (ptr NULL) always has
 * len 0, so loops over len never touch it. */
#include "base/str.h"

#include <string.h>

#include "base/utf8.h"

Str str_from(const char *text) {
    return text ? (Str){text, strlen(text)} : (Str){0};
}

bool str_eq(Str a, Str b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static char lower(char byte) {
    return byte >= 'A' && byte <= 'Z' ? (char)(byte + ('a' - 'A')) : byte;
}

bool str_eq_ignore_case(Str a, Str b) {
    if (a.len != b.len) return false;
    for (size_t i = 0; i < a.len; i++) {
        if (lower(a.ptr[i]) != lower(b.ptr[i])) return false;
    }
    return true;
}

int str_compare(Str a, Str b) {
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common > 0 ? memcmp(a.ptr, b.ptr, common) : 0;
    if (order != 0) return order;
    return (a.len > b.len) - (a.len < b.len);
}

bool str_starts_with(Str text, Str prefix) {
    return text.len >= prefix.len && str_eq((Str){text.ptr, prefix.len}, prefix);
}

static bool is_blank(char byte) {
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

Str str_trim(Str text) {
    while (text.len > 0 && is_blank(text.ptr[0])) {
        text.ptr++;
        text.len--;
    }
    while (text.len > 0 && is_blank(text.ptr[text.len - 1])) {
        text.len--;
    }
    return text;
}

Str str_split(Str *rest, char separator) {
    Str part = *rest;
    const char *found = part.len > 0 ? memchr(part.ptr, separator, part.len) : NULL;
    if (!found) {
        *rest = (Str){0};
        return part;
    }
    part.len = (size_t)(found - part.ptr);
    *rest = (Str){found + 1, rest->len - part.len - 1};
    return part;
}

bool str_to_uint64(Str text, uint64_t *ret) {
    if (text.len == 0) return false;
    uint64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        char digit = text.ptr[i];
        if (digit < '0' || digit > '9') return false;
        if (__builtin_mul_overflow(value, 10, &value)) return false;
        if (__builtin_add_overflow(value, (uint64_t)(digit - '0'), &value)) return false;
    }
    *ret = value;
    return true;
}

bool str_to_int64(Str text, int64_t *ret) {
    bool negative = text.len > 0 && text.ptr[0] == '-';
    if (negative) text = (Str){text.ptr + 1, text.len - 1};
    uint64_t magnitude = 0;
    if (!str_to_uint64(text, &magnitude)) return false;
    if (magnitude > (uint64_t)INT64_MAX + (negative ? 1 : 0)) return false;
    *ret = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return true;
}

/* Only the last star is ever tried again: what an earlier one could match, it can match too. */
bool str_glob(Str pattern, Str text) {
    size_t p = 0;
    size_t t = 0;
    size_t star = SIZE_MAX; /* its place in the pattern */
    size_t resume = 0;      /* where in the text the part behind it is tried next */
    while (t < text.len) {
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = p++;
            resume = t;
        } else if (p < pattern.len && (pattern.ptr[p] == '?' || pattern.ptr[p] == text.ptr[t])) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            t = ++resume;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*') {
        p++;
    }
    return p == pattern.len;
}

enum { LONGEST_WORD = 64 };

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Damerau-Levenshtein distance, unrestricted (Lowrance and Wagner, 1975). Row and column 0 of the
 * table are a border that no path through a transposition can win with. */
static size_t distance(Str a, Str b) {
    uint8_t table[LONGEST_WORD + 2][LONGEST_WORD + 2];
    size_t last_row[256] = {0}; /* per byte: the last row of `a` that holds it */
    uint8_t border = (uint8_t)(a.len + b.len);
    table[0][0] = border;
    for (size_t i = 0; i <= a.len; i++) {
        table[i + 1][0] = border;
        table[i + 1][1] = (uint8_t)i;
    }
    for (size_t j = 0; j <= b.len; j++) {
        table[0][j + 1] = border;
        table[1][j + 1] = (uint8_t)j;
    }
    for (size_t i = 1; i <= a.len; i++) {
        size_t last_column = 0; /* the last column of `b` that equals this row's byte */
        for (size_t j = 1; j <= b.len; j++) {
            size_t row = last_row[(uint8_t)b.ptr[j - 1]];
            size_t column = last_column;
            size_t unequal = a.ptr[i - 1] == b.ptr[j - 1] ? 0 : 1;
            if (unequal == 0) last_column = j;
            size_t best = table[i][j] + unequal;
            best = least(best, table[i + 1][j] + 1u);
            best = least(best, table[i][j + 1] + 1u);
            best = least(best, table[row][column] + (i - row - 1) + 1 + (j - column - 1));
            table[i + 1][j + 1] = (uint8_t)best;
        }
        last_row[(uint8_t)a.ptr[i - 1]] = i;
    }
    return table[a.len + 1][b.len + 1];
}

Str str_nearest(Str word, const Str *candidates, size_t count) {
    Str nearest = {0};
    if (word.len == 0 || word.len > LONGEST_WORD) return nearest;
    size_t limit = word.len < 4 ? 1 : 2;
    for (size_t i = 0; i < count; i++) {
        Str candidate = candidates[i];
        if (candidate.len > LONGEST_WORD) continue;
        size_t found = distance(word, candidate);
        if (found > limit || (nearest.ptr && found == limit)) continue;
        nearest = candidate;
        limit = found;
    }
    return nearest;
}

bool str_is_utf8(Str text) {
    if (text.len == 0) return true;
    const char *at = text.ptr;
    const char *end = text.ptr + text.len;
    while (at < end) {
        uint64_t word;
        if ((size_t)(end - at) >= sizeof(word)) {
            memcpy(&word, at, sizeof(word));
            if (!(word & UINT64_C(0x8080808080808080))) {
                at += sizeof(word);
                continue;
            }
        }
        size_t len = utf8_sequence(at, end);
        if (len == 0) return false;
        at += len;
    }
    return true;
}
