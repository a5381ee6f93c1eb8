/* Walks checked JSON and takes values out of it: the reader of json.h.
 *
 * Everything here relies on json_check() having accepted the bytes: no syntax is looked at again,
 * and a value always ends before the end of its container. */
#include "base/json.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_scan.h"

static const char *container_end(const char *at, const char *end) {
    size_t depth = 0;
    for (;; at++) {
        switch (*at) {
        case '"': at = json_string_end(at + 1, end); break;
        case '{':
        case '[': depth++; break;
        case '}':
        case ']':
            if (--depth == 0) return at + 1;
            break;
        default: break;
        }
    }
}

/* Behind the value that begins at `at`. */
static const char *value_end(const char *at, const char *end) {
    switch (*at) {
    case '"': return json_string_end(at + 1, end) + 1;
    case '{':
    case '[': return container_end(at, end);
    default: break;
    }
    while (at < end && *at != ',' && *at != ']' && *at != '}' && !json_is_blank(*at)) {
        at++;
    }
    return at;
}

/* Another kind than an array or object has nothing to walk. */
JsonIter json_iter(Json container) {
    bool is_container = container.kind == JSON_ARRAY || container.kind == JSON_OBJECT;
    if (!container.text.ptr || !is_container) return (JsonIter){.kind = container.kind};
    return (JsonIter){
        .at = container.text.ptr + 1,
        .end = container.text.ptr + container.text.len - 1,
        .kind = container.kind,
    };
}

bool json_next(JsonIter *iter, Str *ret_key, Json *ret_value) {
    const char *end = iter->end;
    const char *at = json_skip_blanks(iter->at, end);
    if (at < end && *at == ',') at = json_skip_blanks(at + 1, end);
    if (at == end) return false;
    if (iter->kind == JSON_OBJECT) {
        const char *key = at + 1;
        const char *quote = json_string_end(key, end);
        if (ret_key) *ret_key = (Str){key, (size_t)(quote - key)};
        at = json_skip_blanks(quote + 1, end);
        at = json_skip_blanks(at + 1, end);
    }
    iter->at = value_end(at, end);
    *ret_value = (Json){json_kind_of(*at), {at, (size_t)(iter->at - at)}};
    return true;
}

static bool is_escaped(Str raw) {
    return raw.len > 0 && memchr(raw.ptr, '\\', raw.len);
}

static bool key_is(Str raw_key, Str name) {
    if (!is_escaped(raw_key)) return str_eq(raw_key, name);
    const char *at = raw_key.ptr;
    while (at < raw_key.ptr + raw_key.len) {
        char bytes[4];
        Str step = {bytes, json_unescape_step(&at, bytes)};
        if (!str_starts_with(name, step)) return false;
        name = (Str){name.ptr + step.len, name.len - step.len};
    }
    return name.len == 0;
}

Json json_member(Json object, Str name) {
    JsonIter iter = json_iter(object);
    Str key;
    Json value;
    while (iter.kind == JSON_OBJECT && json_next(&iter, &key, &value)) {
        if (key_is(key, name)) return value;
    }
    return (Json){0};
}

size_t json_count(Json container) {
    JsonIter iter = json_iter(container);
    Json value;
    size_t count = 0;
    while (json_next(&iter, NULL, &value)) {
        count++;
    }
    return count;
}

Str json_key(Str raw_key, Arena *arena) {
    if (!is_escaped(raw_key)) return raw_key;
    char *text = arena_alloc(arena, raw_key.len); /* unescaping never makes longer */
    size_t len = 0;
    const char *at = raw_key.ptr;
    while (at < raw_key.ptr + raw_key.len) {
        char bytes[4];
        size_t step = json_unescape_step(&at, bytes);
        memcpy(text + len, bytes, step);
        len += step;
    }
    return (Str){text, len};
}

Str json_string(Json value, Arena *arena) {
    check(value.kind == JSON_STRING && value.text.ptr);
    return json_key((Str){value.text.ptr + 1, value.text.len - 2}, arena);
}

/* A checked number has no leading zeros, so its text is an integer's when it is digits only. */
bool json_int64(Json value, int64_t *ret) {
    if (value.kind != JSON_NUMBER || str_eq(value.text, STR("-0"))) return false;
    return str_to_int64(value.text, ret);
}

bool json_double(Json value, double *ret) {
    if (value.kind != JSON_NUMBER || value.text.len > JSON_MAX_NUMBER) return false;
    char text[JSON_MAX_NUMBER + 1];
    memcpy(text, value.text.ptr, value.text.len);
    text[value.text.len] = 0;
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    check(c_locale);
    double number = strtod_l(text, NULL, c_locale);
    freelocale(c_locale);
    if (!isfinite(number)) return false;
    *ret = number;
    return true;
}

const char *json_kind_name(JsonKind kind) {
    switch (kind) {
    case JSON_NULL: return "null";
    case JSON_FALSE: return "false";
    case JSON_TRUE: return "true";
    case JSON_NUMBER: return "number";
    case JSON_STRING: return "string";
    case JSON_ARRAY: return "array";
    case JSON_OBJECT: return "object";
    }
    return "unknown";
}
