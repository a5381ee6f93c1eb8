/* INFO, QUEUE, FLUSH: the server as Faktory's clients see it. */
#include "gateway/call.h"

#include "base/clock.h"
#include "base/time.h"
#include <math.h>
#include <sys/resource.h>

typedef struct QueuesRead {
    Query query;
    Call *call;
} QueuesRead;

static void read_queues(Call *call, void (*done)(Query *)) {
    QueuesRead *read = arena_new(&call->arena, QueuesRead);
    read->call = call;
    read->query.kind = QUERY_QUEUES;
    read->query.until_us = engine_now_us(call->gateway->engine);
    read->query.done = done;
    engine_read(call->gateway->engine, &read->query);
}

static bool read_failed(QueuesRead *read) {
    if (read->query.outcome == OK) return false;
    Error error = read->query.error;
    arena_done(&read->query.arena);
    call_error(read->call, &error);
    return true;
}

static int64_t total(const Query *query, JobStatus status) {
    int64_t sum = 0;
    for (size_t i = 0; i < query->count; i++) {
        sum += query->queues[i].counts[status];
    }
    return sum;
}

static void put_task(JsonWriter *writer, const char *name, int64_t size) {
    json_write_key(writer, str_from(name));
    json_begin_object(writer);
    json_put_int(writer, "size", size);
    json_put_string(writer, "name", str_from(name));
    json_end_object(writer);
}

static void put_faktory(JsonWriter *writer, const Query *query, const EngineStats *stats) {
    json_write_key(writer, STR("faktory"));
    json_begin_object(writer);
    json_write_key(writer, STR("queues"));
    json_begin_object(writer);
    for (size_t i = 0; i < query->count; i++) {
        json_write_key(writer, query->queues[i].name);
        json_write_int(writer, query->queues[i].counts[STATUS_PENDING]);
    }
    json_end_object(writer);
    json_write_key(writer, STR("sets"));
    json_begin_object(writer);
    json_put_int(writer, "scheduled", total(query, STATUS_SCHEDULED));
    json_put_int(writer, "retries", total(query, STATUS_RETRYING));
    json_put_int(writer, "dead", total(query, STATUS_DEAD));
    json_put_int(writer, "working", total(query, STATUS_RUNNING));
    json_end_object(writer);
    json_write_key(writer, STR("tasks"));
    json_begin_object(writer);
    put_task(writer, "Busy", total(query, STATUS_RUNNING));
    put_task(writer, "Dead", total(query, STATUS_DEAD));
    put_task(writer, "Retries", total(query, STATUS_RETRYING));
    put_task(writer, "Scheduled", total(query, STATUS_SCHEDULED));
    put_task(writer, "Workers", (int64_t)stats->sessions);
    json_end_object(writer);
    int64_t failed = (int64_t)stats->failed;
    json_put_int(writer, "total_failures", failed);
    json_put_int(writer, "total_processed", (int64_t)stats->succeeded + failed);
    json_put_int(writer, "total_enqueued", total(query, STATUS_PENDING));
    json_put_int(writer, "total_queues", (int64_t)query->count);
    json_end_object(writer);
}

static void put_server(JsonWriter *writer, const Gateway *gateway) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    json_write_key(writer, STR("server"));
    json_begin_object(writer);
    json_put_string(writer, "description", STR("Takt"));
    /* clients ask for a 1.9 or later of the protocol's reference server */
    json_put_string(writer, "faktory_version", STR("1.9.2"));
    json_put_string(writer, "takt_version", str_from(gateway->options.version));
    json_put_int(writer, "uptime", (loop_now_us(gateway->loop) - gateway->started_us) / US_PER_S);
    json_put_int(writer, "connections", (int64_t)gateway_connections(gateway));
    json_put_int(writer, "command_count", (int64_t)gateway->commands);
    json_put_int(writer, "used_memory_mb", usage.ru_maxrss / 1024);
    json_end_object(writer);
}

/* Only the queues that the caller's token is for. */
static void keep_seen(const Call *call, Query *query) {
    size_t count = 0;
    for (size_t i = 0; i < query->count; i++) {
        if (call_sees(call, query->queues[i].name)) query->queues[count++] = query->queues[i];
    }
    query->count = count;
}

static void info_read(Query *query) {
    QueuesRead *read = container_of(query, QueuesRead, query);
    if (read_failed(read)) return;
    Call *call = read->call;
    keep_seen(call, query);
    EngineStats stats = engine_stats(call->gateway->engine);
    char now[TIME_TEXT_SIZE];
    time_format(clock_real_us(), now);
    Buf buf;
    buf_init(&buf, 64 * 1024 * 1024);
    JsonWriter writer = json_writer(&buf);
    json_begin_object(&writer);
    json_put_string(&writer, "now", str_from(now));
    json_put_string(&writer, "server_utc_time",
                    arena_format(&call->arena, "%.8s UTC", now + sizeof "2026-01-01"));
    put_faktory(&writer, query, &stats);
    put_server(&writer, call->gateway);
    json_end_object(&writer);
    arena_done(&query->arena);
    call_bulk(call, &buf);
}

void verb_info(Call *call) {
    read_queues(call, info_read);
}

/* ---- FLUSH ---- */

static void flush_done(Operation *operation) {
    Call *call = operation->context;
    if (operation->error.err != OK) {
        call_error(call, &operation->error);
    } else {
        call_ok(call);
    }
}

void verb_flush(Call *call) {
    if (!call->gateway->options.allow_flush) {
        call_fail(call, "FLUSH erases everything; it is only there with protocol.allow_flush");
        return;
    }
    if (call->peer->principal.queue_count > 0) {
        call_fail(call, "forbidden: FLUSH erases every queue, the token is for some");
        return;
    }
    Operation *operation = arena_new(&call->arena, Operation);
    operation->done = flush_done;
    operation->context = call;
    engine_wipe(call->gateway->engine, operation);
}
