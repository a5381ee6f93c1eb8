/* The identity map of a batch and its bookkeeping: see batch.h.
 *
 * Knows nothing of how a store writes. The invariant: a row is in `flush` exactly while something
 * is asked or pending for it, and `before` always tells how the stored job was counted when it was
 * met, or since it was last settled in `counts`. */
#include "store/batch.h"

void batch_init(Batch *batch) {
    *batch = (Batch){0};
    list_init(&batch->rows);
    list_init(&batch->flush);
}

void batch_done(Batch *batch) {
    if (!batch) return;
    map_done(&batch->by_key);
    map_done(&batch->counts);
    arena_done(&batch->arena);
}

void batch_restart(Batch *batch) {
    map_clear(&batch->by_key);
    map_clear(&batch->counts);
    list_init(&batch->rows);
    list_init(&batch->flush);
    batch->row_count = 0;
    batch->asks = NULL;
    batch->logs = NULL;
    batch->sessions = NULL;
    batch->queues = NULL;
    batch->tokens = NULL;
    batch->nodes = NULL;
    batch->controls = NULL;
    batch->rounds = 0;
    batch->count_to_us = 0;
    batch->wipe = false;
    batch->outcome = OK;
    batch->error = (Error){0};
}

Row *batch_row_apart(Batch *batch, const JobKey *key) {
    Row *row = arena_new(&batch->arena, Row);
    row->key = *key;
    row->state_before = JOB_STATES;
    list_append(&batch->rows, &row->in_rows);
    batch->row_count++;
    return row;
}

Row *batch_row(Batch *batch, const JobKey *key) {
    Row *row = map_get(&batch->by_key, job_key_str(key));
    if (row) return row;
    row = batch_row_apart(batch, key);
    map_put(&batch->by_key, job_key_str(&row->key), row);
    return row;
}

static void wait_for_flush(Batch *batch, Row *row) {
    if (!list_holds(&row->in_flush)) list_append(&batch->flush, &row->in_flush);
}

bool batch_load(Batch *batch, Row *row) {
    switch (row->status) {
    case ROW_LOADED:
    case ROW_MISSING: return true;
    case ROW_HIT:
        if (row->job.state == JOB_RUNNING) { /* a start: the job is complete already */
            row->status = ROW_LOADED;
            return true;
        }
        break;
    case ROW_ASKED:
    case ROW_BLIND: return false;
    case ROW_UNKNOWN: break;
    }
    row->status = ROW_ASKED;
    wait_for_flush(batch, row);
    return false;
}

static bool is_unused(const Row *row) {
    return row->status == ROW_UNKNOWN && row->write == WRITE_NONE;
}

bool batch_start(Batch *batch, Row *row, Str queue, Str worker, int64_t grace_ms) {
    if (!is_unused(row)) return false;
    row->status = ROW_BLIND;
    row->write = WRITE_START;
    row->lease = (Lease){.worker = arena_str(&batch->arena, worker)};
    row->start_queue = arena_str(&batch->arena, queue);
    row->grace_ms = grace_ms;
    wait_for_flush(batch, row);
    return true;
}

bool batch_succeed(Batch *batch, Row *row, const Lease *lease, Str result, Str hash) {
    if (!is_unused(row)) return false;
    row->status = ROW_BLIND;
    row->write = WRITE_SUCCEED;
    row->lease = (Lease){.fence = lease->fence, .worker = arena_str(&batch->arena, lease->worker)};
    row->result = arena_str(&batch->arena, result);
    row->hash = arena_str(&batch->arena, hash);
    wait_for_flush(batch, row);
    return true;
}

/* What a job stands for in the counts. A row that is not known to exist stands for nothing. */
static RowBefore count_of(const Batch *batch, const Row *row) {
    if (row->status != ROW_LOADED && row->status != ROW_HIT) return (RowBefore){0};
    return (RowBefore){.counted = true, .status = job_status_at(&row->job, batch->frontier_us)};
}

CountDelta *batch_counts(Batch *batch, Str queue) {
    CountDelta *delta = map_get(&batch->counts, queue);
    if (delta) return delta;
    delta = arena_new(&batch->arena, CountDelta);
    delta->queue = arena_str(&batch->arena, queue);
    map_put(&batch->counts, delta->queue, delta);
    return delta;
}

void batch_count_row(Batch *batch, Row *row) {
    RowBefore now = count_of(batch, row);
    if (row->before.counted) batch_counts(batch, row->queue_before)->by[row->before.status]--;
    if (now.counted) {
        batch_counts(batch, row->job.queue)->by[now.status]++;
        row->queue_before = row->job.queue;
    }
    row->before = now;
}

void batch_insert(Batch *batch, Row *row, const Job *job) {
    check(row->write == WRITE_NONE);
    check(row->status == ROW_MISSING || row->status == ROW_UNKNOWN ||
          (row->status == ROW_LOADED && job_is_finished(&row->job)));
    batch_count_row(batch, row); /* the job that had this key until now stays as it is */
    row->before = (RowBefore){0};
    row->state_before = JOB_STATES;
    row->queue_before = (Str){0};
    row->slot = 0;
    row->job = *job;
    job_copy(&row->job, &batch->arena);
    row->status = ROW_LOADED;
    row->write = WRITE_INSERT;
    row->inserted = row->changed = true;
    row->deleted = false;
    wait_for_flush(batch, row);
}

void batch_update(Batch *batch, Row *row) {
    check(row->status == ROW_LOADED);
    row->changed = true;
    if (row->write == WRITE_INSERT) return;
    row->write = WRITE_UPDATE;
    wait_for_flush(batch, row);
}

void batch_delete(Batch *batch, Row *row) {
    check(row->status == ROW_LOADED);
    row->deleted = row->changed = true;
    row->status = ROW_UNKNOWN; /* an older job of the same key may come to light */
    batch_count_row(batch, row);
    if (row->write == WRITE_INSERT) {
        row->write = WRITE_NONE;
        list_remove(&row->in_flush);
        return;
    }
    row->write = WRITE_DELETE;
    wait_for_flush(batch, row);
}

bool row_is_pending(const Row *row) {
    return row->write != WRITE_NONE;
}

/* ---- asks and writes beside the rows; each list keeps the order of the calls ---- */

#define APPEND(list, item)                                                                         \
    do {                                                                                           \
        __typeof__(list) *end = &(list);                                                           \
        while (*end)                                                                               \
            end = &(*end)->next;                                                                   \
        *end = (item);                                                                             \
    } while (0)

Ask *batch_ask(Batch *batch, AskKind kind, Str text, int64_t until_us, size_t limit) {
    Ask *ask = arena_new(&batch->arena, Ask);
    ask->kind = kind;
    ask->text = arena_str(&batch->arena, text);
    ask->until_us = until_us;
    ask->limit = limit;
    APPEND(batch->asks, ask);
    return ask;
}

void batch_log(Batch *batch, Row *row, Str text) {
    LogWrite *write = arena_new(&batch->arena, LogWrite);
    write->row = row;
    write->text = arena_str(&batch->arena, text);
    APPEND(batch->logs, write);
}

void batch_session(Batch *batch, const SessionRow *session, bool forget) {
    SessionWrite *write = arena_new(&batch->arena, SessionWrite);
    write->session = *session;
    write->session.worker = arena_str(&batch->arena, session->worker);
    write->session.node = arena_str(&batch->arena, session->node);
    write->session.info = arena_str(&batch->arena, session->info);
    write->forget = forget;
    APPEND(batch->sessions, write);
}

void batch_queue(Batch *batch, Str queue, bool paused) {
    QueueWrite *write = arena_new(&batch->arena, QueueWrite);
    write->queue = arena_str(&batch->arena, queue);
    write->paused = paused;
    APPEND(batch->queues, write);
}

void batch_token(Batch *batch, Str token_id, int64_t until_us) {
    TokenWrite *write = arena_new(&batch->arena, TokenWrite);
    write->token_id = arena_str(&batch->arena, token_id);
    write->until_us = until_us;
    APPEND(batch->tokens, write);
}

void batch_node(Batch *batch, const NodeRow *node, bool forget) {
    NodeWrite *write = arena_new(&batch->arena, NodeWrite);
    write->node = *node;
    write->node.name = arena_str(&batch->arena, node->name);
    write->node.instance = arena_str(&batch->arena, node->instance);
    write->node.version = arena_str(&batch->arena, node->version);
    write->node.info = arena_str(&batch->arena, node->info);
    write->forget = forget;
    APPEND(batch->nodes, write);
}

static bool control_is(const ControlRow *a, const ControlRow *b) {
    return a->kind == b->kind && str_eq(a->subject, b->subject) && str_eq(a->detail, b->detail);
}

void batch_control(Batch *batch, const ControlRow *control) {
    for (const ControlWrite *write = batch->controls; write; write = write->next) {
        if (control_is(&write->control, control)) return;
    }
    ControlWrite *write = arena_new(&batch->arena, ControlWrite);
    write->control = *control;
    write->control.node = arena_str(&batch->arena, control->node);
    write->control.subject = arena_str(&batch->arena, control->subject);
    write->control.detail = arena_str(&batch->arena, control->detail);
    write->control.at_us = batch->now_us;
    APPEND(batch->controls, write);
}

/* ---- what a store reports ---- */

static void set_job(Batch *batch, Row *row, int64_t slot, const Job *job, RowStatus status) {
    row->slot = slot;
    row->job = *job;
    job_copy(&row->job, &batch->arena);
    row->status = status;
}

/* Met for the first time, in the state `before`. */
static void meet(Batch *batch, Row *row, JobState before) {
    Job then = row->job;
    then.state = before;
    row->state_before = before;
    row->queue_before = row->job.queue;
    row->before = (RowBefore){true, job_status_at(&then, batch->frontier_us)};
}

void batch_found(Batch *batch, Row *row, int64_t slot, const Job *job) {
    bool first = row->slot == 0;
    if (row->status == ROW_LOADED && !first) return; /* what the batch holds is as new */
    set_job(batch, row, slot, job, ROW_LOADED);
    if (first) meet(batch, row, (JobState)job->state);
}

void batch_missing(Batch *batch, Row *row) {
    (void)batch;
    row->status = ROW_MISSING;
}

void batch_hit(Batch *batch, Row *row, int64_t slot, const Job *job) {
    check(row->write == WRITE_START || row->write == WRITE_SUCCEED);
    JobState before = row->write == WRITE_START ? JOB_WAITING : JOB_RUNNING;
    set_job(batch, row, slot, job, ROW_HIT);
    row->hit = row->changed = true;
    meet(batch, row, before);
}

void batch_written(Batch *batch, Row *row, int64_t slot) {
    (void)batch;
    row->write = WRITE_NONE;
    row->slot = slot;
}
