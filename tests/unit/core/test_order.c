/* The score: priority before time, first in first out, exact as a double, and back again. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>

#include "base/check.h"
#include "core/order.h"

#define SECOND INT64_C(1000000)
#define NOW (ORDER_EPOCH_US + 200000000 * SECOND)
#define YEAR (INT64_C(366) * 24 * 3600 * SECOND)

/* Each is behind the one before it. */
static const struct {
    int64_t priority;
    int64_t due_us;
} IN_ORDER[] = {
    {9, NOW},
    {9, NOW + 1},
    {9, NOW + 10 * YEAR},
    {8, ORDER_EPOCH_US},
    {8, NOW},
    {6, NOW},
    {5, NOW - 1},
    {5, NOW},
    {5, NOW + SECOND},
    {4, ORDER_EPOCH_US},
    {2, NOW},
    {1, ORDER_EPOCH_US},
    {1, NOW},
    {1, NOW + 10 * YEAR},
};

static void priority_goes_before_time(void **state) {
    (void)state;
    for (size_t i = 1; i < LENGTH(IN_ORDER); i++) {
        int64_t before = order_score(IN_ORDER[i - 1].priority, IN_ORDER[i - 1].due_us);
        int64_t after = order_score(IN_ORDER[i].priority, IN_ORDER[i].due_us);
        assert_true(before < after);
        assert_true((double)before < (double)after);
        assert_true(before > SCORE_LOWEST && after < SCORE_HIGHEST);
    }
}

static void a_score_is_taken_apart_again(void **state) {
    (void)state;
    for (size_t i = 0; i < LENGTH(IN_ORDER); i++) {
        int64_t score = order_score(IN_ORDER[i].priority, IN_ORDER[i].due_us);
        assert_int_equal(order_priority(score), IN_ORDER[i].priority);
        assert_int_equal(order_due_us(score), IN_ORDER[i].due_us);
        assert_int_equal((int64_t)(double)score, score);
    }
}

static void times_outside_never_touch_the_priority(void **state) {
    (void)state;
    const int64_t times[] = {INT64_MIN, -1, 0, ORDER_EPOCH_US - 1, NOW + 100 * YEAR, INT64_MAX};
    for (int64_t priority = 1; priority <= 9; priority++) {
        for (size_t i = 0; i < LENGTH(times); i++) {
            int64_t score = order_score(priority, times[i]);
            assert_int_equal(order_priority(score), priority);
            int64_t due = order_due_us(score) - ORDER_EPOCH_US;
            assert_int_equal(due, times[i] <= NOW ? 0 : (INT64_C(1) << 50) - 1);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(priority_goes_before_time),
        cmocka_unit_test(a_score_is_taken_apart_again),
        cmocka_unit_test(times_outside_never_touch_the_priority),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
