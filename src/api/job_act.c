/* What an operator does to one job: cancel, retry, delete. */
#include "api/handlers.h"

#include "api/job_output.h"

typedef struct ActCall {
    ActRequest request;
    Act act;
} ActCall;

static void answer_applied(Exchange *exchange, const ActCall *call) {
    if (call->request.kind == ACT_DELETE) {
        exchange_answer(exchange, 204, "application/json", STR(""), NULL, 0);
        return;
    }
    cleanup(buf_done) Buf body;
    buf_init(&body, ANSWER_MAX);
    JsonWriter writer = json_writer(&body);
    job_output(&writer, &call->act.result, job_fields_all(), /* duplicate= */ false,
               engine_now_us(exchange->engine));
    /* a running one is told to stop, which takes its time */
    bool ran = call->request.kind == ACT_CANCEL && call->act.status == STATUS_RUNNING;
    exchange_json(exchange, ran ? 202 : 200, &body);
}

static const char *verb_of(ActKind kind) {
    switch (kind) {
    case ACT_CANCEL: return "cancelled";
    case ACT_RETRY: return "retried";
    case ACT_DELETE: return "deleted";
    case ACT_KILL: return "killed";
    }
    return "changed";
}

static void on_acted(Operation *operation) {
    ActCall *call = container_of(operation, ActCall, request.operation);
    Exchange *exchange = operation->context;
    if (operation->error.err != OK) {
        exchange_error(exchange, &operation->error);
        return;
    }
    switch (call->act.answer) {
    case ACT_APPLIED: answer_applied(exchange, call); return;
    case ACT_WRONG_STATE:
        exchange_fail(exchange, "wrong-state", "the job is %s and can't be %s",
                      job_status_name(call->act.status), verb_of(call->request.kind));
        return;
    case ACT_NOT_FOUND:
    case ACT_HIDDEN: break;
    }
    job_not_found(exchange);
}

static void act_on_job(Exchange *exchange, ActKind kind, JobReason reason) {
    Str id;
    if (!exchange_job_id(exchange, &id)) return;
    const Principal *principal = &exchange->principal;
    ActCall *call = arena_new(exchange->arena, ActCall);
    call->act = (Act){.key = job_key_from_id(id), .id = id};
    call->request = (ActRequest){
        .operation = {.done = on_acted, .context = exchange},
        .kind = kind,
        .reason = reason,
        .queue_globs = principal->queue_count > 0 ? principal->queues : NULL,
        .queue_glob_count = principal->queue_count,
        .acts = &call->act,
        .count = 1,
        .arena = exchange->arena,
    };
    engine_act(exchange->engine, &call->request);
}

void handle_job_cancel(Exchange *exchange) {
    act_on_job(exchange, ACT_CANCEL, REASON_CANCELLED);
}

void handle_job_retry(Exchange *exchange) {
    act_on_job(exchange, ACT_RETRY, REASON_NONE);
}

void handle_job_delete(Exchange *exchange) {
    act_on_job(exchange, ACT_DELETE, REASON_NONE);
}
