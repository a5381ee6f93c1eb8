/* The same act on all jobs that a filter matches. */
#include "api/handlers.h"

#include "api/job_filter.h"

#define ALL_DEAD (1U << STATUS_DEAD)
#define CANCELLABLE                                                                                \
    (1U << STATUS_BLOCKED | 1U << STATUS_SCHEDULED | 1U << STATUS_PENDING | 1U << STATUS_RUNNING | \
     1U << STATUS_RETRYING)
#define RETRYABLE                                                                                  \
    (1U << STATUS_DEAD | 1U << STATUS_CANCELLED | 1U << STATUS_RETRYING | 1U << STATUS_SCHEDULED)

typedef struct MassKind {
    ActKind act;
    JobReason reason;
    unsigned statuses; /* what the act fits */
    bool needs_filter; /* an empty body must not mean everything */
} MassKind;

static void answer_matched(Exchange *exchange, int64_t matched, bool dry_run) {
    cleanup(buf_done) Buf body;
    buf_init(&body, ANSWER_MAX);
    JsonWriter writer = json_writer(&body);
    json_begin_object(&writer);
    json_put_int(&writer, "matched", matched);
    if (dry_run) json_put_bool(&writer, "dry_run", true);
    json_end_object(&writer);
    exchange_json(exchange, 200, &body);
}

static void on_done(MassRequest *request) {
    Exchange *exchange = request->context;
    if (request->error.err != OK) {
        exchange_error(exchange, &request->error);
    } else {
        answer_matched(exchange, request->matched, request->dry_run);
    }
}

static void act_on_all(Exchange *exchange, const MassKind *kind) {
    Json body;
    JobFilterInput input;
    if (!exchange_body(exchange, &body)) return;
    FieldErrors *errors = field_errors_new(exchange->arena);
    if (!job_filter_from_json(body, &exchange->principal, errors, &input)) {
        exchange_fields(exchange, errors);
        return;
    }
    if (kind->needs_filter && !input.has_any) {
        exchange_fail(exchange, "missing-filter",
                      "name at least one filter; {\"state\": [\"pending\", …]} for all in a state");
        return;
    }
    unsigned statuses = input.has_states ? input.filter.statuses & kind->statuses : kind->statuses;
    if (statuses == 0) {
        answer_matched(exchange, 0, input.dry_run);
        return;
    }
    MassRequest *request = arena_new(exchange->arena, MassRequest);
    *request = (MassRequest){
        .kind = kind->act,
        .reason = kind->reason,
        .filter = input.filter,
        .dry_run = input.dry_run,
        .done = on_done,
        .context = exchange,
    };
    request->filter.statuses = statuses;
    engine_act_on_all(exchange->engine, request);
}

void handle_mass_cancel(Exchange *exchange) {
    static const MassKind kind = {ACT_CANCEL, REASON_CANCELLED, CANCELLABLE, true};
    act_on_all(exchange, &kind);
}

void handle_mass_retry(Exchange *exchange) {
    static const MassKind kind = {ACT_RETRY, REASON_NONE, RETRYABLE, true};
    act_on_all(exchange, &kind);
}

void handle_dead_retry(Exchange *exchange) {
    static const MassKind kind = {ACT_RETRY, REASON_NONE, ALL_DEAD, false};
    act_on_all(exchange, &kind);
}

void handle_dead_discard(Exchange *exchange) {
    static const MassKind kind = {ACT_DELETE, REASON_NONE, ALL_DEAD, false};
    act_on_all(exchange, &kind);
}
