/* Refill and sweep: how the broker's window is filled from the store, and how a hint that was
 * lost on the way is found again. Start-up, wipe, an overfull queue and a job for next year are
 * this one piece of code.
 *
 * Invariant: at most one refill per queue and set is under way; the broker says from where to
 * read. */
#include "engine/internal.h"

#include "base/alloc.h"
#include "base/crash.h"
#include "core/order.h"
#include <stdlib.h>

enum {
    REFILL_PAGE = LIMIT_WINDOW / 2,
    SWEEP_PAGE = 4096,
    SWEEP_MOST = LIMIT_WINDOW + SWEEP_PAGE, /* rows above it lie behind the horizon anyway */
};
#define SWEEP_EVERY_US (20 * US_PER_S)

typedef struct WindowRead {
    Query query;
    EngineQueue *queue;
    WindowSet set;
    size_t swept;
} WindowRead;

static void read_free(WindowRead *read) {
    arena_done(&read->query.arena);
    free(read);
}

static void on_refill(Query *query) {
    crash_point(REFILL_READ);
    WindowRead *read = container_of(query, WindowRead, query);
    EngineQueue *queue = read->queue;
    Engine *engine = queue->engine;
    queue->reading[read->set] = false;
    int64_t now_us = engine_now_us(engine);
    bool failed = query->outcome != OK;
    broker_refill_end(engine->broker, queue->name, read->set, failed ? NULL : query->hints,
                      query->count, failed ? false : !query->more, now_us);
    if (read->set == WINDOW_READY && !queue->known) {
        queue->known = true;
        if (query->after > SCORE_LOWEST) sweep(queue); /* it was there before: see queue_get */
        dispatch_again(queue);
    }
    if (!failed) {
        if (read->set == WINDOW_DELAYED) promote_at(queue, now_us);
        dispatch_queue(queue);
        refill(queue, read->set); /* if there is more to read, or the window was lost meanwhile */
    }
    read_free(read);
}

static void window_query(WindowRead *read, int64_t after, int64_t until_us, size_t limit,
                         void (*done)(Query *)) {
    read->query.kind = read->set == WINDOW_READY ? QUERY_READY : QUERY_DELAYED;
    read->query.queue = read->queue->name;
    read->query.after = after;
    read->query.until_us = until_us;
    read->query.limit = limit;
    read->query.done = done;
    store_read(read->queue->engine->store, &read->query);
}

void refill(EngineQueue *queue, WindowSet set) {
    int64_t after = 0, until_us = 0;
    if (queue->reading[set] ||
        !broker_refill_begin(queue->engine->broker, queue->name, set, engine_now_us(queue->engine),
                             &after, &until_us)) {
        return;
    }
    queue->reading[set] = true;
    WindowRead *read = alloc_zero(1, sizeof *read);
    read->queue = queue;
    read->set = set;
    window_query(read, after, until_us, REFILL_PAGE, on_refill);
}

/* ---- sweep ---- */

static void sweep_page(WindowRead *read, int64_t after, int64_t until_us);

static void on_sweep(Query *query) {
    crash_point(SWEEP_READ);
    WindowRead *read = container_of(query, WindowRead, query);
    EngineQueue *queue = read->queue;
    Engine *engine = queue->engine;
    bool more = false;
    int64_t last = 0;
    if (query->outcome == OK && query->count > 0) {
        size_t added = broker_sweep(engine->broker, queue->name, read->set, query->hints,
                                    query->count, engine_now_us(engine));
        engine->stats.repaired += added;
        if (added > 0) promote_at(queue, engine_now_us(engine));
        const Hint *end = &query->hints[query->count - 1];
        last = read->set == WINDOW_READY ? end->score : end->due_us;
        read->swept += query->count;
        more = query->more && read->swept < SWEEP_MOST;
    }
    int64_t until_us = query->until_us;
    arena_done(&query->arena);
    if (more) {
        sweep_page(read, last, until_us);
        return;
    }
    dispatch_queue(queue);
    if (query->outcome == OK && read->set == WINDOW_READY) {
        read->set = WINDOW_DELAYED;
        read->swept = 0;
        sweep_page(read, until_us, until_us);
        return;
    }
    queue->sweeping = false;
    promote_at(queue,
               engine_now_us(engine)); /* another node may have filled it: when is the next due? */
    free(read);
}

static void sweep_page(WindowRead *read, int64_t after, int64_t until_us) {
    EngineQueue *queue = read->queue;
    WindowSet set = read->set;
    size_t swept = read->swept;
    *read = (WindowRead){.queue = queue, .set = set, .swept = swept};
    window_query(read, after, until_us, SWEEP_PAGE, on_sweep);
}

void sweep(EngineQueue *queue) {
    if (queue->sweeping) return;
    queue->sweeping = true;
    WindowRead *read = alloc_zero(1, sizeof *read);
    read->queue = queue;
    sweep_page(read, SCORE_LOWEST, engine_now_us(queue->engine));
}

int64_t sweep_duty(Engine *engine, int64_t now_us) {
    size_t at = 0;
    EngineQueue *queue;
    while ((queue = map_next(&engine->queues, &at))) {
        if (queue_drop_if_idle(queue) || queue->sweeping) continue;
        refill(queue, WINDOW_READY);
        refill(queue, WINDOW_DELAYED);
        sweep(queue);
    }
    return now_us + SWEEP_EVERY_US;
}
