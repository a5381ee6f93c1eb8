/* Times and durations: what is accepted, what is refused, and that writing and reading agree (the
 * calendar against the C library's). */
#include "base/time.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/random.h"

static void test_durations(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t ms; /* -1: refused */
        const char *written;
    } rows[] = {
        {"0s", 0, "0s"},
        {"0ms", 0, "0s"},
        {"90s", 90000, "1m30s"},
        {"1h30m", 5400000, "1h30m"},
        {"100ms", 100, "100ms"},
        {"2d", 172800000, "2d"},
        {"1d2h3m4s5ms", 93784005, "1d2h3m4s5ms"},
        {"1m1ms", 60001, "1m1ms"},
        {"3652d", 315532800000, "3652d"},
        {"3652d1ms", -1, NULL},
        {"3653d", -1, NULL},
        {"9223372036854775807ms", -1, NULL},
        {"9223372036854775807d", -1, NULL},
        {"99999999999999999999s", -1, NULL},
        {"", -1, NULL},
        {"5", -1, NULL},
        {"s", -1, NULL},
        {"-1s", -1, NULL},
        {"+1s", -1, NULL},
        {"1.5s", -1, NULL},
        {"1e3s", -1, NULL},
        {" 1s", -1, NULL},
        {"1s ", -1, NULL},
        {"1 s", -1, NULL},
        {"1S", -1, NULL},
        {"1m1h", -1, NULL},
        {"1s1s", -1, NULL},
        {"1ms1s", -1, NULL},
        {"1h30", -1, NULL},
        {"5 parsecs", -1, NULL},
        {"1w", -1, NULL},
        {NULL, -1, NULL},
    };
    Buf buf;
    buf_init(&buf, 100);
    for (size_t i = 0; i < LENGTH(rows); i++) {
        int64_t ms = -7;
        Error error = {0};
        Err err = duration_parse(str_from(rows[i].text), &ms, &error);
        assert_int_equal(err, rows[i].ms < 0 ? ERR_INVALID : OK);
        if (rows[i].ms < 0) {
            assert_string_equal(error.code, "invalid-duration");
            assert_int_equal(ms, -7);
            continue;
        }
        assert_int_equal(ms, rows[i].ms);
        buf_clear(&buf);
        duration_format(&buf, ms);
        assert_string_equal(buf_cstr(&buf), rows[i].written);
    }
    buf_clear(&buf);
    duration_format(&buf, -1500);
    assert_string_equal(buf_cstr(&buf), "-1s500ms");
    buf_done(&buf);
}

static void test_durations_round_trip(void **state) {
    (void)state;
    Random random;
    random_init(&random, 1);
    Buf buf;
    buf_init(&buf, 100);
    for (int i = 0; i < 10000; i++) {
        int64_t ms = (int64_t)(random_below(&random, UINT64_C(315532800001)) >> (i % 36));
        int64_t read = -1;
        buf_clear(&buf);
        duration_format(&buf, ms);
        assert_int_equal(duration_parse(buf_str(&buf), &read, NULL), OK);
        assert_int_equal(read, ms);
    }
    buf_done(&buf);
}

static void test_times_read(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t us; /* -1: refused */
    } rows[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2026-11-23T10:00:00Z", 1795428000000000},
        {"2026-11-23t10:00:00z", 1795428000000000},
        {"2026-11-23 10:00:00.123Z", 1795428000123000},
        {"2026-11-23T10:00:00.1234569Z", 1795428000123456},
        {"2026-11-23T10:00:00.000000000000000000000000000009Z", 1795428000000000},
        {"2026-11-23T12:30:00+02:30", 1795428000000000},
        {"2026-11-23T09:00:00-01:00", 1795428000000000},
        {"2026-11-23T10:00:00-00:00", 1795428000000000},
        {"2000-02-29T00:00:00Z", 951782400000000},
        {"9999-12-31T23:59:59.999999Z", 253402300799999999},
        {"1969-12-31T23:59:59Z", -1},
        {"1970-01-01T00:00:00+00:01", -1},
        {"9999-12-31T23:59:59-00:01", -1},
        {"1900-02-29T00:00:00Z", -1},
        {"2100-02-29T00:00:00Z", -1},
        {"2026-02-30T00:00:00Z", -1},
        {"2026-04-31T00:00:00Z", -1},
        {"2026-00-10T00:00:00Z", -1},
        {"2026-13-10T00:00:00Z", -1},
        {"2026-01-00T00:00:00Z", -1},
        {"2026-01-01T24:00:00Z", -1},
        {"2026-01-01T23:60:00Z", -1},
        {"2016-12-31T23:59:60Z", -1},
        {"2026-01-01T10:00:00", -1},
        {"2026-01-01T10:00Z", -1},
        {"2026-01-01T10:00:00.Z", -1},
        {"2026-01-01T10:00:00,5Z", -1},
        {"2026-01-01T10:00:00+0100", -1},
        {"2026-01-01T10:00:00+24:00", -1},
        {"2026-01-01T10:00:00+01:60", -1},
        {"2026-01-01T10:00:00Z ", -1},
        {" 2026-01-01T10:00:00Z", -1},
        {"2026-01-01_10:00:00Z", -1},
        {"2026-1-01T10:00:00Z", -1},
        {"+2026-01-01T10:00:00Z", -1},
        {"2026-01-01", -1},
        {"tomorrow", -1},
        {"", -1},
        {NULL, -1},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        int64_t us = -7;
        Error error = {0};
        Err err = time_parse(str_from(rows[i].text), &us, &error);
        assert_int_equal(err, rows[i].us < 0 ? ERR_INVALID : OK);
        assert_int_equal(us, rows[i].us < 0 ? -7 : rows[i].us);
        if (rows[i].us < 0) assert_string_equal(error.code, "invalid-time");
    }
    int64_t us;
    assert_int_equal(time_parse((Str){"2026-11-23\0"
                                      "10:00:00Z",
                                      20},
                                &us, NULL),
                     ERR_INVALID);
}

static void test_times_written(void **state) {
    (void)state;
    static const struct {
        int64_t us;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {1795428000123999, "2026-11-23T10:00:00.123Z"},
        {253402300799999999, "9999-12-31T23:59:59.999Z"},
        {253402300800000000, "9999-12-31T23:59:59.999Z"},
        {INT64_MAX, "9999-12-31T23:59:59.999Z"},
        {-1, "1969-12-31T23:59:59.999Z"},
        {-86400000000, "1969-12-31T00:00:00.000Z"},
        {INT64_MIN, "0000-03-01T00:00:00.000Z"},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        char text[TIME_TEXT_SIZE];
        time_format(rows[i].us, text);
        assert_string_equal(text, rows[i].text);
    }
    Buf buf;
    buf_init(&buf, 30);
    time_format_us(&buf, 1795428000000007);
    assert_string_equal(buf_cstr(&buf), "2026-11-23T10:00:00.000007Z");
    time_format_us(&buf, 0);
    assert_true(buf.overflow);
    buf_done(&buf);
}

static void test_times_round_trip(void **state) {
    (void)state;
    Random random;
    random_init(&random, 2);
    Buf buf;
    buf_init(&buf, 100);
    for (int i = 0; i < 20000; i++) {
        int64_t us = (int64_t)random_below(&random, UINT64_C(253402300800000000));
        time_t seconds = us / US_PER_S;
        struct tm parts;
        char expected[40];
        gmtime_r(&seconds, &parts);
        strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%S.", &parts);
        buf_clear(&buf);
        time_format_us(&buf, us);
        assert_true(str_starts_with(buf_str(&buf), str_from(expected)));
        int64_t read = -1;
        assert_int_equal(time_parse(buf_str(&buf), &read, NULL), OK);
        assert_int_equal(read, us);
    }
    buf_done(&buf);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durations),        cmocka_unit_test(test_durations_round_trip),
        cmocka_unit_test(test_times_read),       cmocka_unit_test(test_times_written),
        cmocka_unit_test(test_times_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
