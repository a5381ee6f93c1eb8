/* The store: the system of record. Nothing is acknowledged before it is committed here.
 *
 * The front door (store.c) checks preconditions, times and counts for every adapter; adapters are
 * rows of one table and never included from outside their folder. All functions are called on the
 * loop thread; callbacks come on the loop thread, never from inside the call. One batch is in
 * flight at a time. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "core/job.h"
#include "store/batch.h"

typedef struct Loop Loop;
typedef struct Store Store;

/* ---- reading ---- */

typedef enum QueryKind {
    QUERY_JOB,  /* the newest job of `key`: jobs[0], count 0 when there is none */
    QUERY_JOBS, /* by `filter`, newest first, after `cursor` */
    QUERY_READY, /* hints: waiting, due_us ≤ until_us, score > after, lowest first. A page never splits
                       a score: it may exceed `limit`. `more` tells whether anything is behind it */
    QUERY_DELAYED, /* hints: waiting, due_us > after, lowest due first; a page never splits a due */
    QUERY_QUEUES, /* queues: every queue that has a counted job or a setting, with its counts as of now */
    QUERY_WAITING_QUEUES, /* queues (names only) with at least one waiting job */
    QUERY_SESSIONS,       /* sessions, all */
    QUERY_NEXT, /* next_deadline_us, next_expiry_us, next_finished_us, next_dead_us, oldest_seen_us:
                       what the duties wait for; 0 = none. queues: the paused ones, by name */
    QUERY_LOG,  /* text: the captured output kept for the newest job of `key` */
    QUERY_REVOKED, /* tokens: revoked and not yet expired */
    QUERY_RUNNING, /* jobs: all running ones (id, key, worker, fence, queue, type, started_us) */
    QUERY_NODES,   /* nodes: all, by name */
    QUERY_EVERY, /* what a node of a cluster asks once a second, in one statement: all that QUERY_NEXT
                      tells; controls: those numbered above `after`, by number (at most `limit`; `more`);
                      finished: which of `keys` are of finished jobs; and the node row of (`node`,
                      `node_instance`), if present, has been seen now (node_known: it is there) */
} QueryKind;

typedef struct JobFilter {
    unsigned statuses; /* bit per JobStatus; 0 = all */
    Str queue;         /* absent = all; likewise below */
    Str type;
    const Str *tags; /* all of them */
    size_t tag_count;
    Str worker;
    Str correlation_id;
    Str id_list_json;                            /* JSON array of ids, or absent: only those */
    int64_t created_after_us, created_before_us; /* 0 = open */
    int64_t version;                             /* 0 = all */
    const Str *queue_globs;                      /* the token's queues; 0 = all */
    size_t queue_glob_count;
    bool with_bodies; /* args and result too */
} JobFilter;

typedef struct Hint { /* a waiting job, as the window knows it */
    JobKey key;
    int64_t score; /* core/order.h */
    int64_t due_us;
} Hint;

typedef struct QueueInfo {
    Str name;
    bool paused;
    int64_t counts[STATUS_COUNT];
    int64_t oldest_pending_us; /* due of the oldest pending job; 0 = none */
} QueueInfo;

typedef struct Query Query;
struct Query {
    QueryKind kind;
    /* in */
    JobKey key;
    Str queue;
    JobFilter filter;
    int64_t after;           /* score, due, or number of a control */
    int64_t until_us;        /* READY: due limit; JOBS, QUEUES: now, for derived states */
    int64_t cursor;          /* JOBS: opaque, 0 = from the newest */
    Str node, node_instance; /* EVERY: who asks; absent: nobody */
    int64_t clock_offset_us; /* EVERY: what that node's wall clock is ahead of the store's */
    const JobKey *keys;      /* EVERY */
    size_t key_count;
    size_t limit;
    void (*done)(Query *query); /* on the loop thread; `outcome` is set */
    void *context;
    Store *store;                   /* the front door's, likewise the next */
    void (*asked_by)(Query *query); /* the caller's `done` */
    /* out, in the arena */
    Arena arena; /* the caller's to arena_done() after `done` */
    Err outcome;
    Error error;
    Job *jobs;
    Hint *hints;
    QueueInfo *queues;
    SessionRow *sessions;
    struct RevokedToken {
        Str token_id;
        int64_t until_us;
    } * tokens;
    NodeRow *nodes;
    size_t count; /* of the array that the kind fills; EVERY: queues */
    ControlRow *controls;
    size_t control_count;
    /* EVERY: the highest number that a control was given so far, whether it is still kept or not; 0 = none.
     * Numbers rise by one */
    int64_t last_control;
    int64_t
        timeline; /* EVERY: that of the server (0: it has none). A higher one may lack what was new */
    JobKey *finished;
    size_t finished_count;
    bool node_known;
    bool more;
    int64_t next_cursor; /* JOBS: 0 = the end */
    int64_t store_us;    /* EVERY: what the store's own clock said; 0 = it has none */
    int64_t now_us;      /* the store's clock when the snapshot was taken */
    int64_t next_deadline_us, next_expiry_us, next_finished_us, next_dead_us;
    int64_t oldest_seen_us; /* of all sessions, the one heard longest ago */
    Str text;
};

/* ---- the contract that an adapter fulfils ---- */

typedef void (*BatchDone)(Batch *batch, void *context);

/* How an adapter gets back to the loop thread, and asks for time. Tables of functions, so that the
 * simulation can stand in. */
typedef struct StoreIo {
    void (*post)(void *context, void (*function)(void *), void *argument); /* from any thread */
    int64_t (*now_us)(
        void *context); /* the clock that the adapter takes for the store's; thread safe */
    /* An adapter whose store has a clock of its own tells what it said, and how long the question took: the
     * time lies between the two. On the loop thread. NULL: nobody wants to know. */
    void (*clock)(void *context, int64_t store_us, int64_t round_trip_us);
    Loop *loop; /* for adapters with sockets; else NULL */
    void *context;
} StoreIo;

typedef struct StoreKind {
    const char *scheme; /* "sqlite" */
    /* Opens, migrates, locks. Errors in words: ERR_CONFLICT when another process has the file. */
    Err (*open)(Store **ret, Str location, const StoreIo *io, Error *error);
    /* Runs the batch as batch.h tells; `done` with batch->outcome: OK after the commit is
     * durable; ERR_UNAVAILABLE (code store-unavailable or store-full) or ERR_INTERNAL: nothing
     * was written. */
    void (*run)(Store *store, Batch *batch, BatchDone done, void *context);
    void (*read)(Store *store, Query *query);
    /* OK: in touch. ERR_UNAVAILABLE: away, `error` says why; it comes back by itself. ERR_CONFLICT: what is
     * there is not for this program (foreign, newer, damaged), and that is final. NULL: always OK. */
    Err (*health)(Store *store, Error *error);
    /* Makes the schema the newest (check_only: changes nothing), blocking, and appends a line of words
     * for each step to `report`. ERR_CONFLICT: check_only and a step is due, or a schema that is not for
     * this program. NULL: open does it. */
    Err (*migrate)(Str location, bool check_only, Buf *report, Error *error);
    /* A secret that all nodes of this store share, for signing keys; absent until the store is in touch.
     * NULL: the store has none. */
    Str (*secret)(Store *store);
    /* The same without a node, blocking. NULL: it has none. */
    Err (*read_secret)(Str location, Buf *ret, Error *error);
    /* Waits for what is under way; frees. */
    void (*close)(Store *store);
} StoreKind;

struct Store { /* an adapter embeds it as its first member */
    const StoreKind *kind;
    bool busy;            /* a batch is in flight */
    BatchDone batch_done; /* the front door's caller */
    void *batch_context;
    size_t reads;               /* under way */
    uint64_t commits, failures; /* counted by the front door */
};

/* ---- the front door ---- */

/* "sqlite:PATH", "postgres://…". ERR_INVALID names what is allowed. A store behind a network is opened
 * whether it can be reached or not: store_health() tells. */
Err store_open(Store **ret, Str url, const StoreIo *io, Error *error) must_check;
void store_run(Store *store, Batch *batch, BatchDone done, void *context);
void store_read(Store *store, Query *query);
Err store_health(Store *store, Error *error) must_check;
Err store_migrate(Str url, bool check_only, Buf *report, Error *error) must_check;
/* Borrowed for as long as the store is open; absent: none, or not yet. */
Str store_secret(Store *store);
/* Blocking. ERR_INVALID where such a store has none. */
Err store_read_secret(Str url, Buf *ret, Error *error) must_check;
/* What is under way is finished, but answers that were posted and have not come yet must not come
 * any more: close it when nothing is awaited, or don't turn the loop again. Accepts NULL. */
void store_close(Store *store);
/* No batch and no query is under way. */
bool store_is_idle(const Store *store);
