/* The strict readers of single members. */
#include "api/input.h"

#include "base/time.h"
#include "core/limits.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { SHOWN_MAX = 80 };

/* The member's name as far as a sentence shows it, without control characters. */
static Str shown(const Input *input, Str text) {
    size_t len = text.len < SHOWN_MAX ? text.len : SHOWN_MAX;
    while (len > 0 && len < text.len && ((uint8_t)text.ptr[len] & 0xc0) == 0x80) {
        len--;
    }
    char *copy = arena_alloc(input->arena, len + 1);
    for (size_t i = 0; i < len; i++) {
        uint8_t byte = (uint8_t)text.ptr[i];
        copy[i] = byte < 0x20 || byte == 0x7f ? '?' : text.ptr[i];
    }
    copy[len] = 0;
    return (Str){copy, len};
}

Str input_pointer(const Input *input, Str member) {
    Str name = shown(input, member);
    cleanup(buf_done) Buf buf;
    buf_init(&buf, input->pointer.len + 2 * name.len + 1);
    buf_add(&buf, input->pointer);
    buf_add_char(&buf, '/');
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == '~') {
            buf_add(&buf, STR("~0"));
        } else if (name.ptr[i] == '/') {
            buf_add(&buf, STR("~1"));
        } else {
            buf_add_char(&buf, name.ptr[i]);
        }
    }
    return arena_str(input->arena, buf_str(&buf));
}

void input_fail(const Input *input, Str member, const char *code, const char *format, ...) {
    if (field_errors_full(input->errors)) return;
    char text[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    field_errors_add(input->errors, input_pointer(input, member), code, "%s", text);
}

void input_unknown(const Input *input, Str member, const Str *known, size_t count) {
    if (field_errors_full(input->errors)) return;
    Str name = shown(input, member);
    Str near = str_nearest(member, known, count);
    if (near.ptr) {
        input_fail(input, member, "unknown-member",
                   "unknown member '" STR_FMT "': did you mean " STR_FMT "?", STR_ARG(name),
                   STR_ARG(near));
    } else {
        input_fail(input, member, "unknown-member", "unknown member '" STR_FMT "'", STR_ARG(name));
    }
}

static bool has_kind(const Input *input, Str member, Json value, JsonKind kind,
                     const char *expected) {
    if (value.kind == kind) return true;
    input_fail(input, member, "wrong-type", STR_FMT " must be %s, not %s", STR_ARG(member),
               expected, json_kind_name(value.kind));
    return false;
}

bool input_text(const Input *input, Str member, Json value, Str *ret) {
    if (!has_kind(input, member, value, JSON_STRING, "a string")) return false;
    Str text = json_string(value, input->arena);
    if (text.len > 0 && memchr(text.ptr, 0, text.len)) {
        input_fail(input, member, "invalid-string", STR_FMT " must not contain the character NUL",
                   STR_ARG(member));
        return false;
    }
    *ret = text;
    return true;
}

bool input_name(const Input *input, Str member, Json value, Err (*rule)(Str, Error *), Str *ret) {
    Str text;
    Error error;
    if (!input_text(input, member, value, &text)) return false;
    if (rule(text, &error) != OK) {
        field_errors_add_error(input->errors, input_pointer(input, member), &error);
        return false;
    }
    *ret = text;
    return true;
}

bool input_int(const Input *input, Str member, Json value, int64_t low, int64_t high,
               int64_t *ret) {
    int64_t number;
    if (!json_int64(value, &number)) {
        input_fail(input, member, "not-an-integer",
                   STR_FMT " must be an integer from %" PRId64 " to %" PRId64, STR_ARG(member), low,
                   high);
        return false;
    }
    if (number < low || number > high) {
        input_fail(input, member, "out-of-range",
                   STR_FMT " is %" PRId64 " but must be from %" PRId64 " to %" PRId64,
                   STR_ARG(member), number, low, high);
        return false;
    }
    *ret = number;
    return true;
}

bool input_bool(const Input *input, Str member, Json value, bool *ret) {
    if (value.kind != JSON_FALSE && !has_kind(input, member, value, JSON_TRUE, "true or false")) {
        return false;
    }
    *ret = value.kind == JSON_TRUE;
    return true;
}

/* A duration or time that is no string is as wrong as any other text that is none. */
static bool read_text_as(const Input *input, Str member, Json value, const char *code,
                         const char *expected, Str *ret) {
    if (value.kind == JSON_STRING) {
        *ret = json_string(value, input->arena);
        return true;
    }
    input_fail(input, member, code, STR_FMT " must be a string with %s", STR_ARG(member), expected);
    return false;
}

bool input_duration(const Input *input, Str member, Json value, int64_t low_ms, int64_t *ret_ms) {
    Str text;
    Error error;
    int64_t ms;
    if (!read_text_as(input, member, value, "invalid-duration", "a duration like \"1h30m\"",
                      &text)) {
        return false;
    }
    if (duration_parse(text, &ms, &error) != OK) {
        field_errors_add_error(input->errors, input_pointer(input, member), &error);
        return false;
    }
    if (ms < low_ms) {
        input_fail(input, member, "out-of-range", STR_FMT " must be at least %" PRId64 "ms",
                   STR_ARG(member), low_ms);
        return false;
    }
    *ret_ms = ms;
    return true;
}

bool input_time(const Input *input, Str member, Json value, int64_t now_us, int64_t *ret_us) {
    Str text;
    Error error;
    int64_t at_us;
    if (!read_text_as(input, member, value, "invalid-time", "an RFC 3339 time", &text))
        return false;
    if (time_parse(text, &at_us, &error) != OK) {
        field_errors_add_error(input->errors, input_pointer(input, member), &error);
        return false;
    }
    if (at_us > now_us + LIMIT_AHEAD_US) {
        input_fail(input, member, "invalid-time", STR_FMT " is more than 10 years ahead",
                   STR_ARG(member));
        return false;
    }
    *ret_us = at_us;
    return true;
}
