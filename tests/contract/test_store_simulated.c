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

/* ---- two nodes at once ---- */

typedef struct Ready {
    Ask *ask;
} Ready;

static void ask_ready(Batch *batch, void *context) {
    Ready *ready = context;
    ready->ask = batch_ask(batch, ASK_READY, STR("default"), TEST_NOW_US, 10);
}

/* The first one starts a job; the second one asks while that is not committed. */
static void what_another_batch_has_locked_is_not_ready(void **state) {
    (void)state;
    StoreSuite suite = simulated_suite(&simulated);
    store_test_open(&test, &suite);
    Job jobs[2];
    for (int i = 0; i < 2; i++) {
        jobs[i] = test_job(&test);
        store_test_add(&test, &jobs[i]);
    }
    Op start = op_start(&jobs[0].key, "w1");
    Script first_script = {.ops = &start, .count = 1};
    Batch first, second;
    store_test_begin(&test, &first, &first_script);
    test.store = suite.open(suite.context, &test.io, /* fresh= */ false);
    Ready ready = {0};
    Script script = {.first = ask_ready, .context = &ready};
    assert_false(store_test_run_to_crash(&test, &second, &script));
    assert_int_equal(start.result, CHANGE_APPLIED);
    assert_int_equal(ready.ask->count, 1);
    assert_true(job_key_eq(&ready.ask->rows[0]->key, &jobs[1].key));
    batch_done(&first);
    batch_done(&second);
    store_test_close(&test);
    simulated_suite_done(&simulated);
}

int main(void) {
    StoreSuite suite = simulated_suite(&simulated);
    int failed = store_contract(&suite);
    simulated_suite_done(&simulated);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crashes_are_all_or_nothing),
        cmocka_unit_test(what_another_batch_has_locked_is_not_ready),
    };
    return failed + cmocka_run_group_tests_name("simulated crashes", tests, NULL, NULL);
}
