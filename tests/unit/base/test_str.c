/* Str: comparing, splitting, numbers, globs, suggestions and UTF-8, table by table. */
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"

static void test_compare(void **state) {
    (void)state;
    static const struct {
        const char *a;
        const char *b;
        int order;
        bool same_ignoring_case;
    } rows[] = {
        {"", "", 0, true},      {NULL, NULL, 0, true},    {NULL, "", 0, true},
        {NULL, "a", -1, false}, {"a", "a", 0, true},      {"a", "b", -1, false},
        {"b", "a", 1, false},   {"ab", "abc", -1, false}, {"abc", "ab", 1, false},
        {"Az", "aZ", -1, true}, {"[", "{", -1, false},    {"a\xff", "ab", 1, false},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        Str a = str_from(rows[i].a);
        Str b = str_from(rows[i].b);
        int order = str_compare(a, b);
        assert_int_equal((order > 0) - (order < 0), rows[i].order);
        assert_int_equal(str_eq(a, b), rows[i].order == 0);
        assert_int_equal(str_eq_ignore_case(a, b), rows[i].same_ignoring_case);
    }
    assert_true(str_starts_with(STR("queue"), STR("que")));
    assert_true(str_starts_with(STR("queue"), (Str){0}));
    assert_false(str_starts_with(STR("que"), STR("queue")));
    assert_false(str_starts_with(STR("queue"), STR("qu3")));
}

static void test_trim(void **state) {
    (void)state;
    static const char *const rows[][2] = {
        {"", ""}, {" \t\r\n", ""}, {" a b ", "a b"}, {"a", "a"}, {"\va", "\va"}, {"a\n", "a"},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        assert_true(str_eq(str_trim(str_from(rows[i][0])), str_from(rows[i][1])));
    }
    assert_null(str_trim((Str){0}).ptr);
}

static void test_split(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t count;
        const char *parts[4];
    } rows[] = {
        {"a,bc,d", 3, {"a", "bc", "d"}},  {"a", 1, {"a"}},   {"", 1, {""}}, {",", 2, {"", ""}},
        {"a,,b,", 4, {"a", "", "b", ""}}, {NULL, 0, {NULL}},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        Str rest = str_from(rows[i].text);
        size_t count = 0;
        while (rest.ptr) {
            Str part = str_split(&rest, ',');
            assert_true(count < rows[i].count);
            assert_non_null(part.ptr);
            assert_true(str_eq(part, str_from(rows[i].parts[count])));
            count++;
        }
        assert_int_equal(count, rows[i].count);
    }
}

static void test_numbers(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool is_signed;
        int64_t as_signed;
        bool is_unsigned;
        uint64_t as_unsigned;
    } rows[] = {
        {"0", true, 0, true, 0},
        {"007", true, 7, true, 7},
        {"-1", true, -1, false, 0},
        {"9223372036854775807", true, INT64_MAX, true, INT64_MAX},
        {"9223372036854775808", false, 0, true, UINT64_C(9223372036854775808)},
        {"-9223372036854775808", true, INT64_MIN, false, 0},
        {"-9223372036854775809", false, 0, false, 0},
        {"18446744073709551615", false, 0, true, UINT64_MAX},
        {"18446744073709551616", false, 0, false, 0},
        {"99999999999999999999999", false, 0, false, 0},
        {"", false, 0, false, 0},
        {"-", false, 0, false, 0},
        {"--1", false, 0, false, 0},
        {"+1", false, 0, false, 0},
        {" 1", false, 0, false, 0},
        {"1 ", false, 0, false, 0},
        {"1e3", false, 0, false, 0},
        {"0x10", false, 0, false, 0},
        {NULL, false, 0, false, 0},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        int64_t as_signed = 77;
        uint64_t as_unsigned = 77;
        assert_int_equal(str_to_int64(str_from(rows[i].text), &as_signed), rows[i].is_signed);
        assert_int_equal(str_to_uint64(str_from(rows[i].text), &as_unsigned), rows[i].is_unsigned);
        assert_int_equal(as_signed, rows[i].is_signed ? rows[i].as_signed : 77);
        assert_true(as_unsigned == (rows[i].is_unsigned ? rows[i].as_unsigned : 77));
    }
}

static void test_glob(void **state) {
    (void)state;
    static const struct {
        const char *pattern;
        const char *text;
        bool matches;
    } rows[] = {
        {"", "", true},         {"", "a", false},          {"*", "", true},
        {"*", "mail", true},    {"?", "", false},          {"?", "a", true},
        {"mail", "mail", true}, {"mail", "mails", false},  {"mail*", "mails", true},
        {"*ai*", "mail", true}, {"a*b*c", "axbxxc", true}, {"a*b*c", "axcxxb", false},
        {"a?c", "abc", true},   {"a?c", "ac", false},      {"**", "x", true},
        {"*a", "aaab", false},  {"*ab", "aaab", true},     {"[a]", "a", false},
        {"a*", "", false},      {"a**?", "a", false},      {"a**?", "ab", true},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        bool matches = str_glob(str_from(rows[i].pattern), str_from(rows[i].text));
        assert_int_equal(matches, rows[i].matches);
    }
    char text[20001];
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = 0;
    assert_false(str_glob(STR("a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b"), str_from(text)));
}

static void test_nearest(void **state) {
    (void)state;
    const Str words[] = {STR("enqueue"), STR("queue"), STR("claim"), STR("id"), STR("abcxx")};
    static const struct {
        const char *word;
        const char *nearest;
    } rows[] = {
        {"queue", "queue"},    {"quue", "queue"},  {"qeuue", "queue"}, {"qeueu", "queue"},
        {"enqeue", "enqueue"}, {"cliam", "claim"}, {"clown", NULL},    {"di", "id"},
        {"x", NULL},           {"xy", NULL},       {"", NULL},         {"caxx", "abcxx"},
        {"clam", "claim"},     {"klayn", NULL},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        Str nearest = str_nearest(str_from(rows[i].word), words, LENGTH(words));
        assert_int_equal(nearest.ptr == NULL, rows[i].nearest == NULL);
        assert_true(str_eq(nearest, str_from(rows[i].nearest)));
    }
    char longer[200];
    memset(longer, 'q', sizeof(longer));
    const Str long_word = {longer, sizeof(longer)};
    assert_null(str_nearest(long_word, words, LENGTH(words)).ptr);
    assert_null(str_nearest(STR("queue"), &long_word, 1).ptr);
    assert_null(str_nearest(STR("queue"), NULL, 0).ptr);
}

static void test_utf8(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool good;
    } rows[] = {
        {"", true},
        {"plain text longer than a word", true},
        {"gr\xc3\xbc\xc3\x9f", true},
        {"\xe2\x82\xac", true},
        {"\xf0\x9f\x98\x80", true},
        {"\xf4\x8f\xbf\xbf", true}, /* U+10FFFF */
        {"\xed\x9f\xbf", true},     /* U+D7FF */
        {"\xee\x80\x80", true},     /* U+E000 */
        {"\x80", false},
        {"\xc3", false},
        {"\xc0\xaf", false}, /* overlong '/' */
        {"\xc1\xbf", false},
        {"\xe0\x9f\xbf", false},     /* overlong U+07FF */
        {"\xf0\x8f\xbf\xbf", false}, /* overlong U+FFFF */
        {"\xed\xa0\x80", false},     /* U+D800 */
        {"\xed\xbf\xbf", false},     /* U+DFFF */
        {"\xf4\x90\x80\x80", false}, /* U+110000 */
        {"\xf5\x80\x80\x80", false},
        {"\xe2\x82", false},
        {"\xf0\x9f\x98", false},
        {"\xe2\x28\xa1", false},
        {"\xff", false},
        {"eight ch\xff", false},
        {"seven c\xc3\xbc more", true}, /* a sequence across a word's border */
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        assert_int_equal(str_is_utf8(str_from(rows[i].text)), rows[i].good);
    }
    assert_true(str_is_utf8((Str){0}));
    assert_true(str_is_utf8((Str){"\0\0", 2}));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compare), cmocka_unit_test(test_trim), cmocka_unit_test(test_split),
        cmocka_unit_test(test_numbers), cmocka_unit_test(test_glob), cmocka_unit_test(test_nearest),
        cmocka_unit_test(test_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
