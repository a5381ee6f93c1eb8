/* Inside the simulated workers: worker.c is their life and their connections, worker_run.c what they run
 * and report. */
#pragma once

#include "simulation/simulation.h"

enum { SLOTS_MOST = 3, GRACE_MS = 15000, SENDS_MOST = 60 };

typedef enum Style { QUICK, BEATING, SILENT, STYLES } Style;

typedef struct Run {
    bool active;
    bool lapsed;    /* the lease was over once: what the worker does from then on it does wrongly */
    bool cancelled; /* it is to be told */
    int64_t cancelled_us; /* since then, whether it holds the job or not; 0: it is not cancelled */
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
    Node *node;       /* the one it is connected to; NULL: none */
    Session *session; /* on that node */
    unsigned connection;
    bool confirmed;       /* the node has said that the store knows the session */
    int64_t connected_us; /* since then */
    int64_t
        synced_us; /* what was sent then has been answered, once the store knew of it; 0: nothing new */
    bool split; /* it fetches over a connection of its own, perhaps to another node */
    Node *fetch_node;
    Session *fetch_session; /* NULL: over the one that it beats on */
    unsigned link;          /* the number of that connection */
    int64_t linked_us;
    int64_t alone_us; /* since then, by the node's clock, nothing is on its way over an older one */
    bool kept;        /* it has named what it holds on this connection … */
    int64_t kept_us;  /* … last then */
    int64_t dropped_us;  /* when it last gave up a job without a word */
    int64_t reported_us; /* when it last began to say what became of one */
    bool has_beaten;
    int64_t lease_us; /* until when, as the worker knows; for those that beat */
    int64_t sent_us;  /* when it sent the last beat that was answered */
    unsigned lapses;  /* of the lease, so far */
    int64_t beat_at_us, frozen_us;
    FetchCall *fetch;
    Run runs[SLOTS_MOST];
};

bool worker_beats(const Worker *worker);
bool worker_holds(const Worker *worker, const Run *run);
void worker_note_lapses(Worker *worker);

/* worker_fetch.c */
bool link_look_after(Worker *worker);
void link_open(Worker *worker);
void link_close(Worker *worker);
/* It is gone, and what is on its way over it. */
void link_forget(Worker *worker);
void worker_keep(Worker *worker);
void worker_fetch(Worker *worker);
void fetch_hang_up(FetchCall *call);
bool fetch_waits(const FetchCall *call);
/* The node is gone. */
void fetches_end(Node *node);

/* worker_run.c */
void run_plan_end(Worker *worker, Run *run, int64_t delay_us);
int64_t run_time_us(const Worker *worker, const Run *run);
void run_touch(Worker *worker, Run *run);
