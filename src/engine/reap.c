/* Reaping: what a vanished worker held runs again elsewhere, and no attempt outlives its
 * deadline.
 *
 * Past its deadline an attempt of a worker that beats has failed with `timeout`; of one that
 * never did it is lost. Both are guarded by the row's state in the batch, like every change. */
#include "engine/internal.h"

#include "base/alloc.h"
#include "base/crash.h"
#include "telemetry/metric.h"
#include <stdlib.h>

enum { REAP_PAGE = 500 };

typedef struct Reap {
    Operation operation;
    Engine *engine;
    Arena arena;
    SessionRow session; /* its worker absent: whoever is overdue */
    bool forget;        /* the session's row too, once nothing is left to lose */
    bool forgot;
    Ask *ask;
    Ask **owners; /* per row of `ask`: the session of its worker */
    size_t lost, timed_out;
} Reap;

static void lose(Reap *reap, Row *row, const char *why, Batch *batch) {
    ChangeContext context = {batch->now_us, batch->random, &batch->arena};
    if (row->status != ROW_LOADED || job_lose(&row->job, why, &context) != CHANGE_APPLIED) return;
    batch_update(batch, row);
    reap->lost++;
}

/* A page of the worker's running jobs at a time; the row may have changed since it was asked for.
 */
static Step session_step(Operation *operation, Batch *batch) {
    Reap *reap = container_of(operation, Reap, operation);
    if (operation->phase == 0) {
        reap->lost = 0;
        reap->ask = batch_ask(batch, ASK_RUNNING_OF, reap->session.worker, 0, REAP_PAGE);
        operation->phase = 1;
        return STEP_MORE;
    }
    for (size_t i = 0; i < reap->ask->count; i++) {
        Row *row = reap->ask->rows[i];
        if (row->job.state == JOB_RUNNING && str_eq(row->job.worker, reap->session.worker)) {
            lose(reap, row, "the worker vanished", batch);
        }
    }
    bool all = reap->ask->count < REAP_PAGE;
    reap->forgot = all && reap->forget;
    if (reap->forgot) batch_session(batch, &reap->session, /* forget= */ true);
    return STEP_LAST;
}

static void reap_count(const Reap *reap) {
    Engine *engine = reap->engine;
    engine->stats.leases_lost += reap->lost;
    if (reap->lost > 0) metric_add(METRIC_LEASES_EXPIRED, NULL, (double)reap->lost);
}

static void session_done(Operation *operation) {
    crash_point(REAP_COMMITTED);
    Reap *reap = container_of(operation, Reap, operation);
    bool committed = operation->error.err == OK;
    if (committed) reap_count(reap);
    bool more = committed && reap->ask->count == REAP_PAGE;
    if (more) {
        /* the next page at once */
        session_reap_on(reap->engine, reap->session.worker);
    } else {
        session_reaped(reap->engine, reap->session.worker, committed && reap->forgot);
    }
    arena_done(&reap->arena);
    free(reap);
}

static const OperationKind session_kind = {.name = "reap", .step = session_step};

void reap_session(Engine *engine, Session *session, bool forget) {
    crash_point(REAP_BEGUN);
    Reap *reap = alloc_zero(1, sizeof *reap);
    reap->engine = engine;
    reap->session = *session_row(session);
    reap->session.worker = arena_str(&reap->arena, reap->session.worker);
    reap->session.info = arena_str(&reap->arena, reap->session.info);
    reap->forget = forget;
    reap->operation.kind = &session_kind;
    reap->operation.done = session_done;
    reap->operation.weight = REAP_PAGE;
    pipeline_submit(engine, &reap->operation);
}

/* ---- what never arrived ---- */

enum { KEEP_MOST = 10000 };

static bool is_held(const KeepRequest *request, int64_t fence) {
    for (size_t i = 0; i < request->held_count; i++) {
        if (request->held[i] == fence) return true;
    }
    return false;
}

static Step keep_step(Operation *operation, Batch *batch) {
    KeepRequest *request = container_of(operation, KeepRequest, operation);
    if (operation->phase++ == 0) {
        request->lost = 0;
        request->ask = batch_ask(batch, ASK_RUNNING_OF, request->worker, 0, KEEP_MOST);
        return STEP_MORE;
    }
    ChangeContext context = {batch->now_us, batch->random, &batch->arena};
    for (size_t i = 0; i < request->ask->count; i++) {
        Row *row = request->ask->rows[i];
        bool its = row->status == ROW_LOADED && row->job.state == JOB_RUNNING &&
                   str_eq(row->job.worker, request->worker);
        if (!its || is_held(request, row->job.fence)) continue;
        if (job_lose(&row->job, "it never reached the worker", &context) != CHANGE_APPLIED)
            continue;
        batch_update(batch, row);
        request->lost++;
    }
    return STEP_LAST;
}

static void keep_settle(Operation *operation, const Batch *batch) {
    KeepRequest *request = container_of(operation, KeepRequest, operation);
    (void)batch;
    if (request->lost > 0) crash_point(REAP_KEPT);
    request->engine->stats.leases_lost += request->lost;
    if (request->lost > 0) metric_add(METRIC_LEASES_EXPIRED, NULL, (double)request->lost);
}

static const OperationKind keep_kind = {
    .name = "keep", .step = keep_step, .settle = keep_settle, .first = true};

void engine_keep_only(Engine *engine, KeepRequest *request) {
    request->engine = engine;
    request->operation.kind = &keep_kind;
    pipeline_submit(engine, &request->operation);
}

/* ---- deadlines ---- */

static void overdue_decide(Reap *reap, Batch *batch) {
    ChangeContext context = {batch->now_us, batch->random, &batch->arena};
    for (size_t i = 0; i < reap->ask->count; i++) {
        Row *row = reap->ask->rows[i];
        const Job *job = &row->job;
        bool still = row->status == ROW_LOADED && job->state == JOB_RUNNING &&
                     job->deadline_us > 0 && job->deadline_us <= batch->now_us;
        if (!still) continue;
        const SessionRow *owner = reap->owners[i]->session;
        if (owner && owner->lease_ms > 0) {
            if (job_time_out(&row->job, &context) == CHANGE_APPLIED) batch_update(batch, row);
            reap->timed_out++;
        } else {
            lose(reap, row, "not heard of before its deadline", batch);
        }
    }
}

static Step overdue_step(Operation *operation, Batch *batch) {
    Reap *reap = container_of(operation, Reap, operation);
    switch (operation->phase++) {
    case 0:
        reap->lost = reap->timed_out = 0;
        reap->ask = batch_ask(batch, ASK_OVERDUE, (Str){0}, batch->now_us, REAP_PAGE);
        return STEP_MORE;
    case 1:
        if (reap->ask->count == 0) return STEP_DONE;
        reap->owners = arena_zero(&batch->arena, reap->ask->count, sizeof(Ask *));
        for (size_t i = 0; i < reap->ask->count; i++) {
            Str worker = reap->ask->rows[i]->job.worker;
            reap->owners[i] = batch_ask(batch, ASK_SESSION, worker.ptr ? worker : STR(""), 0, 1);
        }
        return STEP_MORE;
    default: overdue_decide(reap, batch); return STEP_LAST;
    }
}

static void overdue_settle(Operation *operation, const Batch *batch) {
    Reap *reap = container_of(operation, Reap, operation);
    (void)batch;
    for (size_t i = 0; reap->timed_out > 0 && i < reap->ask->count; i++) {
        const SessionRow *owner = reap->owners[i]->session;
        const Job *job = &reap->ask->rows[i]->job;
        if (owner && owner->lease_ms > 0) {
            metric_add(METRIC_JOB_ATTEMPTS_FAILED, LABELS(job->queue, job->type, STR("timeout")),
                       1);
        }
    }
}

static void overdue_done(Operation *operation) {
    crash_point(REAP_OVERDUE);
    Reap *reap = container_of(operation, Reap, operation);
    if (operation->error.err == OK) {
        reap_count(reap);
        bool full = reap->ask->count == REAP_PAGE;
        if (full) duty_wake(reap->engine, look_duty, engine_now_us(reap->engine));
    }
    reap->engine->overdue = false;
    arena_done(&reap->arena);
    free(reap);
}

static const OperationKind overdue_kind = {
    .name = "overdue", .step = overdue_step, .settle = overdue_settle};

void reap_overdue(Engine *engine) {
    if (engine->overdue) return;
    engine->overdue = true;
    Reap *reap = alloc_zero(1, sizeof *reap);
    reap->engine = engine;
    reap->operation.kind = &overdue_kind;
    reap->operation.done = overdue_done;
    reap->operation.weight = REAP_PAGE;
    pipeline_submit(engine, &reap->operation);
}
