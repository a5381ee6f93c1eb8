/* The window of one queue: what is in R and D, how far it is known to be whole, and every
 * decision about it. Pure: time comes as a value, pages of the store as arguments. Adapters only
 * keep it somewhere.
 *
 * Invariants, by `horizon` of R (H), of D (F) and `frontier_us` (P):
 *   I1  every waiting job with due ≤ P and score ≤ H is in R, taken, in a claim under way, or,
 *       where the clock went back, still in D, from where it falls due like any other;
 *   I2  every waiting job with P < due ≤ F is in D;
 *   I3  members may be ghosts (a job that ended, or whose due moved): over-presence is harmless.
 * P ≤ F, always. Lowering H, lowering F to no less than P, and lowering both P and F are safe at
 * any time: they only claim less. Horizons rise by refills alone. */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "broker/broker.h"
#include "broker/sorted_set.h"
#include "core/limits.h"
#include "core/order.h"

enum {
    WINDOW_TAKEN_US = 10 * 1000 * 1000, /* how long what was taken may stay unsettled */
};

/* R, ranked by score, or D, ranked by due. Members above the horizon exist only while a refill
 * reads: what is pushed meanwhile may be younger than the read's snapshot and waits there for
 * the horizon to rise. */
typedef struct WindowHalf {
    SortedSet members;
    int64_t horizon; /* SCORE_LOWEST: nothing is known; SCORE_HIGHEST: the set is complete */
    bool reading;    /* a refill is under way */
    /* What the read may raise the horizon to at most: what ranks above it was skipped. Where
     * overflow brought the horizon below the read's beginning, or the set was lost, the ceiling
     * is no higher than the horizon, and the read raises nothing. */
    int64_t ceiling;
} WindowHalf;

typedef struct Window {
    size_t most; /* members of a half; below a quarter, one that isn't complete wants a refill */
    WindowHalf ready;
    WindowHalf delayed;
    int64_t frontier_us; /* P; SCORE_LOWEST before the first call */
    size_t moved;        /* became ready since the last promote, whatever call moved it */
    Map taken;           /* by job key */
    List taken_order;    /* oldest first */
} Window;

/* In place; `most` ≥ 4 is how many members a half may have, `key` keys the hash of the ids that are
 * taken. */
void window_init(Window *window, size_t most, const uint64_t key[2]);
void window_done(Window *window);

/* The operations of broker.h, on one queue. */
void window_push(Window *window, const Hint *hints, size_t count, int64_t now_us);
/* ret_hints has room for n. Returns how many were taken: never one above H. */
size_t window_take(Window *window, size_t n, int64_t now_us, Hint *ret_hints, bool *ret_low);
void window_settle(Window *window, const JobKey *keys, size_t count);
PromoteReply window_promote(Window *window, int64_t now_us);
bool window_refill_begin(Window *window, WindowSet set, int64_t now_us, int64_t *ret_after,
                         int64_t *ret_until_us);
void window_refill_end(Window *window, WindowSet set, const Hint *page, size_t count, bool complete,
                       int64_t now_us);
size_t window_sweep(Window *window, const Hint *page, size_t count, int64_t now_us);
/* Everything is lost, `taken` too; a read under way becomes void. */
void window_wipe(Window *window);

/* Holds no member and no taken id, and no read is under way: dropping it costs one refill. */
bool window_is_empty(const Window *window);
