/* Times and durations as text. Pure: no clock is read here.
 *
 * A time of day is an int64_t of microseconds since the Unix epoch, UTC, named …_us. A duration
 * is an int64_t of milliseconds, named …_ms. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

#define US_PER_MS INT64_C(1000)
#define US_PER_S INT64_C(1000000)
#define MS_PER_S INT64_C(1000)

/* "90s", "1h30m", "100ms", "2d": one or more numbers (digits only) with a unit (ms, s, m, h, d),
 * units in descending order, each at most once, in sum at most 10 years. ERR_INVALID
 * "invalid-duration". */
Err duration_parse(Str text, int64_t *ret_ms, Error *error) must_check;

/* The shortest text that duration_parse() reads back: "1h30m", "0s". */
void duration_format(Buf *buf, int64_t ms);

/* RFC 3339 date-time with an offset, 'T' or 't' or a space between, fractions of any length (cut to
 * µs). Years 1970 to 9999; no leap second, no 24:00, no February 30. ERR_INVALID "invalid-time". */
Err time_parse(Str text, int64_t *ret_us, Error *error) must_check;

/* "2026-11-23T10:00:00.123Z": UTC with milliseconds (rounded down). */
enum { TIME_TEXT_SIZE = 25 };
void time_format(int64_t time_us, char ret_text[TIME_TEXT_SIZE]);
/* The same with microseconds, appended. */
void time_format_us(Buf *buf, int64_t time_us);
