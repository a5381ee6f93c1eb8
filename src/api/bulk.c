/* Many jobs in one call: NDJSON or {"jobs": […]}, all or none, or with ?partial=true the good
 * ones. */
#include "api/handlers.h"

#include "api/job_input.h"

enum { PARTIAL_ERRORS_MAX = 5 }; /* per job, so that an answer stays in proportion */

typedef struct Bulk {
    Exchange *exchange;
    EnqueueRequest request;
    EnqueueItem *items; /* the good ones, in order */
    Str *problems;      /* per job given: JSON; absent for a good one */
    size_t count;       /* of jobs given */
    bool partial;
    FieldErrors *errors;
    JobInputRules rules;
} Bulk;

/* ---- answer ---- */

static void write_result(JsonWriter *writer, const Bulk *bulk, const EnqueueItem *item) {
    const Job *job = &item->result;
    bool hidden = item->duplicate && !job_is_visible(bulk->exchange, job);
    JobStatus status = job_status_at(job, engine_now_us(bulk->exchange->engine));
    json_begin_object(writer);
    json_put_string(writer, "id", job->id);
    if (!hidden) json_put_string(writer, "state", str_from(job_status_name(status)));
    if (item->duplicate) json_put_bool(writer, "duplicate", true);
    json_end_object(writer);
}

/* One line per job given, in order. */
static void answer_partial(Bulk *bulk) {
    cleanup(buf_done) Buf body;
    buf_init(&body, ANSWER_MAX);
    size_t good = 0;
    for (size_t i = 0; i < bulk->count; i++) {
        JsonWriter writer = json_writer(&body);
        if (bulk->problems[i].ptr) {
            json_begin_object(&writer);
            json_put_raw(&writer, "error", bulk->problems[i]);
            json_end_object(&writer);
        } else {
            write_result(&writer, bulk, &bulk->items[good++]);
        }
        buf_add_char(&body, '\n');
    }
    check(!body.overflow);
    exchange_answer(bulk->exchange, 200, "application/x-ndjson", buf_str(&body), NULL, 0);
}

static void answer_all(Bulk *bulk) {
    cleanup(buf_done) Buf body;
    buf_init(&body, ANSWER_MAX);
    JsonWriter writer = json_writer(&body);
    json_begin_object(&writer);
    json_write_key(&writer, STR("items"));
    json_begin_array(&writer);
    for (size_t i = 0; i < bulk->count; i++) {
        write_result(&writer, bulk, &bulk->items[i]);
    }
    json_end_array(&writer);
    json_put_int(&writer, "count", (int64_t)bulk->count);
    json_end_object(&writer);
    exchange_json(bulk->exchange, 201, &body);
}

static void on_enqueued(Operation *operation) {
    Bulk *bulk = operation->context;
    if (operation->error.err != OK) {
        exchange_error(bulk->exchange, &operation->error);
    } else if (bulk->partial) {
        answer_partial(bulk);
    } else {
        answer_all(bulk);
    }
}

static void enqueue(Bulk *bulk) {
    if (bulk->errors->count > 0 && !bulk->partial) {
        exchange_fields(bulk->exchange, bulk->errors);
        return;
    }
    if (bulk->request.count == 0) {
        answer_partial(bulk);
        return;
    }
    bulk->request.operation = (Operation){.done = on_enqueued, .context = bulk};
    bulk->request.items = bulk->items;
    bulk->request.need_result = true;
    bulk->request.arena = bulk->exchange->arena;
    engine_enqueue(bulk->exchange->engine, &bulk->request);
}

/* ---- reading ---- */

/* With `partial` each job's errors become its problem, and the list is empty again. */
static void keep_problem(Bulk *bulk, size_t index) {
    if (!bulk->partial) return;
    Problem problem = problem_of_fields(bulk->errors);
    cleanup(buf_done) Buf text;
    buf_init(&text, PAGE_MAX);
    JsonWriter writer = json_writer(&text);
    problem_write(&writer, &problem, (Str){0}, bulk->exchange->request->id);
    bulk->problems[index] = arena_str(bulk->exchange->arena, buf_str(&text));
    bulk->errors->count = 0;
}

static void read_job(Bulk *bulk, size_t index, Json document) {
    Str pointer = arena_format(bulk->exchange->arena, "/jobs/%zu", index);
    EnqueueItem *item = &bulk->items[bulk->request.count];
    if (job_input_read(document, &bulk->rules, pointer, bulk->errors, &item->job)) {
        bulk->request.count++;
    } else {
        keep_problem(bulk, index);
    }
}

static void read_line(Bulk *bulk, size_t index, Str line) {
    Json document;
    Error error;
    if (json_check(line, &document, &error) == OK) {
        read_job(bulk, index, document);
        return;
    }
    Str pointer = arena_format(bulk->exchange->arena, "/jobs/%zu", index);
    field_errors_add_error(bulk->errors, pointer, &error);
    keep_problem(bulk, index);
}

/* false: answered. */
static bool make_room(Bulk *bulk, size_t count) {
    size_t max = bulk->exchange->api->options.max_bulk;
    bulk->count = count;
    if (count >= 1 && count <= max) {
        bulk->items = arena_zero(bulk->exchange->arena, count, sizeof *bulk->items);
        bulk->problems = arena_zero(bulk->exchange->arena, count, sizeof *bulk->problems);
        return true;
    }
    bulk->errors->count = 0;
    field_errors_add(bulk->errors, STR("/jobs"), "out-of-range",
                     "there are %zu jobs, 1 to %zu are allowed", count, max);
    exchange_fields(bulk->exchange, bulk->errors);
    return false;
}

static bool next_line(Str *rest, Str *ret_line) {
    while (rest->ptr) {
        *ret_line = str_trim(str_split(rest, '\n'));
        if (ret_line->len > 0) return true;
    }
    return false;
}

static void read_lines(Bulk *bulk) {
    Str line;
    Str rest = bulk->exchange->request->body;
    size_t count = 0;
    while (next_line(&rest, &line)) {
        count++;
    }
    if (!make_room(bulk, count)) return;
    rest = bulk->exchange->request->body;
    for (size_t i = 0; i < count && !field_errors_full(bulk->errors); i++) {
        check(next_line(&rest, &line));
        read_line(bulk, i, line);
    }
    enqueue(bulk);
}

static void read_document(Bulk *bulk) {
    Exchange *exchange = bulk->exchange;
    static const Str KNOWN[] = {{"jobs", 4}};
    Json body;
    if (!exchange_body(exchange, &body)) return;
    Json jobs = body.kind == JSON_OBJECT ? json_member(body, KNOWN[0]) : (Json){0};
    if (!jobs.text.ptr || jobs.kind != JSON_ARRAY) {
        field_errors_add(bulk->errors, STR("/jobs"), "wrong-type",
                         "{\"jobs\": [job, …]} is expected");
    } else if (json_count(body) > 1) {
        Input input = {bulk->errors, exchange->arena, STR("")};
        JsonIter iter = json_iter(body);
        Str raw;
        Json ignored;
        while (json_next(&iter, &raw, &ignored)) {
            Str name = json_key(raw, exchange->arena);
            if (!str_eq(name, KNOWN[0])) input_unknown(&input, name, KNOWN, LENGTH(KNOWN));
        }
    }
    if (bulk->errors->count > 0) {
        exchange_fields(exchange, bulk->errors);
        return;
    }
    if (!make_room(bulk, json_count(jobs))) return;
    JsonIter iter = json_iter(jobs);
    Json element;
    for (size_t i = 0; !field_errors_full(bulk->errors) && json_next(&iter, NULL, &element); i++) {
        read_job(bulk, i, element);
    }
    enqueue(bulk);
}

void handle_job_bulk(Exchange *exchange) {
    const HttpRequest *request = exchange->request;
    Str partial = http_request_parameter(request, STR("partial"));
    Bulk *bulk = arena_new(exchange->arena, Bulk);
    bulk->exchange = exchange;
    bulk->partial = str_eq(partial, STR("true"));
    bulk->errors = field_errors_new(exchange->arena);
    bulk->rules = (JobInputRules){
        .now_us = exchange->now_us,
        .max_args = exchange->api->options.max_args,
        .principal = &exchange->principal,
        .correlation_id = exchange->correlation_id,
    };
    if (partial.ptr && !bulk->partial && !str_eq(partial, STR("false"))) {
        field_errors_add(bulk->errors, STR("/partial"), "invalid-value",
                         "partial must be true or false");
        exchange_fields(exchange, bulk->errors);
        return;
    }
    if (bulk->partial) bulk->errors->max = PARTIAL_ERRORS_MAX;
    Str type = http_request_header(request, STR("Content-Type"));
    bool lines = str_eq_ignore_case(str_trim(str_split(&type, ';')), STR("application/x-ndjson"));
    if (lines) {
        read_lines(bulk);
    } else {
        read_document(bulk);
    }
}
