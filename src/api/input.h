/* Reading members of JSON input strictly: no coercion, no rounding, every fault noted with its
 * pointer.
 *
 * Each reader gives true and fills its output, or notes what is wrong and gives false. Knows
 * nothing of jobs; what a document may hold is said by tables of whoever reads it. Pure. */
#pragma once

#include "api/problem.h"

/* An object being read. */
typedef struct Input {
    FieldErrors *errors;
    Arena *arena;
    Str pointer; /* of the object: "" or "/jobs/17" */
} Input;

/* `pointer` and one more step, escaped as RFC 6901 wants, cut where it is long. */
Str input_pointer(const Input *input, Str member);

void input_fail(const Input *input, Str member, const char *code, const char *format, ...)
    printf_like(4, 5);

/* Notes a member that is not known, with the nearest of the known ones. */
void input_unknown(const Input *input, Str member, const Str *known, size_t count);

/* A string without NUL. */
bool input_text(const Input *input, Str member, Json value, Str *ret);
/* A string that follows a rule of core/name.h. */
bool input_name(const Input *input, Str member, Json value, Err (*rule)(Str, Error *), Str *ret);
/* An integer from `low` to `high`. */
bool input_int(const Input *input, Str member, Json value, int64_t low, int64_t high, int64_t *ret);
bool input_bool(const Input *input, Str member, Json value, bool *ret);
/* "1h30m" of at least `low_ms`. */
bool input_duration(const Input *input, Str member, Json value, int64_t low_ms, int64_t *ret_ms);
/* RFC 3339, at most ten years after now. */
bool input_time(const Input *input, Str member, Json value, int64_t now_us, int64_t *ret_us);
