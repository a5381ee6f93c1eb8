/* The store's contract, reading: asks inside a batch, queries, and what is kept beside the jobs. */
#include "store_contract.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/time.h"
#include "core/order.h"
#include <string.h>

/* ---- asks ---- */

typedef struct Asked {
    AskKind kind;
    Str text;
    int64_t until_us;
    size_t limit;
    Ask *ask;
} Asked;

static void ask_first(Batch *batch, void *context) {
    Asked *asked = context;
    asked->ask = batch_ask(batch, asked->kind, asked->text, asked->until_us, asked->limit);
}

/* The batch stays open for its answer; batch_done() afterwards. */
static Ask *ask(StoreTest *test, Batch *batch, Asked *asked) {
    Script script = {.first = ask_first, .context = asked};
    assert_int_equal(store_test_run(test, batch, &script), OK);
    return asked->ask;
}

static Job in_state(StoreTest *test, JobState state, int64_t time_us) {
    Job job = test_job(test);
    job.state = state;
    job.finished_us = job.deadline_us = 0;
    if (state == JOB_RUNNING) job.deadline_us = time_us;
    if (state >= JOB_SUCCEEDED) job.finished_us = time_us;
    if (state == JOB_WAITING) job.expires_us = time_us;
    job.worker = state == JOB_RUNNING ? STR("w1") : (Str){0};
    return job;
}

static void asks_find_rows_in_order(StoreTest *test) {
    static const struct {
        AskKind kind;
        JobState state;
    } CASES[] = {
        {ASK_OVERDUE, JOB_RUNNING},    {ASK_EXPIRED, JOB_WAITING},    {ASK_PRUNABLE, JOB_SUCCEEDED},
        {ASK_PRUNABLE, JOB_CANCELLED}, {ASK_PRUNABLE_DEAD, JOB_DEAD},
    };
    for (size_t i = 0; i < LENGTH(CASES); i++) {
        int64_t base_us = test->now_us + (int64_t)i * 100;
        static const int64_t TIMES[] = {30, 10, 40, 20, 0};
        Job jobs[5];
        for (size_t j = 0; j < LENGTH(TIMES); j++) {
            int64_t time_us = TIMES[j] ? base_us + TIMES[j] : 0;
            if (TIMES[j] == 0 && CASES[i].state >= JOB_SUCCEEDED) time_us = base_us + 99;
            jobs[j] = in_state(test, CASES[i].state, time_us);
            store_test_add(test, &jobs[j]);
        }
        Batch batch;
        Asked asked = {.kind = CASES[i].kind, .until_us = base_us + 30, .limit = 2};
        Ask *answer = ask(test, &batch, &asked);
        assert_int_equal(answer->count, 2);
        assert_int_equal(answer->rows[0]->status, ROW_LOADED);
        assert_jobs_equal(&answer->rows[0]->job, &jobs[1]);
        assert_jobs_equal(&answer->rows[1]->job, &jobs[3]);
        batch_done(&batch);
        asked.limit = 100;
        answer = ask(test, &batch, &asked);
        assert_jobs_equal(&answer->rows[answer->count - 1]->job, &jobs[0]);
        batch_done(&batch);
        Batch wipe;
        Script script = {.wipe = true};
        assert_int_equal(store_test_run(test, &wipe, &script), OK);
        batch_done(&wipe);
    }
}

static void ask_for_what_a_worker_runs(StoreTest *test) {
    Job jobs[4];
    for (size_t i = 0; i < 4; i++) {
        jobs[i] = in_state(test, JOB_RUNNING, test->now_us + 9 - (int64_t)i);
        if (i == 1) jobs[i].worker = STR("w2");
        store_test_add(test, &jobs[i]);
    }
    Batch batch;
    Asked asked = {.kind = ASK_RUNNING_OF, .text = STR("w1"), .limit = 10};
    Ask *answer = ask(test, &batch, &asked);
    assert_int_equal(answer->count, 3);
    assert_jobs_equal(&answer->rows[0]->job, &jobs[3]);
    assert_jobs_equal(&answer->rows[2]->job, &jobs[0]);
    batch_done(&batch);
}

/* The ended job of a key that lives again is found beside it, never in its place. */
static void an_old_job_of_a_live_key(StoreTest *test) {
    Job job = test_job(test);
    Op ops[] = {op_insert(&job), op_of(OP_CANCEL, &job.key), op_insert(&job)};
    store_test_do(test, ops, 3);
    Batch batch;
    Asked asked = {.kind = ASK_PRUNABLE, .until_us = INT64_MAX, .limit = 10};
    Op look = op_of(OP_LOAD, &job.key);
    Script script = {.ops = &look, .count = 1, .first = ask_first, .context = &asked};
    assert_int_equal(store_test_run(test, &batch, &script), OK);
    assert_int_equal(asked.ask->count, 1);
    assert_int_equal(asked.ask->rows[0]->job.state, JOB_CANCELLED);
    assert_int_equal(look.after.state, JOB_WAITING);
    assert_true(asked.ask->rows[0] != look.row);
    batch_done(&batch);
}

/* ---- the window ---- */

static Job waiting(StoreTest *test, int64_t priority, int64_t due_us) {
    Job job = test_job(test);
    job.priority = priority;
    job.due_us = due_us;
    job.queue = STR("q");
    return job;
}

static void check_page(StoreTest *test, Query *query, const size_t *want, size_t count, bool more,
                       const Job *jobs) {
    store_test_query(test, query);
    assert_int_equal(query->count, count);
    assert_int_equal(query->more, more);
    for (size_t i = 0; i < count; i++) {
        const Job *job = &jobs[want[i]];
        assert_true(job_key_eq(&query->hints[i].key, &job->key));
        assert_int_equal(query->hints[i].due_us, job->due_us);
        assert_true(query->hints[i].score == order_score(job->priority, job->due_us));
    }
    arena_done(&query->arena);
}

static void fill_window(StoreTest *test, Job jobs[8]) {
    int64_t now_us = test->now_us;
    static const struct {
        int64_t priority, due;
    } PLACES[8] = {{5, 30}, {9, 20}, {5, 10}, {1, 5}, {5, 10}, {9, 20}, {9, 90}, {5, 95}};
    for (size_t i = 0; i < 8; i++) {
        jobs[i] = waiting(test, PLACES[i].priority, now_us + PLACES[i].due);
        store_test_add(test, &jobs[i]);
    }
    Job other = waiting(test, 5, now_us);
    other.queue = STR("other");
    store_test_add(test, &other);
    Job running = waiting(test, 5, now_us);
    running.state = JOB_RUNNING;
    store_test_add(test, &running);
}

static void ready_pages(StoreTest *test) {
    Job jobs[8];
    fill_window(test, jobs);
    int64_t now_us = test->now_us, until_us = now_us + 80;
    int64_t nine = order_score(9, now_us + 20), five = order_score(5, now_us + 10);
    int64_t thirty = order_score(5, now_us + 30), one = order_score(1, now_us + 5);
    const struct {
        int64_t after;
        size_t limit, count;
        bool more;
        size_t want[6];
    } CASES[] = {
        {SCORE_LOWEST, 100, 6, false, {1, 5, 2, 4, 0, 3}},
        {SCORE_LOWEST, 1, 2, true, {1, 5}}, /* a score is never split */
        {SCORE_LOWEST, 3, 4, true, {1, 5, 2, 4}},
        {nine, 2, 2, true, {2, 4}},
        {nine - 1, 2, 2, true, {1, 5}},
        {five, 9, 2, false, {0, 3}},
        {thirty, 1, 1, false, {3}},
        {one, 9, 0, false, {0}},
        {SCORE_HIGHEST, 9, 0, false, {0}},
    };
    for (size_t i = 0; i < LENGTH(CASES); i++) {
        Query query = {.kind = QUERY_READY,
                       .queue = STR("q"),
                       .after = CASES[i].after,
                       .until_us = until_us,
                       .limit = CASES[i].limit};
        check_page(test, &query, CASES[i].want, CASES[i].count, CASES[i].more, jobs);
    }
}

static void delayed_pages(StoreTest *test) {
    Job jobs[8];
    fill_window(test, jobs);
    int64_t now_us = test->now_us;
    const struct {
        int64_t after;
        size_t limit, count;
        bool more;
        size_t want[8];
    } CASES[] = {
        {INT64_MIN, 100, 8, false, {3, 2, 4, 1, 5, 0, 6, 7}},
        {now_us + 5, 1, 2, true, {2, 4}}, /* a due is never split */
        {now_us + 10, 3, 3, true, {1, 5, 0}},
        {now_us + 90, 9, 1, false, {7}},
        {now_us + 95, 9, 0, false, {0}},
    };
    for (size_t i = 0; i < LENGTH(CASES); i++) {
        Query query = {.kind = QUERY_DELAYED,
                       .queue = STR("q"),
                       .after = CASES[i].after,
                       .limit = CASES[i].limit};
        check_page(test, &query, CASES[i].want, CASES[i].count, CASES[i].more, jobs);
    }
}

static void waiting_queues(StoreTest *test) {
    static const char *const NAMES[] = {"b", "a", "b", "idle"};
    for (size_t i = 0; i < LENGTH(NAMES); i++) {
        Job job = test_job(test);
        job.queue = str_from(NAMES[i]);
        if (i == 3) job.state = JOB_RUNNING;
        store_test_add(test, &job);
    }
    Query query = {.kind = QUERY_WAITING_QUEUES};
    store_test_query(test, &query);
    assert_int_equal(query.count, 2);
    assert_true(str_eq(query.queues[0].name, STR("a")) && str_eq(query.queues[1].name, STR("b")));
    arena_done(&query.arena);
}

/* ---- counts ---- */

static QueueInfo queue_info(StoreTest *test, Str name, int64_t now_us) {
    Query query = {.kind = QUERY_QUEUES, .until_us = now_us};
    store_test_query(test, &query);
    QueueInfo info = {.oldest_pending_us = -1};
    for (size_t i = 0; i < query.count; i++) {
        if (str_eq(query.queues[i].name, name)) info = query.queues[i];
    }
    info.name = name;
    arena_done(&query.arena);
    return info;
}

static void counts_follow_time(StoreTest *test) {
    int64_t now_us = test->now_us;
    for (int i = 0; i < 6; i++) {
        Job job = waiting(test, 1 + i, now_us + i * 10 * US_PER_S);
        if (i == 2) job.failures = 1;
        store_test_add(test, &job);
    }
    for (int moved = 0; moved < 2; moved++) {
        QueueInfo info = queue_info(test, STR("q"), now_us + 25 * US_PER_S);
        assert_int_equal(info.counts[STATUS_PENDING], 3);
        assert_int_equal(info.counts[STATUS_SCHEDULED], 3);
        assert_int_equal(info.counts[STATUS_RETRYING], 0);
        assert_int_equal(info.oldest_pending_us, now_us);
        if (moved) break;
        info = queue_info(test, STR("q"), now_us);
        assert_int_equal(info.counts[STATUS_PENDING], 1);
        assert_int_equal(info.counts[STATUS_RETRYING], 1);
        Batch batch;
        Script script = {.count_to_us = now_us + 15 * US_PER_S};
        assert_int_equal(store_test_run(test, &batch, &script), OK);
        batch_done(&batch);
        store_test_reopen(test);
    }
}

/* ---- what the duties wait for ---- */

static void next_times(StoreTest *test) {
    Query none = {.kind = QUERY_NEXT};
    store_test_query(test, &none);
    assert_true(none.next_deadline_us == 0 && none.next_expiry_us == 0 &&
                none.next_finished_us == 0 && none.next_dead_us == 0);
    arena_done(&none.arena);
    static const JobState STATES[] = {JOB_RUNNING, JOB_WAITING, JOB_CANCELLED, JOB_DEAD};
    for (int i = 0; i < 4; i++) {
        for (int j = 3; j > 0; j--) {
            Job job = in_state(test, STATES[i], test->now_us + 10 * i + j);
            store_test_add(test, &job);
        }
        Job without = in_state(test, STATES[i], STATES[i] < JOB_SUCCEEDED ? 0 : test->now_us + 99);
        store_test_add(test, &without);
    }
    Query query = {.kind = QUERY_NEXT};
    store_test_query(test, &query);
    assert_int_equal(query.next_deadline_us, test->now_us + 1);
    assert_int_equal(query.next_expiry_us, test->now_us + 11);
    assert_int_equal(query.next_finished_us, test->now_us + 21);
    assert_int_equal(query.next_dead_us, test->now_us + 31);
    arena_done(&query.arena);
}

/* ---- beside the jobs ---- */

static Str read_output(StoreTest *test, const JobKey *key) {
    Query query = {.kind = QUERY_LOG, .key = *key};
    store_test_query(test, &query);
    Str text = arena_str(&test->arena, query.text);
    arena_done(&query.arena);
    return text;
}

static void output_keeps_its_end(StoreTest *test) {
    static const size_t PIECES[] = {1, 100, 5000, 3, 20000, 40000, 1, 8191, 70000, 10, 65536, 4096};
    Job job = test_job(test);
    store_test_add(test, &job);
    cleanup(buf_done) Buf all;
    buf_init(&all, 1024 * 1024);
    for (size_t i = 0; i < 300; i++) {
        size_t len = i < LENGTH(PIECES) ? PIECES[i] : 1 + i * 37 % 900;
        Op op = op_of(OP_LOG, &job.key);
        cleanup(buf_done) Buf piece;
        buf_init(&piece, len + 2);
        while (piece.len < len) {
            buf_add(&piece, (piece.len + i) % 3 ? STR("\xc3\xa9") : STR("x"));
        }
        op.text = buf_str(&piece);
        buf_add(&all, op.text);
        store_test_one(test, op);
        if (i > 20 && i % 50) continue;
        size_t from = all.len > LIMIT_LOG ? all.len - LIMIT_LOG : 0;
        Str text = read_output(test, &job.key);
        assert_true(text.len <= LIMIT_LOG && text.len + 1 >= all.len - from);
        assert_true(str_eq(text, (Str){all.data + all.len - text.len, text.len}));
        assert_true(str_is_utf8(text));
    }
}

typedef struct Beside {
    SessionRow session;
    bool forget;
    Str queue;
    bool paused;
    Str token_id;
    int64_t until_us;
} Beside;

static void write_beside(Batch *batch, void *context) {
    const Beside *beside = context;
    if (beside->session.worker.ptr) batch_session(batch, &beside->session, beside->forget);
    if (beside->queue.ptr) batch_queue(batch, beside->queue, beside->paused);
    if (beside->token_id.ptr) batch_token(batch, beside->token_id, beside->until_us);
}

static void put_beside(StoreTest *test, Beside beside) {
    Batch batch;
    Script script = {.first = write_beside, .context = &beside};
    assert_int_equal(store_test_run(test, &batch, &script), OK);
    batch_done(&batch);
}

static void queues_are_paused(StoreTest *test) {
    for (int paused = 1; paused >= 0; paused--) {
        put_beside(test, (Beside){.queue = STR("empty"), .paused = paused});
        store_test_reopen(test);
        QueueInfo info = queue_info(test, STR("empty"), test->now_us);
        assert_int_equal(info.paused, paused);
        assert_int_equal(info.oldest_pending_us, 0);
        assert_int_equal(info.counts[STATUS_PENDING], 0);
        Query next = {.kind = QUERY_NEXT};
        store_test_query(test, &next);
        assert_int_equal(next.count, paused);
        assert_true(!paused || str_eq(next.queues[0].name, STR("empty")));
        arena_done(&next.arena);
    }
}

static void check_session(const SessionRow *a, const SessionRow *b) {
    assert_true(str_eq(a->worker, b->worker) && str_eq(a->node, b->node) &&
                str_eq(a->info, b->info));
    assert_int_equal(a->lease_ms, b->lease_ms);
    assert_int_equal(a->seen_us, b->seen_us);
    assert_int_equal(a->opened_us, b->opened_us);
    assert_int_equal(a->closed_us, b->closed_us);
    assert_int_equal(a->quick, b->quick);
}

static void sessions(StoreTest *test) {
    SessionRow row = {STR("w1"), STR("n1"), STR("{\"pid\":1}"), 30000, 11, 12, 13, true};
    put_beside(test, (Beside){.session = row});
    row.node = STR("n2");
    row.seen_us = 99;
    row.quick = false;
    put_beside(test, (Beside){.session = row});
    store_test_reopen(test);
    Batch batch;
    Asked asked = {.kind = ASK_SESSIONS, .text = STR("w1"), .limit = 3};
    const Ask *both = ask(test, &batch, &asked);
    assert_int_equal(both->count, 2);
    assert_true(str_eq(both->sessions[0].node, STR("n1")));
    check_session(&both->sessions[1], &row);
    batch_done(&batch);
    Query next = {.kind = QUERY_NEXT};
    store_test_query(test, &next);
    assert_int_equal(next.oldest_seen_us, 11);
    arena_done(&next.arena);
    row.info = STR("{}");
    row.closed_us = 0;
    put_beside(test, (Beside){.session = row});
    Query query = {.kind = QUERY_SESSIONS};
    store_test_query(test, &query);
    assert_int_equal(query.count, 2);
    check_session(&query.sessions[1], &row);
    assert_true(query.sessions[0].quick);
    arena_done(&query.arena);
    put_beside(test, (Beside){.session = row, .forget = true});
    asked.text = STR("w1");
    const Ask *one = ask(test, &batch, &asked);
    assert_int_equal(one->count, 1);
    assert_true(str_eq(one->sessions[0].node, STR("n1")));
    batch_done(&batch);
    asked.text = STR("nobody");
    assert_int_equal(ask(test, &batch, &asked)->count, 0);
    batch_done(&batch);
}

static void tokens_are_revoked(StoreTest *test) {
    put_beside(test, (Beside){.token_id = STR("a"), .until_us = test->now_us + 10});
    put_beside(test, (Beside){.token_id = STR("b"), .until_us = test->now_us + 1000});
    for (int i = 0; i < 2; i++) {
        Query query = {.kind = QUERY_REVOKED};
        store_test_query(test, &query);
        assert_int_equal(query.count, i == 0 ? 2 : 1);
        assert_true(str_eq(query.tokens[query.count - 1].token_id, STR("b")));
        assert_int_equal(query.tokens[query.count - 1].until_us, TEST_NOW_US + 1000);
        arena_done(&query.arena);
        test->now_us += 10;
        store_test_reopen(test);
    }
}

static void reads_of_nothing(StoreTest *test) {
    Job job = test_job(test);
    for (QueryKind kind = QUERY_JOB; kind <= QUERY_EVERY; kind++) {
        Query query = {.kind = kind,
                       .key = job.key,
                       .queue = STR("q"),
                       .limit = 5,
                       .until_us = test->now_us,
                       .after = SCORE_LOWEST};
        store_test_query(test, &query);
        assert_int_equal(query.count, 0);
        assert_false(query.more);
        assert_int_equal(query.now_us, test->now_us);
        arena_done(&query.arena);
    }
}

const StoreCase store_read_cases[] = {
    {"asks find rows in order", asks_find_rows_in_order},
    {"ask for what a worker runs", ask_for_what_a_worker_runs},
    {"an old job of a live key", an_old_job_of_a_live_key},
    {"ready pages", ready_pages},
    {"delayed pages", delayed_pages},
    {"waiting queues", waiting_queues},
    {"counts follow time", counts_follow_time},
    {"queues are paused", queues_are_paused},
    {"next times", next_times},
    {"output keeps its end", output_keeps_its_end},
    {"sessions", sessions},
    {"tokens are revoked", tokens_are_revoked},
    {"reads of nothing", reads_of_nothing},
};
const size_t store_read_case_count = LENGTH(store_read_cases);
