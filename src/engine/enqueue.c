/* Enqueue: jobs come in, one or many, all or none.
 *
 * An id that the node makes is new by construction and is inserted without a look; one that the
 * client brought is loaded first. Over HTTP it stays the id of its job as long as that is kept;
 * over the worker protocol an ended job gives its id free. */
#include "engine/internal.h"

/* Jobs for now get a place of their own, a µs apart, so that first-in-first-out does not hang on
 * ids; jobs for later are due as asked, plus their position in the call. */
static int64_t place(const Job *job, size_t index, Batch *batch) {
    if (job->run_at_us > batch->now_us) return job->run_at_us + (int64_t)index;
    int64_t due_us = batch->now_us;
    if (due_us <= *batch->last_due_us) due_us = *batch->last_due_us + 1;
    *batch->last_due_us = due_us;
    return due_us;
}

static void insert(EnqueueItem *item, size_t index, Batch *batch) {
    ChangeContext context = {batch->now_us, batch->random, &batch->arena};
    Job job = item->job;
    int64_t due_us = place(&job, index, batch);
    if (job.run_at_us <= 0) job.run_at_us = batch->now_us;
    job_enter(&job, due_us, &context);
    batch_insert(batch, item->row, &job);
    item->decided = true;
}

/* true: decided now. */
static bool decide(const EnqueueRequest *request, EnqueueItem *item, size_t index, Batch *batch) {
    Row *row = item->row;
    if (!batch_load(batch, row)) return false;
    if (row->status == ROW_LOADED) {
        bool ended = job_is_finished(&row->job);
        item->duplicate = !request->wire || !ended;
        item->decided = item->duplicate;
        if (item->duplicate) return true;
        /* the ended job's own change is written first: it stays as history */
        if (row_is_pending(row)) return false;
    }
    insert(item, index, batch);
    return true;
}

static Step enqueue_step(Operation *operation, Batch *batch) {
    EnqueueRequest *request = container_of(operation, EnqueueRequest, operation);
    bool more = false;
    for (size_t i = 0; i < request->count; i++) {
        EnqueueItem *item = &request->items[i];
        if (operation->phase == 0) {
            item->row = batch_row(batch, &item->job.key);
            item->decided = item->duplicate = false;
            if (item->made_id) {
                insert(item, i, batch);
                continue;
            }
        }
        if (!item->decided && !decide(request, item, i, batch)) more = true;
    }
    operation->phase = 1;
    return more ? STEP_MORE : STEP_LAST;
}

static void enqueue_settle(Operation *operation, const Batch *batch) {
    EnqueueRequest *request = container_of(operation, EnqueueRequest, operation);
    (void)batch;
    for (size_t i = 0; i < request->count; i++) {
        EnqueueItem *item = &request->items[i];
        if (item->duplicate) request->engine->stats.duplicates++;
        if (!request->need_result) continue;
        item->result = item->row->job;
        job_copy(&item->result, request->arena);
    }
}

static const OperationKind enqueue_kind = {
    .name = "enqueue", .step = enqueue_step, .settle = enqueue_settle};

void engine_enqueue(Engine *engine, EnqueueRequest *request) {
    size_t bytes = 0;
    for (size_t i = 0; i < request->count; i++) {
        EnqueueItem *item = &request->items[i];
        item->made_id = !item->job.id.ptr;
        if (item->made_id) {
            char *text = arena_alloc(request->arena, UUID_TEXT_SIZE);
            item->job.key = engine_make_key(engine, text);
            item->job.id = str_from(text);
        } else {
            item->job.key = job_key_from_id(item->job.id);
        }
        bytes += job_size(&item->job);
    }
    request->engine = engine;
    request->operation.kind = &enqueue_kind;
    request->operation.weight = request->count;
    request->operation.bytes = bytes;
    pipeline_submit(engine, &request->operation);
}
