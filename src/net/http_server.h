/* An HTTP/1.1 server on the loop: whole requests to one handler, answers now or later.
 *
 * Not a router and not an application: it owns framing, limits, deadlines, keep-alive, order of
 * answers and the problems of its own layer. Per connection one request is with the handler at a
 * time; the next is read when that is answered. Loop thread only. */
#pragma once

#include "net/connection.h"
#include "net/http_request.h"

typedef struct HttpServer HttpServer;

/* Called with each whole request. It must be answered exactly once: by http_respond() or a stream,
 * now or in any later callback; it stays valid until then, even when the client is gone, and is
 * dead after. */
typedef void HttpHandler(void *owner, HttpRequest *request);

/* A zero member means its default. */
typedef struct HttpLimits {
    uint64_t body_max;      /* bytes of one body; 16 MiB. Above: 413 */
    uint64_t open_bytes;    /* bytes of all bodies held; 512 MiB. Above: 503 overloaded */
    int64_t header_ms;      /* from a request's first byte to the end of its head; 10 s. Then 408 */
    int64_t body_window_ms; /* in each window (5 s) of a body's arrival … */
    uint64_t body_rate;     /* … at least so many bytes per second (1 KiB) must come. Else 408 */
    int64_t idle_ms;        /* without a request before the connection is closed; 75 s */
} HttpLimits;

typedef struct HttpServerOptions {
    const char *address;    /* see listener.h */
    size_t max_connections; /* above: 503, closed; 0: no limit */
    HttpLimits limits;
    ConnectionLimits connection_limits;
    HttpHandler *handler;
    /* After each answer, for logs and metrics; also for those the server gives by itself, whose
     * request may be known in part only (path absent) and never reached the handler. May be NULL.
     */
    void (*on_answer)(void *owner, const HttpRequest *request);
    void *owner;
} HttpServerOptions;

typedef struct HttpCounters {
    uint64_t requests;   /* given to the handler */
    uint64_t faults;     /* answered with a problem by the server itself */
    uint64_t timeouts;   /* of which 408 */
    uint64_t aborts;     /* clients gone before their answer */
    uint64_t refused;    /* connections above the limit */
    size_t connections;  /* open now */
    uint64_t open_bytes; /* of bodies, now */
} HttpCounters;

/* Listens when it returns. Errors as of listener_open(). */
Err http_server_open(Loop *loop, const HttpServerOptions *options, HttpServer **ret, Error *error)
    must_check;
/* Closes all connections at once; requests still with the handler get on_abort and must be answered
 * (to nobody) all the same. Not from inside a callback of the server. Accepts NULL. */
void http_server_close(HttpServer *server);
/* Stops listening, closes idle connections; the others after their next answer. */
void http_server_drain(HttpServer *server);

const char *http_server_address(const HttpServer *server);
uint16_t http_server_port(const HttpServer *server);
HttpCounters http_server_counters(const HttpServer *server);

/* Answers and frees the request. X-Request-Id, Date, Connection and Content-Length are added;
 * headers and body are copied before it returns. HEAD sends no body; 204 and 304 have none. When
 * the client is gone this only frees. */
void http_respond(HttpRequest *request, unsigned status, const HttpPair *headers,
                  size_t header_count, Str body);
/* The same with a problem+json body. */
void http_respond_problem(HttpRequest *request, const HttpFault *fault, const HttpPair *headers,
                          size_t header_count);

/* An answer in pieces (chunked). The request lives until http_stream_end(); an empty piece writes
 * nothing. When the client is gone all of these do nothing but the last, which frees. */
void http_stream_begin(HttpRequest *request, unsigned status, const HttpPair *headers,
                       size_t header_count);
void http_stream_chunk(HttpRequest *request, Str piece);
void http_stream_end(HttpRequest *request);
/* Ends it so that the client can tell it is not whole: the connection breaks off. Frees. */
void http_stream_break(HttpRequest *request);
/* True while the client reads too slowly: write no more until request->on_drain. */
bool http_stream_is_congested(const HttpRequest *request);
