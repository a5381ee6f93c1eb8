/* Lines and commands, whole and in pieces. */
#include "proto/line.h"

#include "base/check.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct Row {
    const char *input;
    size_t max;
    LineStatus status;
    const char *line;
    size_t used;
} Row;

static const Row ROWS[] = {
    {"", 10, LINE_MORE, NULL, 0},
    {"INFO", 10, LINE_MORE, NULL, 0},
    {"INFO\n", 10, LINE_READY, "INFO", 5},
    {"INFO\r\n", 10, LINE_READY, "INFO", 6},
    {"\n", 10, LINE_READY, "", 1},
    {"\r\n", 10, LINE_READY, "", 2},
    {"a\rb\n", 10, LINE_READY, "a\rb", 4},
    {"a\r\r\n", 10, LINE_READY, "a\r", 4},
    {"a\nb\n", 10, LINE_READY, "a", 2},
    {"12345\n", 5, LINE_READY, "12345", 6},
    {"12345\r\n", 5, LINE_READY, "12345", 7},
    {"12345\r", 5, LINE_MORE, NULL, 0},
    {"123456", 5, LINE_MORE, NULL, 0},
    {"1234567", 5, LINE_TOO_LONG, NULL, 0},
    {"123456\n", 5, LINE_TOO_LONG, NULL, 7},
};

static void test_lines(void **state) {
    (void)state;
    for (size_t i = 0; i < LENGTH(ROWS); i++) {
        const Row *row = &ROWS[i];
        Str line = {0};
        size_t used = 0;
        LineScan scan = {0};
        LineStatus status = line_scan(&scan, str_from(row->input), row->max, &line, &used);
        assert_int_equal(status, row->status);
        if (row->line) assert_true(str_eq(line, str_from(row->line)));
        if (row->line) assert_int_equal(used, row->used);
    }
}

static void test_every_cut(void **state) {
    (void)state;
    Str input = STR("PUSH {\"a\": 1}\r\nrest");
    LineScan scan = {0};
    Str line;
    size_t used;
    for (size_t len = 0; len < 15; len++) {
        assert_int_equal(line_scan(&scan, (Str){input.ptr, len}, 100, &line, &used), LINE_MORE);
        assert_int_equal(scan.searched, len);
    }
    assert_int_equal(line_scan(&scan, input, 100, &line, &used), LINE_READY);
    assert_int_equal(used, 15);
    assert_int_equal(line.len, 13);
    assert_int_equal(scan.searched, 0);
}

static void test_commands(void **state) {
    (void)state;
    static const struct {
        const char *line, *verb, *argument;
    } rows[] = {
        {"INFO", "INFO", NULL},
        {"FETCH a b", "FETCH", "a b"},
        {"PUSH ", "PUSH", ""},
        {"PUSH  {}", "PUSH", " {}"},
        {"", "", NULL},
        {" x", "", "x"},
        {"TRACK SET {}", "TRACK", "SET {}"},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        Command command = command_split(str_from(rows[i].line));
        assert_true(str_eq(command.verb, str_from(rows[i].verb)));
        assert_int_equal(command.argument.ptr == NULL, rows[i].argument == NULL);
        assert_true(str_eq(command.argument, str_from(rows[i].argument)));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_every_cut),
        cmocka_unit_test(test_commands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
