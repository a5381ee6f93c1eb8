/* The running worker: its links, its slots and what it knows of its leases. Private to this folder.
 *
 * worker.c    life: start, signals, drain, end
 * lease.c     the fetch and the beat link: jobs and cancels in, leases kept by lease_clock.h
 * slots.c     the jobs that run: descriptors on the loop, stops, strays
 * report.c    the report link: output, progress and outcomes out */
#pragma once

#include "base/list.h"
#include "worker/lease_clock.h"
#include "worker/link.h"
#include "worker/run.h"

typedef enum WorkerPhase {
    PHASE_RUNNING,
    PHASE_DRAINING, /* fetches no more; what runs goes on */
    PHASE_STOPPING, /* what runs is being ended */
} WorkerPhase;

typedef struct Slot {
    ListNode node;
    struct Worker *worker;
    Run *run;
    struct event *events[RUN_STREAMS]; /* NULL where the stream is closed */
    int64_t ended_us;                  /* when the command was seen to be gone; 0 before */
    int64_t logged_us;                 /* when output was last sent */
    int64_t tries;                     /* reports of the outcome that were put off by the server */
    bool in_report;                    /* its outcome is in the TDONE under way */
    bool stopped;                      /* it was told to stop */
} Slot;

typedef enum ReportCommand { SENT_NOTHING, SENT_LOG, SENT_PROGRESS, SENT_OUTCOMES } ReportCommand;

/* Jobs that the answer to a TFETCH may bring though they are cancelled: a server's answer has at most so
 * many. */
enum { CANCELS_MOST = 256 };

typedef struct Worker {
    const WorkerConfig *config;
    Loop *loop;
    SessionIdentity identity;
    Arena arena; /* of the identity */
    Link fetch;
    Link beat;
    Link report;
    List slots;
    size_t slot_count;
    WorkerPhase phase;
    bool tell_held; /* the next TFETCH names what is held */
    int64_t told_held_us;
    LoopTimer tick; /* while there are slots */
    LoopTimer fetch_again;
    LoopTimer drain;
    LoopTimer half_closed;
    LeaseClock lease;
    int64_t last_beat_us;        /* when the BEAT under way was sent */
    int64_t fetch_epoch;         /* of the lease when the TFETCH under way was sent */
    Str cancelled[CANCELS_MOST]; /* told since then, of jobs that don't run here */
    size_t cancelled_count;
    Arena cancelled_arena;
    ReportCommand sent;
    size_t sent_log_len;
    struct Slot *sent_slot; /* of SENT_LOG and SENT_PROGRESS; NULL when it is gone */
    int64_t report_not_before_us;
    Error ended; /* why, when not by being told */
} Worker;

/* ---- slots.c ---- */

/* Starts a job; takes over nothing of `job`. */
void slots_start(Worker *worker, const WireJob *job);
/* false: nothing runs that it could stop. */
bool slots_cancel(Worker *worker, Str jid);
void slots_stop_all(Worker *worker, StopReason reason, int64_t grace_ms);
/* Tells all of them how long the lease is now. */
void slots_set_lease(Worker *worker);
/* Lets a slot go once its outcome is settled. */
void slots_remove(Worker *worker, Slot *slot);
/* Reaps what has ended, and kills what a killed reaper left to us. */
void slots_reap(Worker *worker);

/* ---- lease.c ---- */

void lease_init(Worker *worker);
/* Fetches when there is a free slot and nothing speaks against it. */
void lease_fetch(Worker *worker);
/* Stops everything when the lease has run out. To be called before anything that came from the
 * server is acted on. */
void lease_look(Worker *worker);
/* A link went down; with the last of them the lease is cut. */
void lease_link_down(Worker *worker);
/* on_refused of all links. */
void lease_refused(void *worker, int64_t begun_us);

/* ---- report.c ---- */

void report_init(Worker *worker);
/* Sends the next of what is due. */
void report_pump(Worker *worker);

/* ---- worker.c ---- */

void worker_drain(Worker *worker);
/* Ends the loop when there is nothing left to do. */
void worker_check_done(Worker *worker);
/* Ends the loop with an error. */
void worker_abort(Worker *worker, const Error *error);
