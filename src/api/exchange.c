/* Answers, and what handlers ask of a request. */
#include "api/exchange.h"

#include "api/input.h"
#include "base/time.h"
#include "core/name.h"
#include "telemetry/log.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { HEADERS_MAX = 8 };

void exchange_answer(Exchange *exchange, unsigned status, const char *media_type, Str body,
                     const HttpPair *headers, size_t header_count) {
    HttpPair all[HEADERS_MAX] = {
        {STR("Content-Type"), str_from(media_type)},
        {STR("Cache-Control"), STR("no-store")},
        {STR("X-Content-Type-Options"), STR("nosniff")},
    };
    size_t count = 3;
    check(header_count <= HEADERS_MAX - count);
    for (size_t i = 0; i < header_count; i++) {
        all[count++] = headers[i];
    }
    bool bare = status == 204;
    http_respond(exchange->request, status, bare ? all + 1 : all, bare ? count - 1 : count, body);
}

void exchange_json(Exchange *exchange, unsigned status, const Buf *body) {
    if (body->overflow) {
        Error error;
        (void)error_set(&error, ERR_INTERNAL, "the answer is larger than %d bytes", ANSWER_MAX);
        exchange_error(exchange, &error);
        return;
    }
    exchange_answer(exchange, status, "application/json", buf_str(body), NULL, 0);
}

/* The headers that belong to a status (RFC 9110, RFC 6750). */
static size_t problem_headers(const Problem *problem, HttpPair ret[1]) {
    switch (problem->status) {
    case 401:
        ret[0] = (HttpPair){STR("WWW-Authenticate"),
                            str_eq(problem->code, STR("unauthorized"))
                                ? STR("Bearer realm=\"takt\"")
                                : STR("Bearer realm=\"takt\", error=\"invalid_token\"")};
        return 1;
    case 503: ret[0] = (HttpPair){STR("Retry-After"), STR("1")}; return 1;
    default: return 0;
    }
}

void exchange_problem(Exchange *exchange, const Problem *problem) {
    HttpPair headers[1];
    size_t header_count = problem_headers(problem, headers);
    cleanup(buf_done) Buf body;
    buf_init(&body, ANSWER_MAX);
    JsonWriter writer = json_writer(&body);
    problem_write(&writer, problem, exchange->request->path, exchange->request->id);
    exchange_answer(exchange, problem->status, "application/problem+json", buf_str(&body), headers,
                    header_count);
}

void exchange_error(Exchange *exchange, const Error *error) {
    Problem problem = problem_of_error(error);
    if (problem.status == 500) {
        log_error("http.failed", kv_str("request_id", exchange->request->id), kv_error(error));
    } else if (problem.status == 503) {
        log_warn("http.unavailable", kv_str("request_id", exchange->request->id), kv_error(error));
    }
    exchange_problem(exchange, &problem);
}

void exchange_fail(Exchange *exchange, const char *code, const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    Problem problem = problem_of(code, str_from(text));
    exchange_problem(exchange, &problem);
}

void exchange_fields(Exchange *exchange, const FieldErrors *errors) {
    Problem problem = problem_of_fields(errors);
    exchange_problem(exchange, &problem);
}

/* ---- the request ---- */

bool exchange_body(Exchange *exchange, Json *ret) {
    const HttpRequest *request = exchange->request;
    RouteBody body = exchange->route->body;
    *ret = (Json){0};
    if (request->body.len == 0 && (body == BODY_OPTIONAL || body == BODY_EMPTY)) return true;
    Error error;
    if (json_check(request->body, ret, &error) == OK) return true;
    exchange_error(exchange, &error);
    return false;
}

bool exchange_job_id(Exchange *exchange, Str *ret) {
    Str id = exchange->parameters[0];
    Error error;
    /* a reserved id is a well-formed one: there may be such a job */
    if (name_check_id(id, &error) != OK && strcmp(error.code, "reserved-name") != 0) {
        exchange_fail(exchange, "invalid-id", "%s", error.message);
        return false;
    }
    exchange->job_id = id;
    *ret = id;
    return true;
}

bool exchange_queue(Exchange *exchange, Str *ret) {
    Str name = exchange->parameters[0];
    Error error;
    if (name_check_queue(name, &error) != OK && strcmp(error.code, "reserved-name") != 0) {
        exchange_error(exchange, &error);
        return false;
    }
    if (!access_sees_queue(&exchange->principal, name)) {
        exchange_fail(exchange, "queue-not-found", "there is no queue of this name");
        return false;
    }
    *ret = name;
    return true;
}

enum { QUERIES_MAX = 32 };

/* `names` are separated by blanks; one may end in '*'. */
static size_t split_names(const char *names, Str ret[QUERIES_MAX]) {
    size_t count = 0;
    Str rest = str_from(names);
    while (rest.ptr) {
        check(count < QUERIES_MAX);
        ret[count++] = str_split(&rest, ' ');
    }
    return count;
}

static bool is_named(const Str *known, size_t count, Str name) {
    for (size_t i = 0; i < count; i++) {
        if (str_glob(known[i], name)) return true;
    }
    return false;
}

bool exchange_check_queries(Exchange *exchange) {
    const HttpRequest *request = exchange->request;
    FieldErrors *errors = field_errors_new(exchange->arena);
    Input input = {errors, exchange->arena, STR("")};
    Str known[QUERIES_MAX];
    size_t count = split_names(exchange->route->queries, known);
    for (size_t i = 0; i < request->parameter_count; i++) {
        Str name = request->parameters[i].name;
        if (is_named(known, count, name)) continue;
        Str near = str_nearest(name, known, count);
        input_fail(&input, name, "unknown-filter",
                   "there is no query parameter of this name here%s" STR_FMT "%s",
                   near.ptr ? ": did you mean " : "", STR_ARG(near), near.ptr ? "?" : "");
    }
    if (errors->count == 0) return true;
    exchange_fields(exchange, errors);
    return false;
}

/* ---- pages ---- */

/* What a cursor is bound to: route, caller and all parameters but those that may change between
 * pages. */
static Str page_scope(const Exchange *exchange) {
    const HttpRequest *request = exchange->request;
    cleanup(buf_done) Buf buf;
    buf_init(&buf, request->target.len * 2 + 1024);
    buf_add(&buf, str_from(exchange->route->path));
    buf_add_char(&buf, '\n');
    buf_add(&buf, exchange->principal.subject);
    for (size_t i = 0; i < request->parameter_count; i++) {
        Str name = request->parameters[i].name;
        if (str_eq(name, STR("cursor")) || str_eq(name, STR("limit"))) continue;
        buf_add_char(&buf, '\n');
        buf_add(&buf, name);
        buf_add_char(&buf, '=');
        buf_add(&buf, request->parameters[i].value);
    }
    return arena_str(exchange->arena, buf_str(&buf));
}

static const uint8_t *cursor_key(Api *api) {
    if (!api->has_cursor_key)
        token_derive(api->options.tokens, STR("takt cursors"), api->cursor_key);
    api->has_cursor_key = true;
    return api->cursor_key;
}

Err exchange_page(const Exchange *exchange, FieldErrors *errors, Page *ret, Error *error) {
    const HttpRequest *request = exchange->request;
    Str limit = http_request_parameter(request, STR("limit"));
    Str cursor = http_request_parameter(request, STR("cursor"));
    int64_t number = PAGE_LIMIT;
    if (limit.ptr && !str_to_int64(limit, &number)) {
        field_errors_add(errors, STR("/limit"), "not-an-integer", "limit must be an integer");
        number = PAGE_LIMIT;
    } else if (number < 1 || number > PAGE_LIMIT_MAX) {
        field_errors_add(errors, STR("/limit"), "out-of-range", "limit must be from 1 to %d",
                         PAGE_LIMIT_MAX);
        number = PAGE_LIMIT;
    }
    *ret = (Page){.limit = (size_t)number, .scope = page_scope(exchange)};
    if (!cursor.ptr) return OK;
    return cursor_open(cursor_key(exchange->api), ret->scope, cursor, exchange->now_us,
                       &ret->position, error);
}

void exchange_next(const Exchange *exchange, const Page *page, int64_t position,
                   JsonWriter *writer) {
    Str next = {0};
    if (position != 0) {
        next = cursor_seal(cursor_key(exchange->api), page->scope, position, exchange->now_us,
                           exchange->arena);
    }
    json_put_string(writer, "next", next);
}

void put_time(JsonWriter *writer, const char *key, int64_t time_us) {
    char text[TIME_TEXT_SIZE];
    if (time_us > 0) time_format(time_us, text);
    json_put_string(writer, key, time_us > 0 ? str_from(text) : (Str){0});
}
