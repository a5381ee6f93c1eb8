/* Connected workers with what they run: of every node of a cluster, those of others as they were stored last. */
#include "api/handlers.h"

#include "base/map.h"
#include <stdlib.h>

typedef struct Worker {
    SessionView view;
    Str node;
    bool remote;         /* of another node: its state is in `info` */
    const Job *jobs[16]; /* the first of those the caller sees */
    size_t shown;
    size_t running;
} Worker;

typedef struct WorkerRead {
    Exchange *exchange;
    Query query;
    Query sessions; /* of a cluster */
    Page page;
    Worker *workers;
    size_t count;
    size_t room;
} WorkerRead;

static void count_worker(void *context, const SessionView *view) {
    WorkerRead *read = context;
    (void)view;
    read->room++;
}

static void add_worker(void *context, const SessionView *view) {
    WorkerRead *read = context;
    if (read->count == read->room) return;
    Worker *worker = &read->workers[read->count++];
    worker->view = *view;
    worker->node = read->exchange->api->options.node;
}

/* Of one worker the node that has heard it last comes first. */
static int compare_workers(const void *a, const void *b) {
    const Worker *left = a;
    const Worker *right = b;
    int order = str_compare(left->view.worker, right->view.worker);
    if (order != 0) return order;
    int64_t by_us = right->view.seen_us - left->view.seen_us;
    return (by_us > 0) - (by_us < 0);
}

/* One that never beats is known to its node alone. */
static void add_stored(WorkerRead *read, const SessionRow *row) {
    if (row->closed_us > 0 || str_eq(row->node, read->exchange->api->options.node)) return;
    read->workers[read->count++] = (Worker){.view = {.worker = row->worker,
                                                     .info = row->info,
                                                     .seen_us = row->seen_us,
                                                     .opened_us = row->opened_us,
                                                     .rss_kb = -1},
                                            .node = row->node,
                                            .remote = true};
}

static void keep_newest(WorkerRead *read) {
    size_t kept = 0;
    for (size_t i = 0; i < read->count; i++) {
        const Worker *worker = &read->workers[i];
        bool again = kept > 0 && str_eq(read->workers[kept - 1].view.worker, worker->view.worker);
        if (!again) read->workers[kept++] = *worker;
    }
    read->count = kept;
}

static const char *session_state_name(SessionState state) {
    switch (state) {
    case SESSION_RUNNING: return "running";
    case SESSION_QUIET: return "quiet";
    case SESSION_TERMINATE: return "terminating";
    }
    return "running";
}

/* Gives each running job to its worker. */
static void add_jobs(WorkerRead *read) {
    Map by_name;
    map_init(&by_name, (uint64_t)read->exchange->begun_us, 1);
    for (size_t i = 0; i < read->count; i++) {
        (void)map_put(&by_name, read->workers[i].view.worker, &read->workers[i]);
    }
    for (size_t i = 0; i < read->query.count; i++) {
        const Job *job = &read->query.jobs[i];
        Worker *worker = map_get(&by_name, job->worker);
        if (!worker || !access_sees_queue(&read->exchange->principal, job->queue)) continue;
        worker->running++;
        if (worker->shown < LENGTH(worker->jobs)) worker->jobs[worker->shown++] = job;
    }
    map_done(&by_name);
}

static void write_jobs(JsonWriter *writer, const Worker *worker) {
    json_write_key(writer, STR("jobs"));
    json_begin_array(writer);
    for (size_t i = 0; i < worker->shown; i++) {
        const Job *job = worker->jobs[i];
        json_begin_object(writer);
        json_put_string(writer, "id", job->id);
        json_put_string(writer, "type", job->type);
        json_put_string(writer, "queue", job->queue);
        put_time(writer, "started_at", job->started_us);
        json_end_object(writer);
    }
    json_end_array(writer);
}

/* What another node has told of it in `info`. */
static Str state_of(const Worker *worker) {
    Json root, state = {0};
    Str info = worker->view.info;
    bool good = worker->remote && info.len > 0 && json_check(info, &root, NULL) == OK;
    if (good && root.kind == JSON_OBJECT) state = json_member(root, STR("state"));
    if (state.text.ptr && state.kind == JSON_STRING) {
        bool quiet = str_eq(state.text, STR("\"quiet\""));
        return quiet ? STR("quiet") : STR("terminating");
    }
    return str_from(session_state_name(worker->view.state));
}

/* `info` is JSON that the engine keeps as the worker sent it: checked before it is shown. */
static void write_info(JsonWriter *writer, Str info) {
    static const char *const names[] = {"hostname", "pid", "labels"};
    Json root = {0};
    bool good = info.len > 0 && json_check(info, &root, NULL) == OK && root.kind == JSON_OBJECT;
    for (size_t i = 0; i < LENGTH(names); i++) {
        Json value = good ? json_member(root, str_from(names[i])) : (Json){0};
        json_put_raw(writer, names[i], value.text);
    }
}

static void write_worker(JsonWriter *writer, const Worker *worker) {
    const SessionView *view = &worker->view;
    json_begin_object(writer);
    json_put_string(writer, "id", view->worker);
    json_put_string(writer, "state", state_of(worker));
    json_put_string(writer, "node", worker->node);
    write_info(writer, view->info);
    json_write_key(writer, STR("connections"));
    if (worker->remote) {
        json_write_null(writer);
    } else {
        json_write_int(writer, (int64_t)view->connections);
    }
    json_put_int(writer, "running", (int64_t)worker->running);
    write_jobs(writer, worker);
    json_write_key(writer, STR("rss_kb"));
    if (view->rss_kb >= 0) {
        json_write_int(writer, view->rss_kb);
    } else {
        json_write_null(writer);
    }
    put_time(writer, "connected_at", view->opened_us);
    put_time(writer, "last_beat_at", view->seen_us);
    json_end_object(writer);
}

static void answer_workers(WorkerRead *read) {
    Exchange *exchange = read->exchange;
    engine_sessions_each(exchange->engine, count_worker, read);
    size_t most = read->room + read->sessions.count + 1;
    read->workers = arena_zero(exchange->arena, most, sizeof *read->workers);
    engine_sessions_each(exchange->engine, add_worker, read);
    for (size_t i = 0; i < read->sessions.count; i++) {
        add_stored(read, &read->sessions.sessions[i]);
    }
    qsort(read->workers, read->count, sizeof *read->workers, compare_workers);
    keep_newest(read);
    add_jobs(read);
    size_t begin = (size_t)read->page.position;
    size_t end = begin + read->page.limit;
    cleanup(buf_done) Buf body;
    buf_init(&body, ANSWER_MAX);
    JsonWriter writer = json_writer(&body);
    json_begin_object(&writer);
    json_write_key(&writer, STR("items"));
    json_begin_array(&writer);
    for (size_t i = begin; i < read->count && i < end; i++) {
        write_worker(&writer, &read->workers[i]);
    }
    json_end_array(&writer);
    exchange_next(exchange, &read->page, read->count > end ? (int64_t)end : 0, &writer);
    json_end_object(&writer);
    exchange_json(exchange, 200, &body);
}

/* `read` goes with the answer, which is made from the memory of its queries. */
static void finish(WorkerRead *read, const Query *query) {
    Arena running = read->query.arena, sessions = read->sessions.arena;
    if (query->outcome != OK) {
        exchange_error(read->exchange, &query->error);
    } else {
        answer_workers(read);
    }
    arena_done(&running);
    arena_done(&sessions);
}

static void on_sessions(Query *query) {
    finish(query->context, query);
}

static void on_running(Query *query) {
    WorkerRead *read = query->context;
    Engine *engine = read->exchange->engine;
    if (query->outcome != OK || engine_node_state(engine) == NODE_ALONE) {
        finish(read, query);
        return;
    }
    read->sessions.kind = QUERY_SESSIONS;
    read->sessions.done = on_sessions;
    read->sessions.context = read;
    engine_read(engine, &read->sessions);
}

void handle_worker_list(Exchange *exchange) {
    FieldErrors *errors = field_errors_new(exchange->arena);
    WorkerRead *read = arena_new(exchange->arena, WorkerRead);
    Error error;
    read->exchange = exchange;
    Err cursor = exchange_page(exchange, errors, &read->page, &error);
    if (errors->count > 0) {
        exchange_fields(exchange, errors);
        return;
    }
    if (cursor != OK) {
        exchange_error(exchange, &error);
        return;
    }
    read->query.kind = QUERY_RUNNING;
    read->query.done = on_running;
    read->query.context = read;
    engine_read(exchange->engine, &read->query);
}
