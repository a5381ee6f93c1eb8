/* Buf: what is appended is there, the maximum is never passed, and the NUL behind it always fits.
 */
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void assert_holds(Buf *buf, const char *text) {
    assert_string_equal(buf_cstr(buf), text);
    assert_int_equal(buf->len, strlen(text));
    assert_true(str_eq(buf_str(buf), str_from(text)));
}

static void test_append(void **state) {
    (void)state;
    Buf buf;
    buf_init(&buf, 1000);
    assert_null(buf.data);
    assert_non_null(buf_str(&buf).ptr);
    assert_holds(&buf, "");
    buf_add(&buf, STR("a"));
    buf_add(&buf, (Str){0});
    buf_add_char(&buf, 'b');
    buf_add_bytes(&buf, "cd", 2);
    buf_format(&buf, "-%d-%s", 7, "x");
    memcpy(buf_reserve(&buf, 2), "yz", 2);
    assert_holds(&buf, "abcd-7-xyz");
    buf_drop(&buf, 0);
    buf_drop(&buf, 4);
    assert_holds(&buf, "-7-xyz");
    buf_drop(&buf, 100);
    assert_holds(&buf, "");
    assert_false(buf.overflow);
    buf_done(&buf);
    assert_int_equal(buf.max, 1000);
    buf_done(&buf);
    buf_done(NULL);
}

static void test_integers(void **state) {
    (void)state;
    static const struct {
        int64_t value;
        const char *text;
    } rows[] = {
        {0, "0"},
        {7, "7"},
        {-1, "-1"},
        {1000000, "1000000"},
        {INT64_MAX, "9223372036854775807"},
        {INT64_MIN, "-9223372036854775808"},
    };
    Buf buf;
    buf_init(&buf, 100);
    for (size_t i = 0; i < LENGTH(rows); i++) {
        buf_clear(&buf);
        buf_add_int(&buf, rows[i].value);
        assert_holds(&buf, rows[i].text);
    }
    buf_clear(&buf);
    buf_add_uint(&buf, UINT64_MAX);
    assert_holds(&buf, "18446744073709551615");
    buf_done(&buf);
}

static void test_maximum(void **state) {
    (void)state;
    Buf buf;
    buf_init(&buf, 4);
    buf_add(&buf, STR("abc"));
    buf_add(&buf, STR("de"));
    assert_true(buf.overflow);
    assert_holds(&buf, "abc");
    buf_add_char(&buf, 'd');
    assert_holds(&buf, "abcd");
    assert_true(buf.overflow);
    assert_null(buf_reserve(&buf, 1));
    assert_null(buf_reserve(&buf, SIZE_MAX));
    buf_format(&buf, "%s", "e");
    assert_holds(&buf, "abcd");
    buf_clear(&buf);
    assert_false(buf.overflow);
    buf_format(&buf, "%s", "abcd");
    assert_false(buf.overflow);
    assert_holds(&buf, "abcd");
    buf_format(&buf, "%s", "");
    assert_false(buf.overflow);
    buf_done(&buf);

    Buf nothing = {0};
    buf_add_char(&nothing, 'a');
    assert_true(nothing.overflow);
    assert_null(nothing.data);
    assert_string_equal(buf_cstr(&nothing), "");
    buf_done(&nothing);
}

static void test_growth(void **state) {
    (void)state;
    enum { SIZE = 100000 };
    Buf buf;
    buf_init(&buf, SIZE);
    for (int i = 0; i < SIZE / 10; i++) {
        buf_format(&buf, "%010d", i);
    }
    assert_false(buf.overflow);
    assert_int_equal(buf.len, SIZE);
    assert_true(buf.capacity <= SIZE + 1);
    for (int i = 0; i < SIZE / 10; i += 997) {
        int64_t value = -1;
        assert_true(str_to_int64((Str){buf.data + 10 * i, 10}, &value));
        assert_int_equal(value, i);
    }
    buf_add_char(&buf, 'x');
    assert_true(buf.overflow);
    assert_int_equal(strlen(buf_cstr(&buf)), SIZE);
    buf_done(&buf);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_maximum),
        cmocka_unit_test(test_growth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
