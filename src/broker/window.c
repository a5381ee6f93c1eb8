/* The window's decisions: see window.h for the invariants, broker.h for the operations.
 *
 * Everything that enters goes through enter(): due by now → R, else → D, above the horizon →
 * nowhere (the store has it, the next refill reads it). Everything that leaves for lack of room
 * goes through trim(), which lowers the horizon below it in the same step. */
#include "broker/window.h"

#include "base/alloc.h"

#include <stdlib.h>

enum { CHUNK = 128 }; /* hints sorted and merged at a time, on the stack */

typedef struct Taken {
    ListNode node; /* in taken_order */
    Hint hint;
    int64_t until_us;
} Taken;

typedef struct Chunk {
    SortedMember members[CHUNK];
    size_t count;
} Chunk;

/* ---- one half ---- */

static void half_lose(WindowHalf *half) {
    sorted_set_done(&half->members);
    half->horizon = SCORE_LOWEST;
    half->ceiling = SCORE_LOWEST;
}

/* Up to where a new member is kept. */
static int64_t half_reach(const WindowHalf *half) {
    return half->reading ? half->ceiling : half->horizon;
}

static bool half_is_low(const WindowHalf *half, size_t most) {
    return half->horizon < SCORE_HIGHEST &&
           sorted_set_count_to(&half->members, half->horizon) < most / 4;
}

/* Cuts the back off an overfull set. Ties leave together or stay together; they stay where their
 * leaving would bring the set below low water, since the refill that this asks for would bring
 * them again, for ever. So a set exceeds the maximum by one group of ties at most. */
static void half_trim(WindowHalf *half, size_t most) {
    if (half->members.count <= most) return;
    int64_t rank = sorted_set_at(&half->members, most)->rank;
    bool leave = sorted_set_count_to(&half->members, rank - 1) >= most / 4;
    int64_t bound = leave ? rank - 1 : rank;
    if (sorted_set_drop_above(&half->members, bound) == 0) return;
    if (half->reading && bound < half->ceiling) half->ceiling = bound;
    if (bound < half->horizon) half->horizon = bound;
}

static size_t half_add(WindowHalf *half, size_t most, Chunk *chunk) {
    size_t added = sorted_set_add_all(&half->members, chunk->members, chunk->count);
    chunk->count = 0;
    half_trim(half, most);
    return added;
}

/* The read is over: raises the horizon over what the page covers, as far as nothing was skipped. */
static void half_raise(WindowHalf *half, int64_t covered) {
    if (covered > half->ceiling) covered = half->ceiling;
    if (covered > half->horizon) half->horizon = covered;
    half->reading = false;
    sorted_set_drop_above(&half->members, half->horizon);
}

/* P may not pass F, so where trimming D brought F below P, P follows. */
static void trim_frontier(Window *window) {
    int64_t horizon_us = window->delayed.horizon;
    if (window->frontier_us > horizon_us) window->frontier_us = horizon_us;
}

/* ---- entering ---- */

static size_t add_ready(Window *window, Chunk *chunk) {
    return half_add(&window->ready, window->most, chunk);
}

static size_t add_delayed(Window *window, Chunk *chunk) {
    size_t added = half_add(&window->delayed, window->most, chunk);
    trim_frontier(window);
    return added;
}

static void chunk_add(Chunk *chunk, int64_t rank, int64_t other, const JobKey *key) {
    chunk->members[chunk->count++] = (SortedMember){.rank = rank, .other = other, .key = *key};
}

/* A hint that is due goes to R at once, even where P can't follow since F is behind. It then
 * goes to D as well while D is being read: the read may be older than the job, and D must not
 * rise over a gap. Returns how many were not there yet. */
static size_t enter(Window *window, const Hint *hints, size_t count, int64_t now_us) {
    Chunk ready, delayed;
    ready.count = delayed.count = 0;
    size_t added = 0;
    for (size_t i = 0; i < count; i++) {
        const Hint *hint = &hints[i];
        bool due = hint->due_us <= now_us;
        bool beyond = hint->due_us > window->delayed.horizon;
        if (due && hint->score <= half_reach(&window->ready)) {
            chunk_add(&ready, hint->score, hint->due_us, &hint->key);
        }
        if ((!due || beyond) && hint->due_us <= half_reach(&window->delayed)) {
            chunk_add(&delayed, hint->due_us, hint->score, &hint->key);
        }
        if (ready.count == CHUNK) added += add_ready(window, &ready);
        if (delayed.count == CHUNK) added += add_delayed(window, &delayed);
    }
    return added + add_ready(window, &ready) + add_delayed(window, &delayed);
}

/* ---- time ---- */

static void taken_drop(Window *window, Taken *taken) {
    map_remove(&window->taken, job_key_str(&taken->hint.key));
    list_remove(&taken->node);
    free(taken);
}

static void give_back_expired(Window *window, int64_t now_us) {
    while (!list_is_empty(&window->taken_order)) {
        Taken *taken = container_of(list_first(&window->taken_order), Taken, node);
        if (taken->until_us > now_us) return;
        Hint hint = taken->hint;
        taken_drop(window, taken);
        window->moved += enter(window, &hint, 1, now_us);
    }
}

/* D's due members become ready and P moves to min(now, F). A window that knows nothing yet
 * claims nothing by beginning at now: what is due is R's to read, what is not is D's. */
static void advance(Window *window, int64_t now_us) {
    if (window->frontier_us == SCORE_LOWEST) {
        window->frontier_us = now_us;
        window->delayed.horizon = now_us;
    }
    give_back_expired(window, now_us);
    SortedSet *delayed = &window->delayed.members;
    int64_t limit = now_us < window->delayed.horizon ? now_us : window->delayed.horizon;
    while (delayed->count > 0 && sorted_set_at(delayed, 0)->rank <= limit) {
        Chunk ready;
        ready.count = 0;
        size_t seen = 0;
        for (; seen < delayed->count && seen < CHUNK; seen++) {
            const SortedMember *member = sorted_set_at(delayed, seen);
            if (member->rank > limit) break;
            if (member->other > half_reach(&window->ready)) continue;
            chunk_add(&ready, member->other, member->rank, &member->key);
        }
        sorted_set_drop_front(delayed, seen);
        window->moved += add_ready(window, &ready);
    }
    if (limit > window->frontier_us) window->frontier_us = limit;
}

/* ---- the operations ---- */

void window_init(Window *window, size_t most, const uint64_t key[2]) {
    *window = (Window){.most = most,
                       .frontier_us = SCORE_LOWEST,
                       .ready.horizon = SCORE_LOWEST,
                       .delayed.horizon = SCORE_LOWEST};
    map_init(&window->taken, key[0], key[1]);
    list_init(&window->taken_order);
}

void window_wipe(Window *window) {
    half_lose(&window->ready);
    half_lose(&window->delayed);
    window->frontier_us = SCORE_LOWEST;
    window->moved = 0;
    while (!list_is_empty(&window->taken_order)) {
        taken_drop(window, container_of(list_first(&window->taken_order), Taken, node));
    }
}

void window_done(Window *window) {
    window_wipe(window);
    map_done(&window->taken);
}

void window_push(Window *window, const Hint *hints, size_t count, int64_t now_us) {
    advance(window, now_us);
    enter(window, hints, count, now_us);
}

static void taken_add(Window *window, const Hint *hint, int64_t until_us) {
    Taken *taken = map_get(&window->taken, job_key_str(&hint->key));
    if (taken) {
        list_remove(&taken->node);
    } else {
        taken = alloc_zero(1, sizeof *taken);
        taken->hint.key = hint->key;
        map_put(&window->taken, job_key_str(&taken->hint.key), taken);
    }
    taken->hint = *hint;
    taken->until_us = until_us;
    list_append(&window->taken_order, &taken->node);
}

size_t window_take(Window *window, size_t n, int64_t now_us, Hint *ret_hints, bool *ret_low) {
    advance(window, now_us);
    SortedSet *members = &window->ready.members;
    size_t count = 0;
    while (count < n && count < members->count) {
        const SortedMember *member = sorted_set_at(members, count);
        if (member->rank > window->ready.horizon) break;
        ret_hints[count] =
            (Hint){.key = member->key, .score = member->rank, .due_us = member->other};
        taken_add(window, &ret_hints[count], now_us + WINDOW_TAKEN_US);
        count++;
    }
    sorted_set_drop_front(members, count);
    *ret_low = half_is_low(&window->ready, window->most);
    return count;
}

void window_settle(Window *window, const JobKey *keys, size_t count) {
    for (size_t i = 0; i < count; i++) {
        Taken *taken = map_get(&window->taken, job_key_str(&keys[i]));
        if (taken) taken_drop(window, taken);
    }
}

/* Always behind now, or 0: a member of D that is due but above F waits for the read that is
 * under way. */
static int64_t next_event(const Window *window, int64_t now_us) {
    int64_t next_us = 0;
    const SortedSet *delayed = &window->delayed.members;
    if (delayed->count > 0 && sorted_set_at(delayed, 0)->rank > now_us) {
        next_us = sorted_set_at(delayed, 0)->rank;
    }
    if (!list_is_empty(&window->taken_order)) {
        const Taken *taken = container_of(list_first(&window->taken_order), Taken, node);
        if (next_us == 0 || taken->until_us < next_us) next_us = taken->until_us;
    }
    return next_us;
}

PromoteReply window_promote(Window *window, int64_t now_us) {
    advance(window, now_us);
    PromoteReply reply = {.moved = window->moved,
                          .next_us = next_event(window, now_us),
                          .low = half_is_low(&window->delayed, window->most) ||
                                 window->delayed.horizon <= now_us};
    window->moved = 0;
    return reply;
}

static WindowHalf *half_of(Window *window, WindowSet set) {
    return set == WINDOW_READY ? &window->ready : &window->delayed;
}

bool window_refill_begin(Window *window, WindowSet set, int64_t now_us, int64_t *ret_after,
                         int64_t *ret_until_us) {
    advance(window, now_us);
    WindowHalf *half = half_of(window, set);
    if (half->reading || !half_is_low(half, window->most)) return false;
    half->reading = true;
    half->ceiling = SCORE_HIGHEST;
    *ret_after = half->horizon;
    *ret_until_us = window->frontier_us;
    return true;
}

/* R's page is read up to P as it was at the beginning. What D promoted since then is in R above
 * H already, like what was pushed. */
void window_refill_end(Window *window, WindowSet set, const Hint *page, size_t count, bool complete,
                       int64_t now_us) {
    WindowHalf *half = half_of(window, set);
    if (!half->reading) return;
    int64_t covered = SCORE_LOWEST;
    if (complete) {
        covered = SCORE_HIGHEST;
    } else if (count > 0) {
        const Hint *last = &page[count - 1];
        covered = set == WINDOW_READY ? last->score : last->due_us;
    }
    half_raise(half, covered);
    for (size_t i = 0; i < count;) {
        Chunk chunk;
        for (chunk.count = 0; i < count && chunk.count < CHUNK; i++) {
            const Hint *hint = &page[i];
            int64_t rank = set == WINDOW_READY ? hint->score : hint->due_us;
            int64_t other = set == WINDOW_READY ? hint->due_us : hint->score;
            if (rank > half->horizon || map_get(&window->taken, job_key_str(&hint->key))) continue;
            chunk_add(&chunk, rank, other, &hint->key);
        }
        half_add(half, window->most, &chunk);
    }
    trim_frontier(window);
    advance(window, now_us);
}

/* What I1 and I2 promise of this job is broken. Its due decides which set it should be in, not
 * the read that found it. */
static bool is_missing(const Window *window, const Hint *hint) {
    if (hint->due_us > window->delayed.horizon) return false;
    if (map_get(&window->taken, job_key_str(&hint->key))) return false;
    if (sorted_set_has(&window->delayed.members, hint->due_us, &hint->key)) return false;
    if (hint->due_us > window->frontier_us) return true;
    if (hint->score > window->ready.horizon) return false;
    return !sorted_set_has(&window->ready.members, hint->score, &hint->key);
}

size_t window_sweep(Window *window, const Hint *page, size_t count, int64_t now_us) {
    advance(window, now_us);
    size_t added = 0;
    for (size_t i = 0; i < count; i++) {
        if (!is_missing(window, &page[i])) continue;
        enter(window, &page[i], 1, now_us);
        added++;
    }
    return added;
}

bool window_is_empty(const Window *window) {
    return window->ready.members.count == 0 && window->delayed.members.count == 0 &&
           list_is_empty(&window->taken_order) && !window->ready.reading &&
           !window->delayed.reading;
}
