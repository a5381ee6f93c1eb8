/* This node among the others: its row in the store, written at the start, beaten by every look, and gone
 * with a clean stop.
 *
 * A name belongs to one process at a time. Another that comes with the same name waits until the row has
 * been silent for 3 s by the store's clock; whoever finds its own row taken over has been silent for so long
 * itself, and ends. Rows that were silent for a minute are of nodes that will not come back. */
#include "engine/internal.h"

#include "base/alloc.h"
#include <stdlib.h>

#define NAME_FREE_US (3 * US_PER_S)
#define JOIN_AGAIN_US (US_PER_S / 2)
#define GONE_US (60 * US_PER_S)

typedef enum NodeAim {
    AIM_JOIN,  /* take the name, if nobody has it who lives */
    AIM_WRITE, /* write the row again, unless the name was taken */
    AIM_LEAVE,
    AIM_CLEAR, /* rows of nodes that are gone */
} NodeAim;

typedef struct NodeTask {
    Operation operation;
    Engine *engine;
    NodeAim aim;
    NodeRow row;
    Ask *ask;
    bool taken;  /* out: the name is another's */
    Query query; /* AIM_CLEAR: all nodes */
} NodeTask;

void node_begin(Engine *engine) {
    engine->node_state = engine->options.cluster ? NODE_JOINING : NODE_ALONE;
    engine->node_started_us = engine_now_us(engine);
}

NodeState engine_node_state(const Engine *engine) {
    return engine->node_state;
}

void engine_on_node(Engine *engine, void (*changed)(void *context, NodeState state),
                    void *context) {
    engine->node_changed = changed;
    engine->node_context = context;
}

void engine_set_clock_offset(Engine *engine, int64_t offset_us) {
    engine->clock_offset_us = offset_us;
}

static void tell(Engine *engine, NodeState state) {
    engine->node_state = state;
    if (engine->node_changed) engine->node_changed(engine->node_context, state);
}

/* ---- the row ---- */

static Step task_step(Operation *operation, Batch *batch) {
    NodeTask *task = container_of(operation, NodeTask, operation);
    if (task->aim == AIM_LEAVE) {
        batch_node(batch, &task->row, /* forget= */ true);
        return STEP_LAST;
    }
    if (operation->phase++ == 0) {
        task->ask = batch_ask(batch, ASK_NODE, task->row.name, 0, 1);
        return STEP_MORE;
    }
    const NodeRow *other = task->ask->node;
    bool others = other && !str_eq(other->instance, task->row.instance);
    if (task->aim == AIM_JOIN) {
        task->taken = others && batch->now_us - other->seen_us < NAME_FREE_US;
    } else {
        /* an older one's row is what a standby that took over has kept of it */
        task->taken = others && other->started_us > task->row.started_us;
    }
    if (task->taken) return STEP_DONE;
    batch_node(batch, &task->row, /* forget= */ false);
    return STEP_LAST;
}

static const OperationKind task_kind = {.name = "node", .step = task_step, .first = true};

NodeRow engine_node(const Engine *engine) {
    const EngineOptions *options = &engine->options;
    return (NodeRow){.name = options->node,
                     .instance = options->instance,
                     .version = options->version,
                     .info = options->node_info,
                     .started_us = engine->node_started_us,
                     .seen_us = engine_now_us(engine),
                     .clock_offset_us = engine->clock_offset_us,
                     .draining = engine->draining};
}

static NodeTask *task_new(Engine *engine, NodeAim aim) {
    NodeTask *task = alloc_zero(1, sizeof *task);
    task->engine = engine;
    task->aim = aim;
    task->row = engine_node(engine);
    return task;
}

static void joined(Engine *engine, const NodeTask *task) {
    if (engine->node_state != NODE_JOINING) return;
    if (!task->taken) {
        tell(engine, NODE_HERE);
        engine_load(engine);
    } else if (!engine->node_waits) {
        engine->node_waits = true;
        tell(engine, NODE_JOINING);
    }
}

/* Somebody else goes on under this name: nothing is begun here any more. */
static void taken_over(Engine *engine) {
    engine->draining = true;
    duty_wake(engine, fetch_timeout_duty, engine_now_us(engine));
    tell(engine, NODE_TAKEN);
}

static void task_submit(Engine *engine, NodeAim aim);

static void task_done(Operation *operation) {
    NodeTask *task = container_of(operation, NodeTask, operation);
    Engine *engine = task->engine;
    bool committed = operation->error.err == OK;
    engine->node_writing = false;
    if (committed && task->aim == AIM_JOIN) joined(engine, task);
    if (task->aim == AIM_WRITE && !committed) engine->node_dirty = true;
    bool left = engine->node_state == NODE_LEFT && task->aim != AIM_LEAVE;
    bool lost = committed && task->aim == AIM_WRITE && task->taken;
    free(task);
    if (left) {
        task_submit(engine, AIM_LEAVE);
    } else if (lost) {
        taken_over(engine);
    } else if (engine->node_state == NODE_JOINING || engine->node_dirty) {
        duty_wake(engine, node_duty, engine_now_us(engine) + JOIN_AGAIN_US);
    }
}

static void task_submit(Engine *engine, NodeAim aim) {
    engine->node_writing = true;
    if (aim == AIM_WRITE) engine->node_dirty = false;
    NodeTask *task = task_new(engine, aim);
    task->operation.kind = &task_kind;
    task->operation.done = task_done;
    pipeline_submit(engine, &task->operation);
}

void node_join(Engine *engine) {
    engine->node_started_us = engine_now_us(engine);
    task_submit(engine, AIM_JOIN);
}

void node_write(Engine *engine) {
    if (engine->node_state != NODE_HERE) return;
    engine->node_dirty = engine->node_writing;
    if (!engine->node_writing) task_submit(engine, AIM_WRITE);
}

void engine_leave(Engine *engine) {
    if (engine->node_state != NODE_HERE && engine->node_state != NODE_JOINING) return;
    engine->node_state = NODE_LEFT;
    if (!engine->node_writing) task_submit(engine, AIM_LEAVE); /* else when that is done */
}

void node_looked(Engine *engine, const Query *query) {
    bool here = engine->node_state == NODE_HERE && query->node.ptr && !engine->node_writing;
    if (here && !query->node_known) task_submit(engine, AIM_WRITE);
}

/* ---- rows of the dead ---- */

static Step clear_step(Operation *operation, Batch *batch) {
    NodeTask *task = container_of(operation, NodeTask, operation);
    Query *query = &task->query;
    for (size_t i = 0; operation->phase == 0 && i < query->count; i++) {
        /* only that process's row: who has the name since then brought an instance of its own */
        if (query->nodes[i].seen_us + GONE_US <= batch->now_us) {
            batch_node(batch, &query->nodes[i], /* forget= */ true);
        }
    }
    operation->phase = 1;
    return STEP_LAST;
}

static void clear_free(NodeTask *task) {
    arena_done(&task->query.arena);
    free(task);
}

static void clear_done(Operation *operation) {
    clear_free(container_of(operation, NodeTask, operation));
}

static const OperationKind clear_kind = {.name = "nodes", .step = clear_step};

static void on_nodes(Query *query) {
    NodeTask *task = container_of(query, NodeTask, query);
    bool gone = false;
    for (size_t i = 0; query->outcome == OK && i < query->count; i++) {
        gone = gone || query->nodes[i].seen_us + GONE_US <= query->now_us;
    }
    if (!gone) {
        clear_free(task);
        return;
    }
    task->operation.kind = &clear_kind;
    task->operation.done = clear_done;
    pipeline_submit(task->engine, &task->operation);
}

static void clear_dead(Engine *engine) {
    NodeTask *task = task_new(engine, AIM_CLEAR);
    task->query.kind = QUERY_NODES;
    task->query.done = on_nodes;
    store_read(engine->store, &task->query);
}

int64_t node_duty(Engine *engine, int64_t now_us) {
    bool idle = !engine->node_writing;
    if (engine->node_state == NODE_JOINING && idle) node_join(engine);
    if (engine->node_state != NODE_HERE) return INT64_MAX;
    if (engine->node_dirty && idle) task_submit(engine, AIM_WRITE);
    if (now_us - engine->node_swept_us < GONE_US) return engine->node_swept_us + GONE_US;
    engine->node_swept_us = now_us;
    clear_dead(engine);
    return now_us + GONE_US;
}
