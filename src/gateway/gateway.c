/* The port: connections come and go, lines become calls, replies leave in order.
 *
 * Invariant: a call is in its peer's list until it is answered and all before it are; nothing is
 * answered out of order, whatever the engine finishes first. */
#include "gateway/call.h"

#include "base/alloc.h"
#include "telemetry/log.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

enum {
    CALLS_MAX = 1000,                  /* under way on one connection */
    CALL_BYTES_MAX = 32 * 1024 * 1024, /* of their arguments */
    REPLY_MAX = 64 * 1024 * 1024,
};
#define HANDSHAKE_US (2 * INT64_C(1000000))

/* ---- calls ---- */

static void gateway_free_if_over(Gateway *gateway);

static void call_free(Call *call) {
    Gateway *gateway = call->gateway;
    buf_done(&call->reply);
    arena_done(&call->arena);
    free(call);
    gateway->calls--;
    gateway_free_if_over(gateway);
}

Buf *call_reply(Call *call) {
    return &call->reply;
}

/* Sends what is answered at the head of the line. */
static void peer_flush(Peer *peer) {
    ListNode *node;
    while ((node = list_first(&peer->calls))) {
        Call *call = container_of(node, Call, node);
        if (!call->answered) break;
        connection_write(peer->connection, buf_str(&call->reply));
        list_remove(node);
        peer->call_count--;
        peer->call_bytes -= call->argument.len;
        if (call->verb && call->verb->alone) peer->running_alone = false;
        call_free(call);
    }
    if (peer->closing && list_is_empty(&peer->calls)) connection_finish(peer->connection);
}

void call_done(Call *call) {
    Peer *peer = call->peer;
    if (!peer) {
        call_free(call);
        return;
    }
    check(!call->answered);
    call->answered = true;
    call->cancel = NULL;
    peer_flush(peer);
    if (!peer->closing) peer_read(peer);
}

void call_bulk(Call *call, Buf *buf) {
    if (buf->overflow) {
        reply_error(call_reply(call), "ERR", STR("the reply is larger than can be sent"));
    } else {
        reply_bulk(call_reply(call), buf_str(buf));
    }
    buf_done(buf);
    call_done(call);
}

typedef struct Named {
    Str name;
    size_t at;
} Named;

static int compare_named(const void *one, const void *two) {
    const Named *a = one;
    const Named *b = two;
    int order = str_compare(a->name, b->name);
    return order != 0 ? order : (a->at > b->at) - (a->at < b->at);
}

/* Sorted, since whoever chooses the names could choose them against a hash. */
const size_t *call_firsts(Call *call, const Str *names, size_t count) {
    Named *sorted = arena_zero(&call->arena, count, sizeof *sorted);
    size_t *firsts = arena_zero(&call->arena, count, sizeof *firsts);
    for (size_t i = 0; i < count; i++) {
        sorted[i] = (Named){names[i], i};
    }
    if (count > 0) qsort(sorted, count, sizeof *sorted, compare_named);
    size_t first = 0;
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || !str_eq(sorted[i].name, sorted[i - 1].name)) first = sorted[i].at;
        firsts[sorted[i].at] = first;
    }
    return firsts;
}

bool call_sees(const Call *call, Str queue) {
    /* without a connection there is nobody left to show anything to */
    return call->peer && access_sees_queue(&call->peer->principal, queue);
}

void call_ok(Call *call) {
    reply_ok(call_reply(call));
    call_done(call);
}

void call_error(Call *call, const Error *error) {
    reply_error(call_reply(call), "ERR", str_from(error->message));
    call_done(call);
}

void call_fail(Call *call, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char text[256];
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    reply_error(call_reply(call), "ERR", str_from(text));
    call_done(call);
}

Lease call_lease(Call *call, int64_t fence) {
    Str worker = call->peer->worker;
    if (worker.ptr && !call->worker.ptr) call->worker = arena_str(&call->arena, worker);
    return (Lease){.fence = fence, .worker = call->worker};
}

/* ---- reading ---- */

static Call *call_new(Peer *peer, const Verb *verb) {
    Call *call = alloc_zero(1, sizeof *call);
    call->peer = peer;
    call->gateway = peer->gateway;
    call->gateway->calls++;
    call->verb = verb;
    buf_init(&call->reply, REPLY_MAX);
    list_append(&peer->calls, &call->node);
    peer->call_count++;
    return call;
}

static void run_call(Peer *peer, const Verb *verb, const Command *command) {
    Call *call = call_new(peer, verb);
    if (!verb) {
        call_fail(call, "unknown command " STR_FMT,
                  (int)(command->verb.len < 64 ? command->verb.len : 64), command->verb.ptr);
    } else if (verb->needs_argument && command->argument.len == 0) {
        call_fail(call, "%s needs an argument", verb->name);
    } else if (!access_allows(&peer->principal, verb->action)) {
        call_fail(call, "forbidden: %s needs the permission %s", verb->name,
                  action_name(verb->action));
    } else {
        call->argument = arena_str(&call->arena, command->argument);
        peer->call_bytes += call->argument.len;
        peer->running_alone = verb->alone;
        verb->run(call);
    }
}

/* false: this line must wait for the calls before it. */
static bool take_line(Peer *peer, Str line) {
    if (!peer->greeted) {
        if (!peer_hello(peer, line)) connection_close(peer->connection);
        return true;
    }
    if (!peer_is_trusted(peer)) {
        connection_close(peer->connection);
        return true;
    }
    Command command = command_split(line);
    const Verb *verb = verb_find(command.verb);
    if (verb && verb->alone && !list_is_empty(&peer->calls)) return false;
    peer->gateway->commands++;
    run_call(peer, verb, &command);
    return true;
}

/* Like a command that fails, so that its answer comes behind those of the commands before it. */
static void refuse_line(Peer *peer) {
    peer->closing = true;
    call_fail(call_new(peer, NULL), "line too long");
}

/* Guards against being entered again from a call that is answered at once. */
void peer_read(Peer *peer) {
    if (peer->reading) return;
    peer->reading = true;
    bool all_read = false;
    while (!peer->closing && !peer->syncing && !peer->running_alone &&
           peer->call_count < CALLS_MAX && peer->call_bytes < CALL_BYTES_MAX &&
           !connection_is_congested(peer->connection)) {
        Str line = {0};
        size_t used = 0;
        size_t max = peer->greeted ? peer->gateway->options.max_line : 64 * 1024;
        LineStatus status =
            line_scan(&peer->scan, connection_input(peer->connection), max, &line, &used);
        all_read = status == LINE_MORE;
        if (all_read) break;
        if (status == LINE_TOO_LONG) {
            refuse_line(peer);
            break;
        }
        if (!take_line(peer, line)) break;
        connection_consume(peer->connection, used);
    }
    peer->reading = false;
    if (!all_read || !peer->ended) return;
    peer->closing = true;
    if (list_is_empty(&peer->calls)) connection_finish(peer->connection);
}

/* ---- connections ---- */

static void on_data(Connection *connection, void *owner) {
    (void)connection;
    peer_read(owner);
}

/* A half-closed peer still gets the answers to what it sent, but nobody waits for work for it. */
static void on_end(Connection *connection, void *owner) {
    Peer *peer = owner;
    peer->ended = true;
    list_each(&peer->calls, node) {
        Call *call = container_of(node, Call, node);
        if (call->cancel) {
            connection_close(connection);
            return;
        }
    }
    peer_read(peer);
}

static void on_close(Connection *connection, void *owner, ConnectionEnd why) {
    Peer *peer = owner;
    Gateway *gateway = peer->gateway;
    (void)connection, (void)why;
    ListNode *node;
    while ((node = list_pop(&peer->calls))) {
        Call *call = container_of(node, Call, node);
        call->peer = NULL;
        if (call->answered) {
            call_free(call);
        } else if (call->cancel) {
            call->cancel(call);
        }
    }
    list_remove(&peer->sibling);
    engine_session_sync_cancel(&peer->sync);
    if (peer->session) engine_session_close(gateway->engine, peer->session);
    list_remove(&peer->node);
    arena_done(&peer->arena);
    free(peer);
    gateway_free_if_over(gateway);
}

static const ConnectionHandler peer_handler = {
    .on_data = on_data,
    .on_end = on_end,
    .on_drain = on_data,
    .on_close = on_close,
};

static void on_accept(void *owner, Connection *connection) {
    Gateway *gateway = owner;
    Peer *peer = alloc_zero(1, sizeof *peer);
    peer->gateway = gateway;
    peer->connection = connection;
    list_init(&peer->calls);
    list_append(&gateway->peers, &peer->node);
    connection_set_handler(connection, &peer_handler, peer);
    if (gateway->options.password.ptr) {
        uint64_t numbers[2];
        check(getrandom(numbers, sizeof numbers, 0) == sizeof numbers);
        peer->challenge = challenge_make(numbers[0], numbers[1]);
    }
    greeting_write(connection_output(connection), &peer->challenge);
    connection_written(connection);
    connection_deadline(connection, HANDSHAKE_US);
}

/* ---- life ---- */

/* Who connects anew names what it holds. */
static void on_doubt(void *context) {
    Gateway *gateway = context;
    list_each(&gateway->peers, node) {
        Peer *peer = container_of(node, Peer, node);
        if (peer->session) connection_close(peer->connection);
    }
}

Err gateway_open(Loop *loop, Engine *engine, const GatewayOptions *options, Gateway **ret,
                 Error *error) {
    Gateway *gateway = alloc_zero(1, sizeof *gateway);
    gateway->loop = loop;
    gateway->engine = engine;
    gateway->options = *options;
    gateway->started_us = loop_now_us(loop);
    list_init(&gateway->peers);
    ListenerOptions listen = {
        .address = options->listen,
        .max_connections = options->max_connections,
        .refusal = STR("-ERR too many connections\r\n"),
        .limits = {.input_max = options->max_line + 2},
        .on_accept = on_accept,
        .owner = gateway,
    };
    Err err = listener_open(loop, &listen, &gateway->listener, error);
    if (err != OK) {
        free(gateway);
        return err;
    }
    engine_on_doubt(engine, on_doubt, gateway);
    *ret = gateway;
    return OK;
}

static void gateway_free_if_over(Gateway *gateway) {
    if (!gateway->closed || gateway->calls > 0 || !list_is_empty(&gateway->peers)) return;
    free(gateway);
}

void gateway_stop_accepting(Gateway *gateway) {
    listener_close(gateway->listener);
    gateway->listener = NULL;
}

void gateway_close(Gateway *gateway) {
    if (!gateway) return;
    gateway_stop_accepting(gateway);
    gateway->closed = true;
    engine_on_doubt(gateway->engine, NULL, NULL);
    list_each(&gateway->peers, node) {
        connection_close(container_of(node, Peer, node)->connection);
    }
    gateway_free_if_over(gateway);
}

uint16_t gateway_port(const Gateway *gateway) {
    return listener_port(gateway->listener);
}

size_t gateway_connections(const Gateway *gateway) {
    return gateway->listener ? listener_connections(gateway->listener) : 0;
}
