/* When the broker goes, comes back, or has lost what it held.
 *
 * Hints are not sent while it is away, and nobody knows what it still holds when it is back: before
 * anything is taken from a queue both its sets are read and swept. What this node has not sent is told
 * to the others, since they may have been in touch all the while. */
#include "engine/internal.h"

#include "base/alloc.h"
#include <stdlib.h>

void hints_push(EngineQueue *queue, const Hint *hints, size_t count) {
    Engine *engine = queue->engine;
    if (broker_is_up(engine->broker, NULL)) {
        broker_push(engine->broker, queue->name, hints, count, engine_now_us(engine));
    } else {
        queue->skipped = true;
        queue->dry = false;
    }
}

/* ---- what the others are to sweep ---- */

typedef struct Tell {
    Operation operation;
    Engine *engine;
    Arena arena;
    Str *queues;
    size_t count;
} Tell;

static Step tell_step(Operation *operation, Batch *batch) {
    const Tell *tell = container_of(operation, Tell, operation);
    for (size_t i = 0; i < tell->count; i++) {
        ControlRow control = {
            .kind = CONTROL_SWEEP, .node = tell->engine->options.node, .subject = tell->queues[i]};
        batch_control(batch, &control);
    }
    return STEP_LAST;
}

static void tell_done(Operation *operation) {
    Tell *tell = container_of(operation, Tell, operation);
    for (size_t i = 0; operation->error.err != OK && i < tell->count; i++) {
        queue_get(tell->engine, tell->queues[i])->skipped = true;
    }
    arena_done(&tell->arena);
    free(tell);
}

static const OperationKind tell_kind = {.name = "tell", .step = tell_step};

static void tell_skipped(Engine *engine) {
    Tell *tell = alloc_zero(1, sizeof *tell);
    tell->engine = engine;
    tell->queues = arena_zero(&tell->arena, engine->queues.count + 1, sizeof(Str));
    size_t at = 0;
    EngineQueue *queue;
    while ((queue = map_next(&engine->queues, &at))) {
        if (!queue->skipped) continue;
        queue->skipped = false;
        tell->queues[tell->count++] = arena_str(&tell->arena, queue->name);
    }
    if (tell->count == 0) {
        arena_done(&tell->arena);
        free(tell);
        return;
    }
    tell->operation.kind = &tell_kind;
    tell->operation.done = tell_done;
    tell->operation.weight = tell->count;
    pipeline_submit(engine, &tell->operation);
}

/* ---- what the broker says ---- */

/* Its queues are read again, those first that a fetch waits for. */
static void read_all(Engine *engine) {
    for (int waited = 1; waited >= 0; waited--) {
        size_t at = 0;
        EngineQueue *queue;
        while ((queue = map_next(&engine->queues, &at))) {
            if (list_is_empty(&queue->waiting) == (waited == 1)) continue;
            queue->known = false;
            refill(queue, WINDOW_READY);
            refill(queue, WINDOW_DELAYED);
            promote_at(queue, engine_now_us(engine));
        }
    }
}

void broker_turned(void *context) {
    Engine *engine = context;
    if (broker_is_up(engine->broker, NULL)) {
        read_all(engine);
        if (engine->options.cluster) tell_skipped(engine);
    } else {
        store_dispatch_soon(engine);
    }
}

void broker_emptied(void *context) {
    read_all(context);
}
