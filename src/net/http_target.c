/* Splitting and percent-decoding of paths and queries. */
#include "net/http_target.h"

#include <string.h>

static int hex_value(char byte) {
    if (byte >= '0' && byte <= '9') return byte - '0';
    if (byte >= 'a' && byte <= 'f') return byte - 'a' + 10;
    if (byte >= 'A' && byte <= 'F') return byte - 'A' + 10;
    return -1;
}

/* In the query '+' is a blank, as forms write it. false for what no text may hold. */
static bool decode(Arena *arena, Str raw, bool in_query, Str *ret) {
    char *text = arena_alloc(arena, raw.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < raw.len; i++) {
        char byte = raw.ptr[i];
        if (byte == '%') {
            int high = i + 2 < raw.len ? hex_value(raw.ptr[i + 1]) : -1;
            int low = i + 2 < raw.len ? hex_value(raw.ptr[i + 2]) : -1;
            if (high < 0 || low < 0) return false;
            byte = (char)(high * 16 + low);
            i += 2;
        } else if (byte == '+' && in_query) {
            byte = ' ';
        }
        bool control = (unsigned char)byte < 0x20 || byte == 0x7f;
        if (byte == '\0' || (control && !in_query)) return false;
        text[len++] = byte;
    }
    text[len] = '\0';
    *ret = (Str){text, len};
    return str_is_utf8(*ret);
}

static size_t count_byte(Str text, char byte) {
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++) {
        count += text.ptr[i] == byte;
    }
    return count;
}

static bool read_path(HttpRequest *request, Str path) {
    Str *segments = arena_zero(&request->arena, count_byte(path, '/'), sizeof *segments);
    request->path = path;
    request->segments = segments;
    if (str_eq(path, STR("*"))) return request->method == HTTP_METHOD_OPTIONS;
    if (path.len == 0 || path.ptr[0] != '/') return false;
    if (path.len == 1) return true;
    Str rest = {path.ptr + 1, path.len - 1};
    while (rest.ptr) {
        Str *segment = &segments[request->segment_count++];
        if (!decode(&request->arena, str_split(&rest, '/'), false, segment)) return false;
        bool last = !rest.ptr;
        if ((segment->len == 0 && !last) || str_eq(*segment, STR(".")) ||
            str_eq(*segment, STR("..")) || memchr(segment->ptr, '\\', segment->len)) {
            return false;
        }
    }
    return true;
}

static bool read_query(HttpRequest *request, Str query) {
    if (query.len == 0) return true;
    HttpPair *pairs = arena_zero(&request->arena, count_byte(query, '&') + 1, sizeof *pairs);
    request->parameters = pairs;
    Str rest = query;
    while (rest.ptr) {
        Str value = str_split(&rest, '&');
        if (value.len == 0) continue;
        Str name = str_split(&value, '=');
        HttpPair *pair = &pairs[request->parameter_count++];
        if (!decode(&request->arena, name, true, &pair->name)) return false;
        if (!decode(&request->arena, value.ptr ? value : STR(""), true, &pair->value)) return false;
    }
    return true;
}

static bool is_visible_ascii(Str text) {
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] <= 0x20 || text.ptr[i] >= 0x7f || text.ptr[i] == '#') return false;
    }
    return true;
}

bool http_target_read(HttpRequest *request, Str target, HttpFault *ret_fault) {
    Str query = target;
    Str path = str_split(&query, '?');
    if (!is_visible_ascii(path) || !read_path(request, path)) {
        *ret_fault = (HttpFault){400, "bad-path", "the path is malformed", path};
        return false;
    }
    if (!is_visible_ascii(query) || !read_query(request, query)) {
        *ret_fault = (HttpFault){400, "bad-query", "the query is malformed", query};
        return false;
    }
    return true;
}
