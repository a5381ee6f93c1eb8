/* The table of problems, and how they are written. */
#include "api/problem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef struct ProblemRow {
    const char *code;
    unsigned status;
    const char *title;
    const char *detail; /* said instead of the error's own words, which may name what is ours */
} ProblemRow;

static const ProblemRow ROWS[] = {
    {"invalid-json", 400, "The body is not the JSON that is expected", NULL},
    {"json-too-deep", 400, "The JSON is nested too deeply", NULL},
    {"duplicate-key", 400, "A key is there twice", NULL},
    {"invalid-utf8", 400, "The text is not UTF-8", NULL},
    {"invalid-id", 400, "This can't be an id", NULL},
    {"invalid-cursor", 400, "The cursor is not one of this list", NULL},
    {"unauthorized", 401, "A bearer token is needed", NULL},
    {"invalid-token", 401, "The token is not valid", NULL},
    {"token-expired", 401, "The token has expired", NULL},
    {"token-not-yet-valid", 401, "The token is not yet valid", NULL},
    {"forbidden", 403, "Not allowed", NULL},
    {"not-found", 404, "There is nothing here", NULL},
    {"job-not-found", 404, "There is no such job", NULL},
    {"queue-not-found", 404, "There is no such queue", NULL},
    {"method-not-allowed", 405, "The method is not served here", NULL},
    {"not-acceptable", 406, "None of the accepted media types is served", NULL},
    {"timeout", 408, "It took too long", NULL},
    {"wrong-state", 409, "The job's state does not allow this", NULL},
    {"id-taken", 409, "The id is in use", NULL},
    {"conflict", 409, "Something else stands against it", NULL},
    {"payload-too-large", 413, "The job's args are too large", NULL},
    {"limit", 413, "More than is allowed", NULL},
    {"unsupported-media-type", 415, "The body's media type is not served", NULL},
    {"unsupported-encoding", 415, "Encoded bodies are not served", NULL},
    {"conflict-members", 422, "Members exclude each other", NULL},
    {"invalid", 422, "The input is not valid", NULL},
    {"invalid-duration", 422, "This is not a duration", NULL},
    {"invalid-fields", 422, "Several members are wrong", NULL},
    {"invalid-name", 422, "The name is not valid", NULL},
    {"invalid-string", 422, "The text is not valid", NULL},
    {"invalid-time", 422, "This is not a time that can be used", NULL},
    {"invalid-value", 422, "The value is not one of those allowed", NULL},
    {"missing-filter", 422, "A filter is needed", NULL},
    {"missing-member", 422, "A member is missing", NULL},
    {"not-an-integer", 422, "An integer is expected", NULL},
    {"not-available", 422, "Not available in this version", NULL},
    {"out-of-range", 422, "The value is out of its range", NULL},
    {"read-only-member", 422, "The member is set by the server only", NULL},
    {"reserved-name", 422, "The name is reserved", NULL},
    {"too-large", 422, "The input is too large", NULL},
    {"unknown-field", 422, "There is no such field", NULL},
    {"unknown-filter", 422, "There is no such filter", NULL},
    {"unknown-member", 422, "There is no such member", NULL},
    {"wrong-type", 422, "The value is of another type", NULL},
    {"internal", 500, "Internal error",
     "the node failed; its log tells more under this request id"},
    {"unavailable", 503, "Unavailable", "the node can't do this at present; nothing was changed"},
    {"clock-skew", 503, "The node's clock is off",
     "this machine's clock differs too much from the store's; another node takes it"},
    {"store-unavailable", 503, "The store is away",
     "the store does not answer; nothing was accepted, try again"},
    {"store-indeterminate", 503, "Whether it was stored is not known",
     "the store's answer was lost; ask again with the same id"},
    {"store-full", 503, "The store is full", "the store takes no more; nothing was accepted"},
    {"overloaded", 503, "Overloaded",
     "the node has more work open than it may hold; nothing was accepted, try again"},
    {"shutting-down", 503, "Shutting down", "the node is going down; ask again elsewhere or later"},
};

static const ProblemRow *find(Str code) {
    for (size_t i = 0; i < LENGTH(ROWS); i++) {
        if (str_eq(code, str_from(ROWS[i].code))) return &ROWS[i];
    }
    return NULL;
}

bool problem_row(size_t index, const char **ret_code, unsigned *ret_status,
                 const char **ret_title) {
    if (index >= LENGTH(ROWS)) return false;
    *ret_code = ROWS[index].code;
    *ret_status = ROWS[index].status;
    *ret_title = ROWS[index].title;
    return true;
}

/* ---- wrong members ---- */

FieldErrors *field_errors_new(Arena *arena) {
    FieldErrors *errors = arena_alloc(arena, sizeof *errors);
    errors->arena = arena;
    errors->max = FIELD_ERRORS_MAX;
    errors->count = 0;
    return errors;
}

bool field_errors_full(const FieldErrors *errors) {
    return errors->count >= errors->max;
}

void field_errors_add(FieldErrors *errors, Str pointer, const char *code, const char *format, ...) {
    if (field_errors_full(errors)) return;
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    errors->items[errors->count++] = (FieldError){
        .pointer = arena_str(errors->arena, pointer),
        .code = arena_str(errors->arena, str_from(code)),
        .detail = arena_str(errors->arena, str_from(text)),
    };
}

void field_errors_add_error(FieldErrors *errors, Str pointer, const Error *error) {
    const char *code = error->code[0] ? error->code : err_name(error->err);
    field_errors_add(errors, pointer, code, "%s", error->message);
}

/* ---- problems ---- */

static const char *code_of_err(Err err) {
    switch (err) {
    case OK: break;
    case ERR_INVALID: return "invalid";
    case ERR_NOT_FOUND: return "not-found";
    case ERR_CONFLICT: return "conflict";
    case ERR_DENIED: return "forbidden";
    case ERR_LIMIT: return "limit";
    case ERR_UNAVAILABLE: return "unavailable";
    case ERR_TIMEOUT: return "timeout";
    case ERR_INTERNAL: return "internal";
    }
    return "internal";
}

static Problem from_row(const ProblemRow *row, Str detail) {
    return (Problem){
        .status = row->status,
        .code = str_from(row->code),
        .title = row->title,
        .detail = row->detail ? str_from(row->detail) : detail,
    };
}

Problem problem_of(const char *code, Str detail) {
    const ProblemRow *row = find(str_from(code));
    check(row);
    return from_row(row, detail);
}

Problem problem_of_error(const Error *error) {
    check(error->err != OK);
    const ProblemRow *row = find(str_from(error->code));
    if (!row) row = find(str_from(code_of_err(error->err)));
    check(row);
    return from_row(row, str_from(error->message));
}

Problem problem_of_fields(const FieldErrors *errors) {
    check(errors->count > 0);
    const FieldError *first = &errors->items[0];
    bool alike = true;
    for (size_t i = 1; i < errors->count; i++) {
        if (!str_eq(errors->items[i].code, first->code)) alike = false;
    }
    const ProblemRow *row = find(alike ? first->code : STR("invalid-fields"));
    if (!row) row = find(STR("invalid-fields"));
    check(row);
    Str detail = first->detail;
    if (errors->count > 1) {
        detail = arena_format(errors->arena, "%s%zu members are wrong, the first: " STR_FMT,
                              field_errors_full(errors) ? "at least " : "", errors->count,
                              STR_ARG(first->detail));
    }
    Problem problem = from_row(row, detail);
    problem.fields = errors;
    return problem;
}

static void write_fields(JsonWriter *writer, const FieldErrors *errors) {
    json_write_key(writer, STR("errors"));
    json_begin_array(writer);
    for (size_t i = 0; i < errors->count; i++) {
        json_begin_object(writer);
        json_put_string(writer, "pointer", errors->items[i].pointer);
        json_put_string(writer, "code", errors->items[i].code);
        json_put_string(writer, "detail", errors->items[i].detail);
        json_end_object(writer);
    }
    json_end_array(writer);
}

void problem_write(JsonWriter *writer, const Problem *problem, Str instance, Str request_id) {
    char type[64];
    snprintf(type, sizeof type, "/problems/" STR_FMT, STR_ARG(problem->code));
    json_begin_object(writer);
    json_put_string(writer, "type", str_from(type));
    json_put_string(writer, "title", str_from(problem->title));
    json_put_int(writer, "status", problem->status);
    json_put_string(writer, "detail", problem->detail);
    if (instance.ptr) json_put_string(writer, "instance", instance);
    json_put_string(writer, "code", problem->code);
    json_put_string(writer, "request_id", request_id);
    if (problem->fields) write_fields(writer, problem->fields);
    json_end_object(writer);
}
