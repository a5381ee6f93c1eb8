/* The table of filters. Values are compared by the store with bound parameters, never pasted. */
#include "api/job_filter.h"

#include "base/time.h"
#include "core/name.h"
#include <string.h>

enum { TAGS_MAX = 32, IDS_MAX = 1000 };

#define RETRYING_OR_DEAD (1U << STATUS_RETRYING | 1U << STATUS_DEAD)
#define FINISHED (1U << STATUS_SUCCEEDED | 1U << STATUS_DEAD | 1U << STATUS_CANCELLED)

typedef struct FilterReader {
    Input input;
    JobFilterInput *out;
    Str tags[TAGS_MAX];
} FilterReader;

typedef struct FilterRow {
    const char *name;
    void (*read)(FilterReader *reader, Str name, Str value); /* NULL: not in this version */
} FilterRow;

static void read_state(FilterReader *reader, Str name, Str value) {
    JobFilter *filter = &reader->out->filter;
    reader->out->has_states = true;
    while (value.ptr) {
        Str part = str_trim(str_split(&value, ','));
        JobStatus status;
        if (str_eq(part, STR("failed"))) {
            filter->statuses |= RETRYING_OR_DEAD;
        } else if (str_eq(part, STR("finished"))) {
            filter->statuses |= FINISHED;
        } else if (job_status_parse(part, &status)) {
            filter->statuses |= 1U << status;
        } else {
            input_fail(
                &reader->input, name, "invalid-value",
                "state must be blocked, scheduled, pending, running, retrying, succeeded, dead, "
                "cancelled, failed or finished");
        }
    }
}

static void set_once(FilterReader *reader, Str name, Str *at, Str value) {
    if (at->ptr) {
        input_fail(&reader->input, name, "conflict-members", STR_FMT " is given more than once",
                   STR_ARG(name));
    }
    *at = value;
}

static void read_queue(FilterReader *reader, Str name, Str value) {
    set_once(reader, name, &reader->out->filter.queue, value);
}

static void read_type(FilterReader *reader, Str name, Str value) {
    set_once(reader, name, &reader->out->filter.type, value);
}

static void read_worker(FilterReader *reader, Str name, Str value) {
    set_once(reader, name, &reader->out->filter.worker, value);
}

static void read_correlation_id(FilterReader *reader, Str name, Str value) {
    set_once(reader, name, &reader->out->filter.correlation_id, value);
}

static void read_tag(FilterReader *reader, Str name, Str value) {
    JobFilter *filter = &reader->out->filter;
    if (filter->tag_count == TAGS_MAX) {
        input_fail(&reader->input, name, "out-of-range", "at most %d tags can be asked for",
                   TAGS_MAX);
        return;
    }
    reader->tags[filter->tag_count++] = value;
}

static void read_version(FilterReader *reader, Str name, Str value) {
    int64_t version;
    if (!str_to_int64(value, &version)) {
        input_fail(&reader->input, name, "not-an-integer", "version must be an integer");
    } else if (version < 1) {
        input_fail(&reader->input, name, "out-of-range", "version must be at least 1");
    } else {
        reader->out->filter.version = version;
    }
}

static void read_time(FilterReader *reader, Str name, Str value, int64_t *ret_us) {
    Error error;
    if (time_parse(value, ret_us, &error) != OK) {
        field_errors_add_error(reader->input.errors, input_pointer(&reader->input, name), &error);
    }
}

static void read_created_after(FilterReader *reader, Str name, Str value) {
    read_time(reader, name, value, &reader->out->filter.created_after_us);
}

static void read_created_before(FilterReader *reader, Str name, Str value) {
    read_time(reader, name, value, &reader->out->filter.created_before_us);
}

static const FilterRow ROWS[] = {
    {"state", read_state},
    {"queue", read_queue},
    {"type", read_type},
    {"version", read_version},
    {"tag", read_tag},
    {"worker", read_worker},
    {"correlation_id", read_correlation_id},
    {"created_after", read_created_after},
    {"created_before", read_created_before},
    {"finished_after", NULL},
    {"finished_before", NULL},
    {"workflow", NULL},
    {"schedule", NULL},
};

static const FilterRow *find(Str name) {
    static const FilterRow META = {"meta.*", NULL};
    for (size_t i = 0; i < LENGTH(ROWS); i++) {
        if (str_eq(name, str_from(ROWS[i].name))) return &ROWS[i];
    }
    return str_starts_with(name, STR("meta.")) ? &META : NULL;
}

static void read_row(FilterReader *reader, const FilterRow *row, Str name, Str value) {
    reader->out->has_any = true;
    if (row->read && value.len == 0) {
        input_fail(&reader->input, name, "invalid-value", STR_FMT " must not be empty",
                   STR_ARG(name));
    } else if (row->read) {
        row->read(reader, name, value);
    } else {
        input_fail(&reader->input, name, "not-available",
                   "the filter " STR_FMT " is not available in this version", STR_ARG(name));
    }
}

static void begin(FilterReader *reader, const Principal *principal, FieldErrors *errors,
                  JobFilterInput *out) {
    *out = (JobFilterInput){0};
    out->filter.queue_globs = principal->queue_count > 0 ? principal->queues : NULL;
    out->filter.queue_glob_count = principal->queue_count;
    *reader = (FilterReader){.input = {errors, errors->arena, STR("")}, .out = out};
}

static void end(FilterReader *reader) {
    JobFilter *filter = &reader->out->filter;
    if (filter->tag_count == 0) return;
    Str *tags = arena_zero(reader->input.arena, filter->tag_count, sizeof *tags);
    memcpy(tags, reader->tags, filter->tag_count * sizeof *tags);
    filter->tags = tags;
}

bool job_filter_from_query(const HttpRequest *request, const Principal *principal,
                           FieldErrors *errors, JobFilterInput *ret) {
    FilterReader reader;
    begin(&reader, principal, errors, ret);
    for (size_t i = 0; i < request->parameter_count; i++) {
        Str name = request->parameters[i].name;
        const FilterRow *row = find(name);
        if (row) read_row(&reader, row, name, request->parameters[i].value);
    }
    end(&reader);
    return errors->count == 0;
}

/* ---- the same from JSON ---- */

static void read_scalar(FilterReader *reader, const FilterRow *row, Str name, Json value) {
    Str text;
    if (row->read == read_version) {
        read_row(reader, row, name, value.text); /* a string keeps its quotes and is no integer */
    } else if (input_text(&reader->input, name, value, &text)) {
        read_row(reader, row, name, text);
    }
}

static void read_value(FilterReader *reader, const FilterRow *row, Str name, Json value) {
    if (value.kind != JSON_ARRAY) {
        read_scalar(reader, row, name, value);
        return;
    }
    JsonIter iter = json_iter(value);
    Json element;
    while (!field_errors_full(reader->input.errors) && json_next(&iter, NULL, &element)) {
        read_scalar(reader, row, name, element);
    }
    if (json_count(value) == 0) {
        input_fail(&reader->input, name, "out-of-range", STR_FMT " must not be an empty array",
                   STR_ARG(name));
    }
}

static void read_ids(FilterReader *reader, Str name, Json value) {
    size_t count = value.kind == JSON_ARRAY ? json_count(value) : 0;
    if (value.kind != JSON_ARRAY || count == 0 || count > IDS_MAX) {
        input_fail(&reader->input, name, "out-of-range", "ids must be an array of 1 to %d ids",
                   IDS_MAX);
        return;
    }
    Input inside = reader->input;
    inside.pointer = input_pointer(&reader->input, name);
    JsonIter iter = json_iter(value);
    Json element;
    for (size_t i = 0; json_next(&iter, NULL, &element); i++) {
        Str ignored;
        (void)input_name(&inside, arena_format(inside.arena, "%zu", i), element, name_check_id,
                         &ignored);
    }
    reader->out->filter.id_list_json = value.text;
    reader->out->has_any = true;
}

static void unknown_member(const FilterReader *reader, Str name) {
    Str known[LENGTH(ROWS) + 2] = {STR("ids"), STR("dry_run")};
    for (size_t i = 0; i < LENGTH(ROWS); i++) {
        known[i + 2] = str_from(ROWS[i].name);
    }
    input_unknown(&reader->input, name, known, LENGTH(known));
}

bool job_filter_from_json(Json body, const Principal *principal, FieldErrors *errors,
                          JobFilterInput *ret) {
    FilterReader reader;
    begin(&reader, principal, errors, ret);
    if (body.text.ptr && body.kind != JSON_OBJECT) {
        field_errors_add(errors, STR(""), "wrong-type", "the filters must be an object, not %s",
                         json_kind_name(body.kind));
        return false;
    }
    JsonIter iter = body.text.ptr ? json_iter(body) : (JsonIter){0};
    Str raw;
    Json value;
    while (body.text.ptr && !field_errors_full(errors) && json_next(&iter, &raw, &value)) {
        Str name = json_key(raw, errors->arena);
        const FilterRow *row = find(name);
        if (row) {
            read_value(&reader, row, name, value);
        } else if (str_eq(name, STR("ids"))) {
            read_ids(&reader, name, value);
        } else if (str_eq(name, STR("dry_run"))) {
            (void)input_bool(&reader.input, name, value, &ret->dry_run);
        } else {
            unknown_member(&reader, name);
        }
    }
    end(&reader);
    return errors->count == 0;
}
