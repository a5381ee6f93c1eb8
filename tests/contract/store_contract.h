/* What every store keeps: run by each adapter's test with its own opener. */
#pragma once

#include "store_fixture.h"

/* Runs the whole suite; returns cmocka's count of failed tests. */
int store_contract(const StoreSuite *suite);

/* Its parts, as rows for cmocka: store_contract_write.c, store_contract_read.c,
 * store_contract_list.c and store_contract_cluster.c. */
typedef struct StoreCase {
    const char *name;
    void (*run)(StoreTest *test);
} StoreCase;

extern const StoreCase store_write_cases[];
extern const size_t store_write_case_count;
extern const StoreCase store_read_cases[];
extern const size_t store_read_case_count;
extern const StoreCase store_list_cases[];
extern const size_t store_list_case_count;
extern const StoreCase store_cluster_cases[];
extern const size_t store_cluster_case_count;

/* The same random batches on two stores: every row and every answer is the same, and the counts
 * are those of a recount. */
void store_random_walk(const StoreSuite *first, const StoreSuite *second, uint64_t seed,
                       unsigned batches);
