/* The broker: a window onto the store's truth, kept for speed. It holds hints only, can be lost
 * at any moment and is refilled from the store; the guard of a start decides.
 *
 * Per queue: a ready set R with horizon H, a delayed set D with horizon F, and a promotion
 * frontier P.
 *   I1  every waiting job with due ≤ P and score ≤ H is in R, taken, or in a claim under way;
 *   I2  every waiting job with P < due ≤ F is in D;
 *   I3  members may be ghosts: over-presence is harmless, absence is not.
 * H and F go with their set: a set that is lost begins again with no horizon, which means 'refill'.
 * All calls on the loop thread; answers come by callback, perhaps before the call returns. */
#pragma once

#include "base/error.h"
#include "store/store.h"

typedef struct Broker Broker;

typedef enum WindowSet { WINDOW_READY, WINDOW_DELAYED } WindowSet;

typedef struct TakeReply {
    const Hint *hints; /* lowest score first; valid during the callback */
    size_t count;
    bool low; /* below low water, and the store may hold more above H: refill */
    bool
        failed; /* the broker could not be asked: nothing is taken as far as known, likewise below */
} TakeReply;

typedef struct PromoteReply {
    size_t moved;    /* became ready */
    int64_t next_us; /* when the next one falls due as far as known (0 = none known) */
    bool low;        /* D is below low water (or now ≥ F), the store may hold more: refill D */
    bool failed;
} PromoteReply;

typedef struct RefillReply {
    bool
        wanted; /* false: one is under way, here or on another node, or nothing is needed, or it failed */
    bool failed;
    int64_t after, until_us; /* from where to read */
    int64_t lock;            /* to be given to refill_end */
} RefillReply;

typedef void (*TakeDone)(void *context, const TakeReply *reply);
typedef void (*PromoteDone)(void *context, const PromoteReply *reply);
typedef void (*RefillDone)(void *context, const RefillReply *reply);
/* `added`: hints that were missing and should have been there. */
typedef void (*SweepDone)(void *context, size_t added, bool failed);
typedef void (*BrokerDone)(void *context);

typedef struct BrokerStats {
    size_t ready, delayed,
        taken;         /* members; of a broker behind a network those of the queues that this
                                     node uses, as last heard */
    uint64_t repaired; /* hints that a sweep had to add */
} BrokerStats;

/* What a broker says by itself: on the loop thread, never from inside a call. */
typedef struct BrokerEvents {
    /* Another node has pushed to this queue, or filled it again. A hint that may be lost. */
    void (*pushed)(void *context, Str queue);
    /* It is away, or has been back in good health for 5 s: broker_is_up() has changed. */
    void (*turned)(void *context);
    /* It has lost what it held, or went back to an older state: every window is empty now, without
     * horizons. */
    void (*emptied)(void *context);
    void *context;
} BrokerEvents;

typedef struct BrokerIo {
    Loop *loop;                       /* for adapters with sockets; else NULL */
    Str node;                         /* this node's name; copied */
    uint64_t (*epoch)(void *context); /* the highest epoch that the store has been told; 0 = none */
    void (*epoch_raised)(void *context, uint64_t epoch); /* to be kept in the store, every 5 s */
    void *context;                                       /* both may be NULL */
} BrokerIo;

typedef struct BrokerKind {
    const char *scheme; /* "memory" */
    /* A broker behind a network is opened whether it can be reached or not. */
    Err (*open)(Broker **ret, Str url, Str location, const BrokerIo *io, Error *error);
    /* Committed waiting jobs. now_us: the store's clock. */
    void (*push)(Broker *broker, Str queue, const Hint *hints, size_t count, int64_t now_us);
    /* Moves up to n of the best ids to `taken`, for at most 10 s. */
    void (*take)(Broker *broker, Str queue, size_t n, int64_t now_us, TakeDone done, void *context);
    /* A claim is settled: the ids leave `taken`. */
    void (*settle)(Broker *broker, Str queue, const JobKey *keys, size_t count);
    /* P moves to min(now, F); D's due members go through push. Also gives back what was taken
     * and not settled for 10 s; next_us, always later than now_us, is the next of either.
     * `moved` counts what any call has moved since the last promote. */
    void (*promote)(Broker *broker, Str queue, int64_t now_us, PromoteDone done, void *context);
    /* Refill: begin says from where to read; end brings the page. `complete`: the store held no more.
     * page NULL and not complete: the read failed, forget the refill. A window without horizons begins
     * at now_us: what is due by then belongs to R, the rest to D. The end of a refill that a wipe
     * overtook is ignored, and begin says no until it came or its lock has run out (10 s). */
    void (*refill_begin)(Broker *broker, Str queue, WindowSet set, int64_t now_us, RefillDone done,
                         void *context);
    void (*refill_end)(Broker *broker, Str queue, WindowSet set, int64_t lock, const Hint *page,
                       size_t count, bool complete, int64_t now_us, BrokerDone done, void *context);
    /* Sweep of R (pages with score in (after, until]) or D: adds what is missing and should be
     * there. */
    void (*sweep)(Broker *broker, Str queue, WindowSet set, const Hint *page, size_t count,
                  int64_t now_us, SweepDone done, void *context);
    /* Loses everything (FLUSH, tests). */
    void (*wipe)(Broker *broker);
    size_t (*ready)(Broker *broker, Str queue); /* members of R, a hint */
    BrokerStats (*stats)(Broker *broker);
    /* NULL: always up. `why` gets words when it is not. */
    bool (*is_up)(Broker *broker, Buf *why);
    /* Commands under way are answered first, as failed. */
    void (*close)(Broker *broker);
} BrokerKind;

struct Broker { /* an adapter embeds it as its first member */
    const BrokerKind *kind;
    uint64_t repaired;   /* counted by the front door */
    BrokerEvents events; /* zero before broker_listen; each may be NULL */
};

/* "memory:", "redis://…", "rediss://…", or "none:": no broker at all, never up, for a node that dispatches
 * straight from the store. `io` may be NULL for memory: and none:. */
Err broker_open(Broker **ret, Str url, const BrokerIo *io, Error *error) must_check;
/* Replaces whoever listened before. */
void broker_listen(Broker *broker, const BrokerEvents *events);
/* While it is away commands fail at once and windows are not kept: dispatch from the store. `why`
 * (NULL: not asked) gets words. */
bool broker_is_up(Broker *broker, Buf *why);
void broker_push(Broker *broker, Str queue, const Hint *hints, size_t count, int64_t now_us);
void broker_take(Broker *broker, Str queue, size_t n, int64_t now_us, TakeDone done, void *context);
void broker_settle(Broker *broker, Str queue, const JobKey *keys, size_t count);
void broker_promote(Broker *broker, Str queue, int64_t now_us, PromoteDone done, void *context);
void broker_refill_begin(Broker *broker, Str queue, WindowSet set, int64_t now_us, RefillDone done,
                         void *context);
/* `done` may be NULL. The page is copied or sent before the call returns, likewise with push and sweep. */
void broker_refill_end(Broker *broker, Str queue, WindowSet set, int64_t lock, const Hint *page,
                       size_t count, bool complete, int64_t now_us, BrokerDone done, void *context);
void broker_sweep(Broker *broker, Str queue, WindowSet set, const Hint *page, size_t count,
                  int64_t now_us, SweepDone done, void *context);
void broker_wipe(Broker *broker);
size_t broker_ready(Broker *broker, Str queue);
BrokerStats broker_stats(Broker *broker);
void broker_close(Broker *broker); /* accepts NULL */
