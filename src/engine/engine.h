/* The engine: every use case of Takt, and the duties that keep its promises. Knows store and
 * broker, no protocol.
 *
 * Everything is called on one loop thread and answers by callback on that thread, never from
 * inside the call (engine_fetch_cancel and the *_cancel functions excepted: after them no
 * callback comes). What a callback is given is borrowed for the callback only. Requests belong to
 * the caller and must live until their `done`. Nothing is answered as done before the store has
 * committed it. */
#pragma once

#include "broker/broker.h"
#include "engine/operation.h"
#include "store/store.h"

typedef struct Engine Engine;
typedef struct Session Session;

/* What the engine asks of the outside. */
typedef struct EngineIo {
    /* The store's clock as this node knows it. */
    int64_t (*now_us)(void *context);
    /* Call engine_tick then; replaces an earlier wish. */
    void (*wake_at)(void *context, int64_t at_us);
    /* Call engine_flush at the end of this loop round. */
    void (*soon)(void *context);
    void *context;
    uint64_t seed;
} EngineIo;

typedef struct EngineOptions {
    int64_t keep_finished_ms; /* 7 days */
    int64_t keep_dead_ms;     /* 180 days */
    size_t max_open_bytes;    /* of operations not yet in a batch: beyond it 503 `overloaded` */
    Str node;                 /* this node's name */
    /* One of several nodes on one store: it has a row there under its name, and hears of what the others
     * have done. The rest is for that row. */
    bool cluster;
    Str instance; /* made anew at each start; empty: no cluster */
    Str version;
    Str node_info; /* JSON {"http","protocol","pid","hostname"} */
} EngineOptions;

typedef enum NodeState {
    NODE_ALONE, /* no cluster */
    NODE_JOINING, /* not in the store yet, or its name is another's that was heard of lately: it waits */
    NODE_HERE,
    NODE_TAKEN, /* another process has taken its name over: this one is to end */
    NODE_LEFT,
} NodeState;

Engine *engine_new(Store *store, Broker *broker, const EngineIo *io, const EngineOptions *options);
/* Reads sessions, settings and waiting queues; engine_ready() is true when the first read is
 * back. */
void engine_start(Engine *engine);
bool engine_ready(const Engine *engine);
/* The last batch or read failed because the store is away. */
bool engine_store_is_up(const Engine *engine);
void engine_flush(Engine *engine); /* sends the open batch if none is under way */
/* Runs the duties that are due and asks to be woken for the next. */
void engine_tick(Engine *engine);
/* No more claims; open fetches are answered empty. */
void engine_drain(Engine *engine);
/* No claims for now: fetches wait. */
void engine_hold(Engine *engine, bool held);
/* Whether hints go through the broker; `why` (NULL: not asked) gets words when not. */
bool engine_broker_is_up(const Engine *engine, Buf *why);
/* The node goes: its name is free for the next one at once. Before the store is closed; engine_is_idle()
 * is true again when that is done. */
void engine_leave(Engine *engine);
NodeState engine_node_state(const Engine *engine);
/* Its row, as it is or would be; texts as long as the engine. */
NodeRow engine_node(const Engine *engine);
/* Called whenever that changes, and once when it has to wait for its name; never from inside a call. */
void engine_on_node(Engine *engine, void (*changed)(void *context, NodeState state), void *context);
/* What this node's wall clock is ahead of the store's, for others to see. */
void engine_set_clock_offset(Engine *engine, int64_t offset_us);
/* The store may have lost what workers reported (a standby has taken over): they are to connect anew, so
 * that they name what they hold. */
void engine_on_doubt(Engine *engine, void (*doubt)(void *context), void *context);
bool engine_is_idle(const Engine *engine); /* no batch under way, none open */
void engine_free(Engine *engine);          /* accepts NULL; the store must be closed before */

int64_t engine_now_us(const Engine *engine);
/* A new id: strictly rising UUIDv7. */
JobKey engine_make_key(Engine *engine, char ret_text[UUID_TEXT_SIZE]);

/* ---- jobs in ---- */

typedef struct EnqueueItem {
    Job job; /* as submitted: strings borrowed from the caller; run_at_us 0 = now. key and id are made
                      by the engine where id is absent */
    bool made_id; /* out */
    /* out: an id that is kept already (HTTP) or live (worker protocol); nothing was made */
    bool duplicate;
    bool decided; /* the engine's */
    Row *row;     /* the engine's */
    Job result;   /* out, in `arena`: the job as made, or the one that was there */
} EnqueueItem;

typedef struct EnqueueRequest {
    Operation operation; /* .done and .context by the caller */
    EnqueueItem *items;
    size_t count;
    bool wire;        /* worker protocol: an id whose job is ended makes a new job */
    bool need_result; /* fill item.result */
    Arena *arena;     /* the caller's, for ids made and results */
    Engine *engine;   /* the engine's */
} EnqueueRequest;

/* All or none. Results in the items. */
void engine_enqueue(Engine *engine, EnqueueRequest *request);

/* ---- jobs out ---- */

typedef struct Fetch Fetch;
typedef struct FetchState FetchState;
struct Fetch {
    const Str *queues; /* strictly in this order; the caller's until done */
    size_t queue_count;
    size_t max;       /* 1–1000 */
    Str worker;       /* absent: a producer that fetches */
    int64_t until_us; /* answer empty then */
    int64_t grace_ms; /* behind the timeout, for opted-in workers */
    size_t max_bytes; /* ends early past this; 0 = no limit */
    /* Called once: count 0 = nothing in time. Return false when the jobs could not be handed to the
     * socket at all: their claim is undone. */
    bool (*done)(Fetch *fetch, const Job *jobs, size_t count, const Error *error);
    void *context;
    struct FetchState *state; /* the engine's; NULL = not under way */
};

void engine_fetch(Engine *engine, Fetch *fetch);
/* The fetcher hung up: no callback any more; a claim under way is undone. Nothing when not under
 * way. */
void engine_fetch_cancel(Engine *engine, Fetch *fetch);

/* ---- outcomes ---- */

typedef enum OutcomeResult { OUTCOME_OK, OUTCOME_STALE, OUTCOME_UNKNOWN_JOB } OutcomeResult;

typedef struct JobOutcome {
    JobKey key;
    Lease lease;
    bool failed;
    Str result;      /* of a success: JSON or absent */
    Failure failure; /* hash is filled by the engine */
    Str hash;        /* the engine's */
    Row *row;        /* the engine's, likewise the next two */
    bool blind;
    bool decided;
    OutcomeResult answer; /* out */
} JobOutcome;

typedef struct OutcomeRequest {
    Operation operation;
    JobOutcome *outcomes;
    size_t count;
    Arena *arena;   /* the caller's */
    Engine *engine; /* the engine's */
} OutcomeRequest;

void engine_settle(Engine *engine, OutcomeRequest *request);

/* What a worker holds, all of it: any other running job of it never reached it and is lost. */
typedef struct KeepRequest {
    Operation operation;
    Str worker;
    const int64_t *held; /* fences */
    size_t held_count;
    /* Since then the worker has fetched over nothing but the connection that says this, and got all that was
     * sent over it before: when it was opened, or last answered. 0: since it connected to this node */
    int64_t since_us;
    Ask *ask, *sessions; /* the engine's, likewise the next one */
    Engine *engine;
    size_t lost;
} KeepRequest;

void engine_keep_only(Engine *engine, KeepRequest *request);

/* ---- during a run: extend, progress, log ---- */

typedef enum TouchKind { TOUCH_EXTEND, TOUCH_PROGRESS, TOUCH_LOG } TouchKind;

typedef struct Touch {
    TouchKind kind;
    JobKey key;
    Lease lease;      /* fence 0 with no worker: any holder (TRACK SET of plain clients) */
    Str text;         /* progress: JSON {"percent","message"}; log: UTF-8 */
    int64_t until_us; /* deadline at least then (0: unchanged); never shortens; not for logs */
    Row *row;         /* the engine's, likewise the next */
    bool decided;
    OutcomeResult answer; /* out */
} Touch;

typedef struct TouchRequest {
    Operation operation;
    Touch *touches;
    size_t count;
} TouchRequest;

void engine_touch(Engine *engine, TouchRequest *request);

/* ---- operators ---- */

typedef enum ActKind { ACT_CANCEL, ACT_RETRY, ACT_DELETE, ACT_KILL } ActKind;

typedef enum ActResult { ACT_APPLIED, ACT_WRONG_STATE, ACT_NOT_FOUND, ACT_HIDDEN } ActResult;

typedef struct Act {
    JobKey key;
    Str id;   /* compared with the job's, where present */
    Row *row; /* the engine's, likewise the next */
    bool decided;
    ActResult answer; /* out */
    JobStatus status; /* out: before the act */
    Job result;       /* out, in the request's arena: after it (not for delete) */
} Act;

typedef struct ActRequest {
    Operation operation;
    ActKind kind;
    JobReason reason;       /* cancel */
    unsigned statuses;      /* only jobs that show one of these now; 0 = any that the act fits */
    const Str *queue_globs; /* only jobs in these queues (else ACT_HIDDEN); NULL = all */
    size_t queue_glob_count;
    Act *acts;
    size_t count;
    Arena *arena;
} ActRequest;

void engine_act(Engine *engine, ActRequest *request);

/* The same for all jobs that a filter matches when it is called, page by page. */
typedef struct MassRequest {
    ActKind kind;
    JobReason reason;
    JobFilter filter; /* strings borrowed until done */
    bool dry_run;
    void (*done)(struct MassRequest *request);
    void *context;
    Error error;             /* out */
    int64_t matched;         /* out: acted on (or that would be) */
    struct MassState *state; /* the engine's */
} MassRequest;

void engine_act_on_all(Engine *engine, MassRequest *request);

typedef struct QueueRequest { /* pause or resume of one queue, in the store before the answer */
    Operation operation;
    Str queue;
    bool paused;
    Engine *engine;
} QueueRequest;

void engine_queue_set_paused(Engine *engine, QueueRequest *request);

/* FLUSH: erases every job, session and setting of queues. */
void engine_wipe(Engine *engine, Operation *request);

typedef struct TokenRequest {
    Operation operation;
    Str token_id;
    int64_t until_us;
    Engine *engine;
} TokenRequest;

void engine_revoke_token(Engine *engine, TokenRequest *request);
bool engine_token_is_revoked(const Engine *engine, Str token_id);

/* ---- workers' sessions ---- */

typedef struct SessionInfo {
    Str worker; /* wid */
    Str info;   /* JSON object {"hostname","pid","labels","username"} */
    bool quick; /* opted in: lease 30 s from the start, closing counts after 5 s */
} SessionInfo;

/* One more connection announces this worker; the first one's details are kept. */
Session *engine_session_open(Engine *engine, const SessionInfo *info);
/* In a cluster: whether the store knows of the session, so that no other node gives its worker's jobs away.
 * Until then the worker must not be told that its lease has begun, or goes on after a silence. false: it
 * does, or that does not matter; true: `done` will be called, `error` NULL when it is stored. */
typedef struct SessionSync {
    void (*done)(struct SessionSync *sync, const Error *error);
    void *context;
    ListNode node;
} SessionSync;
bool engine_session_sync(Engine *engine, Session *session, SessionSync *sync);
void engine_session_sync_cancel(SessionSync *sync); /* nothing when it was called */
/* The worker was heard: all its leases are renewed. rss_kb < 0: not told. */
void engine_session_beat(Engine *engine, Session *session, int64_t rss_kb);
/* One connection less. The Session must not be used by that connection any more. */
void engine_session_close(Engine *engine, Session *session);
Session *engine_session_find(Engine *engine, Str worker); /* NULL: unknown */
/* A list for whoever opens sessions, to find the connections of one worker. Empty at first, and again
 * when the last of them is closed. */
List *engine_session_peers(Session *session);

typedef enum SessionState { SESSION_RUNNING, SESSION_QUIET, SESSION_TERMINATE } SessionState;
/* The worker says, or an operator wishes: moves forward only. */
void engine_session_set_state(Engine *engine, Session *session, SessionState state);
SessionState engine_session_state(const Session *session);
/* Ids of running jobs that were cancelled and not yet told; moves them into the arena and forgets
 * them. */
size_t engine_session_take_cancels(Engine *engine, Session *session, Arena *arena, Str **ret_ids);
/* At most one parked beat a session: `wake` is called once when there is a cancel or a state to
 * tell, and replaces an earlier one (which is called). NULL removes. */
void engine_session_park(Engine *engine, Session *session, void (*wake)(void *context),
                         void *context);

/* Takes that parked beat out, if it is still the one, without calling it. */
void engine_session_unpark(Session *session, const void *context);

typedef struct SessionView {
    Str worker, info;
    SessionState state;
    unsigned connections;
    int64_t seen_us, opened_us, rss_kb;
} SessionView;
/* Walks the sessions of this node with at least one connection. */
void engine_sessions_each(Engine *engine, void (*visit)(void *context, const SessionView *view),
                          void *context);

/* ---- looking ---- */

/* Reads from the store (store.h). The store's answer comes by query->done. */
void engine_read(Engine *engine, Query *query);

typedef struct Watch { /* tells once when a job is finished (succeeded, dead, cancelled) */
    JobKey key;
    void (*fire)(struct Watch *watch);
    void *context;
    ListNode node;
} Watch;
void engine_watch(Engine *engine, Watch *watch);
void engine_watch_cancel(Engine *engine, Watch *watch); /* nothing when it has fired */

typedef struct EngineStats {
    uint64_t commits, operations, stale_outcomes, leases_lost, duplicates, repaired;
    uint64_t succeeded, failed, enqueued; /* since the start of this node */
    size_t fetches_parked, sessions;
    BrokerStats broker;
} EngineStats;
EngineStats engine_stats(const Engine *engine);
