/* The routes: one table (routes.c) of method, path, permission, handler and what is said of
 * them.
 *
 * Lookup, 405 and its Allow, metrics' labels and the API's document derive from it. A row that
 * forgets its action is ACTION_UNSET, which nobody holds: such a route answers 403 to all, and a
 * test fails. */
#pragma once

#include "core/access.h"
#include "net/http_request.h"

enum { ROUTE_PARAMETERS = 2 };

typedef struct Exchange Exchange;

typedef enum RouteBody {
    BODY_NONE,     /* ignored: GET, DELETE */
    BODY_EMPTY,    /* none, or {} */
    BODY_OPTIONAL, /* none, or a JSON object */
    BODY_JSON,     /* JSON */
    BODY_BULK,     /* JSON or application/x-ndjson */
} RouteBody;

typedef struct Route {
    HttpMethod method; /* a GET route serves HEAD too */
    const char *path;  /* "/v1/jobs/{id}" */
    Action action;
    Action private_action; /* instead of `action` where the configuration wants it (metrics_auth) */
    RouteBody body;
    bool creates; /* an Idempotency-Key would matter: refused until it is served */
    void (*handle)(Exchange *exchange);
    const char *statuses; /* "201 200": of successes, the usual one first */
    const char *produces; /* media type of a success; NULL = application/json */
    const char *queries;  /* "state queue limit": names of query parameters, or NULL */
    const char *summary;
} Route;

extern const Route routes[];
extern const size_t route_count;

typedef struct RouteMatch {
    const Route *route; /* NULL: none */
    Str parameters[ROUTE_PARAMETERS];
    unsigned methods; /* bit per HttpMethod that the path serves; 0 = no such path */
} RouteMatch;

/* `segments` are those behind the base path. */
RouteMatch route_find(HttpMethod method, const Str *segments, size_t count);

/* "GET, HEAD, POST", in the arena. */
Str route_allow(unsigned methods, Arena *arena);

/* OpenAPI 3.1, appended. `version` is Takt's, `base_path` begins with '/'. */
void openapi_write(Buf *buf, const char *version, Str base_path);
