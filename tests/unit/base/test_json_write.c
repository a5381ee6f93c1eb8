/* The JSON writer and json_compact(): commas, escapes, the shortest doubles in any locale, and that
 * whatever is written is valid. */
#include "base/json.h"

#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"

static void test_document(void **state) {
    (void)state;
    Buf buf;
    buf_init(&buf, 10000);
    JsonWriter writer = json_writer(&buf);
    json_begin_object(&writer);
    json_put_string(&writer, "s", STR("a\"b"));
    json_put_string(&writer, "absent", (Str){0});
    json_put_int(&writer, "i", -5);
    json_put_bool(&writer, "t", true);
    json_put_bool(&writer, "f", false);
    json_put_raw(&writer, "raw", STR("[1.50]"));
    json_put_raw(&writer, "no", (Str){0});
    json_write_key(&writer, STR("list"));
    json_begin_array(&writer);
    json_begin_array(&writer);
    json_end_array(&writer);
    json_begin_object(&writer);
    json_end_object(&writer);
    json_write_uint(&writer, UINT64_MAX);
    json_write_double(&writer, 0.5);
    json_write_double(&writer, (double)NAN);
    json_write_null(&writer);
    json_write_string(&writer, STR(""));
    json_end_array(&writer);
    json_put_int(&writer, "k\n", 1);
    json_end_object(&writer);
    assert_string_equal(buf_cstr(&buf),
                        "{\"s\":\"a\\\"b\",\"absent\":null,\"i\":-5,\"t\":true,\"f\":false,"
                        "\"raw\":[1.50],\"no\":null,\"list\":[[],{},18446744073709551615,0.5,null,"
                        "null,\"\"],\"k\\n\":1}");
    Json root;
    assert_int_equal(json_check(buf_str(&buf), &root, NULL), OK);
    buf_done(&buf);
}

static void test_deepest(void **state) {
    (void)state;
    Buf buf;
    buf_init(&buf, 10000);
    JsonWriter writer = json_writer(&buf);
    for (int i = 0; i < JSON_MAX_DEPTH; i++) {
        json_begin_array(&writer);
        json_write_int(&writer, i);
    }
    for (int i = 0; i < JSON_MAX_DEPTH; i++) {
        json_write_int(&writer, i);
        json_end_array(&writer);
    }
    Json root;
    assert_int_equal(json_check(buf_str(&buf), &root, NULL), OK);
    assert_int_equal(json_count(root), 3);
    buf_done(&buf);
}

static void test_escapes(void **state) {
    (void)state;
    static const struct {
        Str text;
        const char *written;
    } rows[] = {
        {{"", 0}, ""},
        {{"plain / text", 12}, "plain / text"},
        {{"\"\\\b\f\n\r\t", 7}, "\\\"\\\\\\b\\f\\n\\r\\t"},
        {{"\0\x1f\x7f", 3}, "\\u0000\\u001f\x7f"},
        {{"\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80", 9}, "\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80"},
        {{"a\xff"
          "b",
          3},
         "a\xef\xbf\xbd"
         "b"},
        {{"\xe2\x82", 2}, "\xef\xbf\xbd\xef\xbf\xbd"},
        {{"\xed\xa0\x80", 3}, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    };
    Buf buf;
    buf_init(&buf, 1000);
    for (size_t i = 0; i < LENGTH(rows); i++) {
        buf_clear(&buf);
        json_escape(&buf, rows[i].text);
        assert_string_equal(buf_cstr(&buf), rows[i].written);
    }
    buf_done(&buf);
}

/* Any bytes at all come out as a valid string, and well-formed ones come back. */
static void test_strings_round_trip(void **state) {
    (void)state;
    Random random;
    random_init(&random, 1);
    Buf buf;
    buf_init(&buf, 1000);
    cleanup(arena_done) Arena arena = {0};
    for (int i = 0; i < 20000; i++) {
        char bytes[24];
        size_t len = random_below(&random, sizeof(bytes));
        uint64_t range = i % 2 ? 256 : 128;
        for (size_t at = 0; at < len; at++) {
            bytes[at] = (char)(uint8_t)random_below(&random, range);
        }
        buf_clear(&buf);
        JsonWriter writer = json_writer(&buf);
        json_write_string(&writer, (Str){bytes, len});
        Json root;
        assert_int_equal(json_check(buf_str(&buf), &root, NULL), OK);
        arena_reset(&arena);
        Str back = json_string(root, &arena);
        if (str_is_utf8((Str){bytes, len})) assert_true(str_eq(back, (Str){bytes, len}));
    }
    buf_done(&buf);
}

static void assert_written(Buf *buf, double value, const char *text) {
    buf_clear(buf);
    JsonWriter writer = json_writer(buf);
    json_write_double(&writer, value);
    if (text) assert_string_equal(buf_cstr(buf), text);
    Json root;
    double back = 0;
    assert_int_equal(json_check(buf_str(buf), &root, NULL), OK);
    assert_true(json_double(root, &back));
    assert_memory_equal(&back, &value, sizeof(value));
}

static void test_doubles(void **state) {
    (void)state;
    static const struct {
        double value;
        const char *text;
    } rows[] = {
        {0, "0"},
        {-0.0, "-0"},
        {1, "1"},
        {100, "100"},
        {-1.5, "-1.5"},
        {0.1, "0.1"},
        {1e100, "1e+100"},
        {1.0 / 3, "0.3333333333333333"},
        {5e-324, "5e-324"},
        {0.1 + 0.2, "0.30000000000000004"},
        {1795428000.123, "1795428000.123"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
    };
    Buf buf;
    buf_init(&buf, 100);
    for (size_t i = 0; i < LENGTH(rows); i++) {
        assert_written(&buf, rows[i].value, rows[i].text);
    }
    Random random;
    random_init(&random, 2);
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = random_next(&random);
        double value;
        memcpy(&value, &bits, sizeof(value));
        if (isfinite(value)) assert_written(&buf, value, NULL);
    }
    buf_done(&buf);
}

/* A locale with a decimal comma, where the machine has one, must change nothing. */
static void test_locale(void **state) {
    (void)state;
    static const char *const names[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE.utf8"};
    const char *folder = getenv("TAKT_TEST_LOCPATH"); /* scripts/test makes one there */
    if (folder) setenv("LOCPATH", folder, 1);
    const char *found = NULL;
    for (size_t i = 0; i < LENGTH(names) && !found; i++) {
        found = setlocale(LC_NUMERIC, names[i]);
    }
    if (!found) skip();
    Buf buf;
    buf_init(&buf, 100);
    assert_written(&buf, 1.5, "1.5");
    assert_written(&buf, 0.1 + 0.2, "0.30000000000000004");
    buf_done(&buf);
    setlocale(LC_NUMERIC, "C");
}

static void test_compact(void **state) {
    (void)state;
    static const char *const rows[][2] = {
        {" 1.50 ", "1.50"},
        {"[ ]", "[]"},
        {"{ \"a b\" :\n [ 1 ,\t\"x \\\" y\" , { } ] }", "{\"a b\":[1,\"x \\\" y\",{}]}"},
        {"\" \\\\\"", "\" \\\\\""},
        {"[\"\xc3\xbc \\u00fc\", 1E5]", "[\"\xc3\xbc \\u00fc\",1E5]"},
    };
    Buf buf;
    buf_init(&buf, 1000);
    for (size_t i = 0; i < LENGTH(rows); i++) {
        Json root;
        assert_int_equal(json_check(str_from(rows[i][0]), &root, NULL), OK);
        buf_clear(&buf);
        json_compact(&buf, root);
        assert_string_equal(buf_cstr(&buf), rows[i][1]);
    }
    buf_done(&buf);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_document), cmocka_unit_test(test_deepest),
        cmocka_unit_test(test_escapes),  cmocka_unit_test(test_strings_round_trip),
        cmocka_unit_test(test_doubles),  cmocka_unit_test(test_locale),
        cmocka_unit_test(test_compact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
