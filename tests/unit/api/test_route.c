/* The table of routes: complete, permitted to somebody, found, and told by the API's document. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "api/route.h"
#include "base/json.h"

static void every_row_is_whole(void **state) {
    (void)state;
    for (size_t i = 0; i < route_count; i++) {
        const Route *route = &routes[i];
        if (route->action == ACTION_UNSET) fail_msg("%s has no action", route->path);
        assert_true(route->path[0] == '/' && route->handle && route->statuses && route->summary);
        bool reads = route->method == HTTP_METHOD_GET || route->method == HTTP_METHOD_DELETE;
        assert_true(!reads || route->body == BODY_NONE);
        assert_true(reads || route->body != BODY_NONE);
        for (size_t j = 0; j < i; j++) {
            assert_false(routes[j].method == route->method &&
                         strcmp(routes[j].path, route->path) == 0);
        }
    }
}

/* contract.md section 3: the role that each call needs at least. */
static void every_route_asks_for_the_contracts_role(void **state) {
    (void)state;
    static const struct {
        HttpMethod method;
        const char *path;
        const char *role; /* "" = public, "any" = whoever has a token */
    } rows[] = {
        {HTTP_METHOD_GET, "/healthz", ""},
        {HTTP_METHOD_GET, "/readyz", ""},
        {HTTP_METHOD_GET, "/metrics", ""},
        {HTTP_METHOD_GET, "/openapi.json", ""},
        {HTTP_METHOD_GET, "/v1/auth/me", "any"},
        {HTTP_METHOD_POST, "/v1/tokens", "admin"},
        {HTTP_METHOD_DELETE, "/v1/tokens/{id}", "admin"},
        {HTTP_METHOD_POST, "/v1/jobs", "producer"},
        {HTTP_METHOD_GET, "/v1/jobs", "viewer"},
        {HTTP_METHOD_POST, "/v1/jobs/bulk", "producer"},
        {HTTP_METHOD_POST, "/v1/jobs/cancel", "operator"},
        {HTTP_METHOD_POST, "/v1/jobs/retry", "operator"},
        {HTTP_METHOD_GET, "/v1/jobs/{id}", "viewer"},
        {HTTP_METHOD_DELETE, "/v1/jobs/{id}", "operator"},
        {HTTP_METHOD_GET, "/v1/jobs/{id}/logs", "viewer"},
        {HTTP_METHOD_POST, "/v1/jobs/{id}/cancel", "operator"},
        {HTTP_METHOD_POST, "/v1/jobs/{id}/retry", "operator"},
        {HTTP_METHOD_GET, "/v1/dead", "viewer"},
        {HTTP_METHOD_POST, "/v1/dead/retry", "operator"},
        {HTTP_METHOD_POST, "/v1/dead/discard", "operator"},
        {HTTP_METHOD_GET, "/v1/queues", "viewer"},
        {HTTP_METHOD_GET, "/v1/queues/{q}", "viewer"},
        {HTTP_METHOD_POST, "/v1/queues/{q}/pause", "operator"},
        {HTTP_METHOD_POST, "/v1/queues/{q}/resume", "operator"},
        {HTTP_METHOD_GET, "/v1/workers", "viewer"},
        {HTTP_METHOD_GET, "/v1/nodes", "viewer"},
    };
    assert_int_equal(LENGTH(rows), route_count);
    for (size_t i = 0; i < LENGTH(rows); i++) {
        const Route *route = NULL;
        for (size_t j = 0; j < route_count; j++) {
            bool same =
                routes[j].method == rows[i].method && strcmp(routes[j].path, rows[i].path) == 0;
            if (same) route = &routes[j];
        }
        assert_non_null(route);
        Role role;
        const char *asked = route->action == ACTION_PUBLIC ? "" : "any";
        if (action_least_role(route->action, &role)) asked = role_name(role);
        if (strcmp(asked, rows[i].role) != 0) fail_msg("%s asks for '%s'", rows[i].path, asked);
    }
}

static RouteMatch find(HttpMethod method, const char *path) {
    Str segments[8];
    size_t count = 0;
    Str rest = str_from(path + 1);
    while (rest.ptr) {
        segments[count++] = str_split(&rest, '/');
    }
    return route_find(method, segments, count);
}

static void paths_find_their_routes(void **state) {
    (void)state;
    static const struct {
        HttpMethod method;
        const char *path;
        const char *route; /* NULL = none */
        const char *parameter;
        const char *allow; /* where the method is not served; "" = no such path */
    } rows[] = {
        {HTTP_METHOD_GET, "/v1/jobs", "/v1/jobs", NULL, NULL},
        {HTTP_METHOD_HEAD, "/v1/jobs", "/v1/jobs", NULL, NULL},
        {HTTP_METHOD_POST, "/v1/jobs/bulk", "/v1/jobs/bulk", NULL, NULL},
        {HTTP_METHOD_GET, "/v1/jobs/bulk", "/v1/jobs/{id}", "bulk", NULL},
        {HTTP_METHOD_GET, "/v1/jobs/x:1", "/v1/jobs/{id}", "x:1", NULL},
        {HTTP_METHOD_POST, "/v1/jobs/x/cancel", "/v1/jobs/{id}/cancel", "x", NULL},
        {HTTP_METHOD_POST, "/v1/jobs/cancel", "/v1/jobs/cancel", NULL, NULL},
        {HTTP_METHOD_POST, "/v1/jobs/x", NULL, NULL, "GET, HEAD, DELETE"},
        {HTTP_METHOD_DELETE, "/v1/jobs", NULL, NULL, "GET, HEAD, POST"},
        {HTTP_METHOD_OPTIONS, "/healthz", NULL, NULL, "GET, HEAD"},
        {HTTP_METHOD_GET, "/v1/jobs/", NULL, NULL, ""},
        {HTTP_METHOD_GET, "/v1", NULL, NULL, ""},
        {HTTP_METHOD_GET, "/v1/jobs/x/cancel/y", NULL, NULL, ""},
        {HTTP_METHOD_GET, "/V1/jobs", NULL, NULL, ""},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        Arena arena = {0};
        RouteMatch match = find(rows[i].method, rows[i].path);
        if (rows[i].route) {
            if (!match.route) fail_msg("%s is not found", rows[i].path);
            assert_string_equal(match.route->path, rows[i].route);
            assert_true(str_eq(match.parameters[0], str_from(rows[i].parameter)));
        } else {
            assert_null(match.route);
            assert_string_equal(route_allow(match.methods, &arena).ptr, rows[i].allow);
        }
        arena_done(&arena);
    }
}

static const char *const METHODS[HTTP_METHODS] = {
    [HTTP_METHOD_GET] = "get", [HTTP_METHOD_POST] = "post", [HTTP_METHOD_DELETE] = "delete"};

static void the_document_and_the_table_agree(void **state) {
    (void)state;
    Buf buf;
    buf_init(&buf, 1 << 20);
    openapi_write(&buf, "1.0.0", STR("/"));
    Json root, path, operation;
    Error error;
    if (json_check(buf_str(&buf), &root, &error) != OK) fail_msg("%s", error.message);
    assert_true(str_eq(json_member(root, STR("openapi")).text, STR("\"3.1.0\"")));
    Json paths = json_member(root, STR("paths"));
    size_t operations = 0;
    JsonIter each_path = json_iter(paths);
    while (json_next(&each_path, NULL, &path)) {
        operations += json_count(path);
    }
    assert_int_equal(operations, route_count);
    for (size_t i = 0; i < route_count; i++) {
        path = json_member(paths, str_from(routes[i].path));
        operation = path.text.ptr ? json_member(path, str_from(METHODS[routes[i].method])) : path;
        if (!operation.text.ptr) fail_msg("%s is not told", routes[i].path);
        bool open = str_eq(json_member(operation, STR("security")).text, STR("[]")) ||
                    routes[i].private_action != ACTION_UNSET;
        assert_int_equal(open, routes[i].action == ACTION_PUBLIC);
        Json responses = json_member(operation, STR("responses"));
        Str statuses = str_from(routes[i].statuses);
        while (statuses.ptr) {
            assert_non_null(json_member(responses, str_split(&statuses, ' ')).text.ptr);
        }
        assert_non_null(json_member(operation, STR("summary")).text.ptr);
    }
    buf_done(&buf);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_whole),
        cmocka_unit_test(every_route_asks_for_the_contracts_role),
        cmocka_unit_test(paths_find_their_routes),
        cmocka_unit_test(the_document_and_the_table_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
