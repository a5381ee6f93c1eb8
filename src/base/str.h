/* Bytes with a length, borrowed: the type of everything that is parsed.
 *
 * A Str never owns. ptr NULL means absent; len 0 with a ptr means empty. NUL-terminated strings
 * exist only at the border to SQLite, libpq, exec and printf. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Str {
    const char *ptr;
    size_t len;
} Str;

/* A Str of a string literal. */
#define STR(literal) ((Str){"" literal, sizeof(literal) - 1})

#define STR_FMT "%.*s"
#define STR_ARG(s) (int)(s).len, (s).ptr ? (s).ptr : ""

/* Borrows a NUL-terminated string; NULL gives the absent Str. */
Str str_from(const char *text);

/* Byte-wise equality; an absent Str equals only an absent or empty one. */
bool str_eq(Str a, Str b);
bool str_eq_ignore_case(Str a, Str b); /* ASCII only */
int str_compare(Str a, Str b);         /* memcmp order, shorter first */
bool str_starts_with(Str text, Str prefix);

/* Cuts blanks (space, tab, CR, LF) off both ends. */
Str str_trim(Str text);

/* Splits at the first `separator`: returns what is before it and advances *rest behind it (to the
 * absent Str when there is none left). Loop: while (rest.ptr) { Str part = str_split(&rest, ',');
 * } */
Str str_split(Str *rest, char separator);

/* Decimal integers, the whole text, no sign but '-', no blanks, no leading '+'. false when
 * malformed or out of range; *ret is then untouched. */
bool str_to_int64(Str text, int64_t *ret);
bool str_to_uint64(Str text, uint64_t *ret);

/* Glob with * and ? over the whole text, no classes; linear time (no backtracking blow-up). */
bool str_glob(Str pattern, Str text);

/* The candidate within Damerau-Levenshtein distance 2 (1 for words under 4 bytes) of `word` that is
 * nearest, or the absent Str: for "did you mean". */
Str str_nearest(Str word, const Str *candidates, size_t count);

/* True when the bytes are well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms). */
bool str_is_utf8(Str text);
