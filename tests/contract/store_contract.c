/* Runs the cases of the store's contract against one adapter, each on a fresh store. */
#include "store_contract.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/alloc.h"
#include <stdlib.h>

static const StoreSuite *suite;

static void run_case(void **state) {
    const StoreCase *one = *state;
    StoreTest test;
    store_test_open(&test, suite);
    one->run(&test);
    store_test_close(&test);
}

static size_t add_cases(struct CMUnitTest *tests, const StoreCase *cases, size_t count) {
    for (size_t i = 0; i < count; i++) {
        StoreCase *copy = alloc(sizeof *copy);
        *copy = cases[i];
        tests[i] = (struct CMUnitTest){cases[i].name, run_case, NULL, NULL, copy};
    }
    return count;
}

int store_contract(const StoreSuite *of) {
    suite = of;
    enum { MOST = 100 };
    struct CMUnitTest tests[MOST] = {0};
    check(store_write_case_count + store_read_case_count + store_list_case_count +
              store_cluster_case_count <=
          MOST);
    size_t count = add_cases(tests, store_write_cases, store_write_case_count);
    count += add_cases(tests + count, store_read_cases, store_read_case_count);
    count += add_cases(tests + count, store_list_cases, store_list_case_count);
    count += add_cases(tests + count, store_cluster_cases, store_cluster_case_count);
    int failed = _cmocka_run_group_tests(of->name, tests, count, NULL, NULL);
    for (size_t i = 0; i < count; i++) {
        free(tests[i].initial_state);
    }
    return failed;
}
