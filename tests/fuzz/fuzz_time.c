/* Fuzzes durations and RFC 3339 times. The first byte chooses: 'd' a duration as text, 't' a time as
 * text, 'n' eight bytes that are written as both.
 *
 * Checked: what is read is what libc's calendar and plain arithmetic make of it; what is written
 * reads back the same and is written the same again; a refusal leaves the result alone and has a
 * code and a sentence. */
#include "base/time.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const int64_t UNTOUCHED = INT64_C(-4711);

static void check_refusal(Err err, const Error *error, const char *code, int64_t result) {
    check(err == ERR_INVALID && error->err == err && strcmp(error->code, code) == 0);
    check(error->message[0] && result == UNTOUCHED);
}

/* ---- durations ---- */

__extension__ typedef __int128 Wide;

/* The sum by a reading of its own: numbers and units, whatever their order. */
static Wide sum_of(Str text) {
    Wide sum = 0;
    Wide number = 0;
    for (size_t i = 0; i < text.len; i++) {
        bool is_ms = i + 1 < text.len && text.ptr[i] == 'm' && text.ptr[i + 1] == 's';
        switch (text.ptr[i]) {
        case 'd': number *= 86400000; break;
        case 'h': number *= 3600000; break;
        case 'm': number *= is_ms ? 1 : 60000; break;
        case 's': number *= 1000; break;
        default: number = number * 10 + (text.ptr[i] - '0'); continue;
        }
        sum += number;
        number = 0;
        i += is_ms;
    }
    return sum;
}

static void check_duration(int64_t ms) {
    int64_t back = UNTOUCHED;
    Error error;
    Buf once, twice;
    buf_init(&once, 64);
    buf_init(&twice, 64);
    duration_format(&once, ms);
    check(!once.overflow);
    Err err = duration_parse(buf_str(&once), &back, &error);
    if (err == OK) {
        check(back == ms);
        duration_format(&twice, back);
        check(str_eq(buf_str(&once), buf_str(&twice)));
    } else {
        check_refusal(err, &error, "invalid-duration", back);
        check(ms < 0 || ms > INT64_C(3652) * 86400000);
    }
    buf_done(&once);
    buf_done(&twice);
}

static void fuzz_duration(Str text) {
    int64_t ms = UNTOUCHED;
    Error error;
    Err err = duration_parse(text, &ms, &error);
    if (err != OK) {
        check_refusal(err, &error, "invalid-duration", ms);
        return;
    }
    check(ms >= 0 && ms == sum_of(text));
    check_duration(ms);
}

/* ---- times ---- */

static void check_time(int64_t time_us) {
    char text[TIME_TEXT_SIZE];
    char wanted[64];
    struct tm calendar;
    time_t seconds = time_us / US_PER_S;
    check(gmtime_r(&seconds, &calendar));
    size_t len = strftime(wanted, sizeof wanted, "%Y-%m-%dT%H:%M:%S", &calendar);
    snprintf(wanted + len, sizeof wanted - len, ".%06dZ", (int)(time_us % US_PER_S));

    int64_t back;
    Error error;
    Buf long_text;
    buf_init(&long_text, 64);
    time_format_us(&long_text, time_us);
    check(str_eq(buf_str(&long_text), str_from(wanted)));
    check(time_parse(buf_str(&long_text), &back, &error) == OK && back == time_us);
    buf_done(&long_text);

    time_format(time_us, text);
    check(memcmp(text, wanted, TIME_TEXT_SIZE - 2) == 0 && text[TIME_TEXT_SIZE - 2] == 'Z');
    check(time_parse(str_from(text), &back, &error) == OK);
    check(back == time_us - time_us % US_PER_MS);
}

static void fuzz_time(Str text) {
    int64_t time_us = UNTOUCHED;
    Error error;
    Err err = time_parse(text, &time_us, &error);
    if (err != OK) {
        check_refusal(err, &error, "invalid-time", time_us);
        return;
    }
    check(time_us >= 0);
    check_time(time_us);
    /* the same instant, had the offset been Z */
    struct tm calendar = {0};
    char offset[8] = {0};
    check(strptime(text.ptr, "%Y-%m-%d", &calendar));
    check(sscanf(text.ptr + 11, "%2d:%2d:%2d", &calendar.tm_hour, &calendar.tm_min,
                 &calendar.tm_sec) == 3);
    int64_t seconds = timegm(&calendar);
    const char *at = text.ptr + text.len - 6;
    if (*at == '+' || *at == '-') {
        memcpy(offset, at, 6);
        int hours, minutes;
        check(sscanf(offset + 1, "%2d:%2d", &hours, &minutes) == 2);
        seconds -= (offset[0] == '-' ? -60 : 60) * (hours * 60 + minutes);
    }
    check(time_us / US_PER_S == seconds);
}

/* ---- any number ---- */

static void fuzz_number(Str bytes) {
    int64_t number;
    char text[TIME_TEXT_SIZE];
    int64_t back;
    Error error;
    if (bytes.len < sizeof number) return;
    memcpy(&number, bytes.ptr, sizeof number);
    check_duration(number);
    time_format(number, text);
    check(strlen(text) == TIME_TEXT_SIZE - 1);
    if (number < 0) return; /* before 1970: written, never read */
    static const int64_t LAST_US = INT64_C(253402300799999999);
    check_time(number < LAST_US ? number : LAST_US);
    check(time_parse(str_from(text), &back, &error) == OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    enum { SIZE_MOST = 512 };
    char text[SIZE_MOST + 1];
    if (size < 1 || size > SIZE_MOST) return 0;
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0'; /* for libc's readers */
    Str rest = {text, size - 1};
    switch (data[0]) {
    case 'd': fuzz_duration(rest); break;
    case 't': fuzz_time(rest); break;
    case 'n': fuzz_number(rest); break;
    default: break;
    }
    return 0;
}
