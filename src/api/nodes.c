/* The nodes: of a cluster those that have a row in the store, else this one. */
#include "api/handlers.h"

#include "base/time.h"

#define SILENT_US (5 * US_PER_S) /* a node is heard every second */

static const char *state_of(const NodeRow *node, int64_t now_us) {
    if (node->seen_us + SILENT_US < now_us) return "silent";
    return node->draining ? "draining" : "ready";
}

/* `info` is JSON that the node wrote itself: checked before it is shown. */
static void write_addresses(JsonWriter *writer, Str info) {
    static const char *const names[] = {"http", "protocol"};
    Json root = {0};
    bool good = info.len > 0 && json_check(info, &root, NULL) == OK && root.kind == JSON_OBJECT;
    for (size_t i = 0; i < LENGTH(names); i++) {
        Json value = good ? json_member(root, str_from(names[i])) : (Json){0};
        json_put_raw(writer, names[i], value.text);
    }
}

static void write_node(JsonWriter *writer, const NodeRow *node, int64_t now_us) {
    json_begin_object(writer);
    json_put_string(writer, "name", node->name);
    json_put_string(writer, "version", node->version);
    json_put_string(writer, "state", str_from(state_of(node, now_us)));
    put_time(writer, "started_at", node->started_us);
    put_time(writer, "seen_at", node->seen_us);
    json_put_int(writer, "clock_offset_ms", node->clock_offset_us / US_PER_MS);
    write_addresses(writer, node->info);
    json_end_object(writer);
}

static void answer_nodes(Exchange *exchange, const NodeRow *nodes, size_t count, int64_t now_us) {
    cleanup(buf_done) Buf body;
    buf_init(&body, ANSWER_MAX);
    JsonWriter writer = json_writer(&body);
    json_begin_object(&writer);
    json_write_key(&writer, STR("items"));
    json_begin_array(&writer);
    for (size_t i = 0; i < count; i++) {
        write_node(&writer, &nodes[i], now_us);
    }
    json_end_array(&writer);
    json_put_raw(&writer, "next", (Str){0});
    json_end_object(&writer);
    exchange_json(exchange, 200, &body);
}

static void answer_alone(Exchange *exchange) {
    const Api *api = exchange->api;
    NodeRow node = engine_node(exchange->engine);
    node.name = api->options.node;
    node.version = str_from(api->options.version);
    node.started_us = api->started_us;
    node.draining = api->draining;
    answer_nodes(exchange, &node, 1, node.seen_us);
}

static void on_nodes(Query *query) {
    Exchange *exchange = query->context;
    Arena arena = query->arena; /* the query goes with the answer, which is made from this memory */
    if (query->outcome != OK) {
        exchange_error(exchange, &query->error);
    } else {
        answer_nodes(exchange, query->nodes, query->count, query->now_us);
    }
    arena_done(&arena);
}

void handle_node_list(Exchange *exchange) {
    if (engine_node_state(exchange->engine) == NODE_ALONE) {
        answer_alone(exchange);
        return;
    }
    Query *query = arena_new(exchange->arena, Query);
    query->kind = QUERY_NODES;
    query->done = on_nodes;
    query->context = exchange;
    engine_read(exchange->engine, query);
}
