/* Events, chance and the course of a history: trouble for a while, then calm, then everything must end. */
#include "simulation/cluster.h"

#include "base/alloc.h"
#include "base/time.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define BEGIN_US INT64_C(1767225600000000) /* 2026-01-01 */
#define HISTORY_MOST_US (1600 * US_PER_S)  /* trouble, and then until everything has ended */
#define WATCH_EVERY_US (US_PER_S / 2)

const Str queue_names[QUEUES] = {{"alpha", 5}, {"beta", 4}, {"gamma", 5}};

/* ---- chance, trace, failure ---- */

bool chance(Simulation *simulation, unsigned per_mille) {
    return random_below(&simulation->random, 1000) < per_mille;
}

int64_t between(Simulation *simulation, int64_t low, int64_t high) {
    return low + (int64_t)random_below(&simulation->random, (uint64_t)(high - low + 1));
}

static void fold(Simulation *simulation, uint64_t value) {
    for (unsigned i = 0; i < 8; i++) {
        simulation->trace =
            (simulation->trace ^ (value >> (8 * i) & 0xff)) * UINT64_C(1099511628211);
    }
}

void simulation_note(Simulation *simulation, const char *what, uint64_t a, uint64_t b) {
    fold(simulation, (uint64_t)simulation->now_us);
    fold(simulation, (uint64_t)(unsigned char)what[0]);
    fold(simulation, a);
    fold(simulation, b);
    if (simulation->verbose) {
        printf("%12.6f %-12s %llu %llu\n", (double)(simulation->now_us - BEGIN_US) / 1e6, what,
               (unsigned long long)a, (unsigned long long)b);
    }
}

void simulation_fail(Simulation *simulation, const char *format, ...) {
    if (simulation->failure[0]) return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(simulation->failure, sizeof simulation->failure, format, arguments);
    va_end(arguments);
}

void simulation_struck(Simulation *simulation, int64_t at_us) {
    if (at_us > simulation->struck_us) simulation->struck_us = at_us;
}

/* ---- events ---- */

void simulation_after(Simulation *simulation, int64_t delay_us, void (*run)(void *),
                      void *argument) {
    Event *event = alloc_zero(1, sizeof *event);
    event->run = run;
    event->argument = argument;
    heap_add(&simulation->events, &event->place, simulation->now_us + delay_us);
}

/* The events of a node that is stopped come when it goes on, in their order. */
static bool put_off(Simulation *simulation, Event *event) {
    Node *node = event->owner;
    if (!node || node->frozen_us <= simulation->now_us) return false;
    heap_add(&simulation->events, &event->place, node->frozen_us + node->thawed++);
    return true;
}

static void step(Simulation *simulation) {
    Event *event = container_of(heap_pop(&simulation->events), Event, place);
    check(event->place.key >= simulation->now_us);
    simulation->now_us = event->place.key;
    if (put_off(simulation, event)) return;
    list_remove(&event->node);
    Node *node = event->owner;
    if (node && event == node->wake) node->wake = NULL;
    if (node && event == node->soon) node->soon = NULL;
    void (*run)(void *) = event->run;
    void *argument = event->argument;
    free(event);
    simulation->steps++;
    fold(simulation, (uint64_t)simulation->now_us);
    run(argument);
}

/* ---- requests ---- */

void request_begin(Simulation *simulation, Request *request, const Node *node) {
    *request = (Request){.simulation = simulation, .node = node, .begun_us = simulation->now_us};
    simulation->open_requests++;
}

Answer request_end(Request *request, const Error *error) {
    Simulation *simulation = request->simulation;
    if (request->answered) simulation_fail(simulation, "a request was answered twice");
    request->answered = true;
    simulation->open_requests--;
    request->answer = error && error->err != OK ? REFUSED : ANSWERED;
    bool dying = request->node->crashing;
    if (dying && request->answer == ANSWERED) simulation->tally.unheard++;
    if (dying || trouble(simulation, TROUBLE_ANSWER_LOST, 40)) request->answer = LOST;
    simulation->tally.lost_answers += request->answer == LOST;
    return request->answer;
}

bool request_is_sure(const Request *request) {
    return request->simulation->failed_over_us < request->begun_us;
}

int64_t request_delay_us(const Request *request) {
    Simulation *simulation = request->simulation;
    if (request->answer == LOST) return between(simulation, US_PER_S / 5, 3 * US_PER_S);
    if (request->answer == REFUSED) return between(simulation, US_PER_S / 10, US_PER_S);
    return between(simulation, 50, 3000);
}

/* ---- a history ---- */

static void restart(void *argument) {
    Node *node = argument;
    if (!node->engine) node_start(node);
}

/* The crash that a point asked for: just before what it does. */
static void check_crashes(Simulation *simulation) {
    for (size_t i = 0; i < simulation->node_count; i++) {
        Node *node = &simulation->nodes[i];
        if (!node->crash_planned) continue;
        node->crash_planned = false;
        bool taken = node->engine && engine_node_state(node->engine) == NODE_TAKEN;
        if (!node->engine || (!simulation->faulty && !taken)) continue;
        node_stop(node);
        int64_t most_us = trouble_between(simulation, 0, 9) == 0 ? 90 * US_PER_S : 8 * US_PER_S;
        simulation_after(simulation, trouble_between(simulation, US_PER_S / 10, most_us), restart,
                         node);
    }
}

static void watch(void *argument) {
    Simulation *simulation = argument;
    model_watch(simulation->model);
    cluster_check(simulation->cluster);
    workers_check_held(simulation);
    simulation_after(simulation, WATCH_EVERY_US, watch, simulation);
}

static void begin(Simulation *simulation, uint64_t seed, const TroublePlan *plan, bool verbose) {
    *simulation = (Simulation){.seed = seed,
                               .verbose = verbose,
                               .now_us = BEGIN_US,
                               .faulty = true,
                               .plan = plan,
                               .trace = UINT64_C(14695981039346656037)};
    random_init(&simulation->random, seed);
    list_init(&simulation->fetches);
    static const size_t windows[] = {4, 8, 16, LIMIT_WINDOW};
    size_t most = windows[between(simulation, 0, LENGTH(windows) - 1)];
    simulation->node_count =
        chance(simulation, 500) ? 1 : (size_t)between(simulation, 2, NODES_MOST);
    bool shared = simulation->node_count > 1 || chance(simulation, 500);
    if (shared) simulation->server = simulated_broker_new(most);
    troubles_begin(simulation);
    simulation->slow = chance(simulation, 300);
    if (chance(simulation, 500)) simulation->page = (size_t)between(simulation, 1, 6);
    simulation->jobs_to_submit = (size_t)between(simulation, 5, 30);
    simulation->struck_us = simulation->hints_struck_us = simulation->now_us;
    simulation->disk = simulated_disk_new();
    simulation->model = model_new(simulation);
    simulation->cluster = cluster_new(simulation);
    for (unsigned i = 0; i < simulation->node_count; i++) {
        node_init(simulation, i);
    }
    /* a process too many, which waits for the other's name */
    simulation->twins = simulation->node_count > 1 && chance(simulation, 150);
    if (simulation->twins) {
        snprintf(simulation->nodes[1].name, sizeof simulation->nodes[1].name, "%s",
                 simulation->nodes[0].name);
    }
    for (unsigned i = 0; i < simulation->node_count; i++) {
        node_start(&simulation->nodes[i]);
    }
    workers_begin(simulation);
    clients_begin(simulation);
    simulation_after(simulation, WATCH_EVERY_US, watch, simulation);
    troubles_plan(simulation);
}

static bool is_over(const Simulation *simulation) {
    return !simulation->faulty && simulation->jobs_to_submit == 0 &&
           simulation->submits_open == 0 && model_is_finished(simulation->model);
}

void simulation_run(Simulation *simulation, uint64_t seed, const TroublePlan *plan, bool verbose) {
    begin(simulation, seed, plan, verbose);
    while (!simulation->failure[0] && !is_over(simulation)) {
        if (simulation->now_us > BEGIN_US + HISTORY_MOST_US) break;
        step(simulation);
        check_crashes(simulation);
        windows_check(simulation->model);
    }
    if (!simulation->failure[0]) model_end(simulation->model);
    simulation->faulty = false;
    for (size_t i = 0; i < simulation->node_count; i++) {
        if (simulation->nodes[i].engine) node_stop(&simulation->nodes[i]);
    }
    if (simulation->open_requests != 0) {
        simulation_fail(simulation, "%zu requests were never answered", simulation->open_requests);
    }
}

void simulation_done(Simulation *simulation) {
    HeapNode *node;
    while ((node = heap_pop(&simulation->events))) {
        free(container_of(node, Event, place));
    }
    heap_done(&simulation->events);
    model_free(simulation->model);
    simulated_disk_free(simulation->disk);
    simulated_broker_free(simulation->server);
    arena_done(&simulation->arena);
}
