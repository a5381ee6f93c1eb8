/* The simulated store keeps the contract, and its crashes are those of a machine. */
#include "store_contract.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "simulated_suite.h"

static SimulatedSuite simulated;
static StoreTest test;

/* Runs one insert that crashes at a point; whether it is there after the restart. */
static bool survives(SimulatedPoint point) {
    StoreSuite suite = simulated_suite(&simulated);
    store_test_open(&test, &suite);
    simulated.crash_at = point;
    simulated.crashes = true;
    Job job = test_job(&test);
    Op op = op_insert(&job);
    Script script = {.ops = &op, .count = 1};
    Batch batch;
    assert_int_equal(store_test_run_to_crash(&test, &batch, &script), true);
    batch_done(&batch);
    simulated.crashes = false;
    test.store = suite.open(suite.context, &test.io, /* fresh= */ false);
    bool there = store_test_job(&test, &job.key).state != JOB_STATES;
    store_test_close(&test);
    simulated_suite_done(&simulated);
    return there;
}

static void crashes_are_all_or_nothing(void **state) {
    (void)state;
    assert_false(survives(POINT_BEGIN));
    assert_false(survives(POINT_ROUND));
    assert_false(survives(POINT_COMMIT));
    assert_true(survives(POINT_ANSWER)); /* committed, and nobody was told */
}

int main(void) {
    StoreSuite suite = simulated_suite(&simulated);
    int failed = store_contract(&suite);
    simulated_suite_done(&simulated);
    const struct CMUnitTest tests[] = {cmocka_unit_test(crashes_are_all_or_nothing)};
    return failed + cmocka_run_group_tests_name("simulated crashes", tests, NULL, NULL);
}
