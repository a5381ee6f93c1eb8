/* The members of a job as submitted. */
#include "api/job_input.h"

#include "base/time.h"
#include "core/limits.h"
#include "core/name.h"
#include <inttypes.h>
#include <string.h>

enum { CORRELATION_MAX = 128, MAX_LOST = 1000 };

typedef struct JobReader {
    Input input;
    const JobInputRules *rules;
    Job *job;
    bool has_type, has_run_at, has_delay, has_expires_at, has_expires_in;
} JobReader;

typedef struct JobMember {
    const char *name;
    JobMemberKind kind;
    void (*read)(JobReader *reader, Str name, Json value); /* of JOB_MEMBER_IN */
} JobMember;

/* ---- a reader per member ---- */

static void read_id(JobReader *reader, Str name, Json value) {
    (void)input_name(&reader->input, name, value, name_check_id, &reader->job->id);
}

static void read_type(JobReader *reader, Str name, Json value) {
    reader->has_type = true;
    (void)input_name(&reader->input, name, value, name_check_type, &reader->job->type);
}

static void read_version(JobReader *reader, Str name, Json value) {
    (void)input_int(&reader->input, name, value, 1, INT32_MAX, &reader->job->version);
}

static void read_queue(JobReader *reader, Str name, Json value) {
    (void)input_name(&reader->input, name, value, name_check_queue, &reader->job->queue);
}

static void read_args(JobReader *reader, Str name, Json value) {
    if (value.text.len > reader->rules->max_args) {
        input_fail(&reader->input, name, "payload-too-large",
                   "args have %zu bytes, %zu are allowed", value.text.len, reader->rules->max_args);
        return;
    }
    reader->job->args = value.text;
}

static void read_priority(JobReader *reader, Str name, Json value) {
    (void)input_int(&reader->input, name, value, 1, 9, &reader->job->priority);
}

static void read_run_at(JobReader *reader, Str name, Json value) {
    reader->has_run_at = true;
    (void)input_time(&reader->input, name, value, reader->rules->now_us, &reader->job->run_at_us);
}

static void read_delay(JobReader *reader, Str name, Json value) {
    int64_t delay_ms;
    reader->has_delay = true;
    if (!input_duration(&reader->input, name, value, 0, &delay_ms)) return;
    reader->job->run_at_us = delay_ms > 0 ? reader->rules->now_us + delay_ms * US_PER_MS : 0;
}

static void read_retry(JobReader *reader, Str name, Json value) {
    if (value.kind != JSON_OBJECT) {
        input_fail(&reader->input, name, "wrong-type", "retry must be an object, not %s",
                   json_kind_name(value.kind));
        return;
    }
    Input inside = reader->input;
    inside.pointer = input_pointer(&reader->input, name);
    input_retry(&inside, value, &reader->job->retry);
}

static void read_max_lost(JobReader *reader, Str name, Json value) {
    (void)input_int(&reader->input, name, value, 0, MAX_LOST, &reader->job->max_lost);
}

static void read_timeout(JobReader *reader, Str name, Json value) {
    (void)input_duration(&reader->input, name, value, 1, &reader->job->timeout_ms);
}

static void read_expires_at(JobReader *reader, Str name, Json value) {
    reader->has_expires_at = true;
    (void)input_time(&reader->input, name, value, reader->rules->now_us, &reader->job->expires_us);
}

static void read_expires_in(JobReader *reader, Str name, Json value) {
    int64_t in_ms;
    reader->has_expires_in = true;
    if (!input_duration(&reader->input, name, value, 0, &in_ms)) return;
    reader->job->expires_us = reader->rules->now_us + in_ms * US_PER_MS;
}

static void read_tags(JobReader *reader, Str name, Json value) {
    const Input *input = &reader->input;
    size_t count = value.kind == JSON_ARRAY ? json_count(value) : 0;
    if (value.kind != JSON_ARRAY) {
        input_fail(input, name, "wrong-type", "tags must be an array of strings, not %s",
                   json_kind_name(value.kind));
    } else if (count > LIMIT_TAGS) {
        input_fail(input, name, "out-of-range", "there are %zu tags, at most %d are allowed", count,
                   LIMIT_TAGS);
    }
    if (count == 0 || count > LIMIT_TAGS) return;
    Input inside = *input;
    inside.pointer = input_pointer(input, name);
    cleanup(buf_done) Buf buf;
    buf_init(&buf, value.text.len + LIMIT_TAGS * (6 * LIMIT_TAG + 3));
    JsonWriter writer = json_writer(&buf);
    JsonIter iter = json_iter(value);
    Json element;
    json_begin_array(&writer);
    for (size_t i = 0; json_next(&iter, NULL, &element); i++) {
        Str tag;
        Str index = arena_format(input->arena, "%zu", i);
        if (input_name(&inside, index, element, name_check_tag, &tag))
            json_write_string(&writer, tag);
    }
    json_end_array(&writer);
    reader->job->tags = arena_str(input->arena, buf_str(&buf));
}

static void read_meta(JobReader *reader, Str name, Json value) {
    const Input *input = &reader->input;
    if (value.kind != JSON_OBJECT) {
        input_fail(input, name, "wrong-type", "meta must be an object of strings, not %s",
                   json_kind_name(value.kind));
        return;
    }
    if (value.text.len > LIMIT_META) {
        input_fail(input, name, "too-large", "meta has %zu bytes, %d are allowed", value.text.len,
                   LIMIT_META);
        return;
    }
    Input inside = *input;
    inside.pointer = input_pointer(input, name);
    JsonIter iter = json_iter(value);
    Str raw, ignored;
    Json member;
    while (json_next(&iter, &raw, &member)) {
        Str key = json_key(raw, input->arena);
        if (key.len > 0 && memchr(key.ptr, 0, key.len)) {
            input_fail(&inside, key, "invalid-string", "a key of meta contains the character NUL");
        }
        (void)input_text(&inside, key, member, &ignored);
    }
    cleanup(buf_done) Buf buf;
    buf_init(&buf, value.text.len);
    json_compact(&buf, value);
    if (json_count(value) > 0) reader->job->meta = arena_str(input->arena, buf_str(&buf));
}

bool correlation_id_is_valid(Str text) {
    if (text.len == 0 || text.len > CORRELATION_MAX || !str_is_utf8(text)) return false;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = (uint8_t)text.ptr[i];
        if (byte < 0x20 || byte == 0x7f) return false;
    }
    return true;
}

static void read_correlation_id(JobReader *reader, Str name, Json value) {
    Str text;
    if (!input_text(&reader->input, name, value, &text)) return;
    if (!correlation_id_is_valid(text)) {
        input_fail(&reader->input, name, "invalid-string",
                   "correlation_id must be 1 to %d bytes without control characters",
                   CORRELATION_MAX);
        return;
    }
    reader->job->correlation_id = text;
}

/* ---- the table ---- */

static const JobMember MEMBERS[] = {
    {"id", JOB_MEMBER_IN, read_id},
    {"type", JOB_MEMBER_IN, read_type},
    {"version", JOB_MEMBER_IN, read_version},
    {"queue", JOB_MEMBER_IN, read_queue},
    {"args", JOB_MEMBER_IN, read_args},
    {"priority", JOB_MEMBER_IN, read_priority},
    {"run_at", JOB_MEMBER_IN, read_run_at},
    {"delay", JOB_MEMBER_IN, read_delay},
    {"retry", JOB_MEMBER_IN, read_retry},
    {"max_lost", JOB_MEMBER_IN, read_max_lost},
    {"timeout", JOB_MEMBER_IN, read_timeout},
    {"expires_at", JOB_MEMBER_IN, read_expires_at},
    {"expires_in", JOB_MEMBER_IN, read_expires_in},
    {"tags", JOB_MEMBER_IN, read_tags},
    {"meta", JOB_MEMBER_IN, read_meta},
    {"correlation_id", JOB_MEMBER_IN, read_correlation_id},
    {"unique", JOB_MEMBER_LATER, NULL},
    {"concurrency", JOB_MEMBER_LATER, NULL},
    {"notify", JOB_MEMBER_LATER, NULL},
    {"state", JOB_MEMBER_READ_ONLY, NULL},
    {"reason", JOB_MEMBER_READ_ONLY, NULL},
    {"fence", JOB_MEMBER_READ_ONLY, NULL},
    {"attempt", JOB_MEMBER_READ_ONLY, NULL},
    {"failures", JOB_MEMBER_READ_ONLY, NULL},
    {"lost", JOB_MEMBER_READ_ONLY, NULL},
    {"run", JOB_MEMBER_READ_ONLY, NULL},
    {"created_at", JOB_MEMBER_READ_ONLY, NULL},
    {"created_by", JOB_MEMBER_READ_ONLY, NULL},
    {"started_at", JOB_MEMBER_READ_ONLY, NULL},
    {"finished_at", JOB_MEMBER_READ_ONLY, NULL},
    {"worker", JOB_MEMBER_READ_ONLY, NULL},
    {"progress", JOB_MEMBER_READ_ONLY, NULL},
    {"result", JOB_MEMBER_READ_ONLY, NULL},
    {"errors", JOB_MEMBER_READ_ONLY, NULL},
    {"workflow", JOB_MEMBER_READ_ONLY, NULL},
    {"schedule", JOB_MEMBER_READ_ONLY, NULL},
    {"duplicate", JOB_MEMBER_READ_ONLY, NULL},
};

bool job_input_row(size_t index, const char **ret_name, JobMemberKind *ret_kind) {
    if (index >= LENGTH(MEMBERS)) return false;
    *ret_name = MEMBERS[index].name;
    *ret_kind = MEMBERS[index].kind;
    return true;
}

static void unknown_member(const JobReader *reader, Str name) {
    Str known[LENGTH(MEMBERS)];
    size_t count = 0;
    for (size_t i = 0; i < LENGTH(MEMBERS); i++) {
        if (MEMBERS[i].kind == JOB_MEMBER_IN) known[count++] = str_from(MEMBERS[i].name);
    }
    input_unknown(&reader->input, name, known, count);
}

static void read_member(JobReader *reader, Str name, Json value) {
    const JobMember *member = NULL;
    for (size_t i = 0; i < LENGTH(MEMBERS) && !member; i++) {
        if (str_eq(name, str_from(MEMBERS[i].name))) member = &MEMBERS[i];
    }
    if (!member) {
        unknown_member(reader, name);
        return;
    }
    switch (member->kind) {
    case JOB_MEMBER_IN: member->read(reader, name, value); break;
    case JOB_MEMBER_READ_ONLY:
        input_fail(&reader->input, name, "read-only-member", "%s is set by the server only",
                   member->name);
        break;
    case JOB_MEMBER_LATER:
        input_fail(&reader->input, name, "not-available", "%s is not available in this version",
                   member->name);
        break;
    }
}

static void exclude(const JobReader *reader, bool both, Str name, const char *other) {
    if (!both) return;
    input_fail(&reader->input, name, "conflict-members", "%s and " STR_FMT " exclude each other",
               other, STR_ARG(name));
}

/* What concerns more than one member, or one that is not there. */
static void check_whole(const JobReader *reader) {
    const Job *job = reader->job;
    if (!reader->has_type) {
        input_fail(&reader->input, STR("type"), "invalid-name",
                   "type is missing: 1 to %d characters, only letters, digits and _.:-/\\",
                   LIMIT_TYPE);
    }
    exclude(reader, reader->has_run_at && reader->has_delay, STR("delay"), "run_at");
    exclude(reader, reader->has_expires_at && reader->has_expires_in, STR("expires_in"),
            "expires_at");
    if (!access_sees_queue(reader->rules->principal, job->queue)) {
        input_fail(&reader->input, STR("queue"), "forbidden",
                   "the permission job:submit does not extend to the queue '" STR_FMT "'",
                   STR_ARG(job->queue));
    }
}

bool job_input_read(Json document, const JobInputRules *rules, Str pointer, FieldErrors *errors,
                    Job *ret) {
    size_t before = errors->count;
    if (document.kind != JSON_OBJECT) {
        field_errors_add(errors, pointer, "wrong-type", "a job must be an object, not %s",
                         json_kind_name(document.kind));
        return false;
    }
    Job job = job_default();
    JobReader reader = {.input = {errors, errors->arena, pointer}, .rules = rules, .job = &job};
    JsonIter iter = json_iter(document);
    Str raw;
    Json value;
    while (!field_errors_full(errors) && json_next(&iter, &raw, &value)) {
        read_member(&reader, json_key(raw, errors->arena), value);
    }
    check_whole(&reader);
    if (errors->count > before || field_errors_full(errors)) return false;
    if (!job.correlation_id.ptr) job.correlation_id = rules->correlation_id;
    *ret = job;
    return true;
}
