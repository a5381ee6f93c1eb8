/* Queues: how full they are; pause and resume. */
#include "api/handlers.h"

#include "base/time.h"

typedef struct QueueRead {
    Exchange *exchange;
    Query query;
    Page page;
    Str name; /* absent: all */
} QueueRead;

static void write_queue(JsonWriter *writer, const QueueInfo *queue, int64_t now_us) {
    int64_t oldest_us = queue->oldest_pending_us;
    double age_s = 0;
    if (oldest_us > 0 && oldest_us < now_us)
        age_s = (double)(now_us - oldest_us) / (double)US_PER_S;
    json_begin_object(writer);
    json_put_string(writer, "name", queue->name);
    json_put_bool(writer, "paused", queue->paused);
    json_write_key(writer, STR("counts"));
    json_begin_object(writer);
    for (JobStatus status = 0; status < STATUS_COUNT; status++) {
        json_put_int(writer, job_status_name(status), queue->counts[status]);
    }
    json_end_object(writer);
    put_time(writer, "oldest_pending_at", oldest_us);
    json_write_key(writer, STR("oldest_pending_seconds"));
    json_write_double(writer, age_s);
    json_end_object(writer);
}

static void answer_one(QueueRead *read, Buf *body) {
    const Query *query = &read->query;
    JsonWriter writer = json_writer(body);
    for (size_t i = 0; i < query->count; i++) {
        if (str_eq(query->queues[i].name, read->name)) {
            write_queue(&writer, &query->queues[i], query->now_us);
        }
    }
    if (body->len > 0) {
        exchange_json(read->exchange, 200, body);
    } else {
        exchange_fail(read->exchange, "queue-not-found", "there is no queue of this name");
    }
}

/* A cursor is the number of queues before the page; a queue that is new in between may move them
 * by one. */
static void answer_all(QueueRead *read, Buf *body) {
    const Query *query = &read->query;
    const Exchange *exchange = read->exchange;
    JsonWriter writer = json_writer(body);
    int64_t at = 0;
    int64_t end = read->page.position + (int64_t)read->page.limit;
    json_begin_object(&writer);
    json_write_key(&writer, STR("items"));
    json_begin_array(&writer);
    for (size_t i = 0; i < query->count; i++) {
        if (!access_sees_queue(&exchange->principal, query->queues[i].name)) continue;
        if (at >= read->page.position && at < end) {
            write_queue(&writer, &query->queues[i], query->now_us);
        }
        at++;
    }
    json_end_array(&writer);
    exchange_next(exchange, &read->page, at > end ? end : 0, &writer);
    json_end_object(&writer);
    exchange_json(read->exchange, 200, body);
}

static void on_queues(Query *query) {
    QueueRead *read = query->context;
    Arena arena = query->arena; /* `read` goes with the answer, which is made from this memory */
    if (query->outcome != OK) {
        exchange_error(read->exchange, &query->error);
    } else {
        cleanup(buf_done) Buf body;
        buf_init(&body, ANSWER_MAX);
        if (read->name.ptr) {
            answer_one(read, &body);
        } else {
            answer_all(read, &body);
        }
    }
    arena_done(&arena);
}

static void read_queues(Exchange *exchange, Str name, const Page *page) {
    QueueRead *read = arena_new(exchange->arena, QueueRead);
    read->exchange = exchange;
    read->name = name;
    read->page = *page;
    read->query.kind = QUERY_QUEUES;
    read->query.until_us = exchange->now_us;
    read->query.done = on_queues;
    read->query.context = read;
    engine_read(exchange->engine, &read->query);
}

void handle_queue_list(Exchange *exchange) {
    FieldErrors *errors = field_errors_new(exchange->arena);
    Page page;
    Error error;
    Err cursor = exchange_page(exchange, errors, &page, &error);
    if (errors->count > 0) {
        exchange_fields(exchange, errors);
    } else if (cursor != OK) {
        exchange_error(exchange, &error);
    } else {
        read_queues(exchange, (Str){0}, &page);
    }
}

void handle_queue_get(Exchange *exchange) {
    Str name;
    if (exchange_queue(exchange, &name)) read_queues(exchange, name, &(Page){0});
}

/* ---- pause and resume ---- */

static void on_paused(Operation *operation) {
    const QueueRequest *request = container_of(operation, QueueRequest, operation);
    Exchange *exchange = operation->context;
    if (operation->error.err != OK) {
        exchange_error(exchange, &operation->error);
        return;
    }
    cleanup(buf_done) Buf body;
    buf_init(&body, ANSWER_MAX);
    JsonWriter writer = json_writer(&body);
    json_begin_object(&writer);
    json_put_string(&writer, "name", request->queue);
    json_put_bool(&writer, "paused", request->paused);
    json_end_object(&writer);
    exchange_json(exchange, 200, &body);
}

static void set_paused(Exchange *exchange, bool paused) {
    Str name;
    if (!exchange_queue(exchange, &name)) return;
    QueueRequest *request = arena_new(exchange->arena, QueueRequest);
    request->operation.done = on_paused;
    request->operation.context = exchange;
    request->operation.weight = 1;
    request->queue = name;
    request->paused = paused;
    engine_queue_set_paused(exchange->engine, request);
}

void handle_queue_pause(Exchange *exchange) {
    set_paused(exchange, true);
}

void handle_queue_resume(Exchange *exchange) {
    set_paused(exchange, false);
}
