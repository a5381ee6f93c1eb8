/* Reaping: what a vanished worker held runs again elsewhere, and no attempt outlives its
 * deadline.
 *
 * A worker is gone when every session of it is, whichever node it has told: this is decided in the
 * batch, over rows that nobody else can write meanwhile. Past its deadline an attempt of a worker
 * that beats has failed with `timeout`; of one that never did it is lost. */
#include "engine/internal.h"

#include "base/alloc.h"
#include "base/crash.h"
#include "telemetry/metric.h"
#include <stdlib.h>

enum {
    REAP_PAGE = 500,
    REAP_WEIGHT = REAP_PAGE / 2, /* few workers hold that many */
    SESSIONS_MOST = 64, /* of one worker: a row for each node that it has spoken to lately */
};

typedef struct Reap {
    Operation operation;
    Engine *engine;
    Arena arena;
    Str worker;
    bool has_own; /* the worker has spoken to this node: `own` is newer than what is stored */
    SessionRow own;
    bool forget_own;       /* nobody is connected: the row goes too, once nothing is left to lose */
    bool gone, forgot_own; /* what became of it */
    int64_t over_us;       /* no sooner is every session of it over, as far as is known now */
    bool stranger;         /* it is another node's session that has brought this up */
    Ask *ask, *sessions;
    Ask **owners; /* per row of `ask`: the sessions of its worker */
    size_t lost, timed_out;
} Reap;

static Reap *reap_new(Engine *engine, Str worker) {
    Reap *reap = alloc_zero(1, sizeof *reap);
    reap->engine = engine;
    reap->worker = arena_str(&reap->arena, worker);
    reap->operation.weight = REAP_WEIGHT;
    return reap;
}

static void reap_free(Reap *reap) {
    arena_done(&reap->arena);
    free(reap);
}

static void lose(Reap *reap, Row *row, const char *why, Batch *batch) {
    ChangeContext context = {batch->now_us, batch->random, &batch->arena};
    if (row->status != ROW_LOADED || job_lose(&row->job, why, &context) != CHANGE_APPLIED) return;
    batch_update(batch, row);
    reap->lost++;
}

/* What another process has written under this node's name, before or after, is not. */
static bool is_own(const Reap *reap, const SessionRow *row) {
    return reap->has_own && str_eq(row->node, reap->own.node) && row->seen_us <= reap->own.seen_us;
}

static int64_t over_at(const Reap *reap, const SessionRow *row, const Batch *batch) {
    bool own = is_own(reap, row);
    /* one that never beat there has no lease that it could hold on to */
    if (row->lease_ms == 0 && !own) return 0;
    return session_gone_at(own ? &reap->own : row, batch->connected_since_us, own);
}

static bool is_over(const Reap *reap, const SessionRow *row, const Batch *batch) {
    return over_at(reap, row, batch) <= batch->now_us;
}

/* A page of the worker's running jobs at a time; the row may have changed since it was asked for. */
static void lose_page(Reap *reap, Batch *batch) {
    for (size_t i = 0; i < reap->ask->count; i++) {
        Row *row = reap->ask->rows[i];
        /* one that starts in this very batch goes to a worker that is back */
        bool held = row->job.state == JOB_RUNNING && row->state_before == JOB_RUNNING;
        if (held && str_eq(row->job.worker, reap->worker)) {
            lose(reap, row, "the worker vanished", batch);
        }
    }
}

static Step session_step(Operation *operation, Batch *batch) {
    Reap *reap = container_of(operation, Reap, operation);
    if (operation->phase++ == 0) {
        reap->lost = 0;
        reap->forgot_own = false;
        reap->sessions = batch_ask(batch, ASK_SESSIONS, reap->worker, 0, SESSIONS_MOST);
        reap->ask = batch_ask(batch, ASK_RUNNING_OF, reap->worker, 0, REAP_PAGE);
        return STEP_MORE;
    }
    const Ask *sessions = reap->sessions;
    reap->over_us = reap->has_own ? over_at(reap, &reap->own, batch) : 0;
    for (size_t i = 0; i < sessions->count; i++) {
        int64_t over_us = over_at(reap, &sessions->sessions[i], batch);
        if (over_us > reap->over_us) reap->over_us = over_us;
    }
    reap->gone = reap->over_us <= batch->now_us;
    if (reap->gone) lose_page(reap, batch);
    /* while it has jobs to lose its sessions are needed, else only those that go on */
    if (reap->gone && reap->ask->count == REAP_PAGE) return STEP_LAST;
    bool keeps = false;
    for (size_t i = 0; i < sessions->count; i++) {
        const SessionRow *row = &sessions->sessions[i];
        bool over = is_own(reap, row) ? reap->forget_own : is_over(reap, row, batch);
        if (over) batch_session(batch, row, /* forget= */ true);
        bool namesake = reap->has_own && str_eq(row->node, reap->own.node);
        if (namesake && !over) keeps = true;
    }
    reap->forgot_own = reap->forget_own && !keeps;
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
    bool more = committed && reap->lost == REAP_PAGE;
    if (reap->stranger) {
        reap->engine->taking_over--; /* the next look finds what is left */
    } else if (more) {
        /* the next page at once */
        session_reap_on(reap->engine, reap->worker);
    } else {
        session_reaped(reap->engine, reap->worker, committed && reap->gone,
                       committed && reap->forgot_own, committed ? reap->over_us : 0);
    }
    reap_free(reap);
}

static const OperationKind session_kind = {.name = "reap", .step = session_step};

static Reap *session_reap(Engine *engine, Str worker, const Session *own) {
    Reap *reap = reap_new(engine, worker);
    if (own) {
        reap->has_own = true;
        reap->own = *session_row(own);
        reap->own.worker = reap->worker;
        reap->own.info = (Str){0};
    }
    reap->operation.kind = &session_kind;
    reap->operation.done = session_done;
    return reap;
}

void reap_session(Engine *engine, Session *session, bool forget) {
    crash_point(REAP_BEGUN);
    Reap *reap = session_reap(engine, session_row(session)->worker, session);
    reap->forget_own = forget;
    pipeline_submit(engine, &reap->operation);
}

/* ---- sessions that another node has left behind ---- */

static void reap_stranger(Engine *engine, Str worker) {
    Reap *reap = session_reap(engine, worker, engine_session_find(engine, worker));
    reap->stranger = true;
    engine->taking_over++;
    pipeline_submit(engine, &reap->operation);
}

/* The rows come sorted by worker. */
static void on_sessions(Query *query) {
    Engine *engine = query->context;
    int64_t next_us = query->now_us + LEASE_QUICK_MS * US_PER_MS;
    for (size_t i = 0; query->outcome == OK && i < query->count; i++) {
        const SessionRow *row = &query->sessions[i];
        bool own = str_eq(row->node, engine->options.node) &&
                   engine_session_find(engine, row->worker) != NULL;
        if (own) continue;
        int64_t gone_us = session_gone_at(row, engine->connected_since_us, /* own= */ false);
        bool same = i > 0 && str_eq(row->worker, query->sessions[i - 1].worker);
        if (gone_us <= query->now_us && !same) reap_stranger(engine, row->worker);
        if (gone_us < next_us) next_us = gone_us;
    }
    if (query->outcome == OK) engine->strangers_us = next_us;
    engine->taking_over--;
    arena_done(&query->arena);
    free(query);
}

void reap_strangers(Engine *engine) {
    if (engine->taking_over > 0 || engine->strangers_us > engine_now_us(engine)) return;
    engine->taking_over++;
    Query *query = alloc_zero(1, sizeof *query);
    query->kind = QUERY_SESSIONS;
    query->done = on_sessions;
    query->context = engine;
    store_read(engine->store, query);
}

/* ---- what never arrived ---- */

enum { KEEP_MOST = 10000 };
#define CLOCKS_DIFFER_US (US_PER_S / 5) /* two nodes' and the store's, at most */

static bool is_held(const KeepRequest *request, int64_t fence) {
    for (size_t i = 0; i < request->held_count; i++) {
        if (request->held[i] == fence) return true;
    }
    return false;
}

/* The worker is, or was lately, connected to another node too: what it was given there since it could not
 * name. */
static bool is_elsewhere(const KeepRequest *request) {
    const Ask *sessions = request->sessions;
    for (size_t i = 0; i < sessions->count; i++) {
        if (!str_eq(sessions->sessions[i].node, request->engine->options.node)) return true;
    }
    return false;
}

static Step keep_step(Operation *operation, Batch *batch) {
    KeepRequest *request = container_of(operation, KeepRequest, operation);
    if (operation->phase++ == 0) {
        request->lost = 0;
        request->sessions = batch_ask(batch, ASK_SESSIONS, request->worker, 0, SESSIONS_MOST);
        request->ask = batch_ask(batch, ASK_RUNNING_OF, request->worker, 0, KEEP_MOST);
        return STEP_MORE;
    }
    /* what was leased before then came over connections that it no longer reads, if at all */
    int64_t until_us = is_elsewhere(request) ? request->since_us - CLOCKS_DIFFER_US : INT64_MAX;
    ChangeContext context = {batch->now_us, batch->random, &batch->arena};
    for (size_t i = 0; i < request->ask->count; i++) {
        Row *row = request->ask->rows[i];
        bool its = row->status == ROW_LOADED && row->job.state == JOB_RUNNING &&
                   row->state_before == JOB_RUNNING && str_eq(row->job.worker, request->worker);
        if (!its || row->job.started_us >= until_us) continue;
        if (is_held(request, row->job.fence)) continue;
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
    const Session *session = engine_session_find(engine, request->worker);
    if (request->since_us == 0 && session) request->since_us = session_row(session)->opened_us;
    request->engine = engine;
    request->operation.kind = &keep_kind;
    pipeline_submit(engine, &request->operation);
}

/* ---- deadlines ---- */

static int64_t longest_lease_ms(const Ask *sessions) {
    int64_t lease_ms = 0;
    for (size_t i = 0; i < sessions->count; i++) {
        if (sessions->sessions[i].lease_ms > lease_ms) lease_ms = sessions->sessions[i].lease_ms;
    }
    return lease_ms;
}

/* A worker that may have held an outcome back while the store was away, or this node, has its whole
 * lease to bring it. */
static void overdue_decide(Reap *reap, Batch *batch) {
    ChangeContext context = {batch->now_us, batch->random, &batch->arena};
    for (size_t i = 0; i < reap->ask->count; i++) {
        Row *row = reap->ask->rows[i];
        const Job *job = &row->job;
        bool still = row->status == ROW_LOADED && job->state == JOB_RUNNING &&
                     job->deadline_us > 0 && job->deadline_us <= batch->now_us;
        int64_t lease_ms = longest_lease_ms(reap->owners[i]);
        bool heard = batch->connected_since_us + lease_ms * US_PER_MS <= batch->now_us;
        if (!still || !heard) continue;
        if (lease_ms > 0) {
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
            reap->owners[i] =
                batch_ask(batch, ASK_SESSIONS, worker.ptr ? worker : STR(""), 0, SESSIONS_MOST);
        }
        return STEP_MORE;
    default: overdue_decide(reap, batch); return STEP_LAST;
    }
}

static void overdue_settle(Operation *operation, const Batch *batch) {
    Reap *reap = container_of(operation, Reap, operation);
    (void)batch;
    for (size_t i = 0; reap->timed_out > 0 && i < reap->ask->count; i++) {
        const Job *job = &reap->ask->rows[i]->job;
        if (reap->ask->rows[i]->changed && longest_lease_ms(reap->owners[i]) > 0) {
            metric_add(METRIC_JOB_ATTEMPTS_FAILED, LABELS(job->queue, job->type, STR("timeout")),
                       1);
        }
    }
}

static void overdue_done(Operation *operation) {
    crash_point(REAP_OVERDUE);
    Reap *reap = container_of(operation, Reap, operation);
    Engine *engine = reap->engine;
    if (operation->error.err == OK) {
        reap_count(reap);
        bool more = reap->ask->count == REAP_PAGE && reap->lost + reap->timed_out > 0;
        if (more) duty_wake(engine, look_duty, engine_now_us(engine));
    }
    engine->overdue = false;
    reap_free(reap);
}

static const OperationKind overdue_kind = {
    .name = "overdue", .step = overdue_step, .settle = overdue_settle};

void reap_overdue(Engine *engine) {
    if (engine->overdue) return;
    engine->overdue = true;
    Reap *reap = reap_new(engine, (Str){0});
    reap->operation.kind = &overdue_kind;
    reap->operation.done = overdue_done;
    pipeline_submit(engine, &reap->operation);
}
