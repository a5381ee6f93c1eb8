/* Dispatch straight from the store, while there is no broker or it is away.
 *
 * A fetch asks for ready rows of its queues in the batch that starts them; other nodes' batches pass
 * over what it has locked, so nobody starts a row twice or in vain. A queue that had nothing is dry
 * until something is known to have changed or a second has passed: then all queues that are waited for
 * are asked in one batch. Invariant: at most CLAIMS_MOST claims of a queue are under way. */
#include "engine/dispatch_internal.h"

#include "base/alloc.h"
#include "base/crash.h"
#include <stdlib.h>

#define ROUND_US US_PER_S

enum { CLAIMS_MOST = 8 };

typedef struct StoreClaim {
    Operation operation;
    Arena arena;
    FetchState *state;
    Str worker;
    int64_t grace_ms;
    size_t max;
    bool *paused; /* per slot, likewise the next */
    Ask **asks;   /* NULL: paused */
    Row **rows;   /* started */
    size_t count;
    Job *jobs; /* out: in the batch's arena */
    size_t job_count;
} StoreClaim;

static void claim_ask(StoreClaim *claim, Batch *batch) {
    const FetchState *state = claim->state;
    claim->count = 0;
    for (size_t i = 0; i < state->slot_count; i++) {
        Str queue = state->slots[i].queue->name;
        if (claim->paused[i]) continue;
        claim->asks[i] = batch_ask(batch, ASK_READY, queue, batch->now_us, claim->max);
    }
}

/* In the order of the fetch's queues, strictly. */
static void claim_start(StoreClaim *claim, Batch *batch) {
    const FetchState *state = claim->state;
    for (size_t i = 0; i < state->slot_count; i++) {
        const Ask *ask = claim->asks[i];
        for (size_t k = 0; ask && k < ask->count && claim->count < claim->max; k++) {
            Row *row = ask->rows[k];
            Str queue = state->slots[i].queue->name;
            if (!batch_start(batch, row, queue, claim->worker, claim->grace_ms)) continue;
            claim->rows[claim->count++] = row;
        }
    }
}

static Step store_claim_step(Operation *operation, Batch *batch) {
    StoreClaim *claim = container_of(operation, StoreClaim, operation);
    if (operation->phase++ == 0) {
        claim_ask(claim, batch);
        return STEP_MORE;
    }
    claim_start(claim, batch);
    return claim->count > 0 ? STEP_LAST : STEP_DONE;
}

static void store_claim_settle(Operation *operation, const Batch *batch) {
    StoreClaim *claim = container_of(operation, StoreClaim, operation);
    (void)batch;
    crash_point(CLAIM_COMMITTED);
    claim->jobs = arena_zero(&claim->arena, claim->count + 1, sizeof *claim->jobs);
    for (size_t i = 0; i < claim->count; i++) {
        const Row *row = claim->rows[i];
        if (row->hit && row->job.state == JOB_RUNNING) claim->jobs[claim->job_count++] = row->job;
    }
}

static void store_claim_done(Operation *operation) {
    StoreClaim *claim = container_of(operation, StoreClaim, operation);
    FetchState *state = claim->state;
    Engine *engine = state->engine;
    bool failed = operation->error.err != OK;
    for (size_t i = 0; i < state->slot_count; i++) {
        EngineQueue *queue = state->slots[i].queue;
        queue->claims--;
        if (!failed && claim->asks[i] && claim->asks[i]->count == 0) queue->dry = true;
    }
    state->asked_store = !failed;
    if (claim->job_count == 0 && state->fetch && !failed) {
        fetch_park(state);
    } else {
        fetch_finish(state, claim->jobs, claim->job_count, failed ? &operation->error : NULL);
    }
    store_dispatch_soon(engine);
    arena_done(&claim->arena);
    free(claim);
}

static const OperationKind store_claim_kind = {
    .name = "store-claim", .step = store_claim_step, .settle = store_claim_settle};

static void claim_from_store(FetchState *state) {
    fetch_unpark(state);
    state->where = FETCH_CLAIMING;
    StoreClaim *claim = alloc_zero(1, sizeof *claim);
    claim->state = state;
    claim->worker = arena_str(&claim->arena, state->fetch->worker);
    claim->grace_ms = state->fetch->grace_ms;
    claim->max = state->fetch->max;
    claim->paused = arena_zero(&claim->arena, state->slot_count, sizeof(bool));
    claim->asks = arena_zero(&claim->arena, state->slot_count, sizeof(Ask *));
    claim->rows = arena_zero(&claim->arena, claim->max, sizeof(Row *));
    for (size_t i = 0; i < state->slot_count; i++) {
        claim->paused[i] = state->slots[i].queue->paused;
        state->slots[i].queue->claims++;
    }
    claim->operation.kind = &store_claim_kind;
    claim->operation.done = store_claim_done;
    claim->operation.weight = claim->max;
    pipeline_submit(state->engine, &claim->operation);
}

static bool may_have(const EngineQueue *queue) {
    return !queue->paused && !queue->dry && queue->claims < CLAIMS_MOST;
}

/* Fetches of this queue that one of theirs may have a job for, as long as it may. */
static void serve(EngineQueue *queue) {
    size_t count = 0;
    list_each(&queue->waiting, node) {
        count++;
    }
    while (count-- > 0 && may_have(queue) && !list_is_empty(&queue->waiting)) {
        claim_from_store(container_of(list_first(&queue->waiting), FetchSlot, node)->state);
    }
}

int64_t store_dispatch_duty(Engine *engine, int64_t now_us) {
    if (broker_is_up(engine->broker, NULL) || engine->draining) return INT64_MAX;
    if (engine->held) return now_us + ROUND_US;
    bool round = now_us >= engine->store_round_us;
    if (round) engine->store_round_us = now_us + ROUND_US;
    size_t at = 0;
    EngineQueue *queue;
    while ((queue = map_next(&engine->queues, &at))) {
        if (round) queue->dry = false;
        serve(queue);
    }
    return engine->store_round_us;
}

void store_dispatch_soon(Engine *engine) {
    if (!broker_is_up(engine->broker, NULL)) {
        duty_wake(engine, store_dispatch_duty, engine_now_us(engine));
    }
}

void store_dispatch(EngineQueue *queue) {
    queue->dry = false;
    store_dispatch_soon(queue->engine);
}
