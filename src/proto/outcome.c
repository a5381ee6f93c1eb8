/* Leased jobs on their way out and outcomes on their way in: the replies of TFETCH and the
 * entries of TDONE. The one invariant: an outcome without "error" is a success, whatever else it
 * holds. */
#include "base/time.h"
#include "proto/members.h"
#include "proto/messages.h"

Err take_reply_parse(Str text, Arena *arena, WireJob **ret_jobs, size_t *ret_count, Error *error) {
    Json root;
    TRY(json_check(text, &root, error));
    if (root.kind != JSON_ARRAY) {
        return error_set(error, ERR_INVALID, "expected an array of jobs, not %s",
                         json_kind_name(root.kind));
    }
    size_t count = json_count(root);
    WireJob *jobs = arena_zero(arena, count + 1, sizeof *jobs);
    JsonIter iter = json_iter(root);
    Json entry;
    for (size_t i = 0; json_next(&iter, NULL, &entry); i++) {
        TRY(wire_job_read_leased(entry, arena, &jobs[i], error));
    }
    *ret_jobs = jobs;
    *ret_count = count;
    return OK;
}

static Err read_retry_after(Json value, int64_t *ret_ms, Error *error) {
    if (!value.text.ptr || value.kind == JSON_NULL) return OK;
    int64_t seconds;
    if (value.kind == JSON_STRING) {
        Str text = {value.text.ptr + 1, value.text.len - 2};
        return duration_parse(text, ret_ms, error);
    }
    if (!json_int64(value, &seconds) || seconds < 0 || seconds > INT64_C(315360000)) {
        return error_set(error, ERR_INVALID, "retry_after must be a duration or whole seconds");
    }
    *ret_ms = seconds * MS_PER_S;
    return OK;
}

static Err check_backtrace(Json backtrace, Error *error) {
    if (!backtrace.text.ptr) return OK;
    JsonIter iter = json_iter(backtrace);
    Json line;
    while (json_next(&iter, NULL, &line)) {
        if (line.kind != JSON_STRING) {
            return error_set(error, ERR_INVALID, "backtrace must be an array of strings");
        }
    }
    return OK;
}

static Err read_failure(Json failure, Arena *arena, Outcome *outcome, Error *error) {
    if (!failure.text.ptr) return OK;
    outcome->failed = true;
    bool retryable = true;
    Json retry_after = {0};
    const Member members[] = {
        MEMBER_STR("type", &outcome->error_type),
        MEMBER_STR("message", &outcome->error_message),
        MEMBER_ARRAY("backtrace", &outcome->backtrace),
        MEMBER_BOOL("retryable", &retryable),
        MEMBER_ANY("retry_after", &retry_after),
    };
    TRY(members_read(failure, members, LENGTH(members), arena, error));
    TRY(check_backtrace(outcome->backtrace, error));
    outcome->not_retryable = !retryable;
    return read_retry_after(retry_after, &outcome->retry_after_ms, error);
}

static Err read_outcome(Json entry, Arena *arena, Outcome *ret, Error *error) {
    Outcome outcome = {.retry_after_ms = -1};
    Json failure = {0};
    const Member members[] = {
        MEMBER_STR("jid", &outcome.jid),       MEMBER_INT("fence", &outcome.fence),
        MEMBER_ANY("result", &outcome.result), MEMBER_OBJECT("error", &failure),
        MEMBER_OBJECT("meta", &outcome.meta),
    };
    TRY(members_read(entry, members, LENGTH(members), arena, error));
    if (outcome.jid.len == 0) return error_set(error, ERR_INVALID, "missing JID");
    TRY(read_failure(failure, arena, &outcome, error));
    *ret = outcome;
    return OK;
}

Err outcomes_parse(Str argument, Arena *arena, Outcome **ret, size_t *ret_count, Error *error) {
    Json root;
    Error detail = {0};
    if (!argument.ptr || json_check(argument, &root, &detail) != OK) {
        return error_set(error, ERR_INVALID, "invalid TDONE: %.180s",
                         argument.ptr ? detail.message : "expected an array");
    }
    if (root.kind != JSON_ARRAY) {
        return error_set(error, ERR_INVALID, "invalid TDONE: expected an array");
    }
    size_t count = json_count(root);
    if (count > OUTCOMES_MAX) {
        return error_set(error, ERR_LIMIT, "invalid TDONE: more than %d entries", OUTCOMES_MAX);
    }
    Outcome *outcomes = arena_zero(arena, count + 1, sizeof *outcomes);
    JsonIter iter = json_iter(root);
    Json entry;
    for (size_t i = 0; json_next(&iter, NULL, &entry); i++) {
        if (read_outcome(entry, arena, &outcomes[i], error) != OK) {
            return error_context(error, "invalid TDONE: entry %zu", i);
        }
    }
    *ret = outcomes;
    *ret_count = count;
    return OK;
}

static void write_failure(JsonWriter *writer, const Outcome *outcome) {
    json_write_key(writer, STR("error"));
    json_begin_object(writer);
    json_put_string(writer, "type", outcome->error_type);
    json_put_string(writer, "message", outcome->error_message);
    if (outcome->backtrace.text.ptr) {
        json_put_raw(writer, "backtrace", outcome->backtrace.text);
    }
    json_put_bool(writer, "retryable", !outcome->not_retryable);
    if (outcome->retry_after_ms >= 0) {
        Buf text;
        buf_init(&text, 64);
        duration_format(&text, outcome->retry_after_ms);
        json_put_string(writer, "retry_after", buf_str(&text));
        buf_done(&text);
    }
    json_end_object(writer);
}

void outcome_write(JsonWriter *writer, const Outcome *outcome) {
    json_begin_object(writer);
    json_put_string(writer, "jid", outcome->jid);
    json_put_int(writer, "fence", outcome->fence);
    if (outcome->failed) {
        write_failure(writer, outcome);
    } else {
        json_put_raw(writer, "result", outcome->result.text);
    }
    if (outcome->meta.text.ptr) json_put_raw(writer, "meta", outcome->meta.text);
    json_end_object(writer);
}
