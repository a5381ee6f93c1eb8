/* Random: the published generator, the same run for the same seed, bounds without bias. */
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"

/* The first outputs of xoshiro256** from the state 1, 2, 3, 4, worked out from its definition:
 * rotl(s1 * 5, 7) * 9. */
static void test_generator(void **state) {
    (void)state;
    Random random = {.state = {1, 2, 3, 4}};
    assert_true(random_next(&random) == 11520);
    assert_true(random_next(&random) == 0);
    assert_true(random_next(&random) == 1509978240);
}

/* splitmix64 of seed 0 begins with this number. */
static void test_seed(void **state) {
    (void)state;
    Random first;
    Random second;
    random_init(&first, 0);
    assert_true(first.state[0] == UINT64_C(0xe220a8397b1dcdaf));
    random_init(&first, 42);
    random_init(&second, 42);
    for (int i = 0; i < 100; i++) {
        assert_true(random_next(&first) == random_next(&second));
    }
    random_init(&second, 43);
    assert_true(random_next(&first) != random_next(&second));
}

static void test_below(void **state) {
    (void)state;
    enum { BOUND = 7, DRAWS = 70000 };
    Random random;
    random_init(&random, 1);
    int counts[BOUND] = {0};
    for (int i = 0; i < DRAWS; i++) {
        uint64_t drawn = random_below(&random, BOUND);
        assert_true(drawn < BOUND);
        counts[drawn]++;
    }
    for (int i = 0; i < BOUND; i++) {
        assert_in_range(counts[i], DRAWS / BOUND - 500, DRAWS / BOUND + 500);
    }
    assert_true(random_below(&random, 0) == 0);
    assert_true(random_below(&random, 1) == 0);
    /* Without redrawing, every third value of this range would come out twice as often. */
    const uint64_t bound = UINT64_C(3) << 62;
    int low = 0;
    for (int i = 0; i < DRAWS; i++) {
        uint64_t drawn = random_below(&random, bound);
        assert_true(drawn < bound);
        low += drawn % 3 == 0 ? 1 : 0;
    }
    assert_in_range(low, DRAWS / 3 - 700, DRAWS / 3 + 700);
}

static void test_unit(void **state) {
    (void)state;
    Random random;
    random_init(&random, 2);
    double sum = 0;
    for (int i = 0; i < 10000; i++) {
        double drawn = random_unit(&random);
        assert_true(drawn >= 0 && drawn < 1);
        sum += drawn;
    }
    assert_true(sum > 4850 && sum < 5150);
}

static void test_clock(void **state) {
    (void)state;
    int64_t before = clock_mono_us();
    assert_true(clock_real_us() > INT64_C(1700000000000000));
    assert_true(clock_mono_us() >= before);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_generator), cmocka_unit_test(test_seed),
        cmocka_unit_test(test_below),     cmocka_unit_test(test_unit),
        cmocka_unit_test(test_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
