/* Bounded capture: tails, split characters, results. */
#include "worker/capture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_tail(void **state) {
    (void)state;
    for (size_t piece = 1; piece <= 25; piece++) {
        Tail tail;
        char text[100];
        for (size_t i = 0; i < sizeof text; i++)
            text[i] = (char)('a' + i % 26);
        tail_init(&tail, 10);
        for (size_t at = 0; at < sizeof text; at += piece) {
            size_t len = sizeof text - at < piece ? sizeof text - at : piece;
            tail_add(&tail, (Str){text + at, len});
            assert_true(tail.bytes.len <= 20);
        }
        assert_true(str_eq(tail_str(&tail), (Str){text + 90, 10}));
        assert_int_equal(tail.lost, 90);
        tail_drop(&tail, 4);
        assert_true(str_eq(tail_str(&tail), (Str){text + 94, 6}));
        assert_int_equal(tail.lost, 0);
        tail_clear(&tail);
        assert_int_equal(tail_str(&tail).len, 0);
        tail_done(&tail);
    }
}

static void test_split_characters(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t whole;
    } rows[] = {
        {"", 0},
        {"a", 1},
        {"a\xc3", 1},
        {"a\xc3\xa9", 3},
        {"a\xe2\x82", 1},
        {"\xe2\x82\xac", 3},
        {"a\xf0\x9f\x98", 1},
        {"\xf0\x9f\x98\x80", 4},
        {"a\xff", 1},
        {"\x80\x80\x80\x80", 4},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        Tail tail;
        tail_init(&tail, 16);
        tail_add(&tail, str_from(rows[i].text));
        assert_int_equal(tail_str_whole(&tail).len, rows[i].whole);
        tail_done(&tail);
    }
}

static void test_results(void **state) {
    (void)state;
    static const struct {
        const char *printed, *result;
    } rows[] = {
        {"{\"a\" : 1}\n", "{\"a\":1}"},
        {" null ", "null"},
        {"\"x\ty\"", NULL},
        {"", NULL},
        {"[1,]", NULL},
        {"1 2", NULL},
        {"NaN", NULL},
        {"[1\n,\n2]", "[1,2]"},
    };
    Arena arena = {0};
    for (size_t i = 0; i < LENGTH(rows); i++) {
        ResultCapture capture;
        result_capture_init(&capture, 64);
        result_capture_add(&capture, str_from(rows[i].printed));
        Json result = result_capture_json(&capture, &arena);
        assert_int_equal(result.text.ptr == NULL, rows[i].result == NULL);
        assert_true(str_eq(result.text, str_from(rows[i].result)));
        result_capture_done(&capture);
    }
    ResultCapture capture;
    result_capture_init(&capture, 4);
    for (int i = 0; i < 5; i++)
        result_capture_add(&capture, STR("1"));
    assert_null(result_capture_json(&capture, &arena).text.ptr);
    assert_null(capture.bytes.data);
    result_capture_done(&capture);
    arena_done(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tail),
        cmocka_unit_test(test_split_characters),
        cmocka_unit_test(test_results),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
