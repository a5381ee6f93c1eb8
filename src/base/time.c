/* Times and durations as text: see time.h.
 *
 * The calendar is the proleptic Gregorian one, computed from day numbers (Howard Hinnant,
 * "chrono-Compatible Low-Level Date Algorithms"), so neither zone files nor a locale play a part.
 */
#include "base/time.h"

#include <string.h>

static const struct {
    Str name;
    int64_t ms;
} UNITS[] = {
    {{"d", 1}, 86400000}, {{"h", 1}, 3600000}, {{"m", 1}, 60000}, {{"s", 1}, 1000}, {{"ms", 2}, 1},
};

static const int64_t LONGEST_DURATION_MS = INT64_C(3652) * 86400000; /* ten years, two leap days */

enum { SHOWN = 40 }; /* bytes of a bad text that an error repeats */

static Str shown(Str text) {
    return (Str){text.ptr, text.len < SHOWN ? text.len : SHOWN};
}

/* ---- durations ---- */

/* Cuts the digits off the front; false when there are none or too many. */
static bool take_number(Str *rest, int64_t *ret) {
    size_t len = 0;
    while (len < rest->len && rest->ptr[len] >= '0' && rest->ptr[len] <= '9') {
        len++;
    }
    if (!str_to_int64((Str){rest->ptr, len}, ret)) return false;
    *rest = (Str){rest->ptr + len, rest->len - len};
    return true;
}

/* Cuts a unit off the front, one that is smaller than all before it. */
static bool take_unit(Str *rest, size_t *unit) {
    size_t len = 0;
    while (len < rest->len && (rest->ptr[len] < '0' || rest->ptr[len] > '9')) {
        len++;
    }
    for (size_t i = *unit; i < LENGTH(UNITS); i++) {
        if (!str_eq(UNITS[i].name, (Str){rest->ptr, len})) continue;
        *unit = i + 1;
        *rest = (Str){rest->ptr + len, rest->len - len};
        return true;
    }
    return false;
}

Err duration_parse(Str text, int64_t *ret_ms, Error *error) {
    Str rest = text;
    int64_t sum = 0;
    size_t unit = 0;
    do {
        int64_t number = 0;
        if (!take_number(&rest, &number) || !take_unit(&rest, &unit)) {
            return error_code(error, ERR_INVALID, "invalid-duration",
                              "'" STR_FMT "' is not a duration like 90s, 1h30m, 100ms or 2d",
                              STR_ARG(shown(text)));
        }
        if (__builtin_mul_overflow(number, UNITS[unit - 1].ms, &number) ||
            __builtin_add_overflow(sum, number, &sum) || sum > LONGEST_DURATION_MS) {
            return error_code(error, ERR_INVALID, "invalid-duration",
                              "the duration '" STR_FMT "' is longer than 10 years",
                              STR_ARG(shown(text)));
        }
    } while (rest.len > 0);
    *ret_ms = sum;
    return OK;
}

/* A negative duration, which duration_parse() never gives, is written with a '-' in front. */
void duration_format(Buf *buf, int64_t ms) {
    uint64_t rest = ms < 0 ? 0 - (uint64_t)ms : (uint64_t)ms;
    if (ms < 0) buf_add_char(buf, '-');
    if (ms == 0) buf_add(buf, STR("0s"));
    for (size_t i = 0; i < LENGTH(UNITS); i++) {
        uint64_t size = (uint64_t)UNITS[i].ms;
        if (rest < size) continue;
        buf_add_uint(buf, rest / size);
        buf_add(buf, UNITS[i].name);
        rest %= size;
    }
}

/* ---- times ---- */

enum { FIRST_YEAR = 1970, LAST_YEAR = 9999 };

static const int64_t US_PER_DAY = 86400 * US_PER_S;
static const int64_t LAST_US = INT64_C(253402300799999999); /* 9999-12-31T23:59:59.999999Z */

/* Days since 1970-01-01. Years begin in March, so that the leap day is the last of its year. */
static int64_t days_from_date(int64_t year, int64_t month, int64_t day) {
    if (month <= 2) year--;
    int64_t era = year / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

typedef struct Date {
    int64_t year;
    int64_t month;
    int64_t day;
} Date;

/* The inverse, for days from 0000-03-01 on. */
static Date date_from_days(int64_t days) {
    days += 719468;
    int64_t era = days / 146097;
    int64_t day_of_era = days % 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    int64_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    return (Date){
        .year = year_of_era + era * 400 + (month <= 2 ? 1 : 0),
        .month = month,
        .day = day_of_year - (153 * month_from_march + 2) / 5 + 1,
    };
}

static int64_t month_length(int64_t year, int64_t month) {
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (month == 2) return leap ? 29 : 28;
    return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

/* Cuts exactly `count` digits and, unless it is 0, the byte `behind` them off the front. */
static bool take_digits(Str *rest, size_t count, char behind, int64_t *ret) {
    size_t len = count + (behind ? 1 : 0);
    if (rest->len < len || (behind && rest->ptr[count] != behind)) return false;
    int64_t value = 0;
    for (size_t i = 0; i < count; i++) {
        if (rest->ptr[i] < '0' || rest->ptr[i] > '9') return false;
        value = value * 10 + (rest->ptr[i] - '0');
    }
    *rest = (Str){rest->ptr + len, rest->len - len};
    *ret = value;
    return true;
}

static bool take_byte_of(Str *rest, const char *bytes, char *ret) {
    if (rest->len == 0 || rest->ptr[0] == 0 || !strchr(bytes, rest->ptr[0])) return false;
    *ret = rest->ptr[0];
    *rest = (Str){rest->ptr + 1, rest->len - 1};
    return true;
}

static bool take_fraction(Str *rest, int64_t *ret_us) {
    char dot;
    *ret_us = 0;
    if (!take_byte_of(rest, ".", &dot)) return true;
    size_t len = 0;
    int64_t weight = US_PER_S;
    for (; len < rest->len && rest->ptr[len] >= '0' && rest->ptr[len] <= '9'; len++) {
        weight /= 10;
        *ret_us += weight * (rest->ptr[len] - '0');
    }
    *rest = (Str){rest->ptr + len, rest->len - len};
    return len > 0;
}

static bool take_offset(Str *rest, int64_t *ret_s) {
    char sign;
    *ret_s = 0;
    if (!take_byte_of(rest, "Zz+-", &sign)) return false;
    if (sign == 'Z' || sign == 'z') return true;
    int64_t hours;
    int64_t minutes;
    if (!take_digits(rest, 2, ':', &hours) || !take_digits(rest, 2, 0, &minutes)) return false;
    if (hours > 23 || minutes > 59) return false;
    *ret_s = (hours * 60 + minutes) * (sign == '-' ? -60 : 60);
    return true;
}

static bool parse_time(Str rest, int64_t *ret_us) {
    int64_t year;
    int64_t month;
    int64_t day;
    int64_t hour;
    int64_t minute;
    int64_t second;
    int64_t fraction_us;
    int64_t offset_s;
    char between;
    if (!take_digits(&rest, 4, '-', &year) || !take_digits(&rest, 2, '-', &month)) return false;
    if (!take_digits(&rest, 2, 0, &day) || !take_byte_of(&rest, "Tt ", &between)) return false;
    if (!take_digits(&rest, 2, ':', &hour) || !take_digits(&rest, 2, ':', &minute)) return false;
    if (!take_digits(&rest, 2, 0, &second) || !take_fraction(&rest, &fraction_us)) return false;
    if (!take_offset(&rest, &offset_s) || rest.len > 0) return false;
    if (year < FIRST_YEAR || year > LAST_YEAR || month < 1 || month > 12) return false;
    if (day < 1 || day > month_length(year, month)) return false;
    if (hour > 23 || minute > 59 || second > 59) return false;
    int64_t seconds = (hour * 60 + minute) * 60 + second - offset_s;
    int64_t time_us =
        days_from_date(year, month, day) * US_PER_DAY + seconds * US_PER_S + fraction_us;
    if (time_us < 0 || time_us > LAST_US) return false;
    *ret_us = time_us;
    return true;
}

Err time_parse(Str text, int64_t *ret_us, Error *error) {
    if (parse_time(text, ret_us)) return OK;
    return error_code(error, ERR_INVALID, "invalid-time",
                      "'" STR_FMT "' is not a time like 2026-11-23T10:00:00Z",
                      STR_ARG(shown(text)));
}

/* Digits from the right, so that the width is what it says whatever the value. */
static char *put_digits(char *at, int64_t value, int width, char behind) {
    for (int i = width - 1; i >= 0; i--) {
        at[i] = (char)('0' + value % 10);
        value /= 10;
    }
    at[width] = behind;
    return at + width + 1;
}

/* "2026-11-23T10:00:00." and the fraction; a time that year 0 to 9999 can't hold is shown as the
 * nearest that they can. */
static void put_time(char *at, int64_t time_us, int64_t unit_us, int fraction_digits) {
    static const int64_t first_us = INT64_C(-62162035200000000); /* 0000-03-01 */
    if (time_us < first_us) time_us = first_us;
    if (time_us > LAST_US) time_us = LAST_US;
    int64_t days = time_us / US_PER_DAY;
    int64_t in_day = time_us % US_PER_DAY;
    if (in_day < 0) {
        in_day += US_PER_DAY;
        days--;
    }
    Date date = date_from_days(days);
    at = put_digits(at, date.year, 4, '-');
    at = put_digits(at, date.month, 2, '-');
    at = put_digits(at, date.day, 2, 'T');
    at = put_digits(at, in_day / (3600 * US_PER_S), 2, ':');
    at = put_digits(at, in_day / (60 * US_PER_S) % 60, 2, ':');
    at = put_digits(at, in_day / US_PER_S % 60, 2, '.');
    put_digits(at, in_day % US_PER_S / unit_us, fraction_digits, 'Z');
}

void time_format(int64_t time_us, char ret_text[TIME_TEXT_SIZE]) {
    put_time(ret_text, time_us, US_PER_MS, 3);
    ret_text[TIME_TEXT_SIZE - 1] = 0;
}

void time_format_us(Buf *buf, int64_t time_us) {
    enum { LENGTH_US = TIME_TEXT_SIZE - 1 + 3 };
    char *at = buf_reserve(buf, LENGTH_US);
    if (at) put_time(at, time_us, 1, 6);
}
