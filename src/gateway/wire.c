/* Mapping of jobs. max_attempts = retry + 1; reserve_for is the timeout, raised to a minute as
 * the protocol has it; args that are not an array reach plain clients as [args]. */
#include "gateway/wire.h"

#include "base/time.h"
#include "core/limits.h"
#include "core/name.h"

enum { RESERVE_MIN_S = 60 };

static Err read_expiry(const WireJob *wire, Job *job, Error *error) {
    if (!wire->custom.text.ptr) return OK;
    Json value = json_member(wire->custom, STR("expires_at"));
    if (!value.text.ptr || value.kind == JSON_NULL) return OK;
    if (value.kind != JSON_STRING) {
        return error_set(error, ERR_INVALID, "custom.expires_at must be an RFC 3339 time");
    }
    Arena arena = {0};
    Err err = time_parse(json_string(value, &arena), &job->expires_us, error);
    arena_done(&arena);
    return err == OK ? OK : error_context(error, "custom.expires_at");
}

Err wire_to_job(const WireJob *wire, size_t max_args, Job *ret, Error *error) {
    Job job = job_default();
    if (name_check_id(wire->jid, NULL) != OK) {
        return error_set(error, ERR_INVALID, "jobs must have a reasonable jid parameter");
    }
    job.id = wire->jid;
    job.type = wire->jobtype;
    TRY(name_check_type(job.type, error));
    if (wire->queue.len > 0) job.queue = wire->queue;
    TRY(name_check_queue(job.queue, error));
    job.args = wire->args.text;
    if (job.args.len > max_args) {
        return error_set(error, ERR_LIMIT, "args of %zu bytes are larger than the %zu allowed",
                         job.args.len, max_args);
    }
    if (wire->custom.text.len > max_args) {
        return error_set(error, ERR_LIMIT, "custom of %zu bytes is larger than the %zu allowed",
                         wire->custom.text.len, max_args);
    }
    job.priority = wire->priority;
    job.retry = retry_from_wire(wire->retry);
    int64_t reserve_s = wire->reserve_for < RESERVE_MIN_S ? RESERVE_MIN_S : wire->reserve_for;
    job.timeout_ms = reserve_s * MS_PER_S;
    job.backtrace = wire->backtrace;
    job.custom = wire->custom.text;
    job.run_at_us = wire->at_us;
    TRY(read_expiry(wire, &job, error));
    *ret = job;
    return OK;
}

static Str time_text(int64_t time_us, Arena *arena) {
    char text[TIME_TEXT_SIZE];
    time_format(time_us, text);
    return arena_str(arena, str_from(text));
}

/* The protocol's `failure`, from the last attempt that failed. */
static Json failure(const Job *job, Arena *arena) {
    Json attempts = {0}, last = {0}, none = {0};
    if (job->failures == 0 || json_check(job->attempts, &attempts, NULL) != OK) return none;
    JsonIter iter = json_iter(attempts);
    Json attempt;
    while (json_next(&iter, NULL, &attempt)) {
        if (json_member(attempt, STR("error")).text.ptr) last = json_member(attempt, STR("error"));
    }
    int64_t remaining = job->retry.max_attempts - 1 - job->failures;
    Buf buf;
    buf_init(&buf, 256 * 1024);
    JsonWriter writer = json_writer(&buf);
    json_begin_object(&writer);
    json_put_int(&writer, "retry_count", job->failures - 1);
    json_put_int(&writer, "remaining", remaining > 0 ? remaining : 0);
    json_put_string(&writer, "failed_at", job->failure_first);
    if (last.text.ptr) {
        json_put_raw(&writer, "errtype", json_member(last, STR("type")).text);
        json_put_raw(&writer, "message", json_member(last, STR("message")).text);
        json_put_raw(&writer, "backtrace", json_member(last, STR("backtrace")).text);
    }
    json_end_object(&writer);
    Json value = {JSON_OBJECT, arena_str(arena, buf_str(&buf))};
    buf_done(&buf);
    return value;
}

void wire_from_job(const Job *job, int64_t lease_ms, Arena *arena, WireJob *ret) {
    bool opted_in = lease_ms > 0;
    int64_t reserve_s = (job->timeout_ms + MS_PER_S - 1) / MS_PER_S;
    Str args = job->args;
    if (!opted_in && args.ptr[0] != '[') args = arena_format(arena, "[" STR_FMT "]", STR_ARG(args));
    *ret = (WireJob){
        .jid = job->id,
        .jobtype = job->type,
        .queue = job->queue,
        .args = {JSON_ARRAY, args},
        .reserve_for = reserve_s < WIRE_RESERVE_MAX_S ? reserve_s : WIRE_RESERVE_MAX_S,
        .retry = retry_to_wire(&job->retry),
        .backtrace = job->backtrace,
        .priority = job->priority,
        .created_at = time_text(job->created_us, arena),
        .enqueued_at = time_text(job->enqueued_us, arena),
        .custom = {JSON_OBJECT, job->custom},
        .failure = failure(job, arena),
    };
    if (job->run_at_us > job->created_us) ret->at = time_text(job->run_at_us, arena);
    if (opted_in) {
        ret->fence = job->fence;
        ret->lease_ms = lease_ms;
        ret->attempt = job->attempt;
        ret->timeout_ms = job->timeout_ms;
        ret->version = job->version;
        ret->correlation_id = job->correlation_id.ptr ? job->correlation_id : job->id;
    }
}
