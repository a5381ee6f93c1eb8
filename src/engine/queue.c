/* Queues as the engine knows them: made when first named, paused and resumed through the store. */
#include "engine/internal.h"

#include "base/alloc.h"
#include "base/crash.h"
#include <stdlib.h>
#include <string.h>

EngineQueue *queue_get(Engine *engine, Str name) {
    EngineQueue *queue = map_get(&engine->queues, name);
    if (queue) return queue;
    queue = alloc_zero(1, sizeof *queue + name.len + 1);
    char *text = (char *)(queue + 1);
    memcpy(text, name.ptr, name.len);
    queue->name = (Str){text, name.len};
    queue->engine = engine;
    list_init(&queue->waiting);
    map_put(&engine->queues, queue->name, queue);
    if (broker_is_up(engine->broker, NULL)) {
        refill(queue, WINDOW_READY); /* from when on it is known */
        refill(queue, WINDOW_DELAYED);
    }
    promote_at(queue, engine_now_us(engine)); /* what fell due while nobody asked */
    return queue;
}

void queue_pushed(void *context, Str name) {
    Engine *engine = context;
    EngineQueue *queue = map_get(&engine->queues, name);
    if (queue) promote_at(queue, engine_now_us(engine));
}

bool queue_drop_if_idle(EngineQueue *queue) {
    bool reading = queue->reading[WINDOW_READY] || queue->reading[WINDOW_DELAYED];
    if (queue->users > 0 || queue->paused || queue->sweeping || queue->promoting || reading) {
        return false;
    }
    heap_remove(&queue->engine->promotions, &queue->promote);
    map_remove(&queue->engine->queues, queue->name);
    free(queue);
    return true;
}

void queues_done(Engine *engine) {
    size_t at = 0;
    EngineQueue *queue;
    while ((queue = map_next(&engine->queues, &at))) {
        heap_remove(&engine->promotions, &queue->promote);
        free(queue);
    }
    map_done(&engine->queues);
}

/* ---- pause and resume ---- */

#define CLOCKS_DIFFER_US (US_PER_S / 10) /* this node's and the store's, at most */

static Step pause_step(Operation *operation, Batch *batch) {
    QueueRequest *request = container_of(operation, QueueRequest, operation);
    batch_queue(batch, request->queue, request->paused);
    return STEP_LAST;
}

static void pause_settle(Operation *operation, const Batch *batch) {
    crash_point(PAUSE_COMMITTED);
    QueueRequest *request = container_of(operation, QueueRequest, operation);
    (void)batch;
    EngineQueue *queue = queue_get(request->engine, request->queue);
    queue->paused = request->paused;
    queue->paused_us = engine_now_us(request->engine) + CLOCKS_DIFFER_US;
    if (!queue->paused) dispatch_queue(queue);
}

static const OperationKind pause_kind = {
    .name = "pause", .step = pause_step, .settle = pause_settle, .first = true};

void engine_queue_set_paused(Engine *engine, QueueRequest *request) {
    request->operation.kind = &pause_kind;
    request->engine = engine;
    pipeline_submit(engine, &request->operation);
}

static bool is_named(const Query *query, Str name) {
    for (size_t i = 0; i < query->count; i++) {
        if (str_eq(query->queues[i].name, name)) return true;
    }
    return false;
}

void queues_set_paused(Engine *engine, const Query *query) {
    size_t at = 0;
    EngineQueue *queue;
    while ((queue = map_next(&engine->queues, &at))) {
        bool paused = is_named(query, queue->name);
        if (paused == queue->paused || query->now_us <= queue->paused_us) continue;
        queue->paused = paused;
        if (!paused) promote_at(queue, engine_now_us(engine));
    }
    for (size_t i = 0; i < query->count; i++) {
        /* not known here yet: whoever asks for it finds it paused */
        if (!map_get(&engine->queues, query->queues[i].name)) {
            queue_get(engine, query->queues[i].name)->paused = true;
        }
    }
}

/* ---- FLUSH ---- */

static Step wipe_step(Operation *operation, Batch *batch) {
    (void)operation;
    batch->wipe = true;
    return STEP_LAST;
}

typedef struct Wipe {
    Operation operation;
    Engine *engine;
    Operation *request;
} Wipe;

void queues_wiped(Engine *engine) {
    sessions_forget_all(engine);
    size_t at = 0;
    EngineQueue *queue;
    while ((queue = map_next(&engine->queues, &at))) {
        queue->paused = false;
        queue->paused_us = engine_now_us(engine) + CLOCKS_DIFFER_US;
        refill(queue, WINDOW_READY);
        refill(queue, WINDOW_DELAYED);
    }
}

static void wipe_done(Operation *operation) {
    Wipe *wipe = container_of(operation, Wipe, operation);
    Engine *engine = wipe->engine;
    crash_point(WIPE_COMMITTED);
    if (operation->error.err == OK) {
        broker_wipe(engine->broker);
        queues_wiped(engine);
    }
    crash_point(WIPE_DONE);
    wipe->request->error = operation->error;
    wipe->request->done(wipe->request);
    free(wipe);
}

static const OperationKind wipe_kind = {.name = "wipe", .step = wipe_step};

void engine_wipe(Engine *engine, Operation *request) {
    Wipe *wipe = alloc_zero(1, sizeof *wipe);
    wipe->engine = engine;
    wipe->request = request;
    wipe->operation.kind = &wipe_kind;
    wipe->operation.done = wipe_done;
    /* heavier than a batch may be, so that it runs alone */
    wipe->operation.weight = LIMIT_BATCH_OPERATIONS + 1;
    pipeline_submit(engine, &wipe->operation);
}
