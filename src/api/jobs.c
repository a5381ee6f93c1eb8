/* One job: submit it, read what it wrote. */
#include "api/handlers.h"

#include "api/job_input.h"
#include "api/job_output.h"

bool job_is_visible(const Exchange *exchange, const Job *job) {
    if (!access_sees_queue(&exchange->principal, job->queue)) return false;
    if (!access_only_own_jobs(&exchange->principal)) return true;
    return job->worker.len > 0 && str_eq(job->worker, exchange->principal.subject);
}

void job_not_found(Exchange *exchange) {
    exchange_fail(exchange, "job-not-found", "there is no job with this id");
}

/* ---- submit ---- */

typedef struct Submit {
    EnqueueRequest request;
    EnqueueItem item;
} Submit;

static void answer_submitted(Exchange *exchange, const EnqueueItem *item) {
    const Job *job = &item->result;
    exchange->job_id = job->id;
    if (item->duplicate && !job_is_visible(exchange, job)) {
        exchange_fail(exchange, "id-taken", "the id is that of a job in another queue");
        return;
    }
    cleanup(buf_done) Buf body;
    buf_init(&body, ANSWER_MAX);
    JsonWriter writer = json_writer(&body);
    job_output(&writer, job, job_fields_all(), item->duplicate, engine_now_us(exchange->engine));
    if (item->duplicate || body.overflow) {
        exchange_json(exchange, 200, &body);
        return;
    }
    Str base = exchange->api->options.base_path;
    if (base.len == 1) base.len = 0;
    HttpPair location = {STR("Location"), arena_format(exchange->arena, STR_FMT "/v1/jobs/" STR_FMT,
                                                       STR_ARG(base), STR_ARG(job->id))};
    exchange_answer(exchange, 201, "application/json", buf_str(&body), &location, 1);
}

static void on_submitted(Operation *operation) {
    Submit *submit = container_of(operation, Submit, request.operation);
    Exchange *exchange = operation->context;
    if (operation->error.err != OK) {
        exchange_error(exchange, &operation->error);
    } else {
        answer_submitted(exchange, &submit->item);
    }
}

void handle_job_submit(Exchange *exchange) {
    Json body;
    if (!exchange_body(exchange, &body)) return;
    FieldErrors *errors = field_errors_new(exchange->arena);
    Submit *submit = arena_new(exchange->arena, Submit);
    JobInputRules rules = {
        .now_us = exchange->now_us,
        .max_args = exchange->api->options.max_args,
        .principal = &exchange->principal,
        .correlation_id = exchange->correlation_id,
    };
    if (!job_input_read(body, &rules, STR(""), errors, &submit->item.job)) {
        exchange_fields(exchange, errors);
        return;
    }
    exchange->correlation_id = submit->item.job.correlation_id;
    submit->request = (EnqueueRequest){
        .operation = {.done = on_submitted, .context = exchange},
        .items = &submit->item,
        .count = 1,
        .need_result = true,
        .arena = exchange->arena,
    };
    engine_enqueue(exchange->engine, &submit->request);
}

/* ---- logs ---- */

static void on_log(Query *query) {
    Exchange *exchange = query->context;
    if (query->outcome != OK) {
        Error error = query->error;
        arena_done(&query->arena);
        exchange_error(exchange, &error);
        return;
    }
    Str text = arena_str(exchange->arena, query->text);
    arena_done(&query->arena);
    exchange_answer(exchange, 200, "text/plain; charset=utf-8", text.ptr ? text : STR(""), NULL, 0);
}

/* The job first: whether the caller may see it. */
static void on_log_job(Query *query) {
    Exchange *exchange = query->context;
    if (query->outcome != OK) {
        Error error = query->error;
        arena_done(&query->arena);
        exchange_error(exchange, &error);
        return;
    }
    bool visible = query->count > 0 && str_eq(query->jobs[0].id, exchange->job_id) &&
                   job_is_visible(exchange, &query->jobs[0]);
    JobKey key = query->key;
    arena_done(&query->arena);
    if (!visible) {
        job_not_found(exchange);
        return;
    }
    *query = (Query){.kind = QUERY_LOG, .key = key, .done = on_log, .context = exchange};
    engine_read(exchange->engine, query);
}

void handle_job_logs(Exchange *exchange) {
    Str id;
    if (http_request_parameter(exchange->request, STR("follow")).ptr) {
        exchange_fail(exchange, "not-available", "follow is not available in this version");
        return;
    }
    if (!exchange_job_id(exchange, &id)) return;
    Query *query = arena_new(exchange->arena, Query);
    query->kind = QUERY_JOB;
    query->key = job_key_from_id(id);
    query->done = on_log_job;
    query->context = exchange;
    engine_read(exchange->engine, query);
}
