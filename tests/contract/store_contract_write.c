/* The store's contract, writing: every kind of write, its guards, and how changes of one row
 * compose. */
#include "store_contract.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/time.h"
#include <string.h>

/* Every field gets a value of its own. */
static Job full_job(StoreTest *test, int64_t seed) {
    Job job = test_job(test);
    for (size_t i = 0; i < job_field_count; i++) {
        const JobField *field = &job_fields[i];
        if (field->kind == FIELD_INT) *job_field_int(field, &job) = seed * 1000 + (int64_t)i + 1;
        if (field->kind == FIELD_TEXT) {
            *job_field_text(field, &job) =
                arena_format(&test->arena, "[\"%s %lld \xc3\xa9\"]", field->name, (long long)seed);
        }
    }
    job.id = STR("own.id-1");
    job.key = job_key_from_id(job.id);
    job.state = JOB_RUNNING;
    job.priority = 9;
    job.retry = (RetryPolicy){.max_attempts = 7,
                              .base_ms = 1,
                              .cap_ms = 99,
                              .factor = 1.5,
                              .backoff = BACKOFF_LINEAR,
                              .jitter = JITTER_FULL};
    return job;
}

static void round_trip(StoreTest *test) {
    Job job = full_job(test, 1);
    store_test_one(test, op_insert(&job));
    store_test_reopen(test);
    Job read = store_test_job(test, &job.key);
    assert_jobs_equal(&read, &job);
    Op op = store_test_one(test, op_of(OP_LOAD, &job.key));
    assert_jobs_equal(&op.after, &job);
}

static void round_trip_of_nothing(StoreTest *test) {
    Job job = test_job(test);
    job.tags = STR("");
    job.expires_us = INT64_MAX;
    store_test_one(test, op_insert(&job));
    store_test_reopen(test);
    Job read = store_test_job(test, &job.key);
    assert_jobs_equal(&read, &job);
    assert_true(read.tags.ptr != NULL && read.meta.ptr == NULL);
}

static void update_writes_what_may_change(StoreTest *test) {
    Job job = full_job(test, 1), other = full_job(test, 2);
    store_test_one(test, op_insert(&job));
    Op op = op_of(OP_REWRITE, &job.key);
    op.job = other;
    op = store_test_one(test, op);
    Job read = store_test_job(test, &job.key);
    assert_jobs_equal(&read, &op.after);
    assert_int_equal(read.due_us, other.due_us);
    assert_int_equal(read.created_us, job.created_us);
}

/* ---- blind and loaded ---- */

static void blind_start_equals_loaded(StoreTest *test) {
    Job blind = test_job(test), loaded = blind;
    blind.expires_us = blind.due_us + 9 * US_PER_S;
    blind.result = blind.progress = blind.outcome = STR("\"old\"");
    blind.failures = 2;
    loaded = blind;
    Job named = test_job(test);
    loaded.key = named.key;
    loaded.id = named.id;
    Op inserts[] = {op_insert(&blind), op_insert(&loaded)};
    store_test_do(test, inserts, 2);
    test->now_us += 7 * US_PER_S;
    Op ops[] = {op_start(&blind.key, "w1"), op_of(OP_LOAD_START, &loaded.key)};
    ops[1].lease = (Lease){test->suite->fence_base + 1, STR("w1")};
    store_test_do(test, ops, 2);
    assert_int_equal(ops[0].seen, ROW_HIT);
    assert_int_equal(ops[0].after.fence, test->suite->fence_base + 1);
    Job a = store_test_job(test, &blind.key), b = store_test_job(test, &loaded.key);
    assert_jobs_equal(&a, &ops[0].after);
    b.key = a.key;
    b.id = a.id;
    assert_jobs_equal(&a, &b);
    assert_int_equal(a.state, JOB_RUNNING);
    assert_null(a.result.ptr);
}

static void blind_succeed_equals_loaded(StoreTest *test) {
    static const struct {
        int64_t fence;
        const char *worker;
    } LEASES[] = {{1, "w1"}, {0, "w1"}, {0, NULL}, {1, NULL}};
    for (size_t i = 0; i < LENGTH(LEASES); i++) {
        Job job = test_job(test), twin = test_job(test);
        Op inserts[] = {op_insert(&job), op_insert(&twin)};
        store_test_do(test, inserts, 2);
        Op starts[] = {op_start(&job.key, "w1"), op_start(&twin.key, "w1")};
        store_test_do(test, starts, 2);
        test->now_us += US_PER_S;
        Op ops[] = {op_succeed(&job.key, 0, LEASES[i].worker), op_of(OP_LOAD_SUCCEED, &twin.key)};
        ops[1].text = ops[0].text;
        ops[1].lease = ops[0].lease;
        if (LEASES[i].fence != 0) {
            ops[0].lease.fence = starts[0].after.fence;
            ops[1].lease.fence = starts[1].after.fence;
        }
        store_test_do(test, ops, 2);
        assert_int_equal(ops[0].seen, ROW_HIT);
        assert_int_equal(ops[1].result, CHANGE_APPLIED);
        assert_true(str_eq(ops[0].after.type, job.type) && str_eq(ops[0].after.worker, STR("w1")));
        assert_int_equal(ops[0].after.started_us, starts[0].after.started_us);
        Job a = store_test_job(test, &job.key), b = store_test_job(test, &twin.key);
        assert_int_equal(a.state, JOB_SUCCEEDED);
        b.key = a.key;
        b.id = a.id;
        b.fence = a.fence;
        assert_jobs_equal(&a, &b);
    }
}

static void missed_starts_are_loaded(StoreTest *test) {
    Job later = test_job(test), expired = test_job(test), running = test_job(test),
        missing = test_job(test), elsewhere = test_job(test);
    later.due_us = test->now_us + US_PER_S;
    expired.expires_us = test->now_us;
    elsewhere.queue = STR("elsewhere");
    Op inserts[] = {op_insert(&later), op_insert(&expired), op_insert(&running),
                    op_insert(&elsewhere)};
    store_test_do(test, inserts, LENGTH(inserts));
    store_test_one(test, op_start(&running.key, "w1"));
    const Job *jobs[] = {&later, &expired, &running, &elsewhere};
    for (size_t i = 0; i < LENGTH(jobs); i++) {
        Job before = store_test_job(test, &jobs[i]->key);
        Op op = store_test_one(test, op_start(&jobs[i]->key, "w2"));
        assert_int_equal(op.seen, ROW_LOADED);
        assert_jobs_equal(&op.after, &before);
        Job after = store_test_job(test, &jobs[i]->key);
        assert_jobs_equal(&after, &before);
    }
    Op op = store_test_one(test, op_start(&missing.key, "w2"));
    assert_int_equal(op.seen, ROW_MISSING);
    test->now_us += US_PER_S;
    op = store_test_one(test, op_start(&later.key, "w2"));
    assert_int_equal(op.seen, ROW_HIT);
    assert_int_equal(op.after.fence, test->suite->fence_base + 2); /* a miss mints nothing */
}

static void missed_succeeds_are_loaded(StoreTest *test) {
    Job job = test_job(test), waiting = test_job(test);
    Op inserts[] = {op_insert(&job), op_insert(&waiting)};
    store_test_do(test, inserts, 2);
    Op start = store_test_one(test, op_start(&job.key, "w1"));
    static const struct {
        int64_t by;
        const char *worker;
    } WRONG[] = {{1, "w1"}, {0, "w2"}, {-1, "w1"}};
    for (size_t i = 0; i < LENGTH(WRONG); i++) {
        Op op = op_succeed(&job.key, start.after.fence + WRONG[i].by, WRONG[i].worker);
        if (op.lease.fence == 0) op.lease.fence = 99;
        op = store_test_one(test, op);
        assert_int_equal(op.seen, ROW_LOADED);
        assert_jobs_equal(&op.after, &start.after);
    }
    Op op = store_test_one(test, op_succeed(&waiting.key, 0, NULL));
    assert_int_equal(op.seen, ROW_LOADED);
    assert_int_equal(op.after.state, JOB_WAITING);
    Job missing = test_job(test);
    op = store_test_one(test, op_succeed(&missing.key, 1, "w1"));
    assert_int_equal(op.seen, ROW_MISSING);
}

static void fences_rise_for_ever(StoreTest *test) {
    int64_t last = 0;
    for (int i = 0; i < 4; i++) {
        Job job = test_job(test);
        store_test_one(test, op_insert(&job));
        Op op = store_test_one(test, op_start(&job.key, "w1"));
        assert_true(op.after.fence > last);
        last = op.after.fence;
        if (i == 1) store_test_reopen(test);
        if (i == 2) {
            Batch batch;
            Script script = {.wipe = true};
            assert_int_equal(store_test_run(test, &batch, &script), OK);
            batch_done(&batch);
        }
    }
}

/* ---- composition ---- */

static void changes_of_one_row_compose(StoreTest *test) {
    Job job = test_job(test);
    job.retry.max_attempts = 1;
    Op ops[] = {op_insert(&job), op_of(OP_LOAD_START, &job.key), op_of(OP_FAIL, &job.key),
                op_of(OP_RETRY, &job.key), op_of(OP_CANCEL, &job.key)};
    ops[1].lease = ops[2].lease = (Lease){7, STR("w1")};
    store_test_do(test, ops, LENGTH(ops));
    for (size_t i = 0; i < LENGTH(ops); i++) {
        assert_int_equal(ops[i].result, CHANGE_APPLIED);
    }
    Job read = store_test_job(test, &job.key);
    assert_jobs_equal(&read, &ops[4].after);
    assert_int_equal(read.state, JOB_CANCELLED);
    assert_int_equal(read.run, 2);
    assert_int_equal(read.attempt, 1);
}

static void blind_then_loaded_in_one_batch(StoreTest *test) {
    Job job = test_job(test);
    store_test_one(test, op_insert(&job));
    Op ops[] = {op_start(&job.key, "w1"), op_of(OP_FAIL, &job.key)};
    store_test_do(test, ops, 2);
    assert_int_equal(ops[0].result, CHANGE_APPLIED);
    assert_int_equal(ops[1].result, CHANGE_APPLIED);
    Job read = store_test_job(test, &job.key);
    assert_int_equal(read.failures, 1);
    assert_int_equal(read.state, JOB_WAITING);

    test->now_us = read.due_us;
    Op again[] = {op_start(&job.key, "w1"), op_of(OP_LOAD, &job.key)};
    store_test_do(test, again, 2);
    Op end[] = {op_succeed(&job.key, again[0].after.fence, "w1"), op_of(OP_CANCEL, &job.key)};
    store_test_do(test, end, 2);
    assert_int_equal(end[0].result, CHANGE_APPLIED);
    assert_int_equal(end[1].result, CHANGE_WRONG_STATE);
    assert_int_equal(end[1].seen, ROW_LOADED);
    assert_true(str_eq(end[1].after.args, job.args)); /* complete, not what the hit told */
}

static void two_blind_starts_of_one_job(StoreTest *test) {
    Job job = test_job(test);
    store_test_one(test, op_insert(&job));
    Op ops[] = {op_start(&job.key, "w1"), op_start(&job.key, "w2")};
    store_test_do(test, ops, 2);
    assert_int_equal(ops[0].result, CHANGE_APPLIED);
    assert_true(ops[0].blind && !ops[1].blind);
    Job read = store_test_job(test, &job.key);
    assert_int_equal(read.attempt, 1);
    assert_true(str_eq(read.worker, STR("w1")));
}

static size_t count_rows(StoreTest *test) {
    Query query = {.kind = QUERY_JOBS, .limit = 1000, .until_us = test->now_us};
    store_test_query(test, &query);
    size_t count = query.count;
    arena_done(&query.arena);
    return count;
}

static void a_key_is_used_again(StoreTest *test) {
    Job job = test_job(test);
    job.id = STR("my-id");
    job.key = job_key_from_id(job.id);
    Job next = job;
    next.type = STR("other");
    Op ops[] = {op_insert(&job), op_insert(&next), op_of(OP_CANCEL, &job.key), op_insert(&next)};
    store_test_do(test, ops, 4);
    assert_int_equal(ops[1].result, CHANGE_WRONG_STATE); /* it lives */
    assert_int_equal(ops[3].result, CHANGE_APPLIED);
    assert_int_equal(count_rows(test), 2);
    Job read = store_test_job(test, &job.key);
    assert_jobs_equal(&read, &next);
    Op start = store_test_one(test, op_start(&job.key, "w1"));
    assert_true(str_eq(start.after.type, STR("other")));
}

static void deletes(StoreTest *test) {
    Job job = test_job(test);
    for (int i = 0; i < 2; i++) {
        Op ops[] = {op_insert(&job), op_of(OP_CANCEL, &job.key)};
        store_test_do(test, ops, LENGTH(ops));
    }
    assert_int_equal(count_rows(test), 2);
    Op gone = store_test_one(test, op_of(OP_DELETE, &job.key));
    assert_int_equal(gone.result, CHANGE_APPLIED);
    assert_int_equal(count_rows(test), 1); /* the older one comes to light */
    /* deleted, deleted again, missing, and there again */
    Op more[] = {op_of(OP_DELETE, &job.key), op_of(OP_DELETE, &job.key), op_insert(&job)};
    store_test_do(test, more, LENGTH(more));
    assert_int_equal(more[1].seen, ROW_MISSING);
    assert_int_equal(more[2].result, CHANGE_APPLIED);
    assert_int_equal(count_rows(test), 1);
}

/* Its place may be given out again after a restart: nothing of it may be there then. */
static void output_goes_with_its_job(StoreTest *test) {
    Job job = test_job(test);
    Op log = op_of(OP_LOG, &job.key);
    log.text = STR("output");
    Op ops[] = {op_insert(&job), log, op_of(OP_CANCEL, &job.key)};
    store_test_do(test, ops, LENGTH(ops));
    store_test_one(test, op_of(OP_DELETE, &job.key));
    store_test_reopen(test);
    store_test_one(test, op_insert(&job));
    Query query = {.kind = QUERY_LOG, .key = job.key};
    store_test_query(test, &query);
    assert_int_equal(query.text.len, 0);
    arena_done(&query.arena);
}

static void inserted_and_deleted_at_once(StoreTest *test) {
    Job job = test_job(test);
    Op ops[] = {op_insert(&job), op_of(OP_CANCEL, &job.key), op_of(OP_DELETE, &job.key)};
    store_test_do(test, ops, LENGTH(ops));
    assert_int_equal(ops[2].result, CHANGE_APPLIED);
    assert_int_equal(count_rows(test), 0);
}

/* ---- everything or nothing ---- */

static void wipe_erases_everything(StoreTest *test) {
    Job job = test_job(test);
    store_test_one(test, op_insert(&job));
    Batch batch;
    Script script = {.wipe = true};
    assert_int_equal(store_test_run(test, &batch, &script), OK);
    batch_done(&batch);
    assert_int_equal(count_rows(test), 0);
    Query query = {.kind = QUERY_QUEUES, .until_us = test->now_us};
    store_test_query(test, &query);
    assert_int_equal(query.count, 0);
    arena_done(&query.arena);
}

static void a_failed_commit_leaves_nothing(StoreTest *test) {
    if (!test->suite->fail_next) return;
    Job kept = test_job(test), lost = test_job(test);
    store_test_one(test, op_insert(&kept));
    test->suite->fail_next(test->suite->context);
    Batch batch;
    Op ops[] = {op_insert(&lost), op_start(&kept.key, "w1")};
    Script script = {.ops = ops, .count = 2};
    assert_int_equal(store_test_run(test, &batch, &script), ERR_UNAVAILABLE);
    assert_int_equal(test->store->failures, 1);
    assert_true(strncmp(batch.error.code, "store-", 6) == 0);
    batch_done(&batch);
    assert_int_equal(count_rows(test), 1);
    Op op = store_test_one(test, op_start(&kept.key, "w1"));
    assert_int_equal(op.after.fence, 1); /* nor was a fence used up */
    store_test_one(test, op_insert(&lost));
    assert_int_equal(count_rows(test), 2);
}

static void one_commit_after_another(StoreTest *test) {
    uint64_t before = test->store->commits;
    for (int i = 0; i < 20; i++) {
        Job job = test_job(test);
        store_test_one(test, op_insert(&job));
    }
    assert_int_equal(test->store->commits, before + 20);
    store_test_reopen(test);
    assert_int_equal(count_rows(test), 20);
}

const StoreCase store_write_cases[] = {
    {"round trip of every field", round_trip},
    {"round trip of absent, empty and largest", round_trip_of_nothing},
    {"update writes what may change", update_writes_what_may_change},
    {"blind start equals loaded start", blind_start_equals_loaded},
    {"blind succeed equals loaded succeed", blind_succeed_equals_loaded},
    {"missed starts are loaded", missed_starts_are_loaded},
    {"missed succeeds are loaded", missed_succeeds_are_loaded},
    {"fences rise for ever", fences_rise_for_ever},
    {"changes of one row compose", changes_of_one_row_compose},
    {"blind, then loaded, in one batch", blind_then_loaded_in_one_batch},
    {"two blind starts of one job", two_blind_starts_of_one_job},
    {"a key is used again", a_key_is_used_again},
    {"deletes", deletes},
    {"output goes with its job", output_goes_with_its_job},
    {"inserted and deleted at once", inserted_and_deleted_at_once},
    {"wipe erases everything", wipe_erases_everything},
    {"a failed commit leaves nothing", a_failed_commit_leaves_nothing},
    {"commits one after another", one_commit_after_another},
};
const size_t store_write_case_count = LENGTH(store_write_cases);
