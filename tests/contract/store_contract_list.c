/* The store's contract, listing: filters, pages, what runs. */
#include "store_contract.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/time.h"
#include "core/order.h"
#include <string.h>

/* ---- lists ---- */

enum { LISTED = 12 };

static void fill_list(StoreTest *test, Job jobs[LISTED]) {
    static const JobState STATES[] = {JOB_WAITING,   JOB_RUNNING,   JOB_SUCCEEDED, JOB_DEAD,
                                      JOB_CANCELLED, JOB_PARKED,    JOB_BLOCKED,   JOB_WAITING,
                                      JOB_WAITING,   JOB_SUCCEEDED, JOB_DEAD,      JOB_WAITING};
    for (size_t i = 0; i < LISTED; i++) {
        test->now_us += US_PER_S;
        Job job = test_job(test);
        job.state = STATES[i];
        job.queue = i % 2 ? STR("odd") : STR("even.x");
        job.type = i % 3 ? STR("t") : STR("third");
        job.version = 1 + (int64_t)(i == 7);
        if (i % 4 == 0) job.tags = STR("[\"red\",\"a \\\"b\"]");
        if (i % 4 == 1) job.tags = STR("[\"red\"]");
        if (i == 1) job.worker = STR("w1");
        if (i == 2) job.correlation_id = STR("order-1");
        if (i >= 7 && job.state == JOB_WAITING && i != 11) job.due_us += 3600 * US_PER_S;
        if (i == 8) job.failures = 2;
        job.result = STR("[1]");
        jobs[i] = job;
        store_test_add(test, &job);
    }
}

static void check_list(StoreTest *test, const JobFilter *filter, const Job *jobs, unsigned want) {
    Query query = {.kind = QUERY_JOBS, .filter = *filter, .until_us = test->now_us, .limit = 100};
    store_test_query(test, &query);
    unsigned found = 0;
    size_t last = LISTED;
    for (size_t i = 0; i < query.count; i++) {
        size_t j = 0;
        while (j < last && !job_key_eq(&jobs[j].key, &query.jobs[i].key))
            j++;
        assert_true(j < last); /* newest first */
        found |= 1U << j;
        last = j;
        Job shown = jobs[j];
        if (!filter->with_bodies) shown.args = shown.result = (Str){0};
        assert_jobs_equal(&query.jobs[i], &shown);
    }
    assert_int_equal(found, want);
    assert_false(query.more);
    arena_done(&query.arena);
}

#define BIT(n) (1U << (n))

static void list_filters(StoreTest *test) {
    Job jobs[LISTED];
    fill_list(test, jobs);
    Str tags[] = {STR("red"), STR("a \"b")};
    Str globs[] = {STR("o?d"), STR("even")};
    Str own = jobs[3].id;
    Str ids = arena_format(&test->arena, "[\"" STR_FMT "\",\"none\",\"" STR_FMT "\"]",
                           STR_ARG(jobs[9].id), STR_ARG(jobs[0].id));
    const struct {
        JobFilter filter;
        unsigned want;
    } CASES[] = {
        {{.with_bodies = false}, 0xfff},
        {{.with_bodies = true}, 0xfff},
        {{.statuses = BIT(STATUS_BLOCKED)}, BIT(6)},
        {{.statuses = BIT(STATUS_SCHEDULED)}, BIT(7)},
        {{.statuses = BIT(STATUS_PENDING)}, BIT(0) | BIT(5) | BIT(11)},
        {{.statuses = BIT(STATUS_RUNNING)}, BIT(1)},
        {{.statuses = BIT(STATUS_RETRYING)}, BIT(8)},
        {{.statuses = BIT(STATUS_SUCCEEDED)}, BIT(2) | BIT(9)},
        {{.statuses = BIT(STATUS_DEAD) | BIT(STATUS_RETRYING)}, BIT(3) | BIT(8) | BIT(10)},
        {{.statuses = BIT(STATUS_CANCELLED) | BIT(STATUS_PENDING)},
         BIT(0) | BIT(4) | BIT(5) | BIT(11)},
        {{.statuses = 0xff}, 0xfff},
        {{.queue = STR("odd")}, 0xaaa},
        {{.queue = STR("odd"), .statuses = BIT(STATUS_DEAD)}, BIT(3)},
        {{.type = STR("third")}, BIT(0) | BIT(3) | BIT(6) | BIT(9)},
        {{.version = 2}, BIT(7)},
        {{.tags = tags, .tag_count = 1}, 0x333},
        {{.tags = tags, .tag_count = 2}, 0x111},
        {{.worker = STR("w1")}, BIT(1)},
        {{.correlation_id = STR("order-1")}, BIT(2)},
        {{.correlation_id = own}, BIT(3)},
        {{.correlation_id = jobs[2].id}, 0},
        {{.queue_globs = globs, .queue_glob_count = 2}, 0xaaa},
        {{.id_list_json = ids}, BIT(0) | BIT(9)},
        {{.id_list_json = ids, .statuses = BIT(STATUS_SUCCEEDED)}, BIT(9)},
        {{.id_list_json = STR("[]")}, 0},
        {{.created_after_us = jobs[8].created_us}, BIT(9) | BIT(10) | BIT(11)},
        {{.created_before_us = jobs[2].created_us}, BIT(0) | BIT(1)},
    };
    for (size_t i = 0; i < LENGTH(CASES); i++) {
        check_list(test, &CASES[i].filter, jobs, CASES[i].want);
    }
}

static void list_pages(StoreTest *test) {
    Job jobs[LISTED];
    fill_list(test, jobs);
    static const unsigned STATUSES[] = {
        0, 0xff, BIT(STATUS_SCHEDULED) | BIT(STATUS_PENDING) | BIT(STATUS_RETRYING)};
    for (size_t s = 0; s < LENGTH(STATUSES); s++) {
        size_t seen = 0, pages = 0;
        int64_t cursor = 0;
        do {
            Query query = {
                .kind = QUERY_JOBS, .limit = 4, .cursor = cursor, .until_us = test->now_us};
            query.filter.statuses = STATUSES[s];
            store_test_query(test, &query);
            assert_int_equal(query.more, query.next_cursor != 0);
            cursor = query.next_cursor;
            seen += query.count;
            pages++;
            arena_done(&query.arena);
        } while (cursor != 0 && pages < 20);
        assert_int_equal(seen, s < 2 ? LISTED : 5);
        assert_int_equal(pages, s < 2 ? 3 : 2);
    }
}

static void running_list(StoreTest *test) {
    Job jobs[LISTED];
    fill_list(test, jobs);
    Query query = {.kind = QUERY_RUNNING};
    store_test_query(test, &query);
    assert_int_equal(query.count, 1);
    const Job *job = &query.jobs[0];
    assert_true(job_key_eq(&job->key, &jobs[1].key) && str_eq(job->id, jobs[1].id));
    assert_true(str_eq(job->worker, STR("w1")) && str_eq(job->queue, jobs[1].queue));
    assert_true(str_eq(job->type, jobs[1].type));
    assert_int_equal(job->started_us, jobs[1].started_us);
    arena_done(&query.arena);
}

const StoreCase store_list_cases[] = {
    {"list filters", list_filters},
    {"list pages", list_pages},
    {"running list", running_list},
};
const size_t store_list_case_count = LENGTH(store_list_cases);
