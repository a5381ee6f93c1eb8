/* What a worker runs, says meanwhile, and reports: at times late, twice, or just when its lease ends. What
 * it reports carries the fence it had, so that the invariants see whose outcome was taken. */
#include "simulation/worker.h"

#include "base/time.h"
#include "simulation/cluster.h"
#include "simulation/store_simulated_state.h"

#include <stdio.h>

/* ---- reports ---- */

typedef struct Report {
    Worker *worker;
    unsigned generation;
    Str wid;
    JobKey key;
    int64_t fence;
    bool has_fence, failed, final;
    int64_t accepted_us; /* when an answer said so; 0: none did */
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
    bool again =
        sending->request.answer != ANSWERED || trouble(simulation, TROUBLE_SAID_TWICE, 100);
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
        bool sure = request_is_sure(&sending->request);
        if (answer == OUTCOME_OK && sure) {
            model_reported(simulation->model, &report->key, report->fence, report->failed,
                           report->wid);
        } else if (answer != OUTCOME_OK && report->accepted_us > simulation->failed_over_us &&
                   report->has_fence && kept) {
            simulation_fail(simulation, "fence %lld: an accepted outcome got another answer again",
                            (long long)report->fence);
        }
        if (answer == OUTCOME_OK && sure) report->accepted_us = simulation->now_us;
        simulation->tally.stale += answer == OUTCOME_STALE;
    }
    int64_t delay_us = request_delay_us(&sending->request);
    simulation_after(simulation, delay_us, on_report_learned, sending);
}

static void send_report(void *argument) {
    Report *report = argument;
    Simulation *simulation = report->worker->simulation;
    Arena *arena = &simulation->arena;
    if (!is_alive(report)) return;
    if (++report->sends > SENDS_MOST) { /* it gives up */
        report->worker->kept = false;
        report->worker->dropped_us = simulation->now_us;
        return;
    }
    Node *node = node_any(simulation); /* any may be told */
    if (!node) {
        simulation_after(simulation, US_PER_S / 2, send_report, report);
        return;
    }
    Sending *sending = arena_new(arena, Sending);
    sending->report = report;
    request_begin(simulation, &sending->request, node);
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
    engine_settle(node->engine, &sending->outcomes);
    /* some clients do not wait for the answer before they say it again */
    if (trouble(simulation, TROUBLE_SAID_TWICE, 30)) {
        simulation_after(simulation, trouble_between(simulation, 1, 3000), send_report, report);
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
    simulation_note(simulation, "ends", (uint64_t)run->fence, worker->number);
    worker->reported_us = simulation->now_us;
    send_report(report);
}

/* ---- what nobody has ---- */

static bool has_run(const Worker *worker, int64_t fence) {
    for (size_t r = 0; r < worker->slots; r++) {
        if (worker->runs[r].active && worker->runs[r].fence == fence) return true;
    }
    return false;
}

/* until a fetch that names what is held, after one that waited */
#define NAMED_MOST_US (25 * US_PER_S)
#define REPORTED_MOST_US (15 * US_PER_S)

void workers_check_held(const Simulation *simulation) {
    const State *state = &simulation->disk->committed;
    for (size_t i = 0; i < simulation->worker_count; i++) {
        const Worker *worker = &simulation->workers[i];
        bool names = worker->style == QUICK && worker->fetch_node && worker->frozen_us == 0;
        if (!names) continue;
        int64_t since_us = worker->linked_us;
        if (since_us < worker->connected_us) since_us = worker->connected_us;
        if (since_us < worker->dropped_us) since_us = worker->dropped_us;
        if (!worker->node) continue;
        if (!cluster_must_know_after(worker->fetch_node, since_us, NAMED_MOST_US)) continue;
        if (worker->reported_us + REPORTED_MOST_US > simulation->now_us) continue;
        for (size_t at = 0; at < state->entries.count; at++) {
            const Job *job = &state_entry(state, at)->job;
            bool its = job->state == JOB_RUNNING && str_eq(job->worker, worker->wid);
            bool old = job->started_us + NAMED_MOST_US < simulation->now_us;
            if (its && old && !has_run(worker, job->fence)) {
                simulation_fail(worker->simulation,
                                "fence %lld runs at worker %u, which has not got it",
                                (long long)job->fence, worker->number);
            }
        }
    }
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
    worker_note_lapses(worker);
    finish_run(worker, end->run);
}

/* Mostly short; some longer than a lease, and some that end just when the lease or the deadline does. */
int64_t run_time_us(const Worker *worker, const Run *run) {
    Simulation *simulation = worker->simulation;
    if (!simulation->faulty) return between(simulation, 1, 1000) * US_PER_MS;
    int64_t what = between(simulation, 0, 99);
    if (what < 85) return between(simulation, 1, 3000) * US_PER_MS;
    if (what < 90) return between(simulation, 1, 70000) * US_PER_MS;
    int64_t limit_us = run->deadline_us;
    if (what < 95 && worker_beats(worker) && worker->lease_us < limit_us)
        limit_us = worker->lease_us;
    int64_t left_us = limit_us - simulation->now_us + between(simulation, -100, 1200) * US_PER_MS;
    return left_us > 0 ? left_us : 0;
}

void run_plan_end(Worker *worker, Run *run, int64_t delay_us) {
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
    bool applied = operation->error.err == OK && touching->touch.answer == OUTCOME_OK;
    if (applied && request_is_sure(&touching->request)) {
        model_touched(touching->worker->simulation->model, &touching->touch.key,
                      touching->touch.lease.fence, touching->request.begun_us);
    }
    simulation_note(touching->worker->simulation, "touched", (uint64_t)touching->touch.lease.fence,
                    touching->touch.answer);
    bool same = run->active && run->fence == touching->touch.lease.fence;
    if (answer != ANSWERED || touching->touch.answer != OUTCOME_OK || !same) return;
    int64_t until_us = touching->touch.until_us;
    if (until_us > run->deadline_us) run->deadline_us = until_us;
}

void run_touch(Worker *worker, Run *run) {
    Simulation *simulation = worker->simulation;
    Touching *touching = arena_new(&simulation->arena, Touching);
    touching->worker = worker;
    touching->run = run;
    request_begin(simulation, &touching->request, worker->node);
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
    engine_touch(worker->node->engine, &touching->touches);
}
