/* Duties that look after the rows: what was not started in time is cancelled, ended jobs are
 * forgotten after their time, the counted frontier moves on.
 *
 * One look a second at most asks the store what is next of all these, so that an idle node costs
 * one cheap query. */
#include "engine/internal.h"

#include "base/alloc.h"
#include "base/crash.h"
#include <stdlib.h>

enum { UPKEEP_PAGE = 500 };
#define LOOK_EVERY_US US_PER_S
#define LOOK_QUICK_US (US_PER_S / 2) /* in a cluster */

typedef struct Upkeep {
    Operation operation;
    Engine *engine;
    Ask *ask, *ask_dead;
    bool *busy; /* the engine's flag for this duty */
} Upkeep;

static void upkeep_done(Operation *operation) {
    Upkeep *upkeep = container_of(operation, Upkeep, operation);
    *upkeep->busy = false;
    bool full = (upkeep->ask && upkeep->ask->count == UPKEEP_PAGE) ||
                (upkeep->ask_dead && upkeep->ask_dead->count == UPKEEP_PAGE);
    if (operation->error.err == OK && full) {
        duty_wake(upkeep->engine, look_duty, engine_now_us(upkeep->engine) + LOOK_EVERY_US / 20);
    }
    free(upkeep);
}

static void upkeep_submit(Engine *engine, const OperationKind *kind, bool *busy, size_t weight) {
    if (*busy) return;
    *busy = true;
    Upkeep *upkeep = alloc_zero(1, sizeof *upkeep);
    upkeep->engine = engine;
    upkeep->busy = busy;
    upkeep->operation.kind = kind;
    upkeep->operation.done = upkeep_done;
    upkeep->operation.weight = weight;
    pipeline_submit(engine, &upkeep->operation);
}

/* ---- expire ---- */

static Step expire_step(Operation *operation, Batch *batch) {
    Upkeep *upkeep = container_of(operation, Upkeep, operation);
    if (operation->phase++ == 0) {
        upkeep->ask = batch_ask(batch, ASK_EXPIRED, (Str){0}, batch->now_us, UPKEEP_PAGE);
        return STEP_MORE;
    }
    ChangeContext context = {batch->now_us, batch->random, &batch->arena};
    for (size_t i = 0; i < upkeep->ask->count; i++) {
        Row *row = upkeep->ask->rows[i];
        if (row->status != ROW_LOADED) continue;
        if (job_expire(&row->job, &context) == CHANGE_APPLIED) batch_update(batch, row);
    }
    crash_point(EXPIRE_DECIDED);
    return STEP_LAST;
}

static const OperationKind expire_kind = {.name = "expire", .step = expire_step};

void expire_waiting(Engine *engine) {
    upkeep_submit(engine, &expire_kind, &engine->expiring, UPKEEP_PAGE);
}

/* ---- prune ---- */

static void prune_rows(const Ask *ask, Batch *batch) {
    for (size_t i = 0; i < ask->count; i++) {
        Row *row = ask->rows[i];
        /* another operation of this batch may have begun its next run */
        if (row->status == ROW_LOADED && !row->deleted && job_is_finished(&row->job)) {
            batch_delete(batch, row);
        }
    }
}

static Step prune_step(Operation *operation, Batch *batch) {
    Upkeep *upkeep = container_of(operation, Upkeep, operation);
    const EngineOptions *options = &upkeep->engine->options;
    if (operation->phase++ == 0) {
        upkeep->ask = batch_ask(batch, ASK_PRUNABLE, (Str){0},
                                batch->now_us - options->keep_finished_ms * US_PER_MS, UPKEEP_PAGE);
        upkeep->ask_dead =
            batch_ask(batch, ASK_PRUNABLE_DEAD, (Str){0},
                      batch->now_us - options->keep_dead_ms * US_PER_MS, UPKEEP_PAGE);
        return STEP_MORE;
    }
    prune_rows(upkeep->ask, batch);
    prune_rows(upkeep->ask_dead, batch);
    crash_point(PRUNE_DECIDED);
    return STEP_LAST;
}

static const OperationKind prune_kind = {.name = "prune", .step = prune_step};

void prune_finished(Engine *engine) {
    upkeep_submit(engine, &prune_kind, &engine->pruning, 2 * UPKEEP_PAGE);
}

/* ---- the counted frontier ---- */

static Step count_step(Operation *operation, Batch *batch) {
    (void)operation;
    batch->count_to_us = batch->now_us;
    return STEP_LAST;
}

static const OperationKind count_kind = {.name = "count", .step = count_step};

int64_t count_duty(Engine *engine, int64_t now_us) {
    /* while the store is away this is also what finds out that it is back, should nobody ask for
     * anything */
    if (engine->changes > engine->counted_changes || !engine->store_up) {
        upkeep_submit(engine, &count_kind, &engine->counting, 1);
        engine->counted_changes = engine->changes; /* its own commit changes no job */
    }
    return now_us + US_PER_S;
}

/* ---- the look ---- */

static void look_after(Engine *engine, const Query *query) {
    int64_t now_us = engine_now_us(engine);
    const EngineOptions *options = &engine->options;
    int64_t finished_us = query->next_finished_us, dead_us = query->next_dead_us;
    if (query->next_deadline_us > 0 && query->next_deadline_us <= now_us) reap_overdue(engine);
    if (query->next_expiry_us > 0 && query->next_expiry_us <= now_us) expire_waiting(engine);
    bool finished =
        finished_us > 0 && finished_us + options->keep_finished_ms * US_PER_MS <= now_us;
    bool dead = dead_us > 0 && dead_us + options->keep_dead_ms * US_PER_MS <= now_us;
    if (finished || dead) prune_finished(engine);
    int64_t oldest_us = query->oldest_seen_us;
    if (oldest_us > 0 && oldest_us + LEASE_QUICK_MS * US_PER_MS <= now_us) reap_strangers(engine);
    queues_set_paused(engine, query);
}

/* A node of a cluster may have nothing else to ask: that it can't, or not for long, is seen here too. */
static void note_touch(Engine *engine, const Query *query) {
    int64_t now_us = engine_now_us(engine);
    if (query->outcome == ERR_UNAVAILABLE) engine_lost_touch(engine);
    bool slow = now_us - engine->look_sent_us > ENGINE_AWAY_US;
    if (query->outcome == OK && slow) engine->connected_since_us = now_us;
}

static void on_looked(Query *query) {
    Engine *engine = query->context;
    bool cluster = query->kind == QUERY_EVERY;
    engine->looking = false;
    if (cluster) note_touch(engine, query);
    if (query->outcome == OK) look_after(engine, query);
    if (query->outcome == OK && cluster) {
        bool workers = engine->sessions.count > 0;
        engine->look_quick = (query->next_deadline_us > 0 && workers) || engine->watches.count > 0;
        node_looked(engine, query);
        control_looked(engine, query);
    }
    arena_done(&query->arena);
    free(query);
}

int64_t look_duty(Engine *engine, int64_t now_us) {
    if (!engine->looking) {
        engine->looking = true;
        engine->look_sent_us = now_us;
        Query *query = alloc_zero(1, sizeof *query);
        query->kind = engine->options.cluster ? QUERY_EVERY : QUERY_NEXT;
        if (engine->options.cluster) control_ask(engine, query);
        query->done = on_looked;
        query->context = engine;
        store_read(engine->store, query);
    }
    return now_us + (engine->look_quick ? LOOK_QUICK_US : LOOK_EVERY_US);
}

void look_quickly(Engine *engine) {
    if (!engine->options.cluster || engine->look_quick) return;
    engine->look_quick = true;
    duty_wake(engine, look_duty, engine->look_sent_us + LOOK_QUICK_US);
}
