/* The simulation: the real core, engine and memory broker of one node over a simulated store, driven on a
 * virtual clock from one seed, with clients that behave well and badly and faults at any point.
 *
 * One history = one Simulation. Everything happens in events, one after another, so the same seed gives
 * the same bytes. The invariant: nothing here reads a clock, a pointer's value or the system's randomness. */
#pragma once

#include "base/heap.h"
#include "base/list.h"
#include "engine/engine.h"
#include "simulation/store_simulated.h"

typedef struct Simulation Simulation;
typedef struct Model Model;
typedef struct Worker Worker;

enum { QUEUES = 3, WORKERS_MOST = 6 };
extern const Str queue_names[QUEUES];

typedef struct Event {
    HeapNode place;
    ListNode
        node; /* in Simulation.node_events, where it is the node's own: a crash takes these away */
    void (*run)(void *argument);
    void *argument;
} Event;

/* What has happened: a fault that never bites proves nothing. */
typedef struct Tally {
    uint64_t commits, starts, losts, failures, returns, stale, lost_answers;
    uint64_t crashes, unheard; /* unheard: committed, but the node died before it could say so */
    uint64_t store_faults, repaired;
} Tally;

struct Simulation {
    uint64_t seed;
    bool verbose;
    Random random;
    int64_t now_us; /* the true time, which is the store's */
    Heap events;
    Arena arena; /* lives as long as the history */
    uint64_t trace;
    size_t steps;
    Tally tally;
    char failure[400]; /* the first violation; empty: none */

    /* the node; NULL engine: down */
    SimulatedDisk *disk;
    Store *inner; /* the simulated store */
    Store store;  /* in front of it: late answers of reads, small pages */
    Broker *broker;
    Engine *engine;
    List node_events;
    Event *wake, *soon;
    int64_t skew_us; /* the node's clock less the store's */
    bool crashing;   /* no client hears anything any more */
    int64_t up_us;   /* when the node was last started */

    /* faults */
    bool faulty; /* faults and misbehaviour are still allowed */
    bool calm;   /* this history has no faults of the store or the node at all */
    bool dark;   /* every worker has vanished and nobody asks for anything */
    bool slow;   /* a slow disk: much meets in one batch */
    bool store_away;
    bool crash_planned;
    int64_t struck_us; /* the last time that the store failed, or ended failing */
    size_t page;
    size_t open_requests; /* asked of the engine and not answered yet */

    Model *model;
    Worker *workers;
    size_t worker_count;
    List fetches; /* open ones, those of vanished workers included */
    size_t jobs_to_submit;
    size_t submits_open;
    bool paused[QUEUES];        /* or about to be */
    int64_t resumed_us[QUEUES]; /* when it last ended being so */
};

/* ---- simulation.c ---- */

/* Runs one history; the failure (empty: passed) and the trace are in the simulation afterwards. */
void simulation_run(Simulation *simulation, uint64_t seed, bool verbose);
void simulation_done(Simulation *simulation);

void simulation_after(Simulation *simulation, int64_t delay_us, void (*run)(void *),
                      void *argument);
/* Notes the first violation; the history ends with it. */
void simulation_fail(Simulation *simulation, const char *format, ...) printf_like(2, 3);
void simulation_note(Simulation *simulation, const char *what, uint64_t a, uint64_t b);
bool chance(Simulation *simulation, unsigned per_mille);
int64_t between(Simulation *simulation, int64_t low, int64_t high); /* both included */
bool node_is_ready(const Simulation *simulation);

/* What a client learns of what it asked. */
typedef enum Answer {
    ANSWERED, /* what the engine said, true and committed */
    REFUSED,  /* an error: nothing was done */
    LOST,     /* the answer did not arrive: either */
} Answer;

/* One thing asked of the engine; lives in the simulation's arena, so that a second answer is seen. */
typedef struct Request {
    Simulation *simulation;
    bool answered;
    Answer answer;
} Request;

void request_begin(Simulation *simulation, Request *request);
/* To be called first by each done(); says what the client is going to learn. */
Answer request_end(Request *request, const Error *error);
/* After how long the client learns it. */
int64_t request_delay_us(const Request *request);

/* ---- node.c ---- */

void node_start(Simulation *simulation);
/* The process dies: what was not committed is gone, nobody hears from it again. */
void node_stop(Simulation *simulation);

/* ---- worker.c ---- */

void workers_begin(Simulation *simulation);
/* The node is gone, and every connection with it. */
void workers_disconnect(Simulation *simulation);
/* Whether a worker rightly believes that it holds this job: under this fence, or (other) under any but it. */
bool workers_hold(const Simulation *simulation, const JobKey *key, int64_t fence, bool other);
/* Whoever holds this job has given it away by mistake. */
void workers_lapse(const Simulation *simulation, const JobKey *key);
/* Every worker vanishes at once. */
void workers_vanish(Simulation *simulation);
/* A fetch of this queue has been open since `since_us`. */
bool workers_wait_for(const Simulation *simulation, Str queue, int64_t since_us);

/* ---- client.c ---- */

void clients_begin(Simulation *simulation);
void clients_heal(Simulation *simulation);

/* ---- invariants.c ---- */

Model *model_new(Simulation *simulation);
void model_free(Model *model);
void model_look(Model *model);          /* after each commit: what has changed was allowed to */
void model_watch_waiting(Model *model); /* now and then: nothing waits that could run */
void model_check_reaped(const Model *model); /* no worker for minutes: nothing runs */
void model_end(Model *model);                /* everything acknowledged came to its end */
bool model_is_finished(const Model *model);
/* Clients announce what they ask for and tell what they were answered. */
void model_asked(Model *model, const JobKey *key, ActKind kind);
void model_asked_all(Model *model, ActKind kind);
void model_submitted(Model *model, const JobKey *key, Str id, bool answered, bool made);
void model_reported(Model *model, const JobKey *key, int64_t fence, bool failed, Str worker);
/* The attempt with this fence was cancelled, perhaps without its worker knowing. */
bool model_was_cancelled(const Model *model, const JobKey *key, int64_t fence);
bool model_is_deleted(const Model *model, const JobKey *key);
/* Some job's key by number, for operators. False: there is none yet. */
bool model_pick(const Model *model, uint64_t number, JobKey *ret_key);
