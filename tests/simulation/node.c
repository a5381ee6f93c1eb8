/* The node of a history: engine, memory broker and store, started, killed and started again.
 *
 * Killed means: nothing more is committed, no client hears anything. The engine is then emptied through its
 * own error paths (the store refuses whatever is left), so that a leak shows. */
#include "simulation/simulation.h"

#include "base/alloc.h"
#include "base/time.h"

#include <stdlib.h>

/* ---- the node's own events ---- */

static Event *node_event(Simulation *simulation, int64_t at_us, void (*run)(void *),
                         void *argument) {
    Event *event = alloc_zero(1, sizeof *event);
    event->run = run;
    event->argument = argument;
    if (at_us < simulation->now_us) at_us = simulation->now_us;
    heap_add(&simulation->events, &event->place, at_us);
    list_append(&simulation->node_events, &event->node);
    return event;
}

static void drop(Simulation *simulation, Event *event) {
    if (!event) return;
    heap_remove(&simulation->events, &event->place);
    list_remove(&event->node);
    free(event);
}

static int64_t engine_now(void *context) {
    const Simulation *simulation = context;
    return simulation->now_us + simulation->skew_us;
}

static void on_wake(void *argument) {
    Simulation *simulation = argument;
    engine_tick(simulation->engine);
}

static void engine_wake_at(void *context, int64_t at_us) {
    Simulation *simulation = context;
    if (simulation->crashing) return;
    drop(simulation, simulation->wake);
    simulation->wake = node_event(simulation, at_us - simulation->skew_us, on_wake, simulation);
}

static void on_soon(void *argument) {
    Simulation *simulation = argument;
    engine_flush(simulation->engine);
}

static void engine_soon(void *context) {
    Simulation *simulation = context;
    if (simulation->crashing || simulation->soon) return;
    int64_t delay_us = between(simulation, 1, 20);
    simulation->soon = node_event(simulation, simulation->now_us + delay_us, on_soon, simulation);
}

/* ---- the store's points ---- */

static int64_t latency_us(Simulation *simulation) {
    if (simulation->slow) return between(simulation, 1000, 150 * 1000);
    if (chance(simulation, 10)) return between(simulation, 1000, 300 * 1000);
    return between(simulation, 20, 1500);
}

static bool may_break(const Simulation *simulation) {
    return simulation->faulty && !simulation->calm && !simulation->crashing;
}

typedef struct CommitPoint {
    Simulation *simulation;
    void (*function)(void *);
    void *argument;
} CommitPoint;

/* What the store commits is looked at before anybody hears of it. */
static void at_commit(void *argument) {
    CommitPoint point = *(CommitPoint *)argument;
    free(argument);
    point.function(point.argument);
    model_look(point.simulation->model);
}

static void store_later(void *context, SimulatedPoint point, void (*function)(void *),
                        void *argument) {
    Simulation *simulation = context;
    if (may_break(simulation) && chance(simulation, 1)) simulation->crash_planned = true;
    if (point == POINT_COMMIT) {
        CommitPoint *commit = alloc(sizeof *commit);
        *commit = (CommitPoint){simulation, function, argument};
        function = at_commit;
        argument = commit;
    }
    node_event(simulation, simulation->now_us + latency_us(simulation), function, argument);
}

static SimulatedFault store_fault(void *context, SimulatedPoint point) {
    Simulation *simulation = context;
    if (simulation->crashing) return point == POINT_READ ? FAULT_NONE : FAULT_UNAVAILABLE;
    if (!may_break(simulation)) return FAULT_NONE;
    SimulatedFault fault = FAULT_NONE;
    if (simulation->store_away) {
        fault = FAULT_UNAVAILABLE;
    } else if (chance(simulation, 2)) {
        fault = point == POINT_READ || chance(simulation, 300) ? FAULT_FULL : FAULT_INTERNAL;
    }
    if (fault == FAULT_NONE) return fault;
    simulation->struck_us = simulation->now_us;
    simulation->tally.store_faults++;
    return fault;
}

static int64_t store_now(void *context) {
    const Simulation *simulation = context;
    return simulation->now_us;
}

static void store_post(void *context, void (*function)(void *), void *argument) {
    node_event(context, 0, function, argument);
}

/* ---- in front of the store: answers of reads come some time after their snapshot ---- */

typedef struct Late {
    Simulation *simulation;
    Query *query;
    void (*done)(Query *query);
    void *context;
} Late;

static void give_late(void *argument) {
    Late late = *(Late *)argument;
    free(argument);
    late.query->done = late.done;
    late.query->context = late.context;
    late.done(late.query);
}

static void on_read(Query *query) {
    Late *late = query->context;
    Simulation *simulation = late->simulation;
    node_event(simulation, simulation->now_us + latency_us(simulation), give_late, late);
}

static Simulation *simulation_of(Store *store) {
    return container_of(store, Simulation, store);
}

static void front_read(Store *store, Query *query) {
    Simulation *simulation = simulation_of(store);
    Late *late = alloc(sizeof *late);
    *late = (Late){simulation, query, query->done, query->context};
    query->done = on_read;
    query->context = late;
    bool window = query->kind == QUERY_READY || query->kind == QUERY_DELAYED;
    if (window && simulation->page > 0) query->limit = simulation->page;
    simulation->inner->kind->read(simulation->inner, query);
}

static void front_run(Store *store, Batch *batch, BatchDone done, void *context) {
    Store *inner = simulation_of(store)->inner;
    inner->kind->run(inner, batch, done, context);
}

static void front_close(Store *store) {
    store_close(simulation_of(store)->inner);
}

static const StoreKind front_kind = {
    .scheme = "late", .run = front_run, .read = front_read, .close = front_close};

/* ---- life ---- */

bool node_is_ready(const Simulation *simulation) {
    return simulation->engine && !simulation->crashing && engine_ready(simulation->engine);
}

void node_start(Simulation *simulation) {
    check(!simulation->engine);
    StoreIo store_io = {.post = store_post, .now_us = store_now, .context = simulation};
    SimulatedIo simulated = {.later = store_later, .fault = store_fault, .context = simulation};
    simulation->inner = simulated_open(simulation->disk, &store_io, &simulated);
    simulation->store = (Store){.kind = &front_kind};
    Error error;
    check(broker_open(&simulation->broker, STR("memory:"), &error) == OK);
    simulation->skew_us = simulation->calm ? 0 : between(simulation, -3000, 3000);
    EngineIo io = {.now_us = engine_now,
                   .wake_at = engine_wake_at,
                   .soon = engine_soon,
                   .context = simulation,
                   .seed = random_next(&simulation->random)};
    EngineOptions options = {.keep_finished_ms = INT64_C(7) * 24 * 3600 * 1000,
                             .keep_dead_ms = INT64_C(180) * 24 * 3600 * 1000,
                             .max_open_bytes = 64 * 1024,
                             .node = STR("node")};
    simulation->engine = engine_new(&simulation->store, simulation->broker, &io, &options);
    simulation->up_us = simulation->now_us;
    simulation_note(simulation, "up", 0, 0);
    engine_start(simulation->engine);
}

/* Runs what is left of the node's events, all at once; the store refuses to write. */
static void run_out(Simulation *simulation) {
    ListNode *node;
    for (;;) {
        while ((node = list_pop(&simulation->node_events))) {
            Event *event = container_of(node, Event, node);
            heap_remove(&simulation->events, &event->place);
            void (*run)(void *) = event->run;
            void *argument = event->argument;
            free(event);
            run(argument);
        }
        if (engine_is_idle(simulation->engine)) return;
        engine_flush(simulation->engine);
    }
}

void node_stop(Simulation *simulation) {
    simulation_note(simulation, "crash", 0, 0);
    simulation->crashing = true;
    EngineStats stats = engine_stats(simulation->engine);
    simulation->tally.commits += stats.commits;
    simulation->tally.repaired += stats.repaired;
    drop(simulation, take(&simulation->wake));
    drop(simulation, take(&simulation->soon));
    workers_disconnect(simulation);
    run_out(simulation);
    store_close(&simulation->store);
    broker_close(take(&simulation->broker));
    engine_free(take(&simulation->engine));
    simulation->crashing = false;
}
