/* The server as a whole: listening, sessions, the pool of requests. */
#include "net/http_server.h"

#include "base/alloc.h"
#include "net/http_session.h"
#include <string.h>
#include <sys/random.h>

enum { WARM_BODY_MAX = 64 * 1024 }; /* larger body buffers are not kept for the next request */

#define REFUSAL                                                                                    \
    STR("HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\n"              \
        "Content-Type: application/problem+json\r\nContent-Length: 94\r\n\r\n"                     \
        "{\"type\":\"/problems/overloaded\",\"title\":\"Service Unavailable\",\"status\":503,"     \
        "\"code\":\"overloaded\"}")

HttpRequest *http_server_take_request(HttpServer *server) {
    HttpRequest *request =
        server->spares > 0 ? server->spare[--server->spares] : alloc_zero(1, sizeof *request);
    request->server = server;
    return request;
}

static void destroy(HttpRequest *request) {
    arena_done(&request->arena);
    buf_done(&request->body_buf);
    free_pointer(&request);
}

void http_request_free(HttpRequest *request) {
    if (!request) return;
    HttpServer *server = request->server;
    list_remove(&request->detached);
    if (server) server->counters.open_bytes -= request->counted_bytes;
    if (!server || server->spares == HTTP_SPARE_REQUESTS) {
        destroy(request);
        return;
    }
    Arena arena = request->arena;
    Buf body_buf = request->body_buf;
    arena_reset(&arena);
    buf_clear(&body_buf);
    if (body_buf.capacity > WARM_BODY_MAX) buf_done(&body_buf);
    *request = (HttpRequest){.arena = arena, .body_buf = body_buf};
    server->spare[server->spares++] = request;
}

static HttpLimits with_defaults(HttpLimits limits) {
    if (!limits.body_max) limits.body_max = UINT64_C(16) << 20;
    if (!limits.open_bytes) limits.open_bytes = UINT64_C(512) << 20;
    if (!limits.header_ms) limits.header_ms = 10 * 1000;
    if (!limits.body_window_ms) limits.body_window_ms = 5 * 1000;
    if (!limits.body_rate) limits.body_rate = 1024;
    if (!limits.idle_ms) limits.idle_ms = 75 * 1000;
    return limits;
}

static uint64_t random_seed(void) {
    uint64_t seed;
    check(getrandom(&seed, sizeof seed, 0) == (ssize_t)sizeof seed);
    return seed;
}

Err http_server_open(Loop *loop, const HttpServerOptions *options, HttpServer **ret, Error *error) {
    HttpServer *server = alloc_zero(1, sizeof *server);
    server->loop = loop;
    server->options = *options;
    server->options.limits = with_defaults(options->limits);
    list_init(&server->sessions);
    list_init(&server->detached);
    random_init(&server->random, random_seed());
    ListenerOptions listening = {
        .address = options->address,
        .max_connections = options->max_connections,
        .refusal = REFUSAL,
        .limits = options->connection_limits,
        .on_accept = http_session_accept,
        .owner = server,
    };
    Err err = listener_open(loop, &listening, &server->listener, error);
    if (err != OK) {
        free_pointer(&server);
        return err;
    }
    *ret = server;
    return OK;
}

void http_server_close(HttpServer *server) {
    if (!server) return;
    list_each(&server->sessions, node) {
        http_session_free(container_of(node, HttpSession, node));
    }
    for (ListNode *node = list_pop(&server->detached); node; node = list_pop(&server->detached)) {
        container_of(node, HttpRequest, detached)->server = NULL;
    }
    listener_close(server->listener);
    while (server->spares > 0) {
        destroy(server->spare[--server->spares]);
    }
    free_pointer(&server);
}

void http_server_drain(HttpServer *server) {
    server->draining = true;
    listener_stop(server->listener);
    list_each(&server->sessions, node) {
        HttpSession *session = container_of(node, HttpSession, node);
        if (session->state == HTTP_IDLE) connection_finish(session->connection);
    }
}

const char *http_server_address(const HttpServer *server) {
    return listener_address(server->listener);
}

uint16_t http_server_port(const HttpServer *server) {
    return listener_port(server->listener);
}

HttpCounters http_server_counters(const HttpServer *server) {
    HttpCounters counters = server->counters;
    counters.refused = listener_refused(server->listener);
    return counters;
}
