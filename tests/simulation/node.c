/* A node of a history: engine, broker and store, started, stopped, killed and started again.
 *
 * Killed means: nothing more is committed, no client hears anything. The engine is then emptied through its
 * own error paths (the store refuses whatever is left), so that a leak shows. */
#include "simulation/cluster.h"

#include "base/alloc.h"
#include "base/time.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- the node's own events ---- */

static Event *node_event(Node *node, int64_t at_us, void (*run)(void *), void *argument) {
    Simulation *simulation = node->simulation;
    Event *event = alloc_zero(1, sizeof *event);
    event->run = run;
    event->argument = argument;
    event->owner = node;
    if (at_us < simulation->now_us) at_us = simulation->now_us;
    heap_add(&simulation->events, &event->place, at_us);
    list_append(&node->events, &event->node);
    return event;
}

void node_later(Node *node, int64_t delay_us, void (*run)(void *), void *argument) {
    node_event(node, node->simulation->now_us + delay_us, run, argument);
}

static void drop(Node *node, Event *event) {
    if (!event) return;
    heap_remove(&node->simulation->events, &event->place);
    list_remove(&event->node);
    free(event);
}

/* Leases and due times hang on this clock; the wall clock may be anything. */
static int64_t engine_now(void *context) {
    const Node *node = context;
    return node->simulation->now_us + node->skew_us;
}

static void on_wake(void *argument) {
    Node *node = argument;
    engine_tick(node->engine);
}

static void engine_wake_at(void *context, int64_t at_us) {
    Node *node = context;
    if (node->crashing) return;
    drop(node, node->wake);
    node->wake = node_event(node, at_us - node->skew_us, on_wake, node);
}

static void on_soon(void *argument) {
    Node *node = argument;
    engine_flush(node->engine);
}

static void engine_soon(void *context) {
    Node *node = context;
    if (node->crashing || node->soon) return;
    int64_t delay_us = between(node->simulation, 1, 20);
    node->soon = node_event(node, node->simulation->now_us + delay_us, on_soon, node);
}

#define AWAY_US (3 * US_PER_S + US_PER_S / 10) /* for so long it was not itself, or not in touch */

/* ---- the store's points ---- */

static int64_t latency_us(Simulation *simulation) {
    if (simulation->slow) return between(simulation, 1000, 150 * 1000);
    if (chance(simulation, 10)) return between(simulation, 1000, 300 * 1000);
    return between(simulation, 20, 1500);
}

typedef struct CommitPoint {
    Node *node;
    void (*function)(void *);
    void *argument;
} CommitPoint;

/* What the store commits is looked at before anybody hears of it. */
static void at_commit(void *argument) {
    CommitPoint point = *(CommitPoint *)argument;
    free(argument);
    point.function(point.argument);
    model_look(point.node->simulation->model);
}

static void store_later(void *context, SimulatedPoint point, void (*function)(void *),
                        void *argument) {
    Node *node = context;
    Simulation *simulation = node->simulation;
    if (!node->crashing && trouble(simulation, TROUBLE_CRASH, 1)) node->crash_planned = true;
    if (point == POINT_COMMIT) {
        CommitPoint *commit = alloc(sizeof *commit);
        *commit = (CommitPoint){node, function, argument};
        function = at_commit;
        argument = commit;
    }
    node_event(node, simulation->now_us + latency_us(simulation), function, argument);
}

static SimulatedFault draw_fault(Simulation *simulation, SimulatedPoint point) {
    bool read = point == POINT_READ;
    if (simulation->store_away) return FAULT_UNAVAILABLE;
    if (point == POINT_COMMIT && trouble(simulation, TROUBLE_COMMIT_UNKNOWN, 10)) {
        return trouble_between(simulation, 0, 1) ? FAULT_CUT_AFTER : FAULT_CUT_BEFORE;
    }
    if (!read && point != POINT_RESOLVE && trouble(simulation, TROUBLE_STORE_CONFLICT, 10)) {
        return FAULT_CONFLICT;
    }
    if (point != POINT_RESOLVE && trouble(simulation, TROUBLE_STORE_ERROR, 2)) {
        return read || trouble_between(simulation, 0, 2) == 0 ? FAULT_FULL : FAULT_INTERNAL;
    }
    return FAULT_NONE;
}

static SimulatedFault store_fault(void *context, SimulatedPoint point) {
    Node *node = context;
    Simulation *simulation = node->simulation;
    if (node->crashing) {
        return point == POINT_READ      ? FAULT_NONE
               : point == POINT_RESOLVE ? FAULT_INTERNAL
                                        : FAULT_UNAVAILABLE;
    }
    SimulatedFault fault = draw_fault(simulation, point);
    if (fault == FAULT_NONE) return fault;
    bool cut = fault == FAULT_CUT_BEFORE || fault == FAULT_CUT_AFTER;
    if (cut && node->shaken_us < simulation->now_us) node->shaken_us = simulation->now_us;
    simulation_struck(simulation, simulation->now_us);
    return fault;
}

static int64_t store_now(void *context) {
    const Node *node = context;
    return node->simulation->now_us;
}

static void store_post(void *context, void (*function)(void *), void *argument) {
    node_event(context, 0, function, argument);
}

/* ---- in front of the store: answers of reads come some time after their snapshot ---- */

typedef struct Late {
    Node *node;
    Query *query;
    void (*done)(Query *query);
    void *context;
    int64_t sent_us;
} Late;

/* As the node learns it from its look. */
static void note_touch(Node *node, const Query *query, int64_t sent_us) {
    int64_t now_us = node->simulation->now_us;
    if (query->kind != QUERY_EVERY || !engine_ready(node->engine)) return;
    if (query->outcome == ERR_UNAVAILABLE) node->in_touch = false;
    if (query->outcome == OK && now_us - sent_us > AWAY_US) node->steady_us = now_us;
}

static void give_late(void *argument) {
    Late late = *(Late *)argument;
    free(argument);
    note_touch(late.node, late.query, late.sent_us);
    late.query->done = late.done;
    late.query->context = late.context;
    late.done(late.query);
}

static void on_read(Query *query) {
    Late *late = query->context;
    node_event(late->node, late->node->simulation->now_us + latency_us(late->node->simulation),
               give_late, late);
}

static Node *node_of(Store *store) {
    return container_of(store, Node, store);
}

static void front_read(Store *store, Query *query) {
    Node *node = node_of(store);
    Late *late = alloc(sizeof *late);
    *late = (Late){node, query, query->done, query->context, node->simulation->now_us};
    query->done = on_read;
    query->context = late;
    bool window = query->kind == QUERY_READY || query->kind == QUERY_DELAYED;
    if (window && node->simulation->page > 0) query->limit = node->simulation->page;
    if (!window || node->simulation->page == 0) node->asked++; /* small pages are many */
    if (query->kind == QUERY_EVERY && node->simulation->page > 0)
        query->limit = node->simulation->page;
    node->inner->kind->read(node->inner, query);
}

/* As the node learns it, so that what it concludes can be held against it. */
static void on_run(Batch *batch, void *context) {
    Node *node = context;
    int64_t now_us = node->simulation->now_us;
    bool late = now_us - node->sent_us > AWAY_US;
    if (batch->outcome == OK && (late || !node->in_touch)) node->steady_us = now_us;
    if (batch->outcome == OK) node->in_touch = true;
    if (batch->outcome == ERR_UNAVAILABLE) node->in_touch = false;
    node->done(batch, node->context);
}

static void front_run(Store *store, Batch *batch, BatchDone done, void *context) {
    Node *node = node_of(store);
    node->asked++;
    node->done = done;
    node->context = context;
    node->sent_us = node->simulation->now_us;
    node->sent_steady_us = node->in_touch ? node->steady_us : node->sent_us;
    node->inner->kind->run(node->inner, batch, on_run, node);
}

static void front_close(Store *store) {
    store_close(node_of(store)->inner);
}

static const StoreKind front_kind = {
    .scheme = "late", .run = front_run, .read = front_read, .close = front_close};

/* ---- the broker's ---- */

static void broker_later(void *context, int64_t delay_us, void (*function)(void *),
                         void *argument) {
    node_later(context, delay_us, function, argument);
}

static int64_t broker_lag_us(void *context) {
    Node *node = context;
    Simulation *simulation = node->simulation;
    if (node->crashing || !trouble(simulation, TROUBLE_BROKER_SLOW, 100)) return 0;
    return trouble_between(simulation, 1, 9) == 1 ? trouble_between(simulation, 1, 2 * US_PER_S)
                                                  : trouble_between(simulation, 1, 20000);
}

static bool loses_hint(void *context) {
    Node *node = context;
    if (!node->crashing && !trouble(node->simulation, TROUBLE_HINT_LOST, 20)) return false;
    node->simulation->hints_struck_us = node->simulation->now_us;
    return true;
}

static bool loses_word(void *context) {
    Node *node = context;
    return node->crashing || trouble(node->simulation, TROUBLE_WORD_LOST, 100);
}

static bool is_dead(void *context) {
    const Node *node = context;
    return node->crashing;
}

/* ---- the cluster ---- */

static void hang_up_all(void *argument) {
    const Node *node = argument;
    workers_hang_up(node);
}

/* The engine doubts what it was told: as the node that it belongs to, this closes every connection. */
static void on_doubt(void *context) {
    Node *node = context;
    if (!node->crashing) node_later(node, 0, hang_up_all, node);
}

static void on_node(void *context, NodeState state) {
    Node *node = context;
    simulation_note(node->simulation, "node", node->number, state);
    if (state == NODE_HERE) node->steady_us = node->simulation->now_us;
    if (state == NODE_TAKEN && !node->crashing) {
        cluster_check_taken(node);
        node->crash_planned = true;
    }
}

/* ---- life ---- */

bool node_is_ready(const Node *node) {
    return node->engine && !node->crashing && node->frozen_us <= node->simulation->now_us &&
           engine_ready(node->engine);
}

bool node_waits(const Node *node) {
    const Simulation *simulation = node->simulation;
    bool waits = node->engine && engine_node_state(node->engine) == NODE_JOINING;
    if (!simulation->twins || !waits || node->number > 1) return false;
    const Node *other = &simulation->nodes[1 - node->number];
    return other->engine && engine_node_state(other->engine) == NODE_HERE;
}

Node *node_any(Simulation *simulation) {
    size_t first = (size_t)between(simulation, 0, (int64_t)simulation->node_count - 1);
    for (size_t i = 0; i < simulation->node_count; i++) {
        Node *node = &simulation->nodes[(first + i) % simulation->node_count];
        if (node_is_ready(node)) return node;
    }
    return NULL;
}

void node_init(Simulation *simulation, unsigned number) {
    Node *node = &simulation->nodes[number];
    *node = (Node){.simulation = simulation, .number = number};
    snprintf(node->name, sizeof node->name, "node-%u", number);
    list_init(&node->events);
}

void node_start(Node *node) {
    check(!node->engine);
    Simulation *simulation = node->simulation;
    StoreIo store_io = {.post = store_post, .now_us = store_now, .context = node};
    SimulatedIo simulated = {.later = store_later, .fault = store_fault, .context = node};
    node->inner = simulated_open(simulation->disk, &store_io, &simulated);
    node->store = (Store){.kind = &front_kind};
    if (simulation->server) {
        SimulatedBrokerIo broker_io = {.later = broker_later,
                                       .lag_us = broker_lag_us,
                                       .loses_hint = loses_hint,
                                       .loses_word = loses_word,
                                       .is_dead = is_dead,
                                       .context = node};
        node->broker = simulated_broker_open(simulation->server, &broker_io);
    } else {
        Error error;
        check(broker_open(&node->broker, STR("memory:"), NULL, &error) == OK);
    }
    node->skew_us = between(simulation, -3000, 3000);
    EngineIo io = {.now_us = engine_now,
                   .wake_at = engine_wake_at,
                   .soon = engine_soon,
                   .context = node,
                   .seed = random_next(&simulation->random)};
    EngineOptions options = {.keep_finished_ms = INT64_C(7) * 24 * 3600 * 1000,
                             .keep_dead_ms = INT64_C(180) * 24 * 3600 * 1000,
                             .max_open_bytes = 64 * 1024,
                             .node = str_from(node->name),
                             .cluster = simulation->server != NULL,
                             .version = STR("1.0"),
                             .node_info = STR("{}")};
    char instance[24];
    snprintf(instance, sizeof instance, "%u-%u", node->number, node->starts++);
    if (options.cluster) options.instance = str_from(instance);
    node->engine = engine_new(&node->store, node->broker, &io, &options);
    engine_on_node(node->engine, on_node, node);
    engine_on_doubt(node->engine, on_doubt, node);
    node->up_us = node->steady_us = simulation->now_us;
    node->in_touch = true;
    node->frozen_us = 0;
    simulation_note(simulation, "up", node->number, 0);
    engine_start(node->engine);
}

void node_freeze(Node *node, int64_t until_us) {
    Simulation *simulation = node->simulation;
    if (node->frozen_us > simulation->now_us) return;
    node->frozen_us = until_us;
    node->thawed = 0;
    node->shaken_us = until_us;
    if (until_us - simulation->now_us > AWAY_US) node->steady_us = until_us;
    simulation_struck(simulation, until_us);
    /* a server does not wait for ever for a client that holds locks */
    if (until_us - simulation->now_us > 5 * US_PER_S) simulated_cut(node->inner);
}

/* Runs what is left of the node's events, all at once; the store refuses to write. */
static void run_out(Node *node) {
    ListNode *place;
    for (;;) {
        while ((place = list_pop(&node->events))) {
            Event *event = container_of(place, Event, node);
            heap_remove(&node->simulation->events, &event->place);
            void (*run)(void *) = event->run;
            void *argument = event->argument;
            free(event);
            run(argument);
        }
        if (engine_is_idle(node->engine)) return;
        engine_flush(node->engine);
    }
}

void node_stop(Node *node) {
    Simulation *simulation = node->simulation;
    simulation_note(simulation, "down", node->number, 0);
    node->crashing = true;
    /* what it has committed and not yet told the broker is lost with it */
    simulation->hints_struck_us = simulation->now_us;
    simulation_struck(simulation, simulation->now_us);
    EngineStats stats = engine_stats(node->engine);
    simulation->tally.commits += stats.commits;
    simulation->tally.repaired += stats.repaired;
    drop(node, take(&node->wake));
    drop(node, take(&node->soon));
    workers_disconnect(node);
    simulated_cut(node->inner); /* it may wait for another's lock */
    run_out(node);
    store_close(&node->store);
    broker_close(take(&node->broker));
    engine_free(take(&node->engine));
    node->crashing = false;
}
