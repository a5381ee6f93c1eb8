/* Tables and the cells in them. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "cli/cell.h"
#include "cli/table.h"

static void widths_and_cuts(void **state) {
    (void)state;
    static const Column columns[] = {
        {"ID", false, true}, {"N", true, true}, {"TEXT", false, false}};
    static const struct {
        size_t width;
        const char *expected;
    } cases[] = {
        {0, "ID       N  TEXT\nlonger   7  a sentence of words\nb       12  äöü漢\n"},
        {80, "ID       N  TEXT\nlonger   7  a sentence of words\nb       12  äöü漢\n"},
        {20, "ID       N  TEXT\nlonger   7  a sente…\nb       12  äöü漢\n"},
        {3, "ID       N  TEXT\nlonger   7  a sen…\nb       12  äöü漢\n"},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        Arena arena = {0};
        Table table;
        Buf out;
        buf_init(&out, 4096);
        table_init(&table, columns, LENGTH(columns), &arena);
        table_add(&table, (Str[]){STR("longer"), STR("7"), STR("a sentence of words")});
        table_add(&table, (Str[]){STR("b"), STR("12"), STR("äöü漢")});
        table_write(&table, cases[i].width, &out);
        assert_string_equal(buf_cstr(&out), cases[i].expected);
        buf_done(&out);
        arena_done(&arena);
    }
}

static void many_rows(void **state) {
    (void)state;
    static const Column columns[] = {{"N", true, false}};
    Arena arena = {0};
    Table table;
    Buf out;
    buf_init(&out, 1 << 20);
    table_init(&table, columns, 1, &arena);
    for (int i = 0; i < 1000; i++) {
        table_add(&table, (Str[]){arena_format(&arena, "%d", i)});
    }
    table_write(&table, 0, &out);
    assert_int_equal(out.len, 1001 * 4);
    assert_non_null(strstr(buf_cstr(&out), "\n999\n"));
    buf_done(&out);
    arena_done(&arena);
}

static void escapes(void **state) {
    (void)state;
    static const struct {
        const char *text;
        CellEscape escape;
        const char *expected;
    } cases[] = {
        {"plain äöü漢", CELL_ONE_LINE, "plain äöü漢"},
        {"a\nb\tc\r", CELL_ONE_LINE, "a\\nb\\tc\\r"},
        {"a\nb\tc\r", CELL_LINES, "a\nb\tc\\r"},
        {"\033]0;title\a", CELL_LINES, "\\x1b]0;title\\x07"},
        {"\xc2\x9b"
         "31m",
         CELL_LINES, "\\x9b31m"},
        {"a\xe2\x80\xae"
         "b",
         CELL_ONE_LINE, "a\\u202eb"},
        {"bad \xff\xc3", CELL_ONE_LINE, "bad \\xff\\xc3"},
        {"", CELL_ONE_LINE, ""},
    };
    Arena arena = {0};
    for (size_t i = 0; i < LENGTH(cases); i++) {
        Str shown = cell_escape(&arena, str_from(cases[i].text), cases[i].escape);
        assert_true(str_eq(shown, str_from(cases[i].expected)));
    }
    assert_int_equal(cell_width(STR("e\xcc\x81漢x")), 4);
    arena_done(&arena);
}

static void members(void **state) {
    (void)state;
    static const struct {
        const char *path;
        const char *expected;
    } cases[] = {
        {"s", "a\\nb"},     {"n", "12345678901234567890"},
        {"t", "yes"},       {"z", "-"},
        {"none", "-"},      {"o.p", "1"},
        {"o", "{\"p\":1}"}, {"l", "a,1,[2]"},
        {"s.x", "-"},
    };
    Json root;
    Error error;
    Arena arena = {0};
    Str text = STR("{\"s\":\"a\\nb\",\"n\":12345678901234567890,\"t\":true,\"z\":null,"
                   "\"o\":{\"p\": 1},\"l\":[\"a\",1,[2]]}");
    assert_int_equal(json_check(text, &root, &error), OK);
    for (size_t i = 0; i < LENGTH(cases); i++) {
        Str cell = cell_of(root, cases[i].path, &arena);
        assert_true(str_eq(cell, str_from(cases[i].expected)));
    }
    arena_done(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(widths_and_cuts),
        cmocka_unit_test(many_rows),
        cmocka_unit_test(escapes),
        cmocka_unit_test(members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
