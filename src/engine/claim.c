/* Claim: the broker's hints become leases. Guarded starts join the batch; the commit returns the
 * jobs.
 *
 * A start whose guard missed is classified: expired → cancelled; still waiting → hinted again (a
 * dropped hint would be a lost job); else it was a ghost. A claim of which nothing was delivered
 * is undone: attempt - 1, the fence kept. */
#include "engine/internal.h"

#include "base/alloc.h"
#include "base/crash.h"
#include "core/order.h"
#include <stdlib.h>

typedef struct Claim {
    Operation operation;
    Engine *engine;
    Arena arena;
    Taken *taken;
    size_t count;
    Str worker;
    int64_t grace_ms;
    ClaimDone claimed;
    void *context;
    Job *jobs; /* out: in the batch's arena */
    size_t job_count;
} Claim;

static Step claim_ask(Claim *claim, Batch *batch) {
    for (size_t i = 0; i < claim->count; i++) {
        Taken *taken = &claim->taken[i];
        taken->row = batch_row(batch, &taken->hint.key);
        taken->started =
            batch_start(batch, taken->row, taken->queue->name, claim->worker, claim->grace_ms);
        /* somebody else in this batch works on it: no claim, but see what becomes of it */
        if (!taken->started) batch_load(batch, taken->row);
    }
    claim->operation.phase = 1;
    return STEP_MORE;
}

static Step claim_step(Operation *operation, Batch *batch) {
    Claim *claim = container_of(operation, Claim, operation);
    if (operation->phase == 0) return claim_ask(claim, batch);
    bool more = false;
    ChangeContext context = {batch->now_us, batch->random, &batch->arena};
    for (size_t i = 0; i < claim->count; i++) {
        Taken *taken = &claim->taken[i];
        Row *row = taken->row;
        if (taken->started && row->hit) continue;
        taken->started = false;
        if (!batch_load(batch, row)) {
            more = true;
        } else if (row->status == ROW_LOADED && job_expire(&row->job, &context) == CHANGE_APPLIED) {
            batch_update(batch, row);
        }
    }
    return more ? STEP_MORE : STEP_LAST;
}

static void claim_settle(Operation *operation, const Batch *batch) {
    Claim *claim = container_of(operation, Claim, operation);
    Engine *engine = claim->engine;
    (void)batch;
    crash_point(CLAIM_COMMITTED);
    claim->jobs = arena_zero(&claim->arena, claim->count, sizeof *claim->jobs);
    for (size_t i = 0; i < claim->count; i++) {
        Taken *taken = &claim->taken[i];
        const Job *job = &taken->row->job;
        bool known = taken->row->status == ROW_LOADED || taken->row->status == ROW_HIT;
        broker_settle(engine->broker, taken->queue->name, &taken->hint.key, 1);
        if (taken->started && job->state == JOB_RUNNING) {
            claim->jobs[claim->job_count++] = *job;
        } else if (known && !taken->row->deleted && job->state == JOB_WAITING &&
                   !taken->row->changed) {
            /* rows that changed are hinted by publish_batch */
            Hint hint = {.key = taken->row->key,
                         .score = order_score(job->priority, job->due_us),
                         .due_us = job->due_us};
            EngineQueue *queue = queue_get(engine, job->queue);
            hints_push(queue, &hint, 1);
            promote_at(queue, job->due_us);
        }
    }
}

static void claim_done(Operation *operation) {
    Claim *claim = container_of(operation, Claim, operation);
    Engine *engine = claim->engine;
    const Error *error = NULL;
    if (operation->error.err != OK) {
        error = &operation->error;
        for (size_t i = 0; i < claim->count; i++) {
            Taken *taken = &claim->taken[i];
            broker_settle(engine->broker, taken->queue->name, &taken->hint.key, 1);
            hints_push(taken->queue, &taken->hint, 1);
            promote_at(taken->queue, engine_now_us(engine) + US_PER_S); /* other fetches try then */
        }
    }
    claim->claimed(claim->context, claim->jobs, claim->job_count, error);
    arena_done(&claim->arena);
    free(claim);
}

static const OperationKind claim_kind = {
    .name = "claim", .step = claim_step, .settle = claim_settle};

void claim(Engine *engine, const Taken *taken, size_t count, Str worker, int64_t grace_ms,
           ClaimDone done, void *context) {
    crash_point(CLAIM_TAKEN);
    Claim *claim = alloc_zero(1, sizeof *claim);
    claim->engine = engine;
    claim->taken = arena_zero(&claim->arena, count, sizeof *taken);
    for (size_t i = 0; i < count; i++) {
        claim->taken[i] = taken[i];
    }
    claim->count = count;
    claim->worker = arena_str(&claim->arena, worker);
    claim->grace_ms = grace_ms;
    claim->claimed = done;
    claim->context = context;
    claim->operation.kind = &claim_kind;
    claim->operation.done = claim_done;
    claim->operation.weight = count;
    pipeline_submit(engine, &claim->operation);
}

/* ---- undo ---- */

typedef struct Undo {
    Operation operation;
    Arena arena;
    JobKey *keys;
    Lease *leases;
    Row **rows;
    bool *decided;
    size_t count;
} Undo;

static Step undo_step(Operation *operation, Batch *batch) {
    Undo *undo = container_of(operation, Undo, operation);
    ChangeContext context = {batch->now_us, batch->random, &batch->arena};
    bool more = false;
    for (size_t i = 0; i < undo->count; i++) {
        if (operation->phase == 0) {
            undo->rows[i] = batch_row(batch, &undo->keys[i]);
            undo->decided[i] = false;
        }
        if (undo->decided[i]) continue;
        if (!batch_load(batch, undo->rows[i])) {
            more = true;
            continue;
        }
        undo->decided[i] = true;
        if (undo->rows[i]->status == ROW_LOADED &&
            job_return(&undo->rows[i]->job, &undo->leases[i], &context) == CHANGE_APPLIED) {
            batch_update(batch, undo->rows[i]);
        }
    }
    operation->phase = 1;
    return more ? STEP_MORE : STEP_LAST;
}

/* When the store is away the leases simply run their course. */
static void undo_done(Operation *operation) {
    crash_point(CLAIM_UNDONE);
    Undo *undo = container_of(operation, Undo, operation);
    arena_done(&undo->arena);
    free(undo);
}

static const OperationKind undo_kind = {.name = "return", .step = undo_step, .first = true};

void claim_undo(Engine *engine, const Job *jobs, size_t count) {
    Undo *undo = alloc_zero(1, sizeof *undo);
    undo->keys = arena_zero(&undo->arena, count, sizeof *undo->keys);
    undo->leases = arena_zero(&undo->arena, count, sizeof *undo->leases);
    undo->rows = arena_zero(&undo->arena, count, sizeof(Row *));
    undo->decided = arena_zero(&undo->arena, count, sizeof(bool));
    undo->count = count;
    for (size_t i = 0; i < count; i++) {
        undo->keys[i] = jobs[i].key;
        undo->leases[i] =
            (Lease){.fence = jobs[i].fence, .worker = arena_str(&undo->arena, jobs[i].worker)};
    }
    undo->operation.kind = &undo_kind;
    undo->operation.done = undo_done;
    undo->operation.weight = count;
    pipeline_submit(engine, &undo->operation);
}
