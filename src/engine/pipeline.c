/* The batch pipeline: one open batch while one is under way, so a quiet node answers at once and
 * a busy one commits hundreds of operations with one fsync. No timer.
 *
 * It is not concerned with what operations do. Invariant: an operation's done() is called exactly
 * once, after the commit that holds it is durable, or with the error that says that nothing of it
 * was written. */
#include "engine/internal.h"

#include "base/crash.h"
#include "telemetry/metric.h"

void pipeline_submit(Engine *engine, Operation *operation) {
    operation->error = (Error){0};
    if (operation->weight == 0) operation->weight = 1;
    bool first = operation->kind->first;
    if (!first && engine->open_bytes + operation->bytes > engine->options.max_open_bytes &&
        engine->open_bytes > 0) {
        list_append(&engine->refused, &operation->node);
    } else {
        engine->open_bytes += operation->bytes;
        list_append(first ? &engine->first : &engine->open, &operation->node);
    }
    engine->io.soon(engine->io.context);
}

static Operation *operation_of(ListNode *node) {
    return container_of(node, Operation, node);
}

/* One round: a step of every operation that is not through. Runs where the store runs the batch. */
static bool pipeline_advance(Batch *batch) {
    List *running = batch->operations;
    bool more = false;
    check(batch->rounds < LIMIT_BATCH_ROUNDS);
    bool begins = batch->rounds++ == 0;
    list_each(running, node) {
        Operation *operation = operation_of(node);
        if (begins) {
            operation->phase = 0;
            operation->stepped = false;
        }
        if (operation->stepped) continue;
        Step step = operation->kind->step(operation, batch);
        operation->stepped = step != STEP_MORE;
        more |= step == STEP_MORE;
    }
    return more;
}

static void pipeline_finish(Batch *batch) {
    const Engine *engine = container_of((List *)batch->operations, Engine, running);
    list_each(&batch->rows, node) {
        Row *row = container_of(node, Row, in_rows);
        if (!row->changed) continue;
        batch_count_row(batch, row);
        control_row(engine, batch, row);
    }
    if (batch->wipe) control_put(engine, batch, &(ControlRow){.kind = CONTROL_WIPE});
}

static void finish_operation(Operation *operation, const Error *error) {
    if (error) operation->error = *error;
    operation->done(operation);
}

static void refuse_list(List *list, const Error *error) {
    ListNode *node;
    while ((node = list_pop(list))) {
        finish_operation(operation_of(node), error);
    }
}

/* A batch that failed on its data is split: each of its operations runs alone once, and the one
 * that fails alone is answered with the error. */
static void batch_failed(Engine *engine, const Batch *batch) {
    ListNode *first = list_first(&engine->running);
    bool single = first && first->next == &engine->running.head;
    if (batch->outcome == ERR_INTERNAL && !single) {
        ListNode *node;
        while ((node = list_pop(&engine->running))) {
            list_append(&engine->alone, node);
        }
        return;
    }
    Error error = batch->error;
    if (batch->outcome == ERR_UNAVAILABLE) {
        engine_lost_touch(engine);
    }
    refuse_list(&engine->running, &error);
}

static void batch_committed(Engine *engine, Batch *batch) {
    int64_t now_us = engine_now_us(engine);
    /* one that took so long was not in touch all the while either */
    if (!engine->store_up || now_us - engine->sent_us > ENGINE_AWAY_US) {
        engine->store_up = true;
        engine->connected_since_us = now_us;
    }
    if (batch->connected_since_us > engine->connected_since_us) {
        engine->connected_since_us = batch->connected_since_us;
    }
    crash_point(PIPELINE_COMMITTED);
    size_t weight = 0;
    ListNode *node;
    while ((node = list_pop(&engine->running))) {
        Operation *operation = operation_of(node);
        weight += operation->weight;
        if (operation->kind->settle) operation->kind->settle(operation, batch);
        finish_operation(operation, NULL);
    }
    engine->stats.commits++;
    engine->stats.operations += weight;
    metric_observe(METRIC_STORE_COMMIT, NULL, (double)batch->commit_us / 1e6);
    metric_observe(METRIC_STORE_COMMIT_BATCH, NULL, (double)weight);
    crash_point(PIPELINE_ANSWERED);
    publish_batch(engine, batch);
    crash_point(PIPELINE_PUBLISHED);
}

static void on_batch_done(Batch *batch, void *context) {
    Engine *engine = context;
    check(engine->in_flight);
    if (batch->outcome == OK) {
        batch_committed(engine, batch);
    } else {
        batch_failed(engine, batch);
    }
    batch_done(batch);
    engine->in_flight = false;
    engine->io.soon(engine->io.context);
}

/* Moves operations into the batch until it is full; one that is larger than a batch may be runs
 * alone. */
static size_t fill(Engine *engine, List *from, size_t *weight, size_t *bytes) {
    size_t count = 0;
    list_each(from, node) {
        Operation *operation = operation_of(node);
        bool fits = *weight + operation->weight <= LIMIT_BATCH_OPERATIONS &&
                    *bytes + operation->bytes <= LIMIT_BATCH_BYTES;
        if (!fits && *weight > 0) break;
        *weight += operation->weight;
        *bytes += operation->bytes;
        list_remove(node);
        list_append(&engine->running, node);
        engine->open_bytes -= operation->bytes;
        count++;
    }
    return count;
}

/* Larger than a batch may be: it runs alone, and after one batch that went before it, or those that go
 * first would keep it waiting for as long as they come. */
static Operation *oversize_head(const Engine *engine) {
    ListNode *node = list_first(&engine->open);
    Operation *operation = node ? operation_of(node) : NULL;
    bool fits = operation && operation->weight <= LIMIT_BATCH_OPERATIONS &&
                operation->bytes <= LIMIT_BATCH_BYTES;
    return fits ? NULL : operation;
}

static bool choose(Engine *engine) {
    ListNode *node = list_pop(&engine->alone);
    const Operation *oversize = oversize_head(engine);
    if (!node && oversize && engine->oversize_waited) {
        node = list_pop(&engine->open);
        engine->open_bytes -= oversize->bytes;
        engine->oversize_waited = false;
    }
    if (node) {
        list_append(&engine->running, node);
        return true;
    }
    engine->oversize_waited = oversize != NULL;
    size_t weight = 0, bytes = 0;
    size_t count = fill(engine, &engine->first, &weight, &bytes);
    if (list_is_empty(&engine->first)) count += fill(engine, &engine->open, &weight, &bytes);
    return count > 0;
}

void engine_flush(Engine *engine) {
    engine_note_absence(engine);
    if (!list_is_empty(&engine->refused)) {
        Error error;
        error_code(&error, ERR_UNAVAILABLE, "overloaded",
                   "the node has more work open than it may hold; try again later");
        refuse_list(&engine->refused, &error);
    }
    if (engine->in_flight) return;
    bool work = !list_is_empty(&engine->first) || !list_is_empty(&engine->open);
    if (work && engine->sessions_dirty) sessions_write_dirty(engine);
    if (!choose(engine)) return;
    Batch *batch = &engine->batch;
    batch_init(batch);
    batch->advance = pipeline_advance;
    batch->finish = pipeline_finish;
    batch->operations = &engine->running;
    batch->connected_since_us =
        engine->store_up ? engine->connected_since_us : engine_now_us(engine);
    batch->random = &engine->batch_random;
    batch->last_due_us = &engine->last_due_us;
    engine->in_flight = true;
    engine->sent_us = engine_now_us(engine);
    crash_point(PIPELINE_FILLED);
    store_run(engine->store, batch, on_batch_done, engine);
}

bool engine_is_idle(const Engine *engine) {
    return !engine->in_flight && list_is_empty(&engine->first) && list_is_empty(&engine->open) &&
           list_is_empty(&engine->alone) && list_is_empty(&engine->refused);
}
