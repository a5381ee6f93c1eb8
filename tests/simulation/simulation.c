/* Events, chance and the course of a history: trouble for a while, then calm, then everything must end. */
#include "simulation/simulation.h"

#include "base/alloc.h"
#include "base/time.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define BEGIN_US INT64_C(1767225600000000) /* 2026-01-01 */
#define CALM_MOST_US (1500 * US_PER_S)     /* after the faults, until everything has ended */
#define DARK_US (200 * US_PER_S)           /* longer than two leases, shorter than some timeouts */
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

/* ---- events ---- */

void simulation_after(Simulation *simulation, int64_t delay_us, void (*run)(void *),
                      void *argument) {
    Event *event = alloc_zero(1, sizeof *event);
    event->run = run;
    event->argument = argument;
    heap_add(&simulation->events, &event->place, simulation->now_us + delay_us);
}

static void step(Simulation *simulation) {
    Event *event = container_of(heap_pop(&simulation->events), Event, place);
    check(event->place.key >= simulation->now_us);
    simulation->now_us = event->place.key;
    list_remove(&event->node);
    if (event == simulation->wake) simulation->wake = NULL;
    if (event == simulation->soon) simulation->soon = NULL;
    void (*run)(void *) = event->run;
    void *argument = event->argument;
    free(event);
    simulation->steps++;
    fold(simulation, (uint64_t)simulation->now_us);
    run(argument);
}

/* ---- requests ---- */

void request_begin(Simulation *simulation, Request *request) {
    *request = (Request){.simulation = simulation};
    simulation->open_requests++;
}

Answer request_end(Request *request, const Error *error) {
    Simulation *simulation = request->simulation;
    if (request->answered) simulation_fail(simulation, "a request was answered twice");
    request->answered = true;
    simulation->open_requests--;
    request->answer = error && error->err != OK ? REFUSED : ANSWERED;
    if (simulation->crashing && request->answer == ANSWERED) simulation->tally.unheard++;
    if (simulation->crashing) request->answer = LOST;
    if (simulation->faulty && chance(simulation, 40)) request->answer = LOST;
    simulation->tally.lost_answers += request->answer == LOST;
    return request->answer;
}

int64_t request_delay_us(const Request *request) {
    Simulation *simulation = request->simulation;
    if (request->answer == LOST) return between(simulation, US_PER_S / 5, 3 * US_PER_S);
    if (request->answer == REFUSED) return between(simulation, US_PER_S / 10, US_PER_S);
    return between(simulation, 50, 3000);
}

/* ---- trouble ---- */

static void restart(void *argument) {
    Simulation *simulation = argument;
    if (!simulation->engine) node_start(simulation);
}

static void crash(Simulation *simulation) {
    if (!simulation->engine || !simulation->faulty) return;
    simulation->tally.crashes++;
    node_stop(simulation);
    int64_t most_us = chance(simulation, 100) ? 90 * US_PER_S : 8 * US_PER_S;
    simulation_after(simulation, between(simulation, US_PER_S / 10, most_us), restart, simulation);
}

static void plan_crash(void *argument) {
    Simulation *simulation = argument;
    crash(simulation);
    if (simulation->faulty) {
        simulation_after(simulation, between(simulation, US_PER_S, 60 * US_PER_S), plan_crash,
                         simulation);
    }
}

/* The crash that a point of the store asked for: just before what it does. */
static void check_crash(Simulation *simulation) {
    if (!simulation->crash_planned) return;
    simulation->crash_planned = false;
    crash(simulation);
}

static void plan_outage(void *argument) {
    Simulation *simulation = argument;
    simulation->store_away = simulation->faulty && !simulation->store_away;
    simulation->struck_us = simulation->now_us;
    simulation_note(simulation, "store", simulation->store_away, 0);
    int64_t most_us = simulation->store_away ? 8 * US_PER_S : 50 * US_PER_S;
    if (simulation->faulty) {
        simulation_after(simulation, between(simulation, US_PER_S / 20, most_us), plan_outage,
                         simulation);
    }
}

/* All workers vanish while the store is away, and nobody asks for anything: it is for the node alone to find
 * out that the store is back and that leases have run out. */
static void end_dark(void *argument) {
    Simulation *simulation = argument;
    if (simulation->engine) model_check_reaped(simulation->model);
    simulation->dark = false;
}

static void begin_dark(void *argument) {
    Simulation *simulation = argument;
    simulation->dark = true;
    simulation->store_away = !simulation->calm;
    workers_vanish(simulation);
    simulation_after(simulation, DARK_US, end_dark, simulation);
}

static void heal(void *argument) {
    Simulation *simulation = argument;
    simulation->faulty = false;
    simulation->store_away = false;
    simulation->crash_planned = false;
    simulation_note(simulation, "heal", 0, 0);
    restart(simulation);
    clients_heal(simulation);
}

static void watch(void *argument) {
    Simulation *simulation = argument;
    model_watch_waiting(simulation->model);
    simulation_after(simulation, WATCH_EVERY_US, watch, simulation);
}

/* ---- a history ---- */

static void begin(Simulation *simulation, uint64_t seed, bool verbose) {
    *simulation = (Simulation){.seed = seed,
                               .verbose = verbose,
                               .now_us = BEGIN_US,
                               .faulty = true,
                               .trace = UINT64_C(14695981039346656037)};
    random_init(&simulation->random, seed);
    list_init(&simulation->node_events);
    list_init(&simulation->fetches);
    simulation->calm = chance(simulation, 250);
    simulation->slow = chance(simulation, 300);
    if (chance(simulation, 500)) simulation->page = (size_t)between(simulation, 1, 6);
    simulation->jobs_to_submit = (size_t)between(simulation, 5, 30);
    simulation->struck_us = simulation->now_us;
    simulation->disk = simulated_disk_new();
    simulation->model = model_new(simulation);
    node_start(simulation);
    workers_begin(simulation);
    clients_begin(simulation);
    simulation_after(simulation, WATCH_EVERY_US, watch, simulation);
    if (simulation->calm) return;
    simulation_after(simulation, between(simulation, US_PER_S, 60 * US_PER_S), plan_crash,
                     simulation);
    simulation_after(simulation, between(simulation, US_PER_S, 60 * US_PER_S), plan_outage,
                     simulation);
}

static bool is_over(const Simulation *simulation) {
    return !simulation->faulty && simulation->jobs_to_submit == 0 &&
           simulation->submits_open == 0 && model_is_finished(simulation->model);
}

void simulation_run(Simulation *simulation, uint64_t seed, bool verbose) {
    begin(simulation, seed, verbose);
    int64_t calm_us = simulation->now_us + between(simulation, 20 * US_PER_S, 80 * US_PER_S);
    simulation_after(simulation, calm_us - simulation->now_us, heal, simulation);
    int64_t dark_us = calm_us - simulation->now_us - between(simulation, 0, 4 * US_PER_S);
    if (chance(simulation, 150)) simulation_after(simulation, dark_us, begin_dark, simulation);
    while (!simulation->failure[0] && !is_over(simulation)) {
        if (simulation->now_us > calm_us + CALM_MOST_US) break;
        step(simulation);
        check_crash(simulation);
    }
    if (!simulation->failure[0]) model_end(simulation->model);
    simulation->faulty = false;
    if (simulation->engine) node_stop(simulation);
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
    arena_done(&simulation->arena);
}
