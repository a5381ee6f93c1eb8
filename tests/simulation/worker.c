/* Workers: they connect to a node, beat and fetch, and at times vanish, freeze or hang up.
 *
 * A worker believes in its lease as a careful one does: from when it sent what was answered, cut short when
 * its connection ends, and never again once it has lapsed. */
#include "simulation/worker.h"

#include "base/time.h"
#include "simulation/cluster.h"
#include "simulation/store_simulated_state.h"

/* ---- leases ---- */

bool worker_beats(const Worker *worker) {
    return worker->style == QUICK || (worker->style == BEATING && worker->has_beaten);
}

bool worker_holds(const Worker *worker, const Run *run) {
    int64_t now_us = worker->simulation->now_us;
    if (!run->active || run->lapsed || now_us >= run->deadline_us) return false;
    return !worker_beats(worker) || now_us < worker->lease_us;
}

bool workers_hold(const Simulation *simulation, const JobKey *key, int64_t fence, bool other) {
    for (size_t i = 0; i < simulation->worker_count; i++) {
        const Worker *worker = &simulation->workers[i];
        for (size_t r = 0; r < worker->slots; r++) {
            const Run *run = &worker->runs[r];
            bool meant = other ? run->fence != fence : run->fence == fence;
            if (meant && worker_holds(worker, run) && job_key_eq(&run->key, key)) return true;
        }
    }
    return false;
}

/* Told it will be, as long as it stays connected. */
void workers_cancelled(const Simulation *simulation, const JobKey *key) {
    for (size_t i = 0; i < simulation->worker_count; i++) {
        const Worker *worker = &simulation->workers[i];
        bool told = worker->style == QUICK && worker->session;
        for (size_t r = 0; r < SLOTS_MOST; r++) {
            Run *run = &simulation->workers[i].runs[r];
            if (!job_key_eq(&run->key, key)) continue;
            run->cancelled = told;
            run->cancelled_us = run->active && !run->lapsed ? simulation->now_us : 0;
            run->lapsed = run->lapsed || !told;
        }
    }
}

void workers_fail_over(const Simulation *simulation) {
    for (size_t i = 0; i < simulation->worker_count; i++) {
        simulation->workers[i].confirmed = false;
        for (size_t r = 0; r < SLOTS_MOST; r++) {
            Run *run = &simulation->workers[i].runs[r];
            run->lapsed = true;
            run->cancelled_us = 0;
        }
    }
}

void workers_lapse(const Simulation *simulation, const JobKey *key) {
    for (size_t i = 0; i < simulation->worker_count; i++) {
        for (size_t r = 0; r < SLOTS_MOST; r++) {
            Run *run = &simulation->workers[i].runs[r];
            if (!job_key_eq(&run->key, key)) continue;
            run->lapsed = true;
            run->cancelled_us = 0;
        }
    }
}

void worker_note_lapses(Worker *worker) {
    for (size_t r = 0; r < worker->slots; r++) {
        Run *run = &worker->runs[r];
        if (run->active && !worker_holds(worker, run)) run->lapsed = true;
    }
}

static int64_t lease_of_us(const Worker *worker) {
    return (worker->style == QUICK ? LEASE_QUICK_MS : LEASE_PLAIN_MS) * US_PER_MS;
}

/* A beat was answered; the lease counts from when it was sent. */
static void renew(Worker *worker, int64_t sent_us) {
    worker_note_lapses(worker);
    if (worker->lease_us <= worker->simulation->now_us) worker->lapses++;
    int64_t until_us = sent_us + lease_of_us(worker);
    if (until_us > worker->lease_us) worker->lease_us = until_us;
}

/* ---- connections ---- */

static void forget_connection(Worker *worker) {
    Simulation *simulation = worker->simulation;
    worker->session = NULL;
    worker->node = NULL;
    int64_t until_us = simulation->now_us + SESSION_CLOSE_MS * US_PER_MS;
    if (worker->style == QUICK && worker->lease_us > until_us) worker->lease_us = until_us;
    for (size_t r = 0; r < SLOTS_MOST; r++) {
        if (worker->runs[r].cancelled) worker->runs[r].lapsed = true; /* nobody will tell it now */
    }
}

/* Some reports come just when the node takes the job away. */
static void end_runs_with_lease(Worker *worker) {
    Simulation *simulation = worker->simulation;
    for (size_t r = 0; r < worker->slots; r++) {
        Run *run = &worker->runs[r];
        if (!run->active || worker->style != QUICK || chance(simulation, 500)) continue;
        run->fails = chance(simulation, 500);
        int64_t delay_us = SESSION_CLOSE_MS * US_PER_MS + between(simulation, -50, 700) * US_PER_MS;
        run_plan_end(worker, run, delay_us);
    }
}

/* The node hears of it when it is awake. */
typedef struct Closing {
    Node *node;
    Session *session;
    FetchCall *fetch;
} Closing;

static void on_closed(void *argument) {
    const Closing *closing = argument;
    if (closing->fetch) fetch_hang_up(closing->fetch);
    engine_session_close(closing->node->engine, closing->session);
}

static void hang_up(Worker *worker) {
    Simulation *simulation = worker->simulation;
    if (!worker->session) return;
    Closing *closing = arena_new(&simulation->arena, Closing);
    *closing = (Closing){worker->node, worker->session, worker->split ? NULL : worker->fetch};
    worker->connection++;
    if (!worker->split) link_forget(worker);
    if (node_is_ready(worker->node)) {
        on_closed(closing);
    } else {
        node_later(worker->node, 0, on_closed, closing);
    }
    forget_connection(worker);
    end_runs_with_lease(worker);
}

void workers_hang_up(const Node *node) {
    for (size_t i = 0; i < node->simulation->worker_count; i++) {
        Worker *worker = &node->simulation->workers[i];
        if (worker->split && worker->fetch_node == node) link_close(worker);
        if (worker->node == node) hang_up(worker);
    }
}

void workers_disconnect(Node *node) {
    Simulation *simulation = node->simulation;
    fetches_end(node);
    for (size_t i = 0; i < simulation->worker_count; i++) {
        Worker *worker = &simulation->workers[i];
        if (worker->fetch_node == node) link_forget(worker);
        if (worker->node == node) forget_connection(worker);
    }
}

/* What a node answers once the store knows of the session: HELLO, or a beat after a silence. */
typedef struct SyncCall {
    SessionSync sync;
    Worker *worker;
    unsigned generation, connection;
    int64_t sent_us;
} SyncCall;

static void on_synced(SessionSync *sync, const Error *error) {
    const SyncCall *call = sync->context;
    Worker *worker = call->worker;
    bool same = call->generation == worker->generation && call->connection == worker->connection;
    if (same && !error) worker->synced_us = call->sent_us;
}

/* true: the answer comes later. */
static bool waits_for_store(Worker *worker) {
    SyncCall *call = arena_new(&worker->simulation->arena, SyncCall);
    *call = (SyncCall){.sync = {.done = on_synced, .context = call},
                       .worker = worker,
                       .generation = worker->generation,
                       .connection = worker->connection,
                       .sent_us = worker->sent_us};
    return engine_session_sync(worker->node->engine, worker->session, &call->sync);
}

static void connect_worker(Worker *worker, Node *node) {
    SessionInfo info = {.worker = worker->wid, .info = STR("{}"), .quick = worker->style == QUICK};
    worker->node = node;
    worker->session = engine_session_open(node->engine, &info);
    worker->connection++;
    worker->sent_us = worker->connected_us = worker->simulation->now_us;
    worker->synced_us = 0;
    worker->confirmed = !waits_for_store(worker);
    if (worker->confirmed && worker_beats(worker)) renew(worker, worker->sent_us);
}

static void read_answer(Worker *worker) {
    if (worker->synced_us == 0) return;
    worker->confirmed = true;
    if (worker_beats(worker)) renew(worker, worker->synced_us);
    worker->synced_us = 0;
}

static void beat(Worker *worker) {
    Simulation *simulation = worker->simulation;
    if (worker->style == SILENT || simulation->now_us < worker->beat_at_us) return;
    worker->beat_at_us = simulation->now_us + between(simulation, 2, 10) * US_PER_S;
    engine_session_beat(worker->node->engine, worker->session, -1);
    if (worker->style == BEATING && !worker->has_beaten) {
        /* from here on silence counts */
        worker_note_lapses(worker);
        worker->has_beaten = true;
        worker->sent_us = simulation->now_us;
        worker->lease_us = worker->sent_us + lease_of_us(worker);
    } else if (!trouble(simulation, TROUBLE_BEAT_LOST, 50)) {
        worker->sent_us = simulation->now_us;
        if (!waits_for_store(worker) && worker->confirmed) renew(worker, worker->sent_us);
    }
}

static void obey_cancels(Worker *worker) {
    Simulation *simulation = worker->simulation;
    Str *ids;
    size_t count = engine_session_take_cancels(worker->node->engine, worker->session,
                                               &simulation->arena, &ids);
    for (size_t i = 0; i < count; i++) {
        JobKey key = job_key_from_id(ids[i]);
        for (size_t r = 0; r < worker->slots; r++) {
            if (job_key_eq(&worker->runs[r].key, &key)) worker->runs[r].active = false;
        }
    }
}

/* A11: it hears of a cancel within a second, at whichever node that was, and also when it was away
 * meanwhile. */
static void check_told(const Worker *worker) {
    Simulation *simulation = worker->simulation;
    for (size_t r = 0; r < worker->slots; r++) {
        const Run *run = &worker->runs[r];
        bool late = run->cancelled_us + 100 * US_PER_S < worker->connected_us; /* forgotten */
        if (!run->active || run->cancelled_us == 0 || late) continue;
        int64_t since_us = run->cancelled_us;
        if (since_us < worker->connected_us) since_us = worker->connected_us;
        if (cluster_must_know(worker->node, since_us)) {
            simulation_fail(simulation, "worker %u was not told that fence %lld is cancelled",
                            worker->number, (long long)run->fence);
        }
    }
}

/* ---- the worker's life ---- */

static void be_born(Worker *worker) {
    Simulation *simulation = worker->simulation;
    if (worker->generation > 0) model_gone(simulation->model, worker->wid);
    worker->generation++;
    worker->wid =
        arena_format(&simulation->arena, "worker-%u-%u", worker->number, worker->generation);
    worker->style = (Style)between(simulation, QUICK, STYLES - 1);
    simulation_note(simulation, "is born", worker->number, worker->style);
    worker->session = NULL;
    worker->node = NULL;
    worker->connection++;
    worker->has_beaten = false;
    worker->lease_us = worker->beat_at_us = worker->frozen_us = worker->sent_us = 0;
    link_forget(worker);
    bool apart = worker->style == QUICK && simulation->node_count > 1;
    worker->split = apart && chance(simulation, 400);
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
    if (trouble_between(simulation, 0, 1)) {
        if (worker->split) link_close(worker);
        hang_up(worker);
    }
    be_born(worker);
}

void workers_vanish(Simulation *simulation) {
    bool silently = trouble_between(simulation, 0, 1) != 0;
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
    if (trouble(simulation, TROUBLE_WORKER_VANISHES, 4)) {
        vanish(worker);
        return true;
    }
    if (trouble(simulation, TROUBLE_WORKER_FREEZES, 4)) {
        worker->frozen_us = simulation->now_us + trouble_between(simulation, 1, 90) * US_PER_S;
        simulation_note(simulation, "freezes", worker->number, 0);
        return true;
    }
    if (trouble(simulation, TROUBLE_WORKER_HANGS_UP, 6)) {
        simulation_note(simulation, "hangs up", worker->number, 0);
        hang_up(worker);
        return trouble_between(simulation, 0, 1) != 0;
    }
    bool waits = worker->fetch && node_is_ready(worker->fetch_node) && fetch_waits(worker->fetch);
    if (waits && trouble(simulation, TROUBLE_FETCH_HANGS_UP, 5)) fetch_hang_up(worker->fetch);
    return false;
}

static void go_on_running(Worker *worker) {
    Simulation *simulation = worker->simulation;
    worker_note_lapses(worker);
    for (size_t r = 0; r < worker->slots; r++) {
        Run *run = &worker->runs[r];
        if (!run->active) continue;
        bool told = run->cancelled_us == 0; /* else that is to be told */
        if (run->lapsed && told && chance(simulation, 300)) {
            run->active = false; /* it stops by itself, as it should */
            worker->kept = false;
            worker->dropped_us = simulation->now_us;
        } else if (simulation->faulty && chance(simulation, 40)) {
            run_touch(worker, run);
        }
    }
}

static void act(void *argument) {
    Worker *worker = argument;
    Simulation *simulation = worker->simulation;
    simulation_after(simulation, between(simulation, 50, 400) * US_PER_MS, act, worker);
    if (simulation->dark || misbehave(worker)) return;
    /* a node that does not answer is left after a while */
    if (worker->node && !node_is_ready(worker->node) && chance(simulation, 30)) hang_up(worker);
    if (!worker->node) {
        Node *node = node_any(simulation);
        if (node) connect_worker(worker, node);
    }
    if (!worker->node || !node_is_ready(worker->node)) return;
    read_answer(worker);
    beat(worker);
    if (worker->style == QUICK) obey_cancels(worker);
    if (worker->style == QUICK && simulation->server) check_told(worker);
    go_on_running(worker);
    if (!link_look_after(worker)) return;
    worker_keep(worker);
    worker_fetch(worker);
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
