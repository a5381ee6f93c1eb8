/* See store_fixture.h. */
#include "store_fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "net/loop.h"
#include <stdlib.h>
#include <string.h>

typedef struct Post {
    ListNode node;
    void (*function)(void *);
    void *argument;
} Post;

void store_test_post(void *context, void (*function)(void *), void *argument) {
    StoreTest *test = context;
    Post *post = alloc_zero(1, sizeof *post);
    post->function = function;
    post->argument = argument;
    pthread_mutex_lock(&test->mutex);
    list_append(&test->posts, &post->node);
    pthread_cond_signal(&test->posted);
    pthread_mutex_unlock(&test->mutex);
}

static int64_t test_now(void *context) {
    StoreTest *test = context;
    return test->now_us;
}

static bool is_posted(StoreTest *test) {
    pthread_mutex_lock(&test->mutex);
    bool posted = !list_is_empty(&test->posts);
    pthread_mutex_unlock(&test->mutex);
    return posted;
}

/* Or turns the loop once: the answer may come from there. */
static void run_one_post(StoreTest *test) {
    if (test->io.loop && !is_posted(test)) {
        loop_turn(test->io.loop);
        return;
    }
    pthread_mutex_lock(&test->mutex);
    while (list_is_empty(&test->posts)) {
        pthread_cond_wait(&test->posted, &test->mutex);
    }
    Post *post = container_of(list_pop(&test->posts), Post, node);
    pthread_mutex_unlock(&test->mutex);
    post->function(post->argument);
    free(post);
}

void store_test_open(StoreTest *test, const StoreSuite *suite) {
    *test = (StoreTest){.suite = suite, .now_us = TEST_NOW_US};
    test->io = (StoreIo){
        .post = store_test_post, .now_us = test_now, .loop = suite->loop, .context = test};
    pthread_mutex_init(&test->mutex, NULL);
    pthread_cond_init(&test->posted, NULL);
    list_init(&test->posts);
    random_init(&test->random, 1);
    test->store = suite->open(suite->context, &test->io, /* fresh= */ true);
}

void store_test_reopen(StoreTest *test) {
    store_close(test->store);
    test->store = test->suite->open(test->suite->context, &test->io, /* fresh= */ false);
}

void store_test_close(StoreTest *test) {
    store_close(test->store);
    check(list_is_empty(&test->posts));
    pthread_cond_destroy(&test->posted);
    pthread_mutex_destroy(&test->mutex);
    arena_done(&test->arena);
}

/* ---- operations ---- */

static ChangeResult apply(Op *op, Batch *batch) {
    ChangeContext context = {batch->now_us, batch->random, &batch->arena};
    Job *job = &op->row->job;
    Failure failure = {.error = {.type = STR("boom"), .message = op->text}, .retry_after_ms = -1};
    failure.hash = outcome_hash_failure(&failure.error, &batch->arena);
    switch (op->kind) {
    case OP_LOAD_START: return job_start(job, op->lease.fence, op->lease.worker, 5000, &context);
    case OP_LOAD_SUCCEED: {
        Str hash = outcome_hash_success(op->text, &batch->arena);
        return job_succeed(job, &op->lease, op->text, hash, &context);
    }
    case OP_FAIL: return job_fail(job, &op->lease, &failure, &context);
    case OP_LOSE: return job_lose(job, "gone", &context);
    case OP_RETURN: return job_return(job, &op->lease, &context);
    case OP_CANCEL: return job_cancel(job, REASON_CANCELLED, &context);
    case OP_RETRY: return job_retry(job, batch->now_us, &context);
    case OP_KILL: return job_kill(job, &context);
    case OP_REWRITE:
        for (size_t i = 0; i < job_field_count; i++) {
            const JobField *field = &job_fields[i];
            if (!field->changes) continue;
            if (field->kind == FIELD_INT)
                *job_field_int(field, job) = *job_field_int(field, &op->job);
            if (field->kind == FIELD_TEXT)
                *job_field_text(field, job) = *job_field_text(field, &op->job);
        }
        return CHANGE_APPLIED;
    case OP_DELETE: return job_is_finished(job) ? CHANGE_APPLIED : CHANGE_WRONG_STATE;
    case OP_LOG: batch_log(batch, op->row, op->text); break;
    case OP_INSERT:
    case OP_START:
    case OP_SUCCEED:
    case OP_LOAD: break;
    }
    return CHANGE_WRONG_STATE;
}

static void through(Op *op, ChangeResult result) {
    op->done = true;
    op->result = result;
    op->seen = op->row->status;
    op->after = op->row->job;
}

static void insert(Op *op, Batch *batch) {
    if (!batch_load(batch, op->row)) return;
    bool ended = op->row->status == ROW_LOADED && job_is_finished(&op->row->job);
    if (ended && row_is_pending(op->row)) return;
    bool free_key = op->row->status == ROW_MISSING || ended;
    if (free_key) batch_insert(batch, op->row, &op->job);
    through(op, free_key ? CHANGE_APPLIED : CHANGE_WRONG_STATE);
}

static bool begin_blind(Op *op, Batch *batch) {
    Str queue = op->job.queue.ptr ? op->job.queue : STR("default");
    if (op->kind == OP_START) return batch_start(batch, op->row, queue, op->lease.worker, 5000);
    if (op->kind != OP_SUCCEED) return false;
    Str hash = outcome_hash_success(op->text, &batch->arena);
    return batch_succeed(batch, op->row, &op->lease, op->text, hash);
}

static void op_step(Op *op, Batch *batch) {
    if (!op->row) {
        op->row = batch_row(batch, &op->key);
        op->blind = begin_blind(op, batch);
        if (op->blind) return;
    }
    if (op->blind && op->row->hit) {
        through(op, CHANGE_APPLIED);
        return;
    }
    if (op->kind == OP_INSERT) {
        insert(op, batch);
        return;
    }
    if (!batch_load(batch, op->row)) return;
    if (op->row->status == ROW_MISSING) {
        through(op, CHANGE_WRONG_STATE);
        return;
    }
    ChangeResult result = apply(op, batch);
    through(op, result);
    if (result != CHANGE_APPLIED) return;
    if (op->kind == OP_DELETE) {
        batch_delete(batch, op->row);
    } else {
        batch_update(batch, op->row);
    }
}

static bool script_advance(Batch *batch) {
    Script *script = batch->operations;
    unsigned round = batch->rounds++;
    if (round == 0 && script->first) script->first(batch, script->context);
    if (round == 1 && script->second) script->second(batch, script->context);
    bool more = round == 0 && script->second;
    for (size_t i = 0; i < script->count; i++) {
        if (!script->ops[i].done) op_step(&script->ops[i], batch);
        more = more || !script->ops[i].done;
    }
    return more;
}

static void script_finish(Batch *batch) {
    list_each(&batch->rows, node) {
        Row *row = container_of(node, Row, in_rows);
        if (row->changed) batch_count_row(batch, row);
        batch_count_row(batch, row); /* idempotent */
    }
}

static void on_batch(Batch *batch, void *context) {
    StoreTest *test = context;
    (void)batch;
    test->answered = true;
}

void store_test_begin(StoreTest *test, Batch *batch, Script *script) {
    batch_init(batch);
    batch->advance = script_advance;
    batch->finish = script_finish;
    batch->operations = script;
    batch->random = &test->random;
    batch->last_due_us = &test->last_due_us;
    batch->count_to_us = script->count_to_us;
    batch->wipe = script->wipe;
    test->answered = false;
    store_run(test->store, batch, on_batch, test);
    assert_false(test->answered);
}

Err store_test_run(StoreTest *test, Batch *batch, Script *script) {
    store_test_begin(test, batch, script);
    while (!test->answered)
        run_one_post(test);
    return batch->outcome;
}

bool store_test_run_to_crash(StoreTest *test, Batch *batch, Script *script) {
    store_test_begin(test, batch, script);
    while (!list_is_empty(&test->posts))
        run_one_post(test);
    return !test->answered;
}

void store_test_do(StoreTest *test, Op *ops, size_t count) {
    Batch batch;
    Script script = {.ops = ops, .count = count};
    if (store_test_run(test, &batch, &script) != OK) print_error("%s\n", batch.error.message);
    assert_int_equal(batch.outcome, OK);
    for (size_t i = 0; i < count; i++) {
        job_copy(&ops[i].after, &test->arena);
    }
    batch_done(&batch);
}

Op store_test_one(StoreTest *test, Op op) {
    store_test_do(test, &op, 1);
    return op;
}

static void on_query(Query *query) {
    StoreTest *test = query->context;
    test->answered = true;
}

void store_test_query(StoreTest *test, Query *query) {
    query->done = on_query;
    query->context = test;
    test->answered = false;
    store_read(test->store, query);
    assert_false(test->answered);
    while (!test->answered)
        run_one_post(test);
    if (query->outcome != OK) print_error("%s\n", query->error.message);
    assert_int_equal(query->outcome, OK);
}

Job store_test_job(StoreTest *test, const JobKey *key) {
    Query query = {.kind = QUERY_JOB, .key = *key};
    store_test_query(test, &query);
    Job job = {.state = JOB_STATES};
    if (query.count > 0) job = query.jobs[0];
    job_copy(&job, &test->arena);
    arena_done(&query.arena);
    return job;
}

/* ---- makers ---- */

Job test_job(StoreTest *test) {
    Uuid uuid = uuid_make(&test->maker, test->now_us, &test->random);
    char text[UUID_TEXT_SIZE];
    Job job = job_default();
    job.key = job_key_from_uuid(&uuid, text);
    job.id = arena_str(&test->arena, str_from(text));
    job.type = STR("mail.send");
    job.created_us = job.enqueued_us = job.run_at_us = job.due_us = test->now_us;
    job.state = JOB_WAITING;
    return job;
}

Op op_insert(const Job *job) {
    return (Op){.kind = OP_INSERT, .key = job->key, .job = *job};
}

Op op_of(OpKind kind, const JobKey *key) {
    return (Op){.kind = kind, .key = *key};
}

Op op_start(const JobKey *key, const char *worker) {
    return (Op){.kind = OP_START, .key = *key, .lease = {.worker = str_from(worker)}};
}

Op op_succeed(const JobKey *key, int64_t fence, const char *worker) {
    return (Op){.kind = OP_SUCCEED,
                .key = *key,
                .lease = {fence, str_from(worker)},
                .text = STR("{\"n\":1}")};
}

/* ---- comparing ---- */

static bool same_retry(const RetryPolicy *a, const RetryPolicy *b) {
    cleanup(buf_done) Buf x;
    cleanup(buf_done) Buf y;
    buf_init(&x, 256);
    buf_init(&y, 256);
    retry_format(a, &x);
    retry_format(b, &y);
    return str_eq(buf_str(&x), buf_str(&y));
}

/* Absent and empty are not the same in the store. */
static bool same_text(Str a, Str b) {
    return (a.ptr == NULL) == (b.ptr == NULL) && str_eq(a, b);
}

static bool same_field(const JobField *field, const Job *a, const Job *b) {
    const void *x = (const char *)a + field->offset, *y = (const char *)b + field->offset;
    switch (field->kind) {
    case FIELD_INT: return *(const int64_t *)x == *(const int64_t *)y;
    case FIELD_TEXT: return same_text(*(const Str *)x, *(const Str *)y);
    case FIELD_KEY: return job_key_eq(x, y);
    case FIELD_RETRY: return same_retry(x, y);
    }
    return false;
}

const char *job_difference(const Job *a, const Job *b) {
    for (size_t i = 0; i < job_field_count; i++) {
        if (!same_field(&job_fields[i], a, b)) return job_fields[i].name;
    }
    return NULL;
}

void store_test_add(StoreTest *test, const Job *job) {
    Op op = store_test_one(test, op_insert(job));
    assert_int_equal(op.result, CHANGE_APPLIED);
}
