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
    int64_t lock; /* of a refill, the broker's */
    bool failed;  /* the page could not be read */
    size_t swept;
} WindowRead;

static void read_free(WindowRead *read) {
    arena_done(&read->query.arena);
    free(read);
}

/* Whether it is empty is certain from now on, or can't be known. */
static void queue_is_known(EngineQueue *queue, bool sweep_too) {
    queue->known = true;
    if (sweep_too) sweep(queue);
    dispatch_again(queue);
}

static void on_refill_ended(void *context) {
    WindowRead *read = context;
    EngineQueue *queue = read->queue;
    queue->reading[read->set] = false;
    if (read->set == WINDOW_READY && !queue->known) {
        /* a window that did not begin here was there before this node asked for it */
        queue_is_known(queue, read->query.after > SCORE_LOWEST);
    }
    if (!read->failed) {
        if (read->set == WINDOW_DELAYED) promote_at(queue, engine_now_us(queue->engine));
        dispatch_queue(queue);
        refill(queue, read->set); /* if there is more to read, or the window was lost meanwhile */
    }
    read_free(read);
}

static void on_refill(Query *query) {
    crash_point(REFILL_READ);
    WindowRead *read = container_of(query, WindowRead, query);
    EngineQueue *queue = read->queue;
    Engine *engine = queue->engine;
    read->failed = query->outcome != OK;
    broker_refill_end(engine->broker, queue->name, read->set, read->lock,
                      read->failed ? NULL : query->hints, query->count,
                      !read->failed && !query->more, engine_now_us(engine), on_refill_ended, read);
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

static void on_refill_begun(void *context, const RefillReply *reply) {
    WindowRead *read = context;
    EngineQueue *queue = read->queue;
    if (reply->wanted) {
        read->lock = reply->lock;
        window_query(read, reply->after, reply->until_us, REFILL_PAGE, on_refill);
        return;
    }
    queue->reading[read->set] = false;
    /* the broker had its window already, and nobody has looked after it since this node asks */
    bool first = read->set == WINDOW_READY && !queue->known && !reply->failed;
    if (first) queue_is_known(queue, /* sweep_too= */ true);
    read_free(read);
}

void refill(EngineQueue *queue, WindowSet set) {
    if (queue->reading[set]) return;
    queue->reading[set] = true;
    WindowRead *read = alloc_zero(1, sizeof *read);
    read->queue = queue;
    read->set = set;
    broker_refill_begin(queue->engine->broker, queue->name, set, engine_now_us(queue->engine),
                        on_refill_begun, read);
}

/* ---- sweep ---- */

static void sweep_page(WindowRead *read, int64_t after, int64_t until_us);

static void on_swept(void *context, size_t added, bool failed) {
    WindowRead *read = context;
    Query *query = &read->query;
    EngineQueue *queue = read->queue;
    Engine *engine = queue->engine;
    bool more = false;
    int64_t last = 0;
    failed |= query->outcome != OK;
    engine->stats.repaired += added;
    if (added > 0) promote_at(queue, engine_now_us(engine));
    if (!failed && query->count > 0) {
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
    if (!failed && read->set == WINDOW_READY) {
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

static void on_sweep(Query *query) {
    crash_point(SWEEP_READ);
    WindowRead *read = container_of(query, WindowRead, query);
    Engine *engine = read->queue->engine;
    if (query->outcome != OK) {
        on_swept(read, 0, /* failed= */ true);
        return;
    }
    broker_sweep(engine->broker, read->queue->name, read->set, query->hints, query->count,
                 engine_now_us(engine), on_swept, read);
}

static void sweep_page(WindowRead *read, int64_t after, int64_t until_us) {
    EngineQueue *queue = read->queue;
    WindowSet set = read->set;
    size_t swept = read->swept;
    *read = (WindowRead){.queue = queue, .set = set, .swept = swept};
    window_query(read, after, until_us, SWEEP_PAGE, on_sweep);
}

void sweep(EngineQueue *queue) {
    if (queue->sweeping || !broker_is_up(queue->engine->broker, NULL)) return;
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
