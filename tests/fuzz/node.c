/* Opens and closes a node bottom up, as server/serve.c does: see node.h. */
#include "fuzz/node.h"

#include "api/route.h"
#include "base/clock.h"
#include "base/time.h"
#include "telemetry/log.h"
#include "telemetry/metric.h"

/* In the place of the API's own: the document is long, and the same for every input. */
void openapi_write(Buf *buf, const char *version, Str base_path) {
    (void)version, (void)base_path;
    buf_add(buf, STR("{}"));
}

static int64_t now_us(void *context) {
    (void)context;
    return clock_real_us();
}

static void store_post(void *context, void (*function)(void *), void *argument) {
    const FuzzNode *node = context;
    loop_post(node->loop, function, argument);
}

static void store_later(void *context, SimulatedPoint point, void (*function)(void *),
                        void *argument) {
    (void)point;
    store_post(context, function, argument);
}

static void engine_wake_at(void *context, int64_t at_us) {
    FuzzNode *node = context;
    int64_t delay_us = at_us - clock_real_us();
    loop_timer_after(&node->wake, delay_us > 0 ? delay_us : 0);
}

static void engine_soon(void *context) {
    FuzzNode *node = context;
    loop_defer(node->loop, LOOP_BATCH, &node->flush);
}

static void on_wake(void *owner) {
    engine_tick(((FuzzNode *)owner)->engine);
}

static void on_flush(void *owner) {
    engine_flush(((FuzzNode *)owner)->engine);
}

static void open_engine(FuzzNode *node) {
    Error error;
    StoreIo store_io = {.post = store_post, .now_us = now_us, .context = node};
    SimulatedIo simulated = {.later = store_later, .context = node};
    node->disk = simulated_disk_new();
    node->store = simulated_open(node->disk, &store_io, &simulated);
    check(broker_open(&node->broker, STR("memory:"), NULL, &error) == OK);
    EngineIo io = {.now_us = now_us,
                   .wake_at = engine_wake_at,
                   .soon = engine_soon,
                   .context = node,
                   .seed = 1};
    EngineOptions options = {.keep_finished_ms = INT64_C(7) * 24 * 3600 * MS_PER_S,
                             .keep_dead_ms = INT64_C(180) * 24 * 3600 * MS_PER_S,
                             .max_open_bytes = (size_t)16 * 1024 * 1024,
                             .node = STR("node")};
    node->engine = engine_new(node->store, node->broker, &io, &options);
    engine_start(node->engine);
}

static void open_ports(FuzzNode *node, Str password) {
    Error error;
    node->tokens = token_keys_new();
    check(token_keys_add(node->tokens, STR("0123456789abcdef0123456789abcdef"), &error) == OK);
    ApiOptions api = {
        .loop = node->loop,
        .engine = node->engine,
        .tokens = node->tokens,
        .max_args = NODE_MAX_ARGS,
        .max_bulk = NODE_MAX_BULK,
        .node = STR("node"),
        .version = "0",
    };
    node->api = api_new(&api);
    HttpServerOptions http = {
        .address = "memory",
        .limits = {.body_max = NODE_MAX_BODY},
        .handler = api_handle,
        .on_answer = api_answered,
        .owner = node->api,
    };
    check(http_server_open(node->loop, &http, &node->http, &error) == OK);
    GatewayOptions gateway = {
        .listen = "memory",
        .password = password,
        .roles = role_bits(ROLE_PRODUCER) | role_bits(ROLE_WORKER) | role_bits(ROLE_OPERATOR),
        .allow_flush = true,
        .max_line = NODE_MAX_BODY,
        .max_args = NODE_MAX_ARGS,
        .max_bulk = NODE_MAX_BULK,
        .tokens = node->tokens,
        .version = "0",
    };
    check(gateway_open(node->loop, node->engine, &gateway, &node->gateway, &error) == OK);
}

void fuzz_node_open(FuzzNode *node, Str password) {
    memory_reset();
    log_set_level((LogLevel)(LEVEL_ERROR + 1));
    *node = (FuzzNode){.loop = loop_new()};
    loop_timer_init(&node->wake, node->loop, on_wake, node);
    loop_task_init(&node->flush, on_flush, node);
    open_engine(node);
    open_ports(node, password);
    memory_settle(node->loop);
    check(engine_ready(node->engine));
}

void fuzz_node_close(FuzzNode *node) {
    gateway_close(node->gateway);
    http_server_close(node->http);
    engine_drain(node->engine);
    memory_settle(node->loop);
    check(api_open(node->api) == 0); /* each request was answered, to whomever */
    check(store_is_idle(node->store) && engine_is_idle(node->engine));
    loop_timer_cancel(&node->wake);
    store_close(node->store);
    metric_reset();
    api_free(node->api);
    engine_free(node->engine);
    broker_close(node->broker);
    token_keys_free(node->tokens);
    simulated_disk_free(node->disk);
    loop_free(node->loop);
}

Str fuzz_node_token(const FuzzNode *node, Role role, Str glob, Arena *arena) {
    char id[TOKEN_ID_SIZE];
    Buf text;
    Error error;
    TokenGrant grant = {
        .subject = str_from(role_name(role)),
        .roles = &role,
        .role_count = 1,
        .queues = &glob,
        .queue_count = glob.ptr ? 1 : 0,
        .ttl_s = 365 * 86400,
    };
    buf_init(&text, TOKEN_MAX_SIZE);
    check(token_mint(node->tokens, &grant, clock_real_us(), &text, id, &error) == OK);
    Str token = arena_str(arena, buf_str(&text));
    buf_done(&text);
    return token;
}
