/* One request and its answer, and what the files of the API share.
 *
 * An Exchange lives in its request's arena, and is dead after any exchange_…() that answers. */
#pragma once

#include "api/api.h"
#include "api/cursor.h"
#include "api/problem.h"
#include "api/route.h"
#include "base/json.h"

struct Api {
    ApiOptions options;
    Str *base; /* the base path's segments */
    size_t base_count;
    uint8_t
        cursor_key[CURSOR_KEY_SIZE]; /* made when first needed: in a cluster the keys come later */
    bool has_cursor_key;
    Buf openapi;
    List waits;  /* Wait.node, jobs_wait.c */
    size_t open; /* requests not yet answered */
    bool draining;
    int64_t started_us;
    const Query *collected; /* the queues, while /metrics is being written */
};

struct Exchange {
    Api *api;
    Engine *engine;
    HttpRequest *request;
    Arena *arena;       /* the request's */
    const Route *route; /* NULL: none was found */
    Str parameters[ROUTE_PARAMETERS];
    Principal principal;
    int64_t now_us;     /* the store's clock at its begin */
    int64_t begun_us;   /* the loop's */
    Str correlation_id; /* of the request, or absent; for the log */
    Str job_id;         /* for the log, or absent */
    /* The client is gone: what only waits may end. May be NULL. */
    void (*abort)(Exchange *exchange);
    void *state; /* the handler's, in the arena */
};

enum {
    ANSWER_MAX = 64 * 1024 * 1024,
    PAGE_MAX = 8 * 1024 * 1024, /* bytes at which a page ends early */
    PAGE_LIMIT = 50,
    PAGE_LIMIT_MAX = 1000,
};

/* ---- answers: the exchange is dead afterwards ---- */

void exchange_answer(Exchange *exchange, unsigned status, const char *media_type, Str body,
                     const HttpPair *headers, size_t header_count);
void exchange_json(Exchange *exchange, unsigned status, const Buf *body);
void exchange_problem(Exchange *exchange, const Problem *problem);
/* error->err is not OK. What is our fault is logged. */
void exchange_error(Exchange *exchange, const Error *error);
/* A code of problem.c. */
void exchange_fail(Exchange *exchange, const char *code, const char *format, ...) printf_like(3, 4);
/* At least one error. */
void exchange_fields(Exchange *exchange, const FieldErrors *errors);

/* ---- what handlers ask of a request; false: answered already ---- */

/* The body as JSON; the absent value when there is none and the route allows that. */
bool exchange_body(Exchange *exchange, Json *ret);
/* The first path parameter as a job's id. */
bool exchange_job_id(Exchange *exchange, Str *ret);
/* The first path parameter as the name of a queue that the caller sees. */
bool exchange_queue(Exchange *exchange, Str *ret);
/* Refuses query parameters that the route does not name. */
bool exchange_check_queries(Exchange *exchange);

typedef struct Page {
    size_t limit;
    int64_t position; /* 0 = the begin */
    Str scope;        /* of its cursors */
} Page;
/* limit and cursor; notes in errors what is wrong with the limit. A bad cursor is ERR_INVALID. */
Err exchange_page(const Exchange *exchange, FieldErrors *errors, Page *ret, Error *error)
    must_check;
/* Writes `"next": …`; position 0 is null. */
void exchange_next(const Exchange *exchange, const Page *page, int64_t position,
                   JsonWriter *writer);

/* Writes a time as RFC 3339, 0 as null. */
void put_time(JsonWriter *writer, const char *key, int64_t time_us);

/* gate.c: who is it, may they, and can we talk? false: answered. */
bool gate_pass(Exchange *exchange);
