/* The store on PostgreSQL keeps the contract, straight and through PgBouncer in transaction mode, and agrees
 * with the simulated store. */
#include "store_contract.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "postgres_suite.h"
#include "simulated_suite.h"

enum { WALKS = 2, WALK_BATCHES = 80 };

static StoreSuite suite;

static void random_walks(void **state) {
    (void)state;
    SimulatedSuite simulated;
    StoreSuite second = simulated_suite(&simulated);
    simulated.timeline = 1;
    for (uint64_t seed = 1; seed <= WALKS; seed++) {
        store_random_walk(&suite, &second, seed, WALK_BATCHES);
    }
    simulated_suite_done(&simulated);
}

int main(void) {
    PostgresSuite straight, pooled;
    suite = postgres_suite(&straight, "TAKT_TEST_POSTGRES");
    StoreSuite through = postgres_suite(&pooled, "TAKT_TEST_PGBOUNCER");
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_walks)};
    int failed = store_contract(&suite);
    failed += store_contract(&through);
    failed += cmocka_run_group_tests_name("store postgres", tests, NULL, NULL);
    postgres_suite_done(&straight);
    postgres_suite_done(&pooled);
    return failed;
}
