/* Delays against values worked out by hand, jitter within its bounds, and the policy as text. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <float.h>

#include "core/limits.h"
#include "core/retry.h"

#define DELAY_MAX (LIMIT_AHEAD_US / 1000)

typedef struct DelayCase {
    const char *name;
    RetryPolicy policy;
    int64_t failures;
    int64_t lowest, highest; /* both are reached, as far as the spread is small */
} DelayCase;

#define POLICY(kind, base, cap, times, how)                                                        \
    {                                                                                              \
        .max_attempts = 20, .base_ms = base, .cap_ms = cap, .factor = times, .backoff = kind,      \
        .jitter = how                                                                              \
    }
#define EXPONENTIAL(base, cap, times, how) POLICY(BACKOFF_EXPONENTIAL, base, cap, times, how)

static const DelayCase DELAYS[] = {
    {"first", EXPONENTIAL(10, 100, 2, JITTER_NONE), 1, 10, 10},
    {"second", EXPONENTIAL(10, 100, 2, JITTER_NONE), 2, 20, 20},
    {"fourth", EXPONENTIAL(10, 100, 2, JITTER_NONE), 4, 80, 80},
    {"capped", EXPONENTIAL(10, 100, 2, JITTER_NONE), 5, 100, 100},
    {"far beyond", EXPONENTIAL(10, 100, 2, JITTER_NONE), INT64_MAX, 100, 100},
    {"fraction", EXPONENTIAL(10, 100, 1.5, JITTER_NONE), 3, 22, 22},
    {"shrinking", EXPONENTIAL(10, 100, 0.5, JITTER_NONE), 2, 5, 5},
    {"shrunk", EXPONENTIAL(10, 100, 0.5, JITTER_NONE), 1000000, 0, 0},
    {"negative factor", EXPONENTIAL(10, 100, -2, JITTER_NONE), 2, 0, 0},
    {"huge factor", EXPONENTIAL(10, INT64_MAX, DBL_MAX, JITTER_NONE), 9, DELAY_MAX, DELAY_MAX},
    {"base above cap", EXPONENTIAL(500, 100, 2, JITTER_NONE), 1, 100, 100},
    {"negative base", EXPONENTIAL(-5, 100, 2, JITTER_NONE), 3, 0, 0},
    {"negative cap", EXPONENTIAL(5, -1, 2, JITTER_NONE), 3, 0, 0},
    {"equal jitter", EXPONENTIAL(10, 100, 2, JITTER_EQUAL), 2, 10, 20},
    {"equal jitter of odd", EXPONENTIAL(7, 100, 2, JITTER_EQUAL), 1, 3, 7},
    {"full jitter", EXPONENTIAL(10, 100, 2, JITTER_FULL), 2, 0, 20},
    {"linear", POLICY(BACKOFF_LINEAR, 10, 100, 2, JITTER_NONE), 7, 70, 70},
    {"linear capped", POLICY(BACKOFF_LINEAR, 10, 100, 2, JITTER_NONE), 11, 100, 100},
    {"linear far", POLICY(BACKOFF_LINEAR, 10, 100, 2, JITTER_NONE), INT64_MAX, 100, 100},
    {"linear of 0", POLICY(BACKOFF_LINEAR, 0, 100, 2, JITTER_NONE), 5, 0, 0},
    {"constant", POLICY(BACKOFF_CONSTANT, 10, 100, 2, JITTER_NONE), 9, 10, 10},
    {"constant jitter", POLICY(BACKOFF_CONSTANT, 10, 100, 2, JITTER_FULL), 9, 0, 10},
    {"faktory 1", POLICY(BACKOFF_FAKTORY, 0, 0, 0, JITTER_NONE), 1, 15000, 44000},
    {"faktory 3", POLICY(BACKOFF_FAKTORY, 0, 0, 0, JITTER_NONE), 3, 31000, 118000},
    {"sidekiq 1", POLICY(BACKOFF_SIDEKIQ, 0, 0, 0, JITTER_NONE), 1, 15000, 24000},
    {"sidekiq 3", POLICY(BACKOFF_SIDEKIQ, 0, 0, 0, JITTER_NONE), 3, 31000, 58000},
    {"faktory, far", POLICY(BACKOFF_FAKTORY, 0, 0, 0, JITTER_NONE), 1000, DELAY_MAX, DELAY_MAX},
    {"sidekiq, farther", POLICY(BACKOFF_SIDEKIQ, 0, 0, 0, JITTER_NONE), INT64_MAX, DELAY_MAX,
     DELAY_MAX},
};

static void delays_follow_the_formulas(void **state) {
    (void)state;
    Random random;
    random_init(&random, 1);
    for (size_t i = 0; i < LENGTH(DELAYS); i++) {
        const DelayCase *row = &DELAYS[i];
        int64_t least = INT64_MAX;
        int64_t most = -1;
        for (int round = 0; round < 2000; round++) {
            int64_t delay = retry_delay_ms(&row->policy, row->failures, &random);
            if (delay < least) least = delay;
            if (delay > most) most = delay;
        }
        print_message("%s: %lld to %lld\n", row->name, (long long)least, (long long)most);
        assert_int_equal(least, row->lowest);
        assert_int_equal(most, row->highest);
    }
}

static void the_default_begins_at_ten_seconds(void **state) {
    (void)state;
    RetryPolicy policy = retry_default();
    assert_int_equal(policy.max_attempts, 20);
    assert_int_equal(policy.backoff, BACKOFF_EXPONENTIAL);
    Random random;
    random_init(&random, 7);
    for (int round = 0; round < 100; round++) {
        int64_t delay = retry_delay_ms(&policy, 1, &random);
        assert_true(delay >= 5000 && delay <= 10000);
        assert_true(retry_delay_ms(&policy, 19, &random) >= 3 * 3600 * 1000);
    }
}

static void the_worker_protocols_number(void **state) {
    (void)state;
    static const struct {
        int64_t wire, attempts, shown;
        bool discard;
    } rows[] = {
        {25, 26, 25, false},     {1, 2, 1, false},         {0, 1, 0, true},
        {-1, 1, 0, false},       {-7, 1, 0, false},        {998, 999, 998, false},
        {999, 1000, 999, false}, {1000, 1000, 999, false}, {INT64_MAX, 1000, 999, false},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        RetryPolicy policy = retry_from_wire(rows[i].wire);
        assert_int_equal(policy.max_attempts, rows[i].attempts);
        assert_int_equal(policy.backoff, BACKOFF_FAKTORY);
        assert_int_equal(policy.discard, rows[i].discard);
        assert_int_equal(retry_to_wire(&policy), rows[i].shown);
    }
}

static void policies_are_written_and_read(void **state) {
    (void)state;
    RetryPolicy discard = retry_from_wire(0);
    RetryPolicy rows[] = {
        retry_default(), retry_from_wire(25), discard,         retry_default(), retry_default(),
        retry_default(), retry_default(),     retry_default(), retry_default(), retry_default(),
    };
    rows[3].max_attempts = 1;
    rows[4].base_ms = 1;
    rows[5].cap_ms = 1;
    rows[6].factor = 1.1;
    rows[7].backoff = BACKOFF_SIDEKIQ;
    rows[8].jitter = JITTER_FULL;
    rows[9].discard = true;
    static const char *const texts[] = {
        "",
        "x26 faktory 10000 2 21600000 equal",
        "x1 faktory 10000 2 21600000 equal discard",
        "x1 exponential 10000 2 21600000 equal",
        "x20 exponential 1 2 21600000 equal",
        "x20 exponential 10000 2 1 equal",
        "x20 exponential 10000 1.1 21600000 equal",
        "x20 sidekiq 10000 2 21600000 equal",
        "x20 exponential 10000 2 21600000 full",
        "x20 exponential 10000 2 21600000 equal discard",
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        cleanup(buf_done) Buf buf;
        buf_init(&buf, 1000);
        retry_format(&rows[i], &buf);
        assert_string_equal(buf_cstr(&buf), texts[i]);
        RetryPolicy read;
        assert_int_equal(retry_parse(buf_str(&buf), &read, NULL), OK);
        assert_int_equal(read.max_attempts, rows[i].max_attempts);
        assert_int_equal(read.base_ms, rows[i].base_ms);
        assert_int_equal(read.cap_ms, rows[i].cap_ms);
        assert_true(read.factor == rows[i].factor);
        assert_int_equal(read.backoff, rows[i].backoff);
        assert_int_equal(read.jitter, rows[i].jitter);
        assert_int_equal(read.discard, rows[i].discard);
    }
}

static void foreign_texts_are_refused(void **state) {
    (void)state;
    static const char *const texts[] = {
        "x",
        " ",
        "20 linear 1 2 3 equal",
        "x20",
        "x20 linear",
        "x20 linear 1",
        "x20 linear 1 2",
        "x20 linear 1 2 3",
        "x20 linear 1 2 3 equal ",
        "x20 linear 1 2 3 equal x",
        "x20 linear 1 2 3 equal discard ",
        "x20 linear 1 2 3 equal discard x",
        "x20  linear 1 2 3 equal",
        "x20 Linear 1 2 3 equal",
        "x20 linear 1 2.0 3 equal",
        "x20 linear 1 nan 3 equal",
        "x20 linear 1 \"2\" 3 equal",
        "x20 linear 01 2 3 equal",
        "x20 linear 1  3 equal",
        "xx20 linear 1 2 3 equal",
        "x20 linear 1 2 3 none\n",
        "x20 exponential 10000 2 21600000 equal" /* the default has the empty text */,
    };
    for (size_t i = 0; i < LENGTH(texts); i++) {
        RetryPolicy policy = {.max_attempts = -9};
        Error error = {0};
        assert_int_equal(retry_parse(str_from(texts[i]), &policy, &error), ERR_INTERNAL);
        assert_int_equal(policy.max_attempts, -9);
        assert_true(error.message[0]);
    }
    RetryPolicy policy;
    assert_int_equal(retry_parse((Str){0}, &policy, NULL), OK);
    static char long_text[5000] = "x20 linear 1 2 3 equal ";
    assert_int_equal(retry_parse((Str){long_text, sizeof long_text}, &policy, NULL), ERR_INTERNAL);
}

static void kinds_have_names(void **state) {
    (void)state;
    for (Backoff kind = BACKOFF_EXPONENTIAL; kind <= BACKOFF_SIDEKIQ; kind++) {
        Backoff read;
        assert_true(backoff_parse(str_from(backoff_name(kind)), &read));
        assert_int_equal(read, kind);
    }
    for (Jitter kind = JITTER_EQUAL; kind <= JITTER_NONE; kind++) {
        Jitter read;
        assert_true(jitter_parse(str_from(jitter_name(kind)), &read));
        assert_int_equal(read, kind);
    }
    Backoff backoff;
    Jitter jitter;
    assert_false(backoff_parse(STR("cubic"), &backoff));
    assert_false(jitter_parse((Str){0}, &jitter));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delays_follow_the_formulas),
        cmocka_unit_test(the_default_begins_at_ten_seconds),
        cmocka_unit_test(the_worker_protocols_number),
        cmocka_unit_test(policies_are_written_and_read),
        cmocka_unit_test(foreign_texts_are_refused),
        cmocka_unit_test(kinds_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
