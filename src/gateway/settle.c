/* ACK, FAIL and TDONE: outcomes. Plain clients bring no fence: their outcome counts for the
 * current lease if the connection is the holder's, or if either announced no worker; a stale one
 * is +OK and counted, since they would repeat it otherwise. Opted-in ones are told STALE. */
#include "gateway/call.h"

#include "base/crash.h"
#include "proto/messages.h"

typedef struct SettleCall {
    OutcomeRequest request;
    Call *call;
    const Outcome *entries; /* TDONE */
} SettleCall;

static SettleCall *settle_new(Call *call, size_t count, void (*done)(Operation *)) {
    SettleCall *state = arena_new(&call->arena, SettleCall);
    state->call = call;
    state->request.outcomes = arena_zero(&call->arena, count, sizeof(JobOutcome));
    state->request.count = count;
    state->request.arena = &call->arena;
    state->request.operation.done = done;
    return state;
}

/* ---- plain ---- */

typedef struct PlainReport {
    Str jid, errtype, message;
    Json backtrace;
} PlainReport;

static Err read_report(Call *call, const char *verb, PlainReport *ret, Error *error) {
    Json object;
    if (json_check(call->argument, &object, error) != OK || object.kind != JSON_OBJECT) {
        return error_set(error, ERR_INVALID, "invalid %s: expected a JSON object", verb);
    }
    const struct {
        const char *name;
        Str *target;
    } strings[] = {{"jid", &ret->jid}, {"errtype", &ret->errtype}, {"message", &ret->message}};
    for (size_t i = 0; i < LENGTH(strings); i++) {
        Json value = json_member(object, str_from(strings[i].name));
        if (!value.text.ptr || value.kind == JSON_NULL) continue;
        if (value.kind != JSON_STRING) {
            return error_set(error, ERR_INVALID, "invalid %s: %s must be a string", verb,
                             strings[i].name);
        }
        *strings[i].target = json_string(value, &call->arena);
    }
    Json backtrace = json_member(object, STR("backtrace"));
    if (backtrace.kind == JSON_ARRAY) ret->backtrace = backtrace;
    if (ret->jid.len == 0) return error_set(error, ERR_INVALID, "missing JID");
    return OK;
}

static void ack_done(Operation *operation) {
    SettleCall *state = container_of(operation, SettleCall, request.operation);
    if (operation->error.err != OK) {
        call_error(state->call, &operation->error);
    } else {
        call_ok(state->call);
    }
}

void verb_ack(Call *call) {
    PlainReport report = {0};
    Error error;
    if (read_report(call, "ACK", &report, &error) != OK) {
        call_error(call, &error);
        return;
    }
    SettleCall *state = settle_new(call, 1, ack_done);
    state->request.outcomes[0] =
        (JobOutcome){.key = job_key_from_id(report.jid), .lease = call_lease(call, 0)};
    engine_settle(call->gateway->engine, &state->request);
}

static void fail_done(Operation *operation) {
    SettleCall *state = container_of(operation, SettleCall, request.operation);
    Call *call = state->call;
    if (operation->error.err != OK) {
        call_error(call, &operation->error);
    } else if (state->request.outcomes[0].answer == OUTCOME_UNKNOWN_JOB) {
        call_fail(call, "Job not found " STR_FMT, STR_ARG(*(Str *)call->state));
    } else {
        call_ok(call);
    }
}

void verb_fail(Call *call) {
    PlainReport report = {0};
    Error error;
    if (read_report(call, "FAIL", &report, &error) != OK) {
        call_error(call, &error);
        return;
    }
    SettleCall *state = settle_new(call, 1, fail_done);
    Str *jid = arena_new(&call->arena, Str);
    *jid = report.jid;
    call->state = jid;
    state->request.outcomes[0] = (JobOutcome){
        .key = job_key_from_id(report.jid),
        .lease = call_lease(call, 0),
        .failed = true,
        .failure = {.error = {.type = report.errtype,
                              .message = report.message,
                              .backtrace = report.backtrace.text},
                    .retry_after_ms = -1},
    };
    engine_settle(call->gateway->engine, &state->request);
}

/* ---- opted in ---- */

/* A jid is told once: of several outcomes for it, OK if any counted. */
static void write_answers(Call *call, const Str *jids, OutcomeResult *answers, size_t count) {
    static const char *const words[] = {
        [OUTCOME_OK] = "OK", [OUTCOME_STALE] = "STALE", [OUTCOME_UNKNOWN_JOB] = "STALE"};
    const size_t *firsts = call_firsts(call, jids, count);
    for (size_t i = 0; i < count; i++) {
        if (answers[i] == OUTCOME_OK) answers[firsts[i]] = OUTCOME_OK;
    }
    Buf buf;
    buf_init(&buf, 64 * 1024 * 1024);
    JsonWriter writer = json_writer(&buf);
    json_begin_object(&writer);
    for (size_t i = 0; i < count; i++) {
        if (firsts[i] != i) continue;
        json_write_key(&writer, jids[i]);
        json_write_string(&writer, str_from(words[answers[i]]));
    }
    json_end_object(&writer);
    call_bulk(call, &buf);
}

static void done_done(Operation *operation) {
    SettleCall *state = container_of(operation, SettleCall, request.operation);
    Call *call = state->call;
    if (operation->error.err != OK) {
        call_error(call, &operation->error);
        return;
    }
    size_t count = state->request.count;
    Str *jids = arena_zero(&call->arena, count, sizeof *jids);
    OutcomeResult *answers = arena_zero(&call->arena, count, sizeof *answers);
    for (size_t i = 0; i < count; i++) {
        jids[i] = state->entries[i].jid;
        answers[i] = state->request.outcomes[i].answer;
    }
    write_answers(call, jids, answers, count);
}

static JobOutcome outcome_from(Call *call, const Outcome *entry) {
    return (JobOutcome){
        .key = job_key_from_id(entry->jid),
        .lease = call_lease(call, entry->fence > 0 ? entry->fence : -1),
        .failed = entry->failed,
        .result = entry->result.kind == JSON_NULL ? (Str){NULL, 0} : entry->result.text,
        .failure = {.error = {.type = entry->error_type,
                              .message = entry->error_message,
                              .backtrace = entry->backtrace.text,
                              .meta = entry->meta.text},
                    .final = entry->not_retryable,
                    .retry_after_ms = entry->retry_after_ms},
    };
}

void verb_done(Call *call) {
    Outcome *entries;
    size_t count;
    Error error;
    if (!call->peer->opted_in || !call->peer->worker.ptr) {
        call_fail(call, "TDONE needs a wid and \"takt\" in HELLO");
        return;
    }
    if (outcomes_parse(call->argument, &call->arena, &entries, &count, &error) != OK) {
        call_error(call, &error);
        return;
    }
    crash_point(WIRE_DONE);
    SettleCall *state = settle_new(call, count, done_done);
    state->entries = entries;
    for (size_t i = 0; i < count; i++) {
        state->request.outcomes[i] = outcome_from(call, &entries[i]);
    }
    if (count == 0) {
        done_done(&state->request.operation);
    } else {
        engine_settle(call->gateway->engine, &state->request);
    }
}
