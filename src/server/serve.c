/* The node's life: opened bottom up (data, keys, store, broker, engine, ports, worker), run on
 * one loop, drained top down. Invariant: a port answers only while everything beneath it is open.
 */
#include "server/serve.h"

#include "api/api.h"
#include "auth/token.h"
#include "base/clock.h"
#include "base/crash.h"
#include "base/time.h"
#include "broker/broker.h"
#include "engine/engine.h"
#include "gateway/gateway.h"
#include "net/http_server.h"
#include "server/data_directory.h"
#include "server/log_setup.h"
#include "server/membership.h"
#include "server/node_identity.h"
#include "server/store_clock.h"
#include "server/worker_child.h"
#include "store/store.h"
#include "telemetry/log.h"
#include "telemetry/metric.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#define DRAIN_MOST_US (30 * US_PER_S) /* then connections are closed whatever they do */
#define SETTLE_MOST_US (10 * US_PER_S)
#define CLOCK_SKEW_WARN_US US_PER_S
enum { OPEN_BYTES_MAX = 256 * 1024 * 1024 };

const char takt_version[] = TAKT_VERSION;

typedef struct Node {
    const Config *config;
    const ServeOptions *options;
    Loop *loop;
    StoreClock clock;
    Membership membership;
    NodeIdentity identity;
    Error failure; /* why it ended itself */
    TokenKeys *tokens;
    Store *store;
    Broker *broker;
    Engine *engine;
    Api *api;
    HttpServer *http;
    Gateway *gateway;
    WorkerChild worker;
    LoopTimer wake, second, drain;
    LoopTask flush;
    int64_t drain_until_us;
    bool draining;
} Node;

/* ---- what store and engine ask of the node ---- */

static void store_post(void *context, void (*function)(void *), void *argument) {
    Node *node = context;
    loop_post(node->loop, function, argument);
}

static int64_t node_now_us(void *context) {
    const Node *node = context;
    return store_clock_now_us(&node->clock);
}

static void engine_wake_at(void *context, int64_t at_us) {
    Node *node = context;
    int64_t delay_us = at_us - node_now_us(node);
    loop_timer_after(&node->wake, delay_us > 0 ? delay_us : 0);
}

static void engine_soon(void *context) {
    Node *node = context;
    loop_defer(node->loop, LOOP_BATCH, &node->flush);
}

static void on_wake(void *owner) {
    engine_tick(((Node *)owner)->engine);
}

static void on_flush(void *owner) {
    engine_flush(((Node *)owner)->engine);
}

static void on_second(void *owner) {
    Node *node = owner;
    int64_t skew_us = store_clock_follow(&node->clock);
    bool jumped = skew_us > CLOCK_SKEW_WARN_US || skew_us < -CLOCK_SKEW_WARN_US;
    if (jumped && !node->config->store.cluster) {
        log_warn("clock.jumped", kv_int("by_ms", skew_us / US_PER_MS));
    }
    membership_second(&node->membership, skew_us);
    metric_set(METRIC_STORE_UP, NULL, engine_store_is_up(node->engine) ? 1 : 0);
    log_flush_repeats();
    loop_timer_after(&node->second, US_PER_S);
}

static void store_said(void *context, int64_t store_us, int64_t round_trip_us) {
    Node *node = context;
    store_clock_learn(&node->clock, store_us, round_trip_us, clock_mono_us());
}

/* ---- drain ---- */

static void on_drain_look(void *owner) {
    Node *node = owner;
    bool over = loop_now_us(node->loop) >= node->drain_until_us;
    bool worker_gone = !worker_child_is_running(&node->worker);
    bool answered = api_open(node->api) == 0;
    if (over || (worker_gone && answered && engine_is_idle(node->engine))) {
        loop_stop(node->loop);
    } else {
        loop_timer_after(&node->drain, US_PER_S / 20);
    }
}

static void on_terminate(void *owner) {
    Node *node = owner;
    if (node->draining) {
        loop_stop(node->loop);
        return;
    }
    node->draining = true;
    crash_point(DRAIN_BEGUN);
    log_info("node.draining", kv_int("most_ms", DRAIN_MOST_US / US_PER_MS));
    worker_child_stop(&node->worker);
    engine_drain(node->engine);
    api_drain(node->api);
    http_server_drain(node->http);
    gateway_stop_accepting(node->gateway);
    node->drain_until_us = loop_now_us(node->loop) + DRAIN_MOST_US;
    loop_timer_after(&node->drain, US_PER_S / 20);
}

/* ---- reload ---- */

static void on_reload(void *owner) {
    Node *node = owner;
    Config *fresh = NULL;
    ConfigReport report;
    Error error;
    config_report_init(&report);
    if (config_load(node->options->source, &fresh, &report, &error) != OK) {
        log_error("config.reload-refused", kv_error(&error),
                  kv_str("problems", buf_str(&report.errors)));
    } else {
        Buf now, restart;
        buf_init(&now, 64 * 1024);
        buf_init(&restart, 64 * 1024);
        config_compare(node->config, fresh, &now, &restart);
        log_setup(fresh);
        log_info("config.reloaded", kv_str("in_force", buf_str(&now)),
                 kv_str("needs_restart", buf_str(&restart)));
        buf_done(&now);
        buf_done(&restart);
    }
    config_free(fresh);
    config_report_done(&report);
}

static void on_child(void *owner) {
    worker_child_reap(&((Node *)owner)->worker);
}

/* The node can't go on. */
static void end_node(void *context, const Error *error) {
    Node *node = context;
    if (node->failure.err != OK) return;
    node->failure = *error;
    log_error("node.failed", kv_error(error));
    loop_stop(node->loop);
}

/* ---- opening ---- */

static Err load_keys(Node *node, Error *error) {
    const Config *config = node->config;
    node->tokens = token_keys_new();
    /* a cluster's is in its store */
    if (config->auth.keys.count == 0 && config->store.cluster) return OK;
    if (config->auth.keys.count == 0) {
        return token_keys_load_or_make(node->tokens, config->data.ptr, error);
    }
    for (size_t i = 0; i < config->auth.keys.count; i++) {
        TRY(token_keys_load(node->tokens, config->auth.keys.items[i].ptr, error));
    }
    return OK;
}

static Err open_store(Node *node, Error *error) {
    StoreIo io = {.post = store_post,
                  .now_us = node_now_us,
                  .clock = store_said,
                  .loop = node->loop,
                  .context = node};
    if (node->config->store.cluster) {
        return store_open(&node->store, node->config->store.url, &io, error);
    }
    cleanup(buf_done) Buf url;
    buf_init(&url, 8192);
    buf_format(&url, "sqlite:%s", node->config->store.path.ptr);
    return store_open(&node->store, buf_str(&url), &io, error);
}

static void join(Node *node) {
    node->membership = (Membership){.config = node->config,
                                    .loop = node->loop,
                                    .store = node->store,
                                    .broker = node->broker,
                                    .engine = node->engine,
                                    .tokens = node->tokens,
                                    .clock = &node->clock,
                                    .end = end_node,
                                    .context = node};
    membership_begin(&node->membership);
}

static Err open_engine(Node *node, Error *error) {
    const Config *config = node->config;
    TRY(open_store(node, error));
    BrokerIo broker_io = {.loop = node->loop, .node = str_from(node->identity.name)};
    Str broker = config->broker.url;
    if (!broker.ptr) broker = config->store.cluster ? STR("none:") : STR("memory:");
    TRY(broker_open(&node->broker, broker, &broker_io, error));
    EngineIo io = {
        .now_us = node_now_us, .wake_at = engine_wake_at, .soon = engine_soon, .context = node};
    check(getrandom(&io.seed, sizeof io.seed, 0) == sizeof io.seed);
    EngineOptions options = {
        .keep_finished_ms = config->retention.finished_ms,
        .keep_dead_ms = config->retention.dead_ms,
        .max_open_bytes = OPEN_BYTES_MAX,
        .node = str_from(node->identity.name),
        .cluster = config->store.cluster,
        .instance = str_from(node->identity.instance),
        .version = str_from(takt_version),
        .node_info = str_from(node->identity.info),
    };
    node->engine = engine_new(node->store, node->broker, &io, &options);
    join(node);
    engine_start(node->engine);
    return OK;
}

static void format_address(char *text, size_t size, const ConfigAddress *address) {
    bool ipv6 = false;
    for (size_t i = 0; i < address->host.len; i++) {
        ipv6 |= address->host.ptr[i] == ':';
    }
    snprintf(text, size, ipv6 ? "[" STR_FMT "]:%d" : STR_FMT ":%d", STR_ARG(address->host),
             (int)address->port);
}

static Err open_http(Node *node, Error *error) {
    const Config *config = node->config;
    char address[300];
    format_address(address, sizeof address, &config->http.listen);
    ApiOptions api = {
        .loop = node->loop,
        .engine = node->engine,
        .tokens = node->tokens,
        .metrics_auth = config->http.metrics_auth,
        .max_args = (size_t)config->limits.args,
        .max_bulk = (size_t)config->limits.bulk,
        .token_ttl_ms = config->auth.token_ttl_ms,
        .version = takt_version,
        .base_path = config->http.base_path,
        .node = str_from(node->identity.name),
        .has_broker = config->store.cluster && config->broker.url.ptr &&
                      !str_eq(config->broker.url, STR("none:")),
        .refusal = membership_refusal,
        .refusal_context = &node->membership,
    };
    node->api = api_new(&api);
    HttpServerOptions options = {
        .address = address,
        .max_connections = (size_t)config->limits.connections,
        .limits = {.body_max = (uint64_t)config->limits.body},
        .handler = api_handle,
        .on_answer = api_answered,
        .owner = node->api,
    };
    TRY(http_server_open(node->loop, &options, &node->http, error));
    log_info("http.listening", kv_text("address", http_server_address(node->http)));
    return OK;
}

static Err open_gateway(Node *node, Error *error) {
    const Config *config = node->config;
    char address[300];
    format_address(address, sizeof address, &config->protocol.listen);
    RoleSet roles = 0;
    for (size_t i = 0; i < config->protocol.roles.count; i++) {
        Role role;
        if (role_parse(config->protocol.roles.items[i], &role)) roles |= role_bits(role);
    }
    Str password = config->protocol.password.text;
    GatewayOptions options = {
        .listen = address,
        .password = password.len > 0 ? password : (Str){0},
        .roles = roles,
        .allow_flush = config->protocol.allow_flush,
        .max_connections = (size_t)config->limits.connections,
        .max_line = (size_t)config->limits.body,
        .max_args = (size_t)config->limits.args,
        .max_bulk = (size_t)config->limits.bulk,
        .tokens = node->tokens,
        .version = takt_version,
    };
    TRY(gateway_open(node->loop, node->engine, &options, &node->gateway, error));
    log_info("protocol.listening", kv_text("address", address));
    return OK;
}

static Err watch_signals(Node *node, Error *error) {
    TRY(loop_signal(node->loop, SIGTERM, on_terminate, node, error));
    TRY(loop_signal(node->loop, SIGINT, on_terminate, node, error));
    TRY(loop_signal(node->loop, SIGHUP, on_reload, node, error));
    return loop_signal(node->loop, SIGCHLD, on_child, node, error);
}

/* As many descriptors as the limits of connections may ask for, where the system allows it. */
static void raise_descriptors(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static Err node_open(Node *node, Error *error) {
    const Config *config = node->config;
    raise_descriptors();
    log_setup(config);
    TRY(data_directory_make(config->data.ptr, error));
    crash_point(DATA_MADE);
    TRY(load_keys(node, error));
    TRY(watch_signals(node, error));
    TRY(open_engine(node, error));
    if (token_keys_are_there(node->tokens)) {
        TRY(admin_token_write(config->data.ptr, node->tokens, error));
    }
    TRY(open_http(node, error));
    TRY(open_gateway(node, error));
    crash_point(PORTS_OPEN);
    node->worker = (WorkerChild){
        .loop = node->loop,
        .config = config,
        .program = node->options->program,
        .config_path = node->options->source ? node->options->source->path : NULL,
        .port = gateway_port(node->gateway),
    };
    worker_child_start(&node->worker);
    loop_timer_after(&node->second, US_PER_S);
    metric_set(METRIC_BUILD_INFO, LABELS(str_from(takt_version)), 1);
    metric_set(METRIC_STORE_UP, NULL, engine_store_is_up(node->engine) ? 1 : 0);
    return OK;
}

static void on_settle_look(void *owner) {
    (void)owner; /* only so that the loop turns */
}

/* Until all that was begun is answered: what the store still says must find somebody home. */
static void settle(Node *node) {
    int64_t until_us = loop_now_us(node->loop) + SETTLE_MOST_US;
    LoopTimer look;
    loop_timer_init(&look, node->loop, on_settle_look, NULL);
    do {
        loop_timer_after(&look, US_PER_MS);
        loop_turn(node->loop);
    } while ((!store_is_idle(node->store) || !engine_is_idle(node->engine)) &&
             loop_now_us(node->loop) < until_us);
    loop_timer_cancel(&look);
}

static void node_close(Node *node) {
    loop_timer_cancel(&node->second);
    loop_timer_cancel(&node->drain);
    membership_end(&node->membership);
    if (node->worker.loop) worker_child_stop(&node->worker);
    gateway_close(node->gateway);
    http_server_close(node->http);
    if (node->engine) {
        engine_drain(node->engine);
        engine_leave(node->engine);
        settle(node);
        crash_point(STOP_SETTLED);
        loop_timer_cancel(&node->wake);
        loop_task_cancel(&node->flush);
        store_close(node->store);
        crash_point(STOP_CLOSED);
    }
    metric_reset();
    api_free(node->api);
    engine_free(node->engine);
    broker_close(node->broker);
    token_keys_free(node->tokens);
}

Err serve(const ServeOptions *options, Error *error) {
    crash_setup();
    Node node = {.config = options->config, .options = options, .loop = loop_new()};
    store_clock_init(&node.clock);
    loop_timer_init(&node.wake, node.loop, on_wake, &node);
    loop_timer_init(&node.second, node.loop, on_second, &node);
    loop_timer_init(&node.drain, node.loop, on_drain_look, &node);
    loop_task_init(&node.flush, on_flush, &node);
    node_identify(&node.identity, options->config);
    Err err = node_open(&node, error);
    if (err == OK) {
        log_info("node.started", kv_text("version", takt_version),
                 kv_str("data", node.config->data));
        loop_run(node.loop);
        crash_point(DRAIN_OVER);
        log_info("node.stopped");
    }
    if (err == OK && node.failure.err != OK) {
        *error = node.failure;
        err = node.failure.err;
    }
    node_close(&node);
    loop_free(node.loop);
    log_flush_repeats();
    return err;
}
