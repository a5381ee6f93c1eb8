/* The HTTP API (docs/openapi): requests from net/http_server.h become calls of the engine.
 *
 * Rules, states and storage are not here; routes are rows of routes.c. Every request is answered
 * exactly once, also when its client is gone, and lives until the engine has called back. Loop
 * thread only. */
#pragma once

#include "auth/token.h"
#include "base/secret.h"
#include "engine/engine.h"
#include "net/http_server.h"

typedef struct Api Api;

/* Texts are borrowed for the Api's life. A zero number means its default. */
typedef struct ApiOptions {
    Loop *loop;
    Engine *engine;
    TokenKeys *tokens; /* without a key (a cluster's store is not there yet) requests get 503 */
    bool has_broker;   /* one that can be away */
    /* Why the node must not schedule now; absent: it may. NULL: always. */
    Str (*refusal)(void *context);
    void *refusal_context;
    size_t max_args;      /* bytes of a job's args; 1 MiB */
    size_t max_bulk;      /* jobs of one bulk; 10,000 */
    int64_t token_ttl_ms; /* of tokens minted without one; 24 h */
    bool metrics_auth;    /* /metrics needs the role viewer */
    Str base_path;        /* begins with '/'; absent is "/" */
    Str node;             /* this node's name */
    const char *version;  /* of Takt */
    /* Sets gauges of the server (open connections and the like) before /metrics is written; may
     * be NULL. */
    void (*collect)(void *context);
    void *context;
} ApiOptions;

/* Never NULL. Registers a metrics collector that metric_reset() must forget before api_free(). */
Api *api_new(const ApiOptions *options) __attribute__((returns_nonnull));
/* After http_server_close(), when no callback of the engine comes any more. Accepts NULL. */
void api_free(Api *api);

/* HttpServerOptions.handler, owner = the Api. */
void api_handle(void *api, HttpRequest *request);
/* HttpServerOptions.on_answer, owner = the Api: the log line and the metrics of each answer. */
void api_answered(void *api, const HttpRequest *request);

/* The node is going down: /readyz says so, and requests that wait for a job's end are answered
 * now. */
void api_drain(Api *api);
/* Requests not yet answered: a node that goes down waits for 0, but not for ever. */
size_t api_open(const Api *api);
