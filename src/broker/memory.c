/* The memory broker: a window per queue, kept in a table and made when a queue is first named.
 *
 * Decides nothing about a window (window.c does); answers before each call returns. Invariant:
 * an entry is dropped only while its window is empty, which loses nothing but its horizons, so
 * that queue names made up by clients can't grow the table for ever. */
#include "broker/memory.h"

#include "base/alloc.h"
#include "broker/window.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    IDLE_US = 60 * 1000 * 1000, /* an empty window nobody asked for this long may go */
    LOOK_AT = 4,                /* entries looked at for each one made: the table shrinks faster */
};

typedef struct MemoryQueue {
    ListNode node; /* in by_use */
    int64_t used_us;
    Window window;
    size_t name_len;
    char name[];
} MemoryQueue;

typedef struct MemoryBroker {
    Broker broker;
    Map queues;
    List by_use; /* the one used longest ago first */
    uint64_t hash_key[2];
} MemoryBroker;

static MemoryBroker *memory_of(Broker *broker) {
    return container_of(broker, MemoryBroker, broker);
}

static Str queue_name(const MemoryQueue *queue) {
    return (Str){queue->name, queue->name_len};
}

static void queue_drop(MemoryBroker *memory, MemoryQueue *queue) {
    map_remove(&memory->queues, queue_name(queue));
    list_remove(&queue->node);
    window_done(&queue->window);
    free(queue);
}

static void queue_use(MemoryBroker *memory, MemoryQueue *queue, int64_t now_us) {
    list_remove(&queue->node);
    list_append(&memory->by_use, &queue->node);
    queue->used_us = now_us;
}

/* What holds something goes to the end of the line, so that it does not stand in front of the
 * others. */
static void drop_idle(MemoryBroker *memory, int64_t now_us) {
    for (int i = 0; i < LOOK_AT && !list_is_empty(&memory->by_use); i++) {
        MemoryQueue *queue = container_of(list_first(&memory->by_use), MemoryQueue, node);
        if (queue->used_us > now_us - IDLE_US) return;
        if (window_is_empty(&queue->window)) {
            queue_drop(memory, queue);
        } else {
            queue_use(memory, queue, now_us);
        }
    }
}

static Window *window_find(MemoryBroker *memory, Str name) {
    MemoryQueue *queue = map_get(&memory->queues, name);
    return queue ? &queue->window : NULL;
}

static Window *window_get(Broker *broker, Str name, int64_t now_us) {
    MemoryBroker *memory = memory_of(broker);
    MemoryQueue *queue = map_get(&memory->queues, name);
    if (!queue) {
        drop_idle(memory, now_us);
        queue = alloc_zero(1, sizeof *queue + name.len);
        memcpy(queue->name, name.ptr, name.len);
        queue->name_len = name.len;
        window_init(&queue->window, LIMIT_WINDOW, memory->hash_key);
        map_put(&memory->queues, queue_name(queue), queue);
    }
    queue_use(memory, queue, now_us);
    return &queue->window;
}

static Err memory_open(Broker **ret, Str url, Str location, const BrokerIo *io, Error *error) {
    (void)url, (void)io;
    if (location.len > 0) {
        return error_set(error, ERR_INVALID, "broker 'memory:' takes nothing behind the colon");
    }
    uint64_t key[2];
    if (getentropy(key, sizeof key) != 0) {
        return error_set(error, ERR_INTERNAL, "no random numbers from the operating system");
    }
    MemoryBroker *memory = alloc_zero(1, sizeof *memory);
    memory->broker.kind = &broker_memory;
    memcpy(memory->hash_key, key, sizeof key);
    map_init(&memory->queues, key[0], key[1]);
    list_init(&memory->by_use);
    *ret = &memory->broker;
    return OK;
}

static void memory_push(Broker *broker, Str queue, const Hint *hints, size_t count,
                        int64_t now_us) {
    window_push(window_get(broker, queue, now_us), hints, count, now_us);
}

static void memory_take(Broker *broker, Str queue, size_t n, int64_t now_us, TakeDone done,
                        void *context) {
    Window *window = window_get(broker, queue, now_us);
    enum { ON_STACK = 32 };
    Hint few[ON_STACK];
    cleanup(free_pointer) Hint *many = NULL;
    if (n > ON_STACK) many = alloc((n < LIMIT_WINDOW ? n : LIMIT_WINDOW) * sizeof *many);
    Hint *hints = many ? many : few;
    bool low = false;
    size_t count = window_take(window, n < LIMIT_WINDOW ? n : LIMIT_WINDOW, now_us, hints, &low);
    done(context, &(TakeReply){.hints = hints, .count = count, .low = low});
}

static void memory_settle(Broker *broker, Str queue, const JobKey *keys, size_t count) {
    Window *window = window_find(memory_of(broker), queue);
    if (window) window_settle(window, keys, count);
}

static void memory_promote(Broker *broker, Str queue, int64_t now_us, PromoteDone done,
                           void *context) {
    PromoteReply reply = window_promote(window_get(broker, queue, now_us), now_us);
    done(context, &reply);
}

/* One process: its refills need no lock. */
static void memory_refill_begin(Broker *broker, Str queue, WindowSet set, int64_t now_us,
                                RefillDone done, void *context) {
    Window *window = window_get(broker, queue, now_us);
    RefillReply reply = {0};
    reply.wanted = window_refill_begin(window, set, now_us, &reply.after, &reply.until_us);
    done(context, &reply);
}

static void memory_refill_end(Broker *broker, Str queue, WindowSet set, int64_t lock,
                              const Hint *page, size_t count, bool complete, int64_t now_us,
                              BrokerDone done, void *context) {
    (void)lock;
    Window *window = window_get(broker, queue, now_us);
    window_refill_end(window, set, page, count, complete, now_us);
    done(context);
}

static void memory_sweep(Broker *broker, Str queue, WindowSet set, const Hint *page, size_t count,
                         int64_t now_us, SweepDone done, void *context) {
    (void)set; /* a hint's due tells which set it belongs to now */
    size_t added = window_sweep(window_get(broker, queue, now_us), page, count, now_us);
    done(context, added, /* failed= */ false);
}

static void memory_wipe(Broker *broker) {
    MemoryBroker *memory = memory_of(broker);
    list_each(&memory->by_use, node) {
        MemoryQueue *queue = container_of(node, MemoryQueue, node);
        window_wipe(&queue->window);
        if (window_is_empty(&queue->window)) queue_drop(memory, queue);
    }
}

static size_t memory_ready(Broker *broker, Str queue) {
    const Window *window = window_find(memory_of(broker), queue);
    return window ? window->ready.members.count : 0;
}

static BrokerStats memory_stats(Broker *broker) {
    const MemoryBroker *memory = memory_of(broker);
    BrokerStats stats = {0};
    size_t at = 0;
    const MemoryQueue *queue;
    while ((queue = map_next(&memory->queues, &at))) {
        stats.ready += queue->window.ready.members.count;
        stats.delayed += queue->window.delayed.members.count;
        stats.taken += queue->window.taken.count;
    }
    return stats;
}

static void memory_close(Broker *broker) {
    MemoryBroker *memory = memory_of(broker);
    list_each(&memory->by_use, node) {
        queue_drop(memory, container_of(node, MemoryQueue, node));
    }
    map_done(&memory->queues);
    free(memory);
}

const BrokerKind broker_memory = {
    .scheme = "memory",
    .open = memory_open,
    .push = memory_push,
    .take = memory_take,
    .settle = memory_settle,
    .promote = memory_promote,
    .refill_begin = memory_refill_begin,
    .refill_end = memory_refill_end,
    .sweep = memory_sweep,
    .wipe = memory_wipe,
    .ready = memory_ready,
    .stats = memory_stats,
    .close = memory_close,
};
