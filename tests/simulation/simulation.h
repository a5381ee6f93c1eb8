/* The simulation: the real core and engine, on one or several nodes over a store and a broker that they
 * share, driven on a virtual clock from one seed, with clients that behave well and badly and faults
 * at any point.
 *
 * One history = one Simulation. Everything happens in events, one after another, so the same seed gives
 * the same bytes. The invariant: nothing here reads a clock, a pointer's value or the system's randomness. */
#pragma once

#include "base/heap.h"
#include "base/list.h"
#include "engine/engine.h"
#include "simulation/broker_simulated.h"
#include "simulation/store_simulated.h"
#include "simulation/trouble.h"

typedef struct Model Model;
typedef struct Cluster Cluster;
typedef struct Worker Worker;
typedef struct Node Node;

enum { QUEUES = 3, WORKERS_MOST = 6, NODES_MOST = 3, BITES_MOST = 4000 };
extern const Str queue_names[QUEUES];

typedef struct Event {
    HeapNode place;
    ListNode node; /* in owner->events */
    Node *owner;   /* a crash takes its events away, a freeze puts them off; NULL: the world's */
    void (*run)(void *argument);
    void *argument;
} Event;

/* What has happened: a fault that never bites proves nothing. */
typedef struct Tally {
    uint64_t commits, starts, losts, failures, returns, stale, lost_answers;
    uint64_t unheard; /* committed, but the node died before it could say so */
    uint64_t repaired, waits;
    uint64_t bites[TROUBLES];
} Tally;

struct Node {
    Simulation *simulation;
    unsigned number, starts;
    uint64_t asked;      /* of the store, so far */
    uint64_t asked_then; /* when the watch over idle nodes began */
    unsigned start_then;
    char name[8];
    Store *inner; /* the simulated store */
    Store store;  /* in front of it: late answers of reads, small pages */
    Broker *broker;
    Engine *engine; /* NULL: down */
    List events;
    Event *wake, *soon;
    int64_t skew_us; /* its clock less the store's */
    int64_t wall_us; /* how far its wall clock is off: nothing may hang on it */
    bool crashing;   /* no client hears anything any more */
    bool crash_planned;
    int64_t frozen_us; /* until when it is stopped */
    int64_t thawed;    /* events put off by that so far */
    int64_t up_us;     /* when it was last started */
    int64_t steady_us; /* since when it has been up, awake and in touch with the store */
    int64_t shaken_us; /* since its last freeze, however short, or since it lost its connection */
    bool in_touch;
    BatchDone done; /* of the batch under way */
    void *context;
    int64_t sent_us;
    int64_t sent_steady_us; /* steady_us as it was then: what the batch decides by */
};

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

    SimulatedDisk *disk;
    SimulatedBroker *server; /* the broker that the nodes share; NULL: one node with its own */
    Node nodes[NODES_MOST];
    size_t node_count;
    bool twins; /* the first two have one name */

    /* faults */
    bool faulty; /* faults and misbehaviour are still allowed */
    unsigned enabled;
    Random trouble_random;
    const TroublePlan *plan;
    Bite bites[BITES_MOST];
    size_t bite_count, bite_number;
    bool dark; /* every worker has vanished and nobody asks for anything */
    bool slow; /* a slow disk: much meets in one batch */
    bool store_away;
    int64_t struck_us;       /* the last time that the store or a node failed, or ended failing */
    int64_t hints_struck_us; /* the last time that a hint may have been lost */
    int64_t failed_over_us;
    size_t page;
    size_t open_requests; /* asked of an engine and not answered yet */

    Model *model;
    Cluster *cluster;
    Worker *workers;
    size_t worker_count;
    List fetches; /* open ones, those of vanished workers included */
    size_t jobs_to_submit;
    size_t submits_open;
    bool paused[QUEUES];        /* or about to be */
    int64_t resumed_us[QUEUES]; /* when it last ended being so */
};

/* ---- simulation.c ---- */

/* Runs one history; the failure (empty: passed) and the trace are in the simulation afterwards. plan
 * NULL: whatever its seed brings. */
void simulation_run(Simulation *simulation, uint64_t seed, const TroublePlan *plan, bool verbose);
void simulation_done(Simulation *simulation);

void simulation_after(Simulation *simulation, int64_t delay_us, void (*run)(void *),
                      void *argument);
/* Notes the first violation; the history ends with it. */
void simulation_fail(Simulation *simulation, const char *format, ...) printf_like(2, 3);
void simulation_note(Simulation *simulation, const char *what, uint64_t a, uint64_t b);
/* The store or a node has failed, or is to fail until then. */
void simulation_struck(Simulation *simulation, int64_t at_us);
bool chance(Simulation *simulation, unsigned per_mille);
int64_t between(Simulation *simulation, int64_t low, int64_t high); /* both included */

/* What a client learns of what it asked. */
typedef enum Answer {
    ANSWERED, /* what the engine said, true and committed */
    REFUSED,  /* an error: nothing was done */
    LOST,     /* the answer did not arrive: either */
} Answer;

/* One thing asked of an engine; lives in the simulation's arena, so that a second answer is seen. */
typedef struct Request {
    Simulation *simulation;
    const Node *node;
    int64_t begun_us;
    bool answered;
    Answer answer;
} Request;

void request_begin(Simulation *simulation, Request *request, const Node *node);
/* To be called first by each done(); says what the client is going to learn. */
Answer request_end(Request *request, const Error *error);
/* No failover has come between, which may have taken back what the engine was told. */
bool request_is_sure(const Request *request);
/* After how long the client learns it. */
int64_t request_delay_us(const Request *request);

/* ---- node.c ---- */

void node_init(Simulation *simulation, unsigned number);
void node_start(Node *node);
/* The process dies: what was not committed is gone, nobody hears from it again. */
void node_stop(Node *node);
/* It stops, as by SIGSTOP, and goes on then. */
void node_freeze(Node *node, int64_t until_us);
/* One that answers now, or NULL. */
Node *node_any(Simulation *simulation);
bool node_is_ready(const Node *node);
/* It waits for a name that another node has. */
bool node_waits(const Node *node);
/* Happens on the node, when it is awake; a crash takes it away or lets it happen. */
void node_later(Node *node, int64_t delay_us, void (*run)(void *), void *argument);

/* ---- worker.c, worker_run.c ---- */

void workers_begin(Simulation *simulation);
/* The node is gone, and every connection with it. */
void workers_disconnect(Node *node);
/* The node closes every connection. */
void workers_hang_up(const Node *node);
/* Whether a worker rightly believes that it holds this job: under this fence, or (other) under any but it. */
bool workers_hold(const Simulation *simulation, const JobKey *key, int64_t fence, bool other);
/* The attempt is cancelled: whoever runs it is told, or has given it away. */
void workers_cancelled(const Simulation *simulation, const JobKey *key);
/* Whoever holds this job has given it away by mistake. */
void workers_lapse(const Simulation *simulation, const JobKey *key);
/* The store may have forgotten any lease. */
void workers_fail_over(const Simulation *simulation);
/* Every worker vanishes at once. */
void workers_vanish(Simulation *simulation);
/* What runs at a worker that is connected it has. */
void workers_check_held(const Simulation *simulation);
/* A fetch of this queue has been open since `since_us` on a node that has been steady since `steady_us`. */
bool workers_wait_for(const Simulation *simulation, Str queue, int64_t since_us, int64_t steady_us);

/* ---- client.c ---- */

void clients_begin(Simulation *simulation);
void clients_heal(Simulation *simulation);

/* ---- model.c, invariants.c, window_check.c ---- */

Model *model_new(Simulation *simulation);
void model_free(Model *model);
void model_look(Model *model);  /* after each commit: what has changed was allowed to */
void model_watch(Model *model); /* now and then: nothing waits that could run */
void model_check_reaped(const Model *model); /* no worker for minutes: nothing runs */
void model_end(Model *model);                /* everything acknowledged came to its end */
bool model_is_finished(const Model *model);
bool model_runs(const Model *model);       /* something does */
void model_save(Model *model);             /* what simulated_replicate() keeps */
void model_roll_back(Model *model);        /* after simulated_fail_over() */
void model_gone(Model *model, Str worker); /* it will not come back; its text must stay */
/* Clients announce what they ask for and tell what they were answered. */
void model_asked(Model *model, const JobKey *key, ActKind kind);
void model_asked_all(Model *model, ActKind kind);
void model_asked_wipe(Model *model);
void model_submitted(Model *model, const JobKey *key, Str id, bool answered, bool made);
void model_reported(Model *model, const JobKey *key, int64_t fence, bool failed, Str worker);
/* A touch that was sent at that time was taken. */
void model_touched(const Model *model, const JobKey *key, int64_t fence, int64_t begun_us);
/* The attempt with this fence was cancelled, perhaps without its worker knowing. */
bool model_was_cancelled(const Model *model, const JobKey *key, int64_t fence);
bool model_is_deleted(const Model *model, const JobKey *key);
/* Some job's key by number, for operators. False: there is none yet. */
bool model_pick(const Model *model, uint64_t number, JobKey *ret_key);
/* After every event: I1, I2 and the bounds of every window (broker/window.h). */
void windows_check(Model *model);
/* Just after the broker has lost everything: no window says that it has anything. */
void windows_check_wiped(const Model *model);
