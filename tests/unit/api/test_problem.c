/* Problems: their statuses, and the document of RFC 9457. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "api/problem.h"

static void each_error_has_its_status(void **state) {
    (void)state;
    static const struct {
        Err err;
        const char *code;
        unsigned status;
        const char *shown; /* code */
    } rows[] = {
        {ERR_INVALID, "invalid-json", 400, "invalid-json"},
        {ERR_LIMIT, "too-large", 422, "too-large"},
        {ERR_INVALID, "", 422, "invalid"},
        {ERR_NOT_FOUND, "", 404, "not-found"},
        {ERR_CONFLICT, "", 409, "conflict"},
        {ERR_DENIED, "", 403, "forbidden"},
        {ERR_DENIED, "token-expired", 401, "token-expired"},
        {ERR_LIMIT, "", 413, "limit"},
        {ERR_UNAVAILABLE, "", 503, "unavailable"},
        {ERR_UNAVAILABLE, "store-full", 503, "store-full"},
        {ERR_UNAVAILABLE, "overloaded", 503, "overloaded"},
        {ERR_TIMEOUT, "", 408, "timeout"},
        {ERR_INTERNAL, "", 500, "internal"},
        {ERR_INTERNAL, "never-heard-of", 500, "internal"},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        Error error;
        (void)error_code(&error, rows[i].err, rows[i].code, "words");
        Problem problem = problem_of_error(&error);
        assert_int_equal(problem.status, rows[i].status);
        assert_true(str_eq(problem.code, str_from(rows[i].shown)));
    }
}

static void words_of_the_node_stay_inside(void **state) {
    (void)state;
    static const Err inner[] = {ERR_INTERNAL, ERR_UNAVAILABLE};
    for (size_t i = 0; i < LENGTH(inner); i++) {
        Error error;
        (void)error_set(&error, inner[i], "INSERT INTO jobs failed on /var/lib/takt.db");
        Problem problem = problem_of_error(&error);
        assert_null(strstr(problem.detail.ptr, "INSERT"));
        assert_true(problem.detail.len > 10);
    }
}

static void the_table_is_in_order(void **state) {
    (void)state;
    const char *code, *title, *other, *other_title;
    unsigned status, other_status;
    size_t count = 0;
    for (; problem_row(count, &code, &status, &title); count++) {
        assert_true(status >= 400 && status < 600 && strlen(title) > 4 && strlen(code) < 40);
        assert_int_equal(strspn(code, "abcdefghijklmnopqrstuvwxyz-0123456789"), strlen(code));
        for (size_t j = 0; j < count; j++) {
            assert_true(problem_row(j, &other, &other_status, &other_title));
            assert_string_not_equal(code, other);
        }
    }
    assert_true(count > 30);
}

static void several_faults_are_one_problem(void **state) {
    (void)state;
    static const struct {
        const char *first, *second;
        unsigned status;
        const char *code;
    } rows[] = {
        {"invalid-name", NULL, 422, "invalid-name"},
        {"invalid-name", "invalid-name", 422, "invalid-name"},
        {"payload-too-large", NULL, 413, "payload-too-large"},
        {"payload-too-large", "invalid-name", 422, "invalid-fields"},
        {"forbidden", "forbidden", 403, "forbidden"},
        {"invalid-json", NULL, 400, "invalid-json"},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        Arena arena = {0};
        FieldErrors *errors = field_errors_new(&arena);
        field_errors_add(errors, STR("/a"), rows[i].first, "one");
        if (rows[i].second) field_errors_add(errors, STR("/b"), rows[i].second, "two");
        Problem problem = problem_of_fields(errors);
        assert_int_equal(problem.status, rows[i].status);
        assert_true(str_eq(problem.code, str_from(rows[i].code)));
        arena_done(&arena);
    }
}

static void it_is_written_as_the_rfc_wants(void **state) {
    (void)state;
    Arena arena = {0};
    FieldErrors *errors = field_errors_new(&arena);
    field_errors_add(errors, STR("/a\"b"), "invalid-name", "bad \x01 name");
    Problem problem = problem_of_fields(errors);
    Buf buf;
    buf_init(&buf, 4096);
    JsonWriter writer = json_writer(&buf);
    problem_write(&writer, &problem, STR("/v1/jobs"), STR("r-1"));
    Json root;
    Error error;
    assert_int_equal(json_check(buf_str(&buf), &root, &error), OK);
    static const struct {
        const char *name, *value;
    } members[] = {
        {"type", "\"/problems/invalid-name\""},
        {"status", "422"},
        {"instance", "\"/v1/jobs\""},
        {"code", "\"invalid-name\""},
        {"request_id", "\"r-1\""},
    };
    for (size_t i = 0; i < LENGTH(members); i++) {
        Json value = json_member(root, str_from(members[i].name));
        assert_true(str_eq(value.text, str_from(members[i].value)));
    }
    assert_true(json_member(root, STR("title")).text.len > 2);
    Json list = json_member(root, STR("errors"));
    assert_int_equal(json_count(list), 1);
    buf_done(&buf);
    arena_done(&arena);
}

static void no_more_than_the_maximum_is_kept(void **state) {
    (void)state;
    Arena arena = {0};
    FieldErrors *errors = field_errors_new(&arena);
    for (int i = 0; i < 2 * FIELD_ERRORS_MAX; i++) {
        field_errors_add(errors, STR("/a"), "invalid-name", "%d", i);
    }
    assert_int_equal(errors->count, FIELD_ERRORS_MAX);
    assert_non_null(strstr(problem_of_fields(errors).detail.ptr, "at least 50"));
    arena_done(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_error_has_its_status),
        cmocka_unit_test(words_of_the_node_stay_inside),
        cmocka_unit_test(the_table_is_in_order),
        cmocka_unit_test(several_faults_are_one_problem),
        cmocka_unit_test(it_is_written_as_the_rfc_wants),
        cmocka_unit_test(no_more_than_the_maximum_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
