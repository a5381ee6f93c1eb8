/* See broker_simulated.h. */
#include "simulation/broker_simulated.h"

#include "base/alloc.h"
#include "base/time.h"

#include <stdlib.h>
#include <string.h>

#define REFILL_LOCK_US (10 * US_PER_S)

enum { QUEUES_MOST = 8, HANDLES_MOST = 64 };

typedef struct Handle Handle;

typedef struct SavedHalf {
    SortedMember *members;
    size_t count;
    int64_t horizon;
} SavedHalf;

typedef struct ServerQueue {
    Str name; /* owned */
    Window window;
    struct {
        int64_t lock; /* 0: nobody refills */
        int64_t until_us;
    } refills[2];
    bool saved;
    SavedHalf ready, delayed;
    int64_t frontier_us;
} ServerQueue;

struct SimulatedBroker {
    size_t most;
    ServerQueue queues[QUEUES_MOST];
    size_t queue_count;
    Handle *handles[HANDLES_MOST]; /* open ones */
    size_t handle_count, under_way;
    int64_t locks; /* of refills, ever */
};

struct Handle {
    Broker broker;
    SimulatedBroker *server;
    SimulatedBrokerIo io;
    int64_t clear_us; /* when the last command under way arrives, by `sent_us` */
    int64_t sent_us;
    size_t under_way;
};

static Handle *handle_of(Broker *broker) {
    return container_of(broker, Handle, broker);
}

static bool is_dead(const Handle *handle) {
    return handle->io.is_dead(handle->io.context);
}

/* ---- the server ---- */

SimulatedBroker *simulated_broker_new(size_t most) {
    SimulatedBroker *server = alloc_zero(1, sizeof *server);
    server->most = most;
    return server;
}

static void forget_saved(ServerQueue *queue) {
    free(queue->ready.members);
    free(queue->delayed.members);
    queue->ready = queue->delayed = (SavedHalf){0};
    queue->saved = false;
}

void simulated_broker_free(SimulatedBroker *server) {
    if (!server) return;
    check(server->handle_count == 0);
    for (size_t i = 0; i < server->queue_count; i++) {
        ServerQueue *queue = &server->queues[i];
        forget_saved(queue);
        window_done(&queue->window);
        free((char *)(uintptr_t)queue->name.ptr);
    }
    free(server);
}

static ServerQueue *queue_find(const SimulatedBroker *server, Str name) {
    for (size_t i = 0; i < server->queue_count; i++) {
        if (str_eq(server->queues[i].name, name)) {
            return (ServerQueue *)(uintptr_t)&server->queues[i];
        }
    }
    return NULL;
}

static ServerQueue *server_queue(SimulatedBroker *server, Str name) {
    ServerQueue *queue = queue_find(server, name);
    if (queue) return queue;
    check(server->queue_count < QUEUES_MOST);
    queue = &server->queues[server->queue_count++];
    char *text = alloc(name.len);
    memcpy(text, name.ptr, name.len);
    queue->name = (Str){text, name.len};
    window_init(&queue->window, server->most, (const uint64_t[2]){3, 4});
    return queue;
}

const Window *simulated_broker_window(const SimulatedBroker *server, Str name) {
    const ServerQueue *queue = queue_find(server, name);
    return queue ? &queue->window : NULL;
}

size_t simulated_broker_under_way(const SimulatedBroker *server) {
    return server->under_way;
}

/* Every key is gone, the locks of refills with them. */
static void lose(ServerQueue *queue) {
    for (WindowSet set = WINDOW_READY; set <= WINDOW_DELAYED; set++) {
        queue->refills[set].lock = 0;
        window_refill_end(&queue->window, set, NULL, 0, /* complete= */ false, 0);
    }
    window_wipe(&queue->window);
}

void simulated_broker_wipe(SimulatedBroker *server) {
    for (size_t i = 0; i < server->queue_count; i++)
        lose(&server->queues[i]);
}

static SavedHalf save_half(const WindowHalf *half) {
    SavedHalf saved = {.horizon = half->horizon};
    saved.members = alloc((half->members.count + 1) * sizeof *saved.members);
    for (size_t i = 0; i < half->members.count; i++) {
        const SortedMember *member = sorted_set_at(&half->members, i);
        if (member->rank <= half->horizon) saved.members[saved.count++] = *member;
    }
    return saved;
}

void simulated_broker_save(SimulatedBroker *server) {
    for (size_t i = 0; i < server->queue_count; i++) {
        ServerQueue *queue = &server->queues[i];
        forget_saved(queue);
        queue->ready = save_half(&queue->window.ready);
        queue->delayed = save_half(&queue->window.delayed);
        queue->frontier_us = queue->window.frontier_us;
        queue->saved = true;
    }
}

static void restore_half(WindowHalf *half, const SavedHalf *saved) {
    (void)sorted_set_add_all(&half->members, saved->members, saved->count);
    half->horizon = saved->horizon;
}

/* What was taken is taken no more, and those whose claim has gone on since are ghosts. */
void simulated_broker_roll_back(SimulatedBroker *server) {
    for (size_t i = 0; i < server->queue_count; i++) {
        ServerQueue *queue = &server->queues[i];
        lose(queue);
        if (!queue->saved) continue;
        restore_half(&queue->window.ready, &queue->ready);
        restore_half(&queue->window.delayed, &queue->delayed);
        queue->window.frontier_us = queue->frontier_us;
    }
}

/* ---- commands on their way ---- */

typedef struct Command {
    Handle *handle;
    void (*run)(struct Command *command);
    Str queue; /* lives with the server */
    Hint *hints;
    JobKey *keys;
    size_t count;
    int64_t now_us;
    WindowSet set;
    int64_t lock;
    bool complete;
    union {
        TakeDone take;
        PromoteDone promote;
        RefillDone refill;
        BrokerDone end;
        SweepDone sweep;
    } done;
    void *context;
} Command;

static void command_free(Command *command) {
    free(command->hints);
    free(command->keys);
    free(command);
}

static void arrive(void *argument) {
    Command *command = argument;
    command->handle->under_way--;
    command->handle->server->under_way--;
    command->run(command);
    command_free(command);
}

/* Behind what the node has sent before. */
static void send_command(Handle *handle, Command *command, int64_t now_us) {
    int64_t lag_us = handle->io.lag_us(handle->io.context);
    int64_t at_us = now_us + lag_us;
    if (handle->under_way > 0 && at_us <= handle->clear_us) at_us = handle->clear_us + 1;
    if (handle->under_way == 0 && lag_us == 0) {
        command->run(command);
        command_free(command);
        return;
    }
    handle->clear_us = at_us;
    handle->under_way++;
    handle->server->under_way++;
    handle->io.later(handle->io.context, at_us - now_us, arrive, command);
}

static Command *command_new(Handle *handle, Str queue, void (*run)(Command *), int64_t now_us) {
    Command *command = alloc_zero(1, sizeof *command);
    command->handle = handle;
    command->run = run;
    command->queue = server_queue(handle->server, queue)->name;
    command->now_us = now_us;
    handle->sent_us = now_us;
    return command;
}

static Window *window_of(const Command *command) {
    return &server_queue(command->handle->server, command->queue)->window;
}

/* ---- words between the nodes ---- */

typedef struct Word {
    Handle *handle;
    Str queue;
} Word;

static void hear(void *argument) {
    Word word = *(Word *)argument;
    free(argument);
    Handle *handle = word.handle;
    handle->under_way--;
    handle->server->under_way--;
    const BrokerEvents *events = &handle->broker.events;
    if (events->pushed) events->pushed(events->context, word.queue);
}

static void tell_others(const Handle *from, Str queue) {
    SimulatedBroker *server = from->server;
    for (size_t i = 0; i < server->handle_count; i++) {
        Handle *handle = server->handles[i];
        if (handle == from || handle->io.loses_word(handle->io.context)) continue;
        Word *word = alloc(sizeof *word);
        *word = (Word){handle, queue};
        handle->under_way++;
        server->under_way++;
        handle->io.later(handle->io.context, 1 + handle->io.lag_us(handle->io.context), hear, word);
    }
}

/* ---- the operations ---- */

static void run_push(Command *command) {
    window_push(window_of(command), command->hints, command->count, command->now_us);
    tell_others(command->handle, command->queue);
}

static void simulated_push(Broker *broker, Str queue, const Hint *hints, size_t count,
                           int64_t now_us) {
    Handle *handle = handle_of(broker);
    Command *command = command_new(handle, queue, run_push, now_us);
    command->hints = alloc(count * sizeof *hints);
    for (size_t i = 0; i < count; i++) {
        if (!handle->io.loses_hint(handle->io.context)) command->hints[command->count++] = hints[i];
    }
    send_command(handle, command, now_us);
}

static void run_take(Command *command) {
    Hint *hints = alloc(command->count * sizeof *hints);
    TakeReply reply = {.hints = hints};
    reply.count =
        window_take(window_of(command), command->count, command->now_us, hints, &reply.low);
    (command->done.take)(command->context, &reply); /* not check.h's macro */
    free(hints);
}

static void simulated_take(Broker *broker, Str queue, size_t n, int64_t now_us, TakeDone done,
                           void *context) {
    Command *command = command_new(handle_of(broker), queue, run_take, now_us);
    command->count = is_dead(handle_of(broker)) ? 0 : n;
    command->done.take = done;
    command->context = context;
    send_command(handle_of(broker), command, now_us);
}

static void run_settle(Command *command) {
    window_settle(window_of(command), command->keys, command->count);
}

static void simulated_settle(Broker *broker, Str queue, const JobKey *keys, size_t count) {
    Handle *handle = handle_of(broker);
    if (is_dead(handle)) return;
    Command *command = command_new(handle, queue, run_settle, handle->sent_us);
    command->keys = alloc(count * sizeof *keys);
    memcpy(command->keys, keys, count * sizeof *keys);
    command->count = count;
    send_command(handle, command, handle->sent_us);
}

static void run_promote(Command *command) {
    PromoteReply reply = window_promote(window_of(command), command->now_us);
    command->done.promote(command->context, &reply);
}

static void simulated_promote(Broker *broker, Str queue, int64_t now_us, PromoteDone done,
                              void *context) {
    Command *command = command_new(handle_of(broker), queue, run_promote, now_us);
    command->done.promote = done;
    command->context = context;
    send_command(handle_of(broker), command, now_us);
}

static bool refill_begin(ServerQueue *queue, const Command *command, RefillReply *reply) {
    WindowSet set = command->set;
    int64_t now_us = command->now_us;
    if (is_dead(command->handle)) return false;
    if (queue->refills[set].lock && queue->refills[set].until_us > now_us) return false;
    if (queue->refills[set].lock) {
        window_refill_end(&queue->window, set, NULL, 0, /* complete= */ false, now_us);
    }
    queue->refills[set].lock = 0;
    if (!window_refill_begin(&queue->window, set, now_us, &reply->after, &reply->until_us)) {
        return false;
    }
    reply->lock = queue->refills[set].lock = ++command->handle->server->locks;
    queue->refills[set].until_us = now_us + REFILL_LOCK_US;
    return true;
}

static void run_refill_begin(Command *command) {
    ServerQueue *queue = server_queue(command->handle->server, command->queue);
    RefillReply reply = {0};
    reply.wanted = refill_begin(queue, command, &reply);
    command->done.refill(command->context, &reply);
}

static void simulated_refill_begin(Broker *broker, Str name, WindowSet set, int64_t now_us,
                                   RefillDone done, void *context) {
    Command *command = command_new(handle_of(broker), name, run_refill_begin, now_us);
    command->set = set;
    command->done.refill = done;
    command->context = context;
    send_command(handle_of(broker), command, now_us);
}

/* Whoever comes after its lock has ended brings nothing. */
static void run_refill_end(Command *command) {
    Handle *handle = command->handle;
    ServerQueue *queue = server_queue(handle->server, command->queue);
    if (queue->refills[command->set].lock == command->lock && !is_dead(handle)) {
        queue->refills[command->set].lock = 0;
        window_refill_end(&queue->window, command->set, command->hints, command->count,
                          command->complete, command->now_us);
        if (command->count > 0) tell_others(handle, queue->name);
    }
    command->done.end(command->context);
}

static Command *page_command(Handle *handle, Str name, void (*run)(Command *), const Hint *page,
                             size_t count, int64_t now_us) {
    Command *command = command_new(handle, name, run, now_us);
    if (page) command->hints = alloc((count + 1) * sizeof *page);
    if (count > 0) memcpy(command->hints, page, count * sizeof *page);
    command->count = count;
    return command;
}

static void simulated_refill_end(Broker *broker, Str name, WindowSet set, int64_t lock,
                                 const Hint *page, size_t count, bool complete, int64_t now_us,
                                 BrokerDone done, void *context) {
    Handle *handle = handle_of(broker);
    Command *command = page_command(handle, name, run_refill_end, page, count, now_us);
    command->set = set;
    command->lock = lock;
    command->complete = complete;
    command->done.end = done;
    command->context = context;
    send_command(handle, command, now_us);
}

static void run_sweep(Command *command) {
    size_t added = 0;
    if (!is_dead(command->handle)) {
        added = window_sweep(window_of(command), command->hints, command->count, command->now_us);
    }
    command->done.sweep(command->context, added, /* failed= */ false);
}

static void simulated_sweep(Broker *broker, Str queue, WindowSet set, const Hint *page,
                            size_t count, int64_t now_us, SweepDone done, void *context) {
    (void)set;
    Handle *handle = handle_of(broker);
    Command *command = page_command(handle, queue, run_sweep, page, count, now_us);
    command->done.sweep = done;
    command->context = context;
    send_command(handle, command, now_us);
}

static void simulated_wipe(Broker *broker) {
    simulated_broker_wipe(handle_of(broker)->server);
}

static size_t simulated_ready(Broker *broker, Str name) {
    const ServerQueue *queue = queue_find(handle_of(broker)->server, name);
    return queue ? queue->window.ready.members.count : 0;
}

static BrokerStats simulated_stats(Broker *broker) {
    const SimulatedBroker *server = handle_of(broker)->server;
    BrokerStats stats = {0};
    for (size_t i = 0; i < server->queue_count; i++) {
        stats.ready += server->queues[i].window.ready.members.count;
        stats.delayed += server->queues[i].window.delayed.members.count;
        stats.taken += server->queues[i].window.taken.count;
    }
    return stats;
}

static void simulated_close(Broker *broker) {
    Handle *handle = handle_of(broker);
    SimulatedBroker *server = handle->server;
    check(handle->under_way == 0);
    for (size_t i = 0; i < server->handle_count; i++) {
        if (server->handles[i] == handle) {
            server->handles[i] = server->handles[--server->handle_count];
        }
    }
    free(handle);
}

static const BrokerKind kind = {
    .scheme = "simulated",
    .push = simulated_push,
    .take = simulated_take,
    .settle = simulated_settle,
    .promote = simulated_promote,
    .refill_begin = simulated_refill_begin,
    .refill_end = simulated_refill_end,
    .sweep = simulated_sweep,
    .wipe = simulated_wipe,
    .ready = simulated_ready,
    .stats = simulated_stats,
    .close = simulated_close,
};

Broker *simulated_broker_open(SimulatedBroker *server, const SimulatedBrokerIo *io) {
    check(server->handle_count < HANDLES_MOST);
    Handle *handle = alloc_zero(1, sizeof *handle);
    *handle = (Handle){.broker.kind = &kind, .server = server, .io = *io};
    server->handles[server->handle_count++] = handle;
    return &handle->broker;
}
