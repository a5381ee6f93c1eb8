/* Random batches on two stores at once: the simulated one is naive, so what they agree on is
 * right. */
#include "store_contract.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/time.h"
#include "core/order.h"

enum { KEYS = 40, OPS_MOST = 12, ROWS_MOST = 2000 };

static const char *const QUEUES[] = {"a", "b", "c"};
static const char *const WORKERS[] = {"w1", "w2", NULL};

static Job random_job(StoreTest *test, Random *random, const JobKey *key, Str id) {
    Job job = job_default();
    job.key = *key;
    job.id = id;
    job.type = STR("t");
    /* mostly the same for an id, so that most starts name the right one */
    uint64_t queue = random_below(random, 5) > 0 ? key->bytes[1] : random_next(random);
    job.queue = str_from(QUEUES[queue % LENGTH(QUEUES)]);
    job.priority = 1 + (int64_t)random_below(random, 9);
    job.state = JOB_WAITING;
    job.created_us = job.enqueued_us = test->now_us;
    job.due_us = test->now_us + ((int64_t)random_below(random, 6) - 2) * US_PER_S;
    if (random_below(random, 4) == 0) {
        job.expires_us = test->now_us + ((int64_t)random_below(random, 8) - 1) * US_PER_S;
    }
    job.timeout_ms = 1000 * (1 + (int64_t)random_below(random, 4));
    job.retry.max_attempts = 1 + (int64_t)random_below(random, 3);
    job.retry.base_ms = 1000;
    return job;
}

static Op random_op(StoreTest *test, Random *random, int64_t fence) {
    static const OpKind KINDS[] = {OP_INSERT, OP_INSERT,  OP_INSERT,  OP_START, OP_START,
                                   OP_START,  OP_SUCCEED, OP_SUCCEED, OP_FAIL,  OP_LOSE,
                                   OP_RETURN, OP_CANCEL,  OP_RETRY,   OP_KILL,  OP_DELETE,
                                   OP_LOAD,   OP_LOG};
    Str id = arena_format(&test->arena, "id-%d", (int)random_below(random, KEYS));
    JobKey key = job_key_from_id(id);
    Op op = op_of(KINDS[random_below(random, LENGTH(KINDS))], &key);
    op.job = random_job(test, random, &key, id);
    op.lease.worker = str_from(WORKERS[random_below(random, LENGTH(WORKERS))]);
    if (random_below(random, 3) == 0)
        op.lease.fence =
            test->suite->fence_base + 1 + (int64_t)random_below(random, (uint64_t)fence + 1);
    op.text = STR("some text");
    return op;
}

/* A store may mint the fences of a batch in the order of the keys: the starts come in that order. */
static void order_starts(Op *ops, size_t count) {
    for (size_t i = 0; i < count; i++) {
        for (size_t j = i + 1; j < count; j++) {
            bool starts = ops[i].kind == OP_START && ops[j].kind == OP_START;
            if (!starts || memcmp(ops[i].key.bytes, ops[j].key.bytes, sizeof(JobKey)) <= 0)
                continue;
            Op op = ops[i];
            ops[i] = ops[j];
            ops[j] = op;
        }
    }
}

/* ---- what a batch asks beside its operations ---- */

typedef struct Asks {
    Ask *asks[ASK_PRUNABLE_DEAD + 1];
    int64_t now_us;
    size_t limit;
    bool prune;
} Asks;

static void ask_all(Batch *batch, void *context) {
    Asks *all = context;
    for (AskKind kind = ASK_RUNNING_OF; kind <= ASK_PRUNABLE_DEAD; kind++) {
        all->asks[kind] = batch_ask(batch, kind, STR("w1"), all->now_us, all->limit);
    }
}

static void compare_asks(const Asks *a, const Asks *b) {
    for (AskKind kind = ASK_RUNNING_OF; kind <= ASK_PRUNABLE_DEAD; kind++) {
        assert_int_equal(a->asks[kind]->count, b->asks[kind]->count);
        for (size_t i = 0; i < a->asks[kind]->count; i++) {
            const Row *x = a->asks[kind]->rows[i], *y = b->asks[kind]->rows[i];
            assert_true(job_key_eq(&x->key, &y->key));
            assert_jobs_equal(&x->job, &y->job); /* slots are the stores' own */
        }
    }
}

/* ---- one batch on both ---- */

static void compare_ops(const Op *a, const Op *b, size_t count) {
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(a[i].result, b[i].result);
        assert_int_equal(a[i].seen, b[i].seen);
        if (a[i].seen == ROW_MISSING || a[i].seen == ROW_UNKNOWN) continue;
        Job x = a[i].after, y = b[i].after;
        assert_jobs_equal(&x, &y);
    }
}

static void run_on_both(StoreTest *tests[2], const Op *ops, size_t count, int64_t count_to_us,
                        size_t limit) {
    Op copies[2][OPS_MOST];
    Batch batches[2];
    Asks asks[2];
    for (int i = 0; i < 2; i++) {
        for (size_t j = 0; j < count; j++)
            copies[i][j] = ops[j];
        asks[i] = (Asks){.now_us = tests[i]->now_us, .limit = limit};
        Script script = {.ops = copies[i],
                         .count = count,
                         .first = ask_all,
                         .context = &asks[i],
                         .count_to_us = count_to_us};
        assert_int_equal(store_test_run(tests[i], &batches[i], &script), OK);
    }
    compare_ops(copies[0], copies[1], count);
    compare_asks(&asks[0], &asks[1]);
    batch_done(&batches[0]);
    batch_done(&batches[1]);
}

/* ---- comparing all that can be read ---- */

static bool has_hint(const Query *query, const Hint *hint) {
    for (size_t i = 0; i < query->count; i++) {
        const Hint *other = &query->hints[i];
        if (job_key_eq(&other->key, &hint->key)) return other->score == hint->score;
    }
    return false;
}

static void compare_answers(const Query *a, const Query *b) {
    assert_int_equal(a->count, b->count);
    assert_int_equal(a->more, b->more);
    assert_int_equal(a->next_cursor, b->next_cursor);
    for (size_t i = 0; i < a->count; i++) {
        if (a->jobs && a->kind != QUERY_RUNNING) assert_jobs_equal(&a->jobs[i], &b->jobs[i]);
        if (a->hints) {
            assert_true(has_hint(b, &a->hints[i])); /* those that tie come in any order */
            assert_true(a->hints[i].score == b->hints[i].score);
        }
        if (!a->queues) continue;
        assert_true(str_eq(a->queues[i].name, b->queues[i].name));
        assert_int_equal(a->queues[i].oldest_pending_us, b->queues[i].oldest_pending_us);
        assert_memory_equal(a->queues[i].counts, b->queues[i].counts, sizeof a->queues[i].counts);
    }
    assert_int_equal(a->next_deadline_us, b->next_deadline_us);
    assert_int_equal(a->next_expiry_us, b->next_expiry_us);
    assert_int_equal(a->next_finished_us, b->next_finished_us);
    assert_int_equal(a->next_dead_us, b->next_dead_us);
    assert_true(str_eq(a->text, b->text));
}

static void query_both(StoreTest *tests[2], const Query *query) {
    Query queries[2];
    for (int i = 0; i < 2; i++) {
        queries[i] = *query;
        store_test_query(tests[i], &queries[i]);
    }
    compare_answers(&queries[0], &queries[1]);
    arena_done(&queries[0].arena);
    arena_done(&queries[1].arena);
}

static void compare_windows(StoreTest *tests[2], Random *random) {
    int64_t now_us = tests[0]->now_us;
    for (size_t i = 0; i < LENGTH(QUEUES); i++) {
        int64_t priority = 1 + (int64_t)random_below(random, 9);
        int64_t due_us = now_us + ((int64_t)random_below(random, 6) - 3) * US_PER_S;
        Query ready = {.kind = QUERY_READY,
                       .queue = str_from(QUEUES[i]),
                       .until_us = now_us,
                       .after =
                           random_below(random, 2) ? SCORE_LOWEST : order_score(priority, due_us),
                       .limit = 1 + random_below(random, 6)};
        query_both(tests, &ready);
        Query delayed = {.kind = QUERY_DELAYED,
                         .queue = str_from(QUEUES[i]),
                         .after = due_us,
                         .limit = 1 + random_below(random, 6)};
        query_both(tests, &delayed);
    }
}

static void compare_reads(StoreTest *tests[2], Random *random) {
    static const QueryKind KINDS[] = {QUERY_QUEUES, QUERY_WAITING_QUEUES, QUERY_NEXT,
                                      QUERY_SESSIONS};
    int64_t now_us = tests[0]->now_us;
    for (size_t i = 0; i < LENGTH(KINDS); i++) {
        query_both(tests, &(Query){.kind = KINDS[i], .until_us = now_us});
    }
    Query all = {.kind = QUERY_JOBS, .until_us = now_us, .limit = ROWS_MOST};
    all.filter.with_bodies = true;
    query_both(tests, &all);
    Query some = {.kind = QUERY_JOBS, .until_us = now_us, .limit = 1 + random_below(random, 9)};
    some.filter.statuses = (unsigned)random_below(random, 256);
    some.cursor = (int64_t)random_below(random, 100);
    query_both(tests, &some);
    compare_windows(tests, random);
}

/* The counts against the rows. */
static void recount(StoreTest *test) {
    Query jobs = {.kind = QUERY_JOBS, .until_us = test->now_us, .limit = ROWS_MOST};
    store_test_query(test, &jobs);
    Query queues = {.kind = QUERY_QUEUES, .until_us = test->now_us};
    store_test_query(test, &queues);
    for (size_t i = 0; i < jobs.count; i++) {
        size_t q = 0;
        while (q < queues.count && !str_eq(queues.queues[q].name, jobs.jobs[i].queue))
            q++;
        assert_true(q < queues.count);
        queues.queues[q].counts[job_status_at(&jobs.jobs[i], test->now_us)]--;
    }
    for (size_t q = 0; q < queues.count; q++) {
        for (JobStatus status = 0; status < STATUS_COUNT; status++) {
            assert_int_equal(queues.queues[q].counts[status], 0);
        }
    }
    arena_done(&jobs.arena);
    arena_done(&queues.arena);
}

void store_random_walk(const StoreSuite *first, const StoreSuite *second, uint64_t seed,
                       unsigned batches) {
    print_message("seed %llu\n", (unsigned long long)seed);
    StoreTest a, b, *tests[2] = {&a, &b};
    store_test_open(&a, first);
    store_test_open(&b, second);
    Random random;
    random_init(&random, seed);
    for (unsigned i = 0; i < batches; i++) {
        Op ops[OPS_MOST];
        size_t count = 1 + (size_t)random_below(&random, OPS_MOST);
        for (size_t j = 0; j < count; j++) {
            ops[j] = random_op(&a, &random, i);
        }
        order_starts(ops, count);
        int64_t count_to_us = random_below(&random, 5) == 0 ? a.now_us : 0;
        run_on_both(tests, ops, count, count_to_us, 1 + random_below(&random, 5));
        if (random_below(&random, 50) == 0) store_test_reopen(&a);
        compare_reads(tests, &random);
        recount(&a);
        a.now_us += (int64_t)random_below(&random, 2 * US_PER_S);
        b.now_us = a.now_us;
        Str id = arena_format(&a.arena, "id-%d", (int)random_below(&random, KEYS));
        query_both(tests, &(Query){.kind = QUERY_LOG, .key = job_key_from_id(id)});
    }
    store_test_close(&a);
    store_test_close(&b);
}
