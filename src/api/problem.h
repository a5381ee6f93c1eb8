/* Problems (RFC 9457): what the API answers instead of what was asked for.
 *
 * One table gives each stable code its status and title; an Err without a code of its own gets
 * its status by one switch. Nothing of an internal error's words leaves the node. Pure. */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "base/json.h"

enum { FIELD_ERRORS_MAX = 50 };

/* One wrong member of the input. Texts live in the arena, codes too. */
typedef struct FieldError {
    Str pointer; /* RFC 6901, "" for the document itself; "/NAME" for a query parameter */
    Str code;
    Str detail;
} FieldError;

/* All wrong members at once, the first `max` of them. */
typedef struct FieldErrors {
    Arena *arena;
    size_t max; /* FIELD_ERRORS_MAX, or less where many lists of errors go into one answer */
    size_t count;
    FieldError items[FIELD_ERRORS_MAX];
} FieldErrors;

/* Empty. The arena must live as long as the errors. */
FieldErrors *field_errors_new(Arena *arena) __attribute__((returns_nonnull));
bool field_errors_full(const FieldErrors *errors);
/* Nothing when full. */
void field_errors_add(FieldErrors *errors, Str pointer, const char *code, const char *format, ...)
    printf_like(4, 5);
/* The same with an Error's code and words. */
void field_errors_add_error(FieldErrors *errors, Str pointer, const Error *error);

typedef struct Problem {
    unsigned status;
    Str code;
    const char *title;
    Str detail;
    const FieldErrors *fields; /* or NULL */
} Problem;

/* The code must be in the table. `detail` is borrowed. */
Problem problem_of(const char *code, Str detail);
/* error->err is not OK. Code and detail are borrowed from the error. */
Problem problem_of_error(const Error *error);
/* At least one error. One code for all: that one and its status; else 422 `invalid-fields`. */
Problem problem_of_fields(const FieldErrors *errors);

/* As one JSON object. `instance` may be absent. */
void problem_write(JsonWriter *writer, const Problem *problem, Str instance, Str request_id);

/* The rows of the table, for the API's document and tests; false past the end. */
bool problem_row(size_t index, const char **ret_code, unsigned *ret_status, const char **ret_title);
