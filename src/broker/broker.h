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
} TakeReply;

typedef struct PromoteReply {
    size_t moved;    /* became ready */
    int64_t next_us; /* when the next one falls due as far as known (0 = none known) */
    bool low;        /* D is below low water (or now ≥ F), the store may hold more: refill D */
} PromoteReply;

typedef void (*TakeDone)(void *context, const TakeReply *reply);
typedef void (*PromoteDone)(void *context, const PromoteReply *reply);

typedef struct BrokerStats {
    size_t ready, delayed, taken; /* members */
    uint64_t repaired;            /* hints that a sweep had to add */
} BrokerStats;

typedef struct BrokerKind {
    const char *scheme; /* "memory" */
    Err (*open)(Broker **ret, Str location, Error *error);
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
    /* Refill: begin says from where to read (*ret_after, *ret_until for READY) or returns false
     * when one is under way or nothing is needed; end brings the page. `complete`: the store
     * held no more. page NULL and not complete: the read failed, forget the refill. A window
     * without horizons begins at now_us: what is due by then belongs to R, the rest to D. The
     * end of a refill that a wipe overtook is ignored, and begin returns false until it came. */
    bool (*refill_begin)(Broker *broker, Str queue, WindowSet set, int64_t now_us,
                         int64_t *ret_after, int64_t *ret_until_us);
    void (*refill_end)(Broker *broker, Str queue, WindowSet set, const Hint *page, size_t count,
                       bool complete, int64_t now_us);
    /* Sweep of R (pages with score in (after, until]) or D: adds what is missing and should be
     * there; returns how many. */
    size_t (*sweep)(Broker *broker, Str queue, WindowSet set, const Hint *page, size_t count,
                    int64_t now_us);
    /* Loses everything (FLUSH, tests). */
    void (*wipe)(Broker *broker);
    size_t (*ready)(Broker *broker, Str queue); /* members of R, a hint */
    BrokerStats (*stats)(Broker *broker);
    void (*close)(Broker *broker);
} BrokerKind;

struct Broker { /* an adapter embeds it as its first member */
    const BrokerKind *kind;
    uint64_t repaired; /* counted by the front door */
    /* An adapter that other nodes share calls it when one of them has pushed to this queue, or filled it
     * again: on the loop thread, never from inside a call. A hint that may be lost; NULL before broker_listen. */
    void (*pushed)(void *context, Str queue);
    void *pushed_context;
};

/* "memory:". */
Err broker_open(Broker **ret, Str url, Error *error) must_check;
/* Replaces whoever listened before. */
void broker_listen(Broker *broker, void (*pushed)(void *context, Str queue), void *context);
void broker_push(Broker *broker, Str queue, const Hint *hints, size_t count, int64_t now_us);
void broker_take(Broker *broker, Str queue, size_t n, int64_t now_us, TakeDone done, void *context);
void broker_settle(Broker *broker, Str queue, const JobKey *keys, size_t count);
void broker_promote(Broker *broker, Str queue, int64_t now_us, PromoteDone done, void *context);
bool broker_refill_begin(Broker *broker, Str queue, WindowSet set, int64_t now_us,
                         int64_t *ret_after, int64_t *ret_until_us);
void broker_refill_end(Broker *broker, Str queue, WindowSet set, const Hint *page, size_t count,
                       bool complete, int64_t now_us);
size_t broker_sweep(Broker *broker, Str queue, WindowSet set, const Hint *page, size_t count,
                    int64_t now_us);
void broker_wipe(Broker *broker);
size_t broker_ready(Broker *broker, Str queue);
BrokerStats broker_stats(Broker *broker);
void broker_close(Broker *broker); /* accepts NULL */
