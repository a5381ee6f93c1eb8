/* The front door: from a request to its route, and what is noted of each answer. */
#include "api/handlers.h"

#include "api/job_input.h"
#include "base/alloc.h"
#include "base/time.h"
#include "telemetry/log.h"
#include "telemetry/metric.h"
#include <stdio.h>
#include <string.h>

enum {
    ARGS_MAX = 1024 * 1024,
    BULK_MAX = 10000,
    TOKEN_TTL_MS = 24 * 3600 * 1000,
    OPENAPI_MAX = 256 * 1024,
};

/* "/a/b" → its segments, slices of the option. */
static void split_base(Api *api) {
    Str rest = {api->options.base_path.ptr + 1, api->options.base_path.len - 1};
    api->base = alloc_zero(rest.len + 1, sizeof *api->base);
    while (rest.len > 0 && rest.ptr) {
        Str part = str_split(&rest, '/');
        if (part.len > 0) api->base[api->base_count++] = part;
    }
}

Api *api_new(const ApiOptions *options) {
    Api *api = alloc_zero(1, sizeof *api);
    api->options = *options;
    if (!api->options.max_args) api->options.max_args = ARGS_MAX;
    if (!api->options.max_bulk) api->options.max_bulk = BULK_MAX;
    if (!api->options.token_ttl_ms) api->options.token_ttl_ms = TOKEN_TTL_MS;
    if (!api->options.base_path.ptr) api->options.base_path = STR("/");
    check(str_starts_with(api->options.base_path, STR("/")));
    split_base(api);
    buf_init(&api->openapi, OPENAPI_MAX);
    openapi_write(&api->openapi, options->version, api->options.base_path);
    list_init(&api->waits);
    api->started_us = engine_now_us(options->engine);
    metric_collect_with(collect_gauges, api);
    return api;
}

void api_free(Api *api) {
    if (!api) return;
    buf_done(&api->openapi);
    free_pointer(&api->base);
    free_pointer(&api);
}

void api_drain(Api *api) {
    api->draining = true;
    waits_end(api);
}

size_t api_open(const Api *api) {
    return api->open;
}

/* ---- a request ---- */

static void on_abort(HttpRequest *request) {
    Exchange *exchange = request->owner;
    if (exchange->abort) exchange->abort(exchange);
}

static Exchange *exchange_begin(Api *api, HttpRequest *request) {
    Exchange *exchange = arena_new(&request->arena, Exchange);
    exchange->api = api;
    exchange->engine = api->options.engine;
    exchange->request = request;
    exchange->arena = &request->arena;
    exchange->now_us = engine_now_us(api->options.engine);
    exchange->begun_us = loop_now_us(api->options.loop);
    Str correlation_id = http_request_header(request, STR("X-Correlation-Id"));
    if (correlation_id_is_valid(correlation_id)) exchange->correlation_id = correlation_id;
    request->owner = exchange;
    request->on_abort = on_abort;
    api->open++;
    return exchange;
}

static bool under_base(const Api *api, const HttpRequest *request) {
    if (request->segment_count < api->base_count) return false;
    for (size_t i = 0; i < api->base_count; i++) {
        if (!str_eq(api->base[i], request->segments[i])) return false;
    }
    return true;
}

static void refuse_method(Exchange *exchange, unsigned methods) {
    Problem problem = problem_of("method-not-allowed", STR("see Allow for what is served here"));
    Str allow = route_allow(methods, exchange->arena);
    cleanup(buf_done) Buf body;
    buf_init(&body, ANSWER_MAX);
    JsonWriter writer = json_writer(&body);
    problem_write(&writer, &problem, exchange->request->path, exchange->request->id);
    HttpPair header = {STR("Allow"), allow};
    exchange_answer(exchange, problem.status, "application/problem+json", buf_str(&body), &header,
                    1);
}

void api_handle(void *owner, HttpRequest *request) {
    Api *api = owner;
    Exchange *exchange = exchange_begin(api, request);
    RouteMatch match = {0};
    if (under_base(api, request)) {
        match = route_find(request->method, request->segments + api->base_count,
                           request->segment_count - api->base_count);
    }
    if (!match.route && match.methods == 0) {
        exchange_fail(exchange, "not-found", "nothing is served at this path");
        return;
    }
    if (!match.route) {
        refuse_method(exchange, match.methods);
        return;
    }
    exchange->route = match.route;
    memcpy(exchange->parameters, match.parameters, sizeof exchange->parameters);
    if (!gate_pass(exchange)) return;
    /* probes and scrapers may send what they like */
    if (match.route->action != ACTION_PUBLIC && !exchange_check_queries(exchange)) return;
    match.route->handle(exchange);
}

/* ---- its answer ---- */

/* Requests that the HTTP layer refused itself never became an exchange. */
void api_answered(void *owner, const HttpRequest *request) {
    Api *api = owner;
    const Exchange *exchange = request->owner;
    const char *route = exchange && exchange->route ? exchange->route->path : "none";
    int64_t begun_us = exchange ? exchange->begun_us : request->begun_us;
    int64_t took_us = loop_now_us(api->options.loop) - begun_us;
    Str method = str_from(http_method_name(request->method));
    char status[12];
    snprintf(status, sizeof status, "%u", request->status);
    metric_add(METRIC_HTTP_REQUESTS, LABELS(str_from(route), method, str_from(status)), 1);
    metric_observe(METRIC_HTTP_REQUEST, LABELS(str_from(route)),
                   (double)took_us / (double)US_PER_S);
    Str job_id = exchange ? exchange->job_id : (Str){0};
    Str correlation_id = exchange ? exchange->correlation_id : (Str){0};
    if (!correlation_id.ptr) correlation_id = job_id; /* a job's id counts where it has none */
    log_info("http.request", kv_str("method", method), kv_text("route", route),
             kv_int("status", request->status), kv_double("duration_ms", (double)took_us / 1000),
             kv_str("request_id", request->id), kv_str("correlation_id", correlation_id),
             kv_str("job_id", job_id),
             kv_str("subject", exchange ? exchange->principal.subject : (Str){0}),
             kv_str("peer", request->peer_host));
    if (exchange) api->open--;
}
