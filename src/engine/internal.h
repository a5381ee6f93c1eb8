/* What the files of the engine share: its state, and the functions between them. Not for other
 * folders.
 *
 * All of it belongs to the loop thread, but for `batch`, `last_due_us` and `batch_random`, which
 * belong to the store while a batch is under way. */
#pragma once

#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "base/time.h"
#include "engine/engine.h"

typedef struct EngineQueue {
    Str name; /* owned */
    Engine *engine;
    List waiting; /* FetchSlot.node: fetches parked on this queue, first come first */
    bool paused;
    int64_t
        paused_us;   /* when that was last set here: an older look at the store doesn't change it */
    bool reading[2]; /* a refill of that WindowSet is under way */
    bool sweeping;
    bool promoting;     /* the broker has been asked and has not answered … */
    bool promote_again; /* … and is to be asked again then */
    bool known;    /* its window was read once (or could not be): whether it is empty is certain */
    bool skipped;  /* hints that the broker has not been sent, while it was away */
    bool dry;      /* straight from the store: nothing was ready when last asked */
    size_t claims; /* straight from the store, under way */
    size_t users;  /* fetches that name it, parked or not */
    HeapNode promote; /* when its next delayed job falls due */
} EngineQueue;

/* Longer than the duties ever let a node sleep: it was not itself, or not in touch with the store. */
#define ENGINE_AWAY_US (3 * US_PER_S)

typedef struct Duty Duty;

/* A periodic duty does its work and returns when it next wants to run (µs, store's clock). */
struct Duty {
    const char *name;
    int64_t (*run)(Engine *engine, int64_t now_us);
};

struct Engine {
    Store *store;
    Broker *broker;
    EngineIo io;
    EngineOptions options;
    Arena texts; /* of the options */
    Random random;
    UuidMaker ids;

    /* the pipeline */
    List first, open; /* operations that wait for a batch */
    List running;     /* those in the batch under way */
    List alone;       /* run one by one after a batch that failed on its data */
    List refused;     /* answered at the next flush: more is open than may be */
    size_t open_bytes;
    Batch batch;
    Random batch_random;
    int64_t last_due_us;
    bool in_flight;
    bool oversize_waited; /* a batch has gone before the operation at the head of `open` */
    bool store_up;
    bool ready;
    bool draining;
    bool held;                  /* engine_hold() */
    unsigned starting;          /* reads of engine_start still out */
    unsigned start_again;       /* those that failed: a bit per QueryKind */
    int64_t connected_since_us; /* without a break */

    Map queues;
    Heap promotions;
    Heap fetch_deadlines;
    size_t fetches_parked;
    int64_t store_round_us; /* when all queues are asked again straight from the store */
    Map sessions;
    bool sessions_dirty; /* one of them is to be written before a batch may lease jobs to it */
    Map watches;
    Map revoked;

    /* node.c */
    NodeState node_state;
    int64_t node_started_us, clock_offset_us;
    bool node_writing;     /* its row is being written or looked at */
    bool node_dirty;       /* and could not be: to be written again */
    bool node_waits;       /* it was told that its name is taken */
    int64_t node_swept_us; /* when rows of dead nodes were last looked for */
    void (*node_changed)(void *context, NodeState state);
    void *node_context;
    void (*doubt)(void *context);
    void *doubt_context;

    /* control.c */
    int64_t control_last;     /* the number of the last control that was applied */
    int64_t control_since_us; /* those written before are not for this node */
    int64_t control_new; /* up to this number they were there before it began: only cancels count */
    int64_t timeline;
    int64_t looked_us; /* the store's clock at the last look */
    List cancels;      /* CancelNote: of the last minutes, for workers that are on their way here */
    size_t cancel_count;

    int64_t *duty_at; /* when each duty wants to run */
    bool looking;     /* a duty's QUERY_NEXT or QUERY_EVERY is out */
    bool look_quick;  /* something runs, or somebody waits: look twice a second */
    int64_t look_sent_us;
    bool pruning, overdue, expiring, counting;
    size_t reaping;       /* sessions of this node that are being reaped */
    size_t taking_over;   /* strangers' sessions being looked at */
    int64_t strangers_us; /* none of them is over before */
    int64_t ticked_us;    /* the last tick */
    int64_t sent_us;      /* when the batch under way was given to the store */
    uint64_t changes;     /* commits that changed jobs */
    uint64_t counted_changes;

    EngineStats stats;
};

extern const Duty engine_duties[];
extern const size_t engine_duty_count;
/* Brings a duty forward; `run` names it. */
void duty_wake(Engine *engine, int64_t (*run)(Engine *, int64_t), int64_t at_us);
void engine_rearm(Engine *engine);
/* Before connected_since_us is believed: what happens first after a stop is not always a tick. */
void engine_note_absence(Engine *engine);

/* engine.c */
/* Reads what a node must know before it is ready. */
void engine_load(Engine *engine);
/* Reads the revoked tokens again. */
void engine_load_tokens(Engine *engine);
/* It was not in touch with the store up to now. */
void engine_lost_touch(Engine *engine);

/* pipeline.c */
void pipeline_submit(Engine *engine, Operation *operation);

/* publish.c: after a commit, over the rows that changed: hints, watches, cancels, metrics. */
void publish_batch(Engine *engine, Batch *batch);
void watch_init(Engine *engine);
void watch_done(Engine *engine);
/* The keys that are watched, in the arena. */
size_t watch_keys(const Engine *engine, Arena *arena, JobKey **ret_keys);
void watch_fire(Engine *engine, const JobKey *key);

/* node.c */
void node_begin(Engine *engine);
/* Takes its name; engine_load() when it has it. */
void node_join(Engine *engine);
int64_t node_duty(Engine *engine, int64_t now_us);
/* It has begun to drain: the others see it. */
void node_write(Engine *engine);
/* What a look says of its row. */
void node_looked(Engine *engine, const Query *query);

/* control.c */
void control_init(Engine *engine);
void control_done(Engine *engine);
/* What the first look at the store says: from where to read on. */
void control_begin(Engine *engine, const Query *query);
/* Fills in what a look asks. */
void control_ask(Engine *engine, Query *query);
void control_looked(Engine *engine, const Query *query);
/* In a batch, over each row that has changed: what the other nodes are to hear of. */
void control_row(const Engine *engine, Batch *batch, const Row *row);
void control_put(const Engine *engine, Batch *batch, const ControlRow *control);
/* A running job of this worker was cancelled: it is told now, or when it comes here. */
void control_note_cancel(Engine *engine, Str worker, Str id, int64_t at_us);
/* The ids of this worker's jobs that were cancelled lately, wherever that was. */
void control_tell_cancels(Engine *engine, Str worker);
/* The worker is given this job anew. */
void control_forget_cancel(Engine *engine, Str worker, Str id);

/* queue.c */
/* The store was emptied: nothing that is known of its jobs holds any more. */
void queues_wiped(Engine *engine);
EngineQueue *queue_get(Engine *engine, Str name); /* adds it; reads its window from the store */
/* Another node has pushed to it (Broker.pushed). */
void queue_pushed(void *context, Str name);
/* Forgets it where nobody needs it: the broker and the store know its jobs. true: it is gone. */
bool queue_drop_if_idle(EngineQueue *queue);
void queues_done(Engine *engine);
/* What a look at the store has found: the names of all paused queues, as of its clock. */
void queues_set_paused(Engine *engine, const Query *query);

/* refill.c */
void refill(EngineQueue *queue, WindowSet set);
/* Looks now for waiting jobs whose hint was lost. */
void sweep(EngineQueue *queue);
int64_t sweep_duty(Engine *engine, int64_t now_us);

/* dispatch.c */
static inline bool may_claim(const Engine *engine) {
    return !engine->draining && !engine->held;
}
void dispatch_queue(EngineQueue *queue); /* hands ready jobs to parked fetches */
/* The same for every parked fetch of this queue, whatever queue of theirs has work: they waited to know
 * whether this one has. */
void dispatch_again(EngineQueue *queue);
int64_t fetch_timeout_duty(Engine *engine, int64_t now_us);
void fetches_refuse_all(Engine *engine);

/* store_dispatch.c: without a broker */
/* Something may be ready in this queue. */
void store_dispatch(EngineQueue *queue);
/* Looks soon at what waits, when there is no broker. */
void store_dispatch_soon(Engine *engine);
int64_t store_dispatch_duty(Engine *engine, int64_t now_us);

/* recover.c */
/* Hints of committed jobs go to the broker, or are noted as skipped. */
void hints_push(EngineQueue *queue, const Hint *hints, size_t count);
void broker_turned(void *context);  /* BrokerEvents */
void broker_emptied(void *context); /* likewise */

/* promote.c */
int64_t promote_duty(Engine *engine, int64_t now_us);
void promote_at(EngineQueue *queue, int64_t due_us);

/* claim.c: the claim of what a fetch has been handed by the broker. */
typedef struct Taken {
    Hint hint;
    EngineQueue *queue;
    Row *row;
    bool started;
} Taken;
typedef void (*ClaimDone)(void *context, const Job *jobs, size_t count, const Error *error);
/* Copies `taken`. Hints of jobs that stay waiting go back to the broker. */
void claim(Engine *engine, const Taken *taken, size_t count, Str worker, int64_t grace_ms,
           ClaimDone done, void *context);
/* Undoes claims of which nothing was delivered. */
void claim_undo(Engine *engine, const Job *jobs, size_t count);

/* session.c */
void sessions_load(Engine *engine, const SessionRow *rows, size_t count);
void session_tell_cancel(Engine *engine, Str worker, Str id);
void session_forget_cancel(Engine *engine, Str worker, Str id);
/* Another node was told so. */
void session_tell_state(Engine *engine, Str worker, SessionState state);
int64_t session_duty(Engine *engine, int64_t now_us);
void sessions_done(Engine *engine);
void sessions_forget_all(Engine *engine);
/* The store may have lost what was written (another server may have taken its place): everything is to
 * be written again, … */
void sessions_doubt(Engine *engine);
/* … before a batch that may lease jobs to these sessions. */
void sessions_write_dirty(Engine *engine);
const SessionRow *session_row(const Session *session);
/* When a worker counts as gone by this session alone, if nothing more is heard; INT64_MAX: never by
 * silence. since_us: this node has been connected to the store without a break since then. own: it
 * is this node's, and as new as can be. */
int64_t session_gone_at(const SessionRow *row, int64_t since_us, bool own);

/* reap.c, expire.c, prune.c, count.c */
void reap_session(Engine *engine, Session *session, bool forget);
/* lost: all that it held. forget: its row is gone too. over_us: before then no other look is needed, since
 * another node has heard it. */
void session_reaped(Engine *engine, Str worker, bool lost, bool forget, int64_t over_us);
/* The next page of a reaping, unless the worker was heard meanwhile. */
void session_reap_on(Engine *engine, Str worker);
int64_t look_duty(Engine *engine,
                  int64_t now_us); /* asks the store what is overdue and starts that */
/* There is something to look for now: no later than half a second after the last look. */
void look_quickly(Engine *engine);
void reap_overdue(Engine *engine);
/* Sessions that nobody has renewed: of nodes that are gone, or that their worker has left. */
void reap_strangers(Engine *engine);
void expire_waiting(Engine *engine);
void prune_finished(Engine *engine);
int64_t count_duty(Engine *engine, int64_t now_us);

/* token.c */
void tokens_load(Engine *engine, const struct RevokedToken *tokens, size_t count);
void tokens_done(Engine *engine);
