/* The members of a job as shown. */
#include "api/job_output.h"

#include "base/time.h"
#include <string.h>

typedef struct JobView {
    const Job *job;
    int64_t now_us;
} JobView;

/* ---- a writer per member that is more than a field ---- */

static void write_time(JsonWriter *writer, int64_t time_us) {
    char text[TIME_TEXT_SIZE];
    if (time_us <= 0) {
        json_write_null(writer);
        return;
    }
    time_format(time_us, text);
    json_write_string(writer, str_from(text));
}

static void write_text(JsonWriter *writer, Str text) {
    if (text.ptr) {
        json_write_string(writer, text);
    } else {
        json_write_null(writer);
    }
}

static void write_duration(JsonWriter *writer, int64_t ms) {
    cleanup(buf_done) Buf text;
    buf_init(&text, 64);
    duration_format(&text, ms);
    json_write_string(writer, buf_str(&text));
}

/* What was asked for, until a retry or an operator moved it. */
static void write_run_at(JsonWriter *writer, const JobView *view) {
    const Job *job = view->job;
    bool moved =
        job->state == JOB_WAITING && (job->due_us > view->now_us || job->run_at_us > job->due_us);
    write_time(writer, moved ? job->due_us : job->run_at_us);
}

static void write_state(JsonWriter *writer, const JobView *view) {
    json_write_string(writer, str_from(job_status_name(job_status_at(view->job, view->now_us))));
}

static void write_reason(JsonWriter *writer, const JobView *view) {
    const char *name = job_reason_name((JobReason)view->job->reason);
    write_text(writer, name[0] ? str_from(name) : (Str){0});
}

static void write_retry(JsonWriter *writer, const JobView *view) {
    const RetryPolicy *retry = &view->job->retry;
    json_begin_object(writer);
    json_put_int(writer, "max_attempts", retry->max_attempts);
    json_put_string(writer, "backoff", str_from(backoff_name(retry->backoff)));
    json_write_key(writer, STR("base"));
    write_duration(writer, retry->base_ms);
    json_write_key(writer, STR("factor"));
    json_write_double(writer, retry->factor);
    json_write_key(writer, STR("cap"));
    write_duration(writer, retry->cap_ms);
    json_put_string(writer, "jitter", str_from(jitter_name(retry->jitter)));
    json_end_object(writer);
}

static void copy_member(JsonWriter *writer, Json from, const char *name) {
    Json value = json_member(from, str_from(name));
    if (value.text.ptr) json_put_raw(writer, name, value.text);
}

/* One record of core/attempt.h, flat. */
static void write_attempt(JsonWriter *writer, Json attempt) {
    static const char *const own[] = {"attempt", "run", "outcome"};
    static const char *const of_error[] = {"type", "message", "backtrace"};
    static const char *const rest[] = {"meta", "worker", "fence", "started_at", "finished_at"};
    Json error = json_member(attempt, STR("error"));
    json_begin_object(writer);
    for (size_t i = 0; i < LENGTH(own); i++) {
        copy_member(writer, attempt, own[i]);
    }
    for (size_t i = 0; i < LENGTH(of_error) && error.kind == JSON_OBJECT; i++) {
        copy_member(writer, error, of_error[i]);
    }
    for (size_t i = 0; i < LENGTH(rest); i++) {
        copy_member(writer, attempt, rest[i]);
    }
    json_end_object(writer);
}

static void write_errors(JsonWriter *writer, const JobView *view) {
    Json root = {0};
    bool readable =
        view->job->attempts.len > 0 && json_check(view->job->attempts, &root, NULL) == OK;
    json_begin_array(writer);
    if (readable && root.kind == JSON_ARRAY) {
        JsonIter iter = json_iter(root);
        Json attempt;
        while (json_next(&iter, NULL, &attempt)) {
            if (attempt.kind == JSON_OBJECT) write_attempt(writer, attempt);
        }
    }
    json_end_array(writer);
}

static void write_correlation_id(JsonWriter *writer, const JobView *view) {
    const Job *job = view->job;
    json_write_string(writer, job->correlation_id.ptr ? job->correlation_id : job->id);
}

static void write_timeout(JsonWriter *writer, const JobView *view) {
    write_duration(writer, view->job->timeout_ms);
}

static void write_tags(JsonWriter *writer, const JobView *view) {
    json_write_raw(writer, view->job->tags.ptr ? view->job->tags : STR("[]"));
}

static void write_meta(JsonWriter *writer, const JobView *view) {
    json_write_raw(writer, view->job->meta.ptr ? view->job->meta : STR("{}"));
}

/* Neither exists in this version: no job belongs to one. */
static void write_none(JsonWriter *writer, const JobView *view) {
    (void)view;
    json_write_null(writer);
}

/* ---- the table ---- */

typedef enum ShowKind { SHOW_INT, SHOW_TEXT, SHOW_TIME, SHOW_RAW, SHOW_SPECIAL } ShowKind;

typedef struct ShowMember {
    const char *name;
    ShowKind kind;
    size_t offset; /* in Job, unless special */
    void (*write)(JsonWriter *writer, const JobView *view);
    const char *schema;
    bool body; /* lists leave it out unless asked */
} ShowMember;

#define INT(name, field, least)                                                                    \
    {                                                                                              \
        name, SHOW_INT, offsetof(Job, field), NULL,                                                \
            "{\"type\":\"integer\",\"minimum\":" least "}", false                                  \
    }
#define TEXT(name, field, schema)                                                                  \
    { name, SHOW_TEXT, offsetof(Job, field), NULL, schema, false }
#define TIME(name, field)                                                                          \
    { name, SHOW_TIME, offsetof(Job, field), NULL, TIME_SCHEMA, false }
#define BODY(name, field)                                                                          \
    { name, SHOW_RAW, offsetof(Job, field), NULL, "{}", true }
#define SPECIAL(name, write, schema)                                                               \
    { name, SHOW_SPECIAL, 0, write, schema, false }
#define TIME_SCHEMA "{\"type\":[\"string\",\"null\"],\"format\":\"date-time\"}"
#define STRING "{\"type\":\"string\"}"
#define STRING_OR_NULL "{\"type\":[\"string\",\"null\"]}"
#define NOTHING "{\"type\":\"null\"}"

static const ShowMember MEMBERS[] = {
    TEXT("id", id, STRING),
    TEXT("type", type, STRING),
    INT("version", version, "1"),
    TEXT("queue", queue, STRING),
    SPECIAL("state", write_state,
            "{\"enum\":[\"blocked\",\"scheduled\",\"pending\",\"running\",\"retrying\","
            "\"succeeded\",\"dead\",\"cancelled\"]}"),
    SPECIAL("reason", write_reason, STRING_OR_NULL),
    INT("priority", priority, "1"),
    BODY("args", args),
    SPECIAL("run_at", write_run_at, TIME_SCHEMA),
    SPECIAL("retry", write_retry, "{\"type\":\"object\"}"),
    INT("max_lost", max_lost, "0"),
    SPECIAL("timeout", write_timeout, STRING),
    TIME("expires_at", expires_us),
    SPECIAL("tags", write_tags, "{\"type\":\"array\",\"items\":" STRING "}"),
    SPECIAL("meta", write_meta, "{\"type\":\"object\",\"additionalProperties\":" STRING "}"),
    SPECIAL("correlation_id", write_correlation_id, STRING),
    INT("attempt", attempt, "0"),
    INT("failures", failures, "0"),
    INT("lost", lost, "0"),
    INT("run", run, "1"),
    INT("fence", fence, "0"),
    TIME("created_at", created_us),
    TIME("started_at", started_us),
    TIME("finished_at", finished_us),
    TEXT("worker", worker, STRING_OR_NULL),
    {"progress", SHOW_RAW, offsetof(Job, progress), NULL, "{\"type\":[\"object\",\"null\"]}",
     false},
    BODY("result", result),
    SPECIAL("errors", write_errors, "{\"type\":\"array\",\"items\":{\"type\":\"object\"}}"),
    SPECIAL("workflow", write_none, NOTHING),
    SPECIAL("schedule", write_none, NOTHING),
};

_Static_assert(LENGTH(MEMBERS) < 64, "JobFields has a bit per member");

JobFields job_fields_all(void) {
    return (UINT64_C(1) << LENGTH(MEMBERS)) - 1;
}

JobFields job_fields_list(void) {
    JobFields fields = 0;
    for (size_t i = 0; i < LENGTH(MEMBERS); i++) {
        if (!MEMBERS[i].body) fields |= UINT64_C(1) << i;
    }
    return fields;
}

bool job_fields_have_bodies(JobFields fields) {
    return (fields & ~job_fields_list()) != 0;
}

bool job_fields_add(JobFields *fields, Str name) {
    for (size_t i = 0; i < LENGTH(MEMBERS); i++) {
        if (!str_eq(name, str_from(MEMBERS[i].name))) continue;
        *fields |= UINT64_C(1) << i;
        return true;
    }
    return false;
}

bool job_output_row(size_t index, const char **ret_name, const char **ret_schema) {
    if (index >= LENGTH(MEMBERS)) return false;
    *ret_name = MEMBERS[index].name;
    *ret_schema = MEMBERS[index].schema;
    return true;
}

static void write_member(JsonWriter *writer, const ShowMember *member, const JobView *view) {
    const char *at = (const char *)view->job + member->offset;
    int64_t number = 0;
    Str text = {0};
    if (member->kind == SHOW_INT || member->kind == SHOW_TIME) memcpy(&number, at, sizeof number);
    if (member->kind == SHOW_TEXT || member->kind == SHOW_RAW) memcpy(&text, at, sizeof text);
    json_write_key(writer, str_from(member->name));
    switch (member->kind) {
    case SHOW_INT: json_write_int(writer, number); break;
    case SHOW_TIME: write_time(writer, number); break;
    case SHOW_TEXT: write_text(writer, text.len > 0 ? text : (Str){0}); break;
    case SHOW_RAW: json_write_raw(writer, text.len > 0 ? text : (Str){0}); break;
    case SHOW_SPECIAL: member->write(writer, view); break;
    }
}

void job_output(JsonWriter *writer, const Job *job, JobFields fields, bool duplicate,
                int64_t now_us) {
    JobView view = {job, now_us};
    json_begin_object(writer);
    for (size_t i = 0; i < LENGTH(MEMBERS); i++) {
        if (fields & (UINT64_C(1) << i)) write_member(writer, &MEMBERS[i], &view);
    }
    if (duplicate) json_put_bool(writer, "duplicate", true);
    json_end_object(writer);
}
