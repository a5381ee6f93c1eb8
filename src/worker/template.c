/* Expands templates. The one invariant: one template gives exactly one argument. */
#include "worker/template.h"

#include <string.h>

static const Str OPENING = {"{args.", 6};

static Json child(Json container, Str name) {
    if (container.kind == JSON_OBJECT) return json_member(container, name);
    uint64_t index;
    if (container.kind != JSON_ARRAY || !str_to_uint64(name, &index)) return (Json){0};
    JsonIter iter = json_iter(container);
    Json element;
    while (json_next(&iter, NULL, &element)) {
        if (index-- == 0) return element;
    }
    return (Json){0};
}

/* The one object in an array of one; args itself otherwise. */
static Json root_for(Json args, Str path) {
    if (args.kind != JSON_ARRAY || json_count(args) != 1) return args;
    uint64_t index;
    Str first = str_split(&path, '.');
    Json only = child(args, STR("0"));
    return only.kind == JSON_OBJECT && !str_to_uint64(first, &index) ? only : args;
}

static Json look_up(Json args, Str path) {
    Json value = root_for(args, path);
    while (path.ptr && value.text.ptr)
        value = child(value, str_split(&path, '.'));
    return value;
}

static Err scalar_text(Json value, Str path, Arena *arena, Str *ret, Error *error) {
    int shown = path.len > 80 ? 80 : (int)path.len;
    switch (value.text.ptr ? value.kind : JSON_NULL) {
    case JSON_NULL:
    case JSON_ARRAY:
    case JSON_OBJECT:
        return error_code(error, ERR_INVALID, "bad-template", "args.%.*s is %s, not a scalar",
                          shown, path.ptr, value.text.ptr ? json_kind_name(value.kind) : "missing");
    case JSON_STRING: *ret = json_string(value, arena); break;
    case JSON_FALSE:
    case JSON_TRUE:
    case JSON_NUMBER: *ret = value.text; break;
    }
    if (ret->len > 0 && memchr(ret->ptr, '\0', ret->len)) {
        return error_code(error, ERR_INVALID, "bad-template",
                          "args.%.*s holds a NUL, which no argument can", shown, path.ptr);
    }
    return OK;
}

/* The path inside a placeholder at the start of `text`; absent when there is none. */
static Str placeholder_path(Str text) {
    if (!str_starts_with(text, OPENING)) return (Str){0};
    const char *path = text.ptr + OPENING.len;
    const char *end = text.ptr + text.len;
    const char *at = path;
    while (at < end && *at != '{' && *at != '}')
        at++;
    if (at == end || *at != '}' || at == path) return (Str){0};
    return (Str){path, (size_t)(at - path)};
}

Err template_expand(Str template, Json args, Arena *arena, Str *ret, Error *error) {
    Str result = {"", 0};
    size_t literal = 0; /* start of what is not yet taken over */
    size_t at = 0;
    while (at < template.len) {
        Str path = placeholder_path((Str){template.ptr + at, template.len - at});
        if (!path.ptr) {
            at++;
            continue;
        }
        Str value = {0};
        TRY(scalar_text(look_up(args, path), path, arena, &value, error));
        Str before = {template.ptr + literal, at - literal};
        char *joined = arena_alloc(arena, result.len + before.len + value.len + 1);
        memcpy(joined, result.ptr, result.len);
        memcpy(joined + result.len, before.ptr, before.len);
        memcpy(joined + result.len + before.len, value.ptr, value.len);
        result = (Str){joined, result.len + before.len + value.len};
        at += OPENING.len + path.len + 1;
        literal = at;
    }
    Str rest = {template.ptr + literal, template.len - literal};
    *ret = arena_format(arena, STR_FMT STR_FMT, STR_ARG(result), STR_ARG(rest));
    return OK;
}

Err template_command(const Str *templates, size_t count, Json args, Arena *arena, char ***ret_argv,
                     Error *error) {
    check(count >= 1);
    char **argv = arena_zero(arena, count + 1, sizeof *argv);
    argv[0] = arena_cstr(arena, templates[0]);
    for (size_t i = 1; i < count; i++) {
        Str argument;
        TRY(template_expand(templates[i], args, arena, &argument, error));
        argv[i] = arena_cstr(arena, argument);
    }
    *ret_argv = argv;
    return OK;
}
