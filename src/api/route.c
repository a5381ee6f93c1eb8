/* Finding a route. */
#include "api/route.h"

#include <string.h>

/* Literal segments must be equal; "{name}" takes any segment but an empty one. */
static bool matches(const char *path, const Str *segments, size_t count,
                    Str ret_parameters[ROUTE_PARAMETERS]) {
    Str rest = {path + 1, strlen(path + 1)};
    if (rest.len == 0) rest.ptr = NULL;
    size_t at = 0;
    size_t parameter = 0;
    while (rest.ptr) {
        Str part = str_split(&rest, '/');
        if (at == count) return false;
        Str segment = segments[at++];
        if (part.ptr[0] != '{') {
            if (!str_eq(part, segment)) return false;
        } else if (segment.len == 0) {
            return false;
        } else {
            check(parameter < ROUTE_PARAMETERS);
            ret_parameters[parameter++] = segment;
        }
    }
    return at == count;
}

static unsigned served(HttpMethod method) {
    unsigned bits = 1U << method;
    if (method == HTTP_METHOD_GET) bits |= 1U << HTTP_METHOD_HEAD;
    return bits;
}

RouteMatch route_find(HttpMethod method, const Str *segments, size_t count) {
    RouteMatch match = {0};
    for (size_t i = 0; i < route_count; i++) {
        Str parameters[ROUTE_PARAMETERS] = {{0}};
        if (!matches(routes[i].path, segments, count, parameters)) continue;
        match.methods |= served(routes[i].method);
        if (match.route || !(served(routes[i].method) & (1U << method))) continue;
        match.route = &routes[i];
        memcpy(match.parameters, parameters, sizeof parameters);
    }
    return match;
}

Str route_allow(unsigned methods, Arena *arena) {
    cleanup(buf_done) Buf buf;
    buf_init(&buf, 128);
    for (unsigned method = 0; method < HTTP_METHODS; method++) {
        if (!(methods & (1U << method))) continue;
        if (buf.len > 0) buf_add(&buf, STR(", "));
        buf_add(&buf, str_from(http_method_name((HttpMethod)method)));
    }
    return arena_str(arena, buf_str(&buf));
}
