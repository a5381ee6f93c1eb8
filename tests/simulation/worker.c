/* Workers: they fetch, beat, run, report, and at times vanish, freeze, hang up or say things twice.
 *
 * A worker believes in its lease as a careful one does: from when it sent what was answered, cut short when
 * it hangs up, and never again once it has lapsed. What it reports carries the fence it had, so that the
 * invariants see whose outcome was taken. */
#include "simulation/simulation.h"

#include "base/time.h"

#include <stdio.h>

enum { SLOTS_MOST = 3, GRACE_MS = 15000, SENDS_MOST = 60 };

typedef enum Style { QUICK, BEATING, SILENT, STYLES } Style;

typedef struct Run {
    bool active;
    bool lapsed; /* the lease was over once: what the worker does from then on it does wrongly */
    JobKey key;
    int64_t fence;
    int64_t deadline_us;
    bool fails;
} Run;

typedef struct FetchCall FetchCall;

struct Worker {
    Simulation *simulation;
    unsigned number, generation; /* who vanishes comes back as the next generation */
    Str wid;
    Style style;
    Str queues[QUEUES];
    size_t queue_count, slots;
    Session *session; /* NULL: not connected */
    bool has_beaten;
    int64_t lease_us; /* until when, as the worker knows; for those that beat */
    unsigned lapses;  /* of the lease, so far */
    int64_t beat_at_us, frozen_us;
    FetchCall *fetch;
    Run runs[SLOTS_MOST];
};

/* ---- leases ---- */

static bool beats(const Worker *worker) {
    return worker->style == QUICK || (worker->style == BEATING && worker->has_beaten);
}

static bool holds(const Worker *worker, const Run *run) {
    int64_t now_us = worker->simulation->now_us;
    if (!run->active || run->lapsed || now_us >= run->deadline_us) return false;
    return !beats(worker) || now_us < worker->lease_us;
}

bool workers_hold(const Simulation *simulation, const JobKey *key, int64_t fence, bool other) {
    for (size_t i = 0; i < simulation->worker_count; i++) {
        const Worker *worker = &simulation->workers[i];
        for (size_t r = 0; r < worker->slots; r++) {
            const Run *run = &worker->runs[r];
            bool meant = other ? run->fence != fence : run->fence == fence;
            if (meant && holds(worker, run) && job_key_eq(&run->key, key)) return true;
        }
    }
    return false;
}

void workers_lapse(const Simulation *simulation, const JobKey *key) {
    for (size_t i = 0; i < simulation->worker_count; i++) {
        for (size_t r = 0; r < SLOTS_MOST; r++) {
            Run *run = &simulation->workers[i].runs[r];
            if (job_key_eq(&run->key, key)) run->lapsed = true;
        }
    }
}

static void note_lapses(Worker *worker) {
    for (size_t r = 0; r < worker->slots; r++) {
        Run *run = &worker->runs[r];
        if (run->active && !holds(worker, run)) run->lapsed = true;
    }
}

static void renew(Worker *worker, int64_t lease_ms) {
    Simulation *simulation = worker->simulation;
    note_lapses(worker);
    if (worker->lease_us <= simulation->now_us) worker->lapses++;
    worker->lease_us = simulation->now_us + lease_ms * US_PER_MS;
}

/* ---- reports ---- */

typedef struct Report {
    Worker *worker;
    unsigned generation;
    Str wid;
    JobKey key;
    int64_t fence;
    bool has_fence, failed, final;
    bool accepted; /* an answer said so */
    unsigned sends;
} Report;

typedef struct Sending {
    Request request;
    OutcomeRequest outcomes;
    JobOutcome outcome;
    Report *report;
} Sending;

static void send_report(void *argument);

static bool is_alive(const Report *report) {
    return report->generation == report->worker->generation;
}

static void on_report_learned(void *argument) {
    const Sending *sending = argument;
    Report *report = sending->report;
    Simulation *simulation = report->worker->simulation;
    bool again = sending->request.answer != ANSWERED;
    if (!again) again = simulation->faulty && chance(simulation, 100);
    if (again && is_alive(report)) send_report(report);
}

/* Whatever the worker hears of it: what the engine says is true. */
static void on_reported(Operation *operation) {
    Sending *sending = operation->context;
    Report *report = sending->report;
    Simulation *simulation = report->worker->simulation;
    request_end(&sending->request, &operation->error);
    OutcomeResult answer = sending->outcome.answer;
    if (operation->error.err == OK) {
        simulation_note(simulation, "reported", (uint64_t)report->fence, (uint64_t)answer);
        bool kept = !model_is_deleted(simulation->model, &report->key);
        if (answer == OUTCOME_OK) {
            model_reported(simulation->model, &report->key, report->fence, report->failed,
                           report->wid);
        } else if (report->accepted && report->has_fence && kept) {
            simulation_fail(simulation, "fence %lld: an accepted outcome got another answer again",
                            (long long)report->fence);
        }
        report->accepted = report->accepted || answer == OUTCOME_OK;
        simulation->tally.stale += answer == OUTCOME_STALE;
    }
    int64_t delay_us = request_delay_us(&sending->request);
    simulation_after(simulation, delay_us, on_report_learned, sending);
}

static void send_report(void *argument) {
    Report *report = argument;
    Simulation *simulation = report->worker->simulation;
    Arena *arena = &simulation->arena;
    if (!is_alive(report) || ++report->sends > SENDS_MOST) return;
    if (!node_is_ready(simulation)) {
        simulation_after(simulation, US_PER_S / 2, send_report, report);
        return;
    }
    Sending *sending = arena_new(arena, Sending);
    sending->report = report;
    request_begin(simulation, &sending->request);
    Str text =
        arena_format(arena, "%sfence %lld by " STR_FMT ".", report->has_fence ? "" : "plain ",
                     (long long)report->fence, STR_ARG(report->wid));
    sending->outcome = (JobOutcome){
        .key = report->key,
        .lease = {.fence = report->has_fence ? report->fence : 0, .worker = report->wid},
        .failed = report->failed,
        .result =
            report->failed ? (Str){NULL, 0} : arena_format(arena, "\"" STR_FMT "\"", STR_ARG(text)),
        .failure = {.error = {.type = STR("oops"), .message = text},
                    .final = report->final,
                    .retry_after_ms = -1}};
    sending->outcomes = (OutcomeRequest){.operation = {.done = on_reported, .context = sending},
                                         .outcomes = &sending->outcome,
                                         .count = 1,
                                         .arena = arena};
    engine_settle(simulation->engine, &sending->outcomes);
    /* some clients do not wait for the answer before they say it again */
    if (simulation->faulty && chance(simulation, 30)) {
        simulation_after(simulation, between(simulation, 1, 3000), send_report, report);
    }
}

static void finish_run(Worker *worker, Run *run) {
    Simulation *simulation = worker->simulation;
    Report *report = arena_new(&simulation->arena, Report);
    *report = (Report){.worker = worker,
                       .generation = worker->generation,
                       .wid = worker->wid,
                       .key = run->key,
                       .fence = run->fence,
                       .has_fence = worker->style == QUICK,
                       .failed = run->fails,
                       .final = chance(simulation, 50)};
    run->active = false;
    send_report(report);
}

/* ---- during a run ---- */

typedef struct RunEnd {
    Worker *worker;
    unsigned generation;
    Run *run;
    int64_t fence;
} RunEnd;

static void on_run_end(void *argument) {
    RunEnd *end = argument;
    Worker *worker = end->worker;
    Simulation *simulation = worker->simulation;
    bool same =
        end->generation == worker->generation && end->run->active && end->run->fence == end->fence;
    if (!same) return;
    if (worker->frozen_us > simulation->now_us) {
        int64_t thaw_us = worker->frozen_us - simulation->now_us + between(simulation, 0, 5000);
        simulation_after(simulation, thaw_us, on_run_end, end);
        return;
    }
    note_lapses(worker);
    finish_run(worker, end->run);
}

/* Mostly short; some longer than a lease, and some that end just when the lease or the deadline does. */
static int64_t run_time_us(const Worker *worker, const Run *run) {
    Simulation *simulation = worker->simulation;
    if (!simulation->faulty) return between(simulation, 1, 1000) * US_PER_MS;
    int64_t what = between(simulation, 0, 99);
    if (what < 85) return between(simulation, 1, 3000) * US_PER_MS;
    if (what < 90) return between(simulation, 1, 70000) * US_PER_MS;
    int64_t limit_us = run->deadline_us;
    if (what < 95 && beats(worker) && worker->lease_us < limit_us) limit_us = worker->lease_us;
    int64_t left_us = limit_us - simulation->now_us + between(simulation, -100, 1200) * US_PER_MS;
    return left_us > 0 ? left_us : 0;
}

static void plan_run_end(Worker *worker, Run *run, int64_t delay_us) {
    Simulation *simulation = worker->simulation;
    RunEnd *end = arena_new(&simulation->arena, RunEnd);
    *end = (RunEnd){worker, worker->generation, run, run->fence};
    simulation_after(simulation, delay_us, on_run_end, end);
}

typedef struct Touching {
    Request request;
    TouchRequest touches;
    Touch touch;
    Worker *worker;
    Run *run;
} Touching;

static void on_touched(Operation *operation) {
    Touching *touching = operation->context;
    Run *run = touching->run;
    Answer answer = request_end(&touching->request, &operation->error);
    simulation_note(touching->worker->simulation, "touched", (uint64_t)touching->touch.lease.fence,
                    touching->touch.answer);
    bool same = run->active && run->fence == touching->touch.lease.fence;
    if (answer != ANSWERED || touching->touch.answer != OUTCOME_OK || !same) return;
    int64_t until_us = touching->touch.until_us;
    if (until_us > run->deadline_us) run->deadline_us = until_us;
}

static void touch(Worker *worker, Run *run) {
    Simulation *simulation = worker->simulation;
    Touching *touching = arena_new(&simulation->arena, Touching);
    touching->worker = worker;
    touching->run = run;
    request_begin(simulation, &touching->request);
    TouchKind kind = (TouchKind)between(simulation, TOUCH_EXTEND, TOUCH_LOG);
    touching->touch = (Touch){
        .kind = kind,
        .key = run->key,
        .lease = {.fence = run->fence, .worker = worker->wid},
        .text = kind == TOUCH_LOG ? STR("a line\n") : STR("{\"percent\":50}"),
        .until_us =
            kind == TOUCH_LOG ? 0 : simulation->now_us + between(simulation, 1, 20) * US_PER_S};
    touching->touches = (TouchRequest){.operation = {.done = on_touched, .context = touching},
                                       .touches = &touching->touch,
                                       .count = 1};
    engine_touch(simulation->engine, &touching->touches);
}

/* ---- fetching ---- */

struct FetchCall {
    Request request;
    Fetch fetch;
    ListNode node; /* in Simulation.fetches while open */
    Worker *worker;
    unsigned generation, lapses;
    int64_t begun_us;
    Str queues[QUEUES];
    Run runs[SLOTS_MOST];
    size_t count;
};

static Run *free_slot(Worker *worker) {
    for (size_t r = 0; r < worker->slots; r++) {
        if (!worker->runs[r].active) return &worker->runs[r];
    }
    return NULL;
}

static void on_fetch_learned(void *argument) {
    FetchCall *call = argument;
    Worker *worker = call->worker;
    Simulation *simulation = worker->simulation;
    if (call->generation != worker->generation) return;
    if (worker->frozen_us > simulation->now_us) {
        int64_t thaw_us = worker->frozen_us - simulation->now_us + between(simulation, 0, 5000);
        simulation_after(simulation, thaw_us, on_fetch_learned, call);
        return;
    }
    worker->fetch = NULL;
    if (call->request.answer != ANSWERED) return;
    for (size_t i = 0; i < call->count; i++) {
        Run *run = free_slot(worker);
        check(run);
        *run = call->runs[i];
        run->fails = chance(simulation, 300);
        /* a lease that has lapsed since it was handed out is not the one that the worker has now */
        run->lapsed = !holds(worker, run) || call->lapses != worker->lapses ||
                      model_was_cancelled(simulation->model, &run->key, run->fence);
        if (!run->lapsed && workers_hold(simulation, &run->key, run->fence, /* other= */ true)) {
            simulation_fail(simulation, "fence %lld was handed out while another held the job",
                            (long long)run->fence);
        }
        plan_run_end(worker, run, run_time_us(worker, run));
    }
}

static bool on_fetched(Fetch *fetch, const Job *jobs, size_t count, const Error *error) {
    FetchCall *call = fetch->context;
    Simulation *simulation = call->worker->simulation;
    list_remove(&call->node);
    request_end(&call->request, error);
    if (count > fetch->max) simulation_fail(simulation, "a fetch got more jobs than it asked for");
    bool hung_up =
        simulation->faulty && !simulation->crashing && count > 0 && chance(simulation, 50);
    if (hung_up) call->request.answer = LOST;
    for (size_t i = 0; i < count && i < SLOTS_MOST; i++) {
        const Job *job = &jobs[i];
        int64_t grace_ms = call->worker->style == QUICK ? GRACE_MS : 0;
        call->runs[i] =
            (Run){.active = true,
                  .key = job->key,
                  .fence = job->fence,
                  .deadline_us = job->started_us + (job->timeout_ms + grace_ms) * US_PER_MS};
        simulation_note(simulation, "fetched", (uint64_t)job->fence, call->worker->number);
    }
    call->count = count;
    simulation_after(simulation, request_delay_us(&call->request), on_fetch_learned, call);
    return !hung_up;
}

static void fetch(Worker *worker) {
    Simulation *simulation = worker->simulation;
    size_t wanted = 0;
    for (size_t r = 0; r < worker->slots; r++) {
        wanted += !worker->runs[r].active;
    }
    if (worker->fetch || wanted == 0) return;
    FetchCall *call = arena_new(&simulation->arena, FetchCall);
    call->worker = worker;
    call->generation = worker->generation;
    call->lapses = worker->lapses;
    call->begun_us = simulation->now_us;
    for (size_t i = 0; i < worker->queue_count; i++) {
        call->queues[i] = worker->queues[i];
    }
    call->fetch = (Fetch){.queues = call->queues,
                          .queue_count = worker->queue_count,
                          .max = wanted,
                          .worker = worker->wid,
                          .until_us = engine_now_us(simulation->engine) +
                                      between(simulation, 0, 40000) * US_PER_MS,
                          .grace_ms = worker->style == QUICK ? GRACE_MS : 0,
                          .max_bytes = chance(simulation, 100) ? 1 : 0,
                          .done = on_fetched,
                          .context = call};
    worker->fetch = call;
    request_begin(simulation, &call->request);
    list_append(&simulation->fetches, &call->node);
    engine_fetch(simulation->engine, &call->fetch);
}

/* Nobody listens any more: the engine must not answer from now on. */
static void hang_up_fetch(FetchCall *call) {
    Simulation *simulation = call->worker->simulation;
    engine_fetch_cancel(simulation->engine, &call->fetch);
    list_remove(&call->node);
    call->request.answered = true;
    simulation->open_requests--;
    if (call->worker->fetch == call) call->worker->fetch = NULL;
}

bool workers_wait_for(const Simulation *simulation, Str queue, int64_t since_us) {
    list_each(&simulation->fetches, node) {
        const FetchCall *call = container_of(node, FetchCall, node);
        for (size_t i = 0; call->begun_us <= since_us && i < call->fetch.queue_count; i++) {
            if (str_eq(call->fetch.queues[i], queue)) return true;
        }
    }
    return false;
}

/* ---- connections ---- */

static void forget_connection(Worker *worker) {
    Simulation *simulation = worker->simulation;
    worker->session = NULL;
    int64_t until_us = simulation->now_us + SESSION_CLOSE_MS * US_PER_MS;
    if (worker->style == QUICK && worker->lease_us > until_us) worker->lease_us = until_us;
}

/* Some reports come just when the node takes the job away. */
static void end_runs_with_lease(Worker *worker) {
    Simulation *simulation = worker->simulation;
    for (size_t r = 0; r < worker->slots; r++) {
        Run *run = &worker->runs[r];
        if (!run->active || worker->style != QUICK || chance(simulation, 500)) continue;
        run->fails = chance(simulation, 500);
        int64_t delay_us = SESSION_CLOSE_MS * US_PER_MS + between(simulation, -50, 700) * US_PER_MS;
        plan_run_end(worker, run, delay_us);
    }
}

static void hang_up(Worker *worker) {
    Simulation *simulation = worker->simulation;
    if (!worker->session) return;
    if (worker->fetch && list_holds(&worker->fetch->node)) hang_up_fetch(worker->fetch);
    engine_session_close(simulation->engine, worker->session);
    forget_connection(worker);
    end_runs_with_lease(worker);
}

void workers_disconnect(Simulation *simulation) {
    list_each(&simulation->fetches, node) {
        hang_up_fetch(container_of(node, FetchCall, node));
    }
    for (size_t i = 0; i < simulation->worker_count; i++) {
        if (simulation->workers[i].session) forget_connection(&simulation->workers[i]);
    }
}

static void connect_worker(Worker *worker) {
    Simulation *simulation = worker->simulation;
    SessionInfo info = {.worker = worker->wid, .info = STR("{}"), .quick = worker->style == QUICK};
    worker->session = engine_session_open(simulation->engine, &info);
    if (beats(worker)) {
        renew(worker, worker->style == QUICK ? LEASE_QUICK_MS : LEASE_PLAIN_MS);
    }
}

static void beat(Worker *worker) {
    Simulation *simulation = worker->simulation;
    if (worker->style == SILENT || simulation->now_us < worker->beat_at_us) return;
    worker->beat_at_us = simulation->now_us + between(simulation, 2, 10) * US_PER_S;
    engine_session_beat(simulation->engine, worker->session, -1);
    if (worker->style == BEATING && !worker->has_beaten) {
        /* from here on silence counts */
        note_lapses(worker);
        worker->has_beaten = true;
        worker->lease_us = simulation->now_us + LEASE_PLAIN_MS * US_PER_MS;
    } else if (!simulation->faulty || !chance(simulation, 50)) {
        renew(worker, worker->style == QUICK ? LEASE_QUICK_MS : LEASE_PLAIN_MS);
    }
}

static void obey_cancels(Worker *worker) {
    Simulation *simulation = worker->simulation;
    Str *ids;
    size_t count =
        engine_session_take_cancels(simulation->engine, worker->session, &simulation->arena, &ids);
    for (size_t i = 0; i < count; i++) {
        JobKey key = job_key_from_id(ids[i]);
        for (size_t r = 0; r < worker->slots; r++) {
            if (job_key_eq(&worker->runs[r].key, &key)) worker->runs[r].active = false;
        }
    }
}

/* ---- the worker's life ---- */

static void be_born(Worker *worker) {
    Simulation *simulation = worker->simulation;
    worker->generation++;
    worker->wid =
        arena_format(&simulation->arena, "worker-%u-%u", worker->number, worker->generation);
    worker->style = (Style)between(simulation, QUICK, STYLES - 1);
    simulation_note(simulation, "is born", worker->number, worker->style);
    worker->session = NULL;
    worker->has_beaten = false;
    worker->lease_us = worker->beat_at_us = worker->frozen_us = 0;
    worker->fetch = NULL;
    worker->slots = (size_t)between(simulation, 1, SLOTS_MOST);
    for (size_t r = 0; r < SLOTS_MOST; r++) {
        worker->runs[r] = (Run){0};
    }
    /* the first one serves all queues, so that none is without a worker */
    worker->queue_count = worker->number == 0 ? QUEUES : (size_t)between(simulation, 1, QUEUES);
    size_t first = (size_t)between(simulation, 0, QUEUES - 1);
    for (size_t i = 0; i < worker->queue_count; i++) {
        worker->queues[i] = queue_names[(first + i) % QUEUES];
    }
}

static void vanish(Worker *worker) {
    Simulation *simulation = worker->simulation;
    simulation_note(simulation, "vanishes", worker->number, 0);
    if (node_is_ready(simulation) && chance(simulation, 500)) hang_up(worker);
    be_born(worker);
}

void workers_vanish(Simulation *simulation) {
    bool silently = chance(simulation, 500);
    for (size_t i = 0; i < simulation->worker_count; i++) {
        if (silently) {
            be_born(&simulation->workers[i]);
        } else {
            vanish(&simulation->workers[i]);
        }
    }
}

/* true: it is not itself for now. */
static bool misbehave(Worker *worker) {
    Simulation *simulation = worker->simulation;
    if (worker->frozen_us > simulation->now_us) return true;
    if (!simulation->faulty) return false;
    if (chance(simulation, 4)) {
        vanish(worker);
        return true;
    }
    if (chance(simulation, 4)) {
        worker->frozen_us = simulation->now_us + between(simulation, 1, 90) * US_PER_S;
        simulation_note(simulation, "freezes", worker->number, 0);
        return true;
    }
    if (chance(simulation, 6)) {
        simulation_note(simulation, "hangs up", worker->number, 0);
        hang_up(worker);
        return chance(simulation, 500);
    }
    if (worker->fetch && list_holds(&worker->fetch->node) && chance(simulation, 5)) {
        hang_up_fetch(worker->fetch);
    }
    return false;
}

static void go_on_running(Worker *worker) {
    Simulation *simulation = worker->simulation;
    note_lapses(worker);
    for (size_t r = 0; r < worker->slots; r++) {
        Run *run = &worker->runs[r];
        if (!run->active) continue;
        if (run->lapsed && chance(simulation, 300)) {
            run->active = false; /* it stops by itself, as it should */
        } else if (simulation->faulty && !run->lapsed && chance(simulation, 40)) {
            touch(worker, run);
        }
    }
}

static void act(void *argument) {
    Worker *worker = argument;
    Simulation *simulation = worker->simulation;
    simulation_after(simulation, between(simulation, 50, 400) * US_PER_MS, act, worker);
    if (!node_is_ready(simulation) || simulation->dark || misbehave(worker)) return;
    if (!worker->session) connect_worker(worker);
    beat(worker);
    if (worker->style == QUICK) obey_cancels(worker);
    go_on_running(worker);
    fetch(worker);
}

void workers_begin(Simulation *simulation) {
    simulation->worker_count = (size_t)between(simulation, 2, WORKERS_MOST);
    simulation->workers = arena_zero(&simulation->arena, WORKERS_MOST, sizeof(Worker));
    for (unsigned i = 0; i < simulation->worker_count; i++) {
        Worker *worker = &simulation->workers[i];
        worker->simulation = simulation;
        worker->number = i;
        be_born(worker);
        simulation_after(simulation, between(simulation, 1, 200) * US_PER_MS, act, worker);
    }
}
