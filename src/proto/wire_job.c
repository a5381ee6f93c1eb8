/* The job object. The one invariant: order and sentences of wire_job_check() are compared by the
 * tests of existing clients. */
#include "proto/wire_job.h"

#include "base/time.h"
#include "proto/members.h"
#include <string.h>

/* Old clients send any priority and rely on its being ignored, so a wrong one is never an error. */
static int64_t priority_of(Json value) {
    int64_t priority;
    bool usable = value.text.ptr && json_int64(value, &priority) && priority >= 1 && priority <= 9;
    return usable ? priority : WIRE_PRIORITY_DEFAULT;
}

static Err read_job(Json object, MemberKind args_kind, Arena *arena, WireJob *ret, Error *error) {
    WireJob job = {.reserve_for = WIRE_RESERVE_DEFAULT_S, .retry = WIRE_RETRY_DEFAULT};
    Json priority = {0};
    const Member members[] = {
        MEMBER_STR("jid", &job.jid),
        MEMBER_STR("jobtype", &job.jobtype),
        {STR("args"), args_kind, &job.args, NULL},
        MEMBER_STR("queue", &job.queue),
        MEMBER_INT("reserve_for", &job.reserve_for),
        MEMBER_STR("at", &job.at),
        MEMBER_INT("retry", &job.retry),
        MEMBER_INT("backtrace", &job.backtrace),
        MEMBER_ANY("priority", &priority),
        MEMBER_STR("created_at", &job.created_at),
        MEMBER_STR("enqueued_at", &job.enqueued_at),
        MEMBER_OBJECT("custom", &job.custom),
        MEMBER_OBJECT("failure", &job.failure),
    };
    Error detail = {0};
    if (members_read(object, members, LENGTH(members), arena, &detail) != OK) {
        return error_code(error, ERR_INVALID, "invalid-json", "invalid JSON: %.200s",
                          detail.message);
    }
    job.priority = priority_of(priority);
    *ret = job;
    return OK;
}

Err wire_job_read(Json object, Arena *arena, WireJob *ret, Error *error) {
    return read_job(object, MEMBER_KIND_ARRAY, arena, ret, error);
}

Err wire_job_read_leased(Json object, Arena *arena, WireJob *ret, Error *error) {
    TRY(read_job(object, MEMBER_KIND_ANY, arena, ret, error));
    const Member members[] = {
        MEMBER_INT("fence", &ret->fence),
        MEMBER_INT("lease_ms", &ret->lease_ms),
        MEMBER_INT("attempt", &ret->attempt),
        MEMBER_INT("timeout_ms", &ret->timeout_ms),
        MEMBER_INT("version", &ret->version),
        MEMBER_STR("correlation_id", &ret->correlation_id),
        MEMBER_STR("traceparent", &ret->traceparent),
    };
    TRY(members_read(object, members, LENGTH(members), arena, error));
    if (ret->jid.len == 0 || ret->jobtype.len == 0 || ret->fence <= 0) {
        return error_set(error, ERR_INVALID, "a leased job lacks its jid, jobtype or fence");
    }
    return OK;
}

static bool is_name_byte(char byte) {
    return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= 'a' && byte <= 'z') || byte == '_' || byte == '-' || byte == '.' || byte == ':';
}

static bool is_name(Str text) {
    for (size_t i = 0; i < text.len; i++) {
        if (!is_name_byte(text.ptr[i])) return false;
    }
    return text.len > 0;
}

static Err check_at(WireJob *job, Error *error) {
    if (job->at.len == 0) return OK;
    Error detail = {0};
    if (time_parse(job->at, &job->at_us, &detail) == OK) return OK;
    return error_set(error, ERR_INVALID, "invalid timestamp for 'at': %.200s", detail.message);
}

Err wire_job_check(WireJob *job, Error *error) {
    if (job->jid.len < WIRE_JID_MIN || job->jid.len > WIRE_JID_MAX || !is_name(job->jid)) {
        return error_set(error, ERR_INVALID, "jobs must have a reasonable jid parameter");
    }
    if (job->jobtype.len == 0) {
        return error_set(error, ERR_INVALID, "jobs must have a jobtype parameter");
    }
    if (!job->args.text.ptr) {
        return error_set(error, ERR_INVALID, "jobs must have an args parameter");
    }
    if (job->reserve_for > WIRE_RESERVE_MAX_S) {
        return error_set(error, ERR_INVALID, "jobs cannot be reserved for more than one day");
    }
    TRY(check_at(job, error));
    if (job->queue.len > 0 && !is_name(job->queue)) {
        int shown = job->queue.len > 80 ? 80 : (int)job->queue.len;
        return error_set(error, ERR_INVALID,
                         "cannot get \"%.*s\" queue: queue names must match [A-Za-z0-9._:-]+",
                         shown, job->queue.ptr);
    }
    return OK;
}

Err wire_job_parse(Str document, Arena *arena, WireJob *ret, Error *error) {
    Json root;
    Error detail = {0};
    if (json_check(document, &root, &detail) != OK) {
        return error_code(error, ERR_INVALID, "invalid-json", "invalid JSON: %.200s",
                          detail.message);
    }
    TRY(wire_job_read(root, arena, ret, error));
    return wire_job_check(ret, error);
}

static void put_str(JsonWriter *writer, const char *key, Str value) {
    if (value.len > 0) json_put_string(writer, key, value);
}

/* Kept byte for byte unless it has line ends, which clients that read line by line can't take. */
static void put_raw(JsonWriter *writer, const char *key, Json value) {
    if (!value.text.ptr) return;
    if (!memchr(value.text.ptr, '\n', value.text.len) &&
        !memchr(value.text.ptr, '\r', value.text.len)) {
        json_put_raw(writer, key, value.text);
        return;
    }
    json_put_raw(writer, key, STR("")); /* the key and the comma, then the value behind them */
    json_compact(writer->buf, value);
}

static void put_positive(JsonWriter *writer, const char *key, int64_t value) {
    if (value > 0) json_put_int(writer, key, value);
}

void wire_job_write(Buf *buf, const WireJob *job) {
    JsonWriter writer = json_writer(buf);
    json_begin_object(&writer);
    json_put_string(&writer, "jid", job->jid);
    json_put_string(&writer, "queue", job->queue.len > 0 ? job->queue : STR("default"));
    json_put_string(&writer, "jobtype", job->jobtype);
    put_raw(&writer, "args", job->args);
    put_positive(&writer, "priority", job->priority);
    json_put_int(&writer, "reserve_for", job->reserve_for);
    json_put_int(&writer, "retry", job->retry);
    put_positive(&writer, "backtrace", job->backtrace);
    put_str(&writer, "at", job->at);
    put_str(&writer, "created_at", job->created_at);
    put_str(&writer, "enqueued_at", job->enqueued_at);
    put_raw(&writer, "custom", job->custom);
    put_raw(&writer, "failure", job->failure);
    put_positive(&writer, "fence", job->fence);
    put_positive(&writer, "lease_ms", job->lease_ms);
    put_positive(&writer, "attempt", job->attempt);
    put_positive(&writer, "timeout_ms", job->timeout_ms);
    put_positive(&writer, "version", job->version);
    put_str(&writer, "correlation_id", job->correlation_id);
    put_str(&writer, "traceparent", job->traceparent);
    json_end_object(&writer);
}
