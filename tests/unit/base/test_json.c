/* The JSON checker and reader: what is accepted and refused (after the cases of JSONTestSuite),
 * with which code and where; limits; walking, members, strings and numbers. */
#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static Json parse(Str text) {
    Json root = {0};
    Error error = {0};
    if (json_check(text, &root, &error) != OK) {
        fail_msg(STR_FMT ": %s", STR_ARG(text), error.message);
    }
    return root;
}

static void test_accepted(void **state) {
    (void)state;
    static const struct {
        const char *text;
        JsonKind kind;
    } rows[] = {
        {"null", JSON_NULL},
        {"true", JSON_TRUE},
        {"false", JSON_FALSE},
        {" \t\r\n0 \n", JSON_NUMBER},
        {"-0", JSON_NUMBER},
        {"-0.0e-0", JSON_NUMBER},
        {"1E400", JSON_NUMBER},
        {"123.456e+78", JSON_NUMBER},
        {"12345678901234567890123456789", JSON_NUMBER},
        {"\"\"", JSON_STRING},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uABcd\"", JSON_STRING},
        {"\"\\u0000\"", JSON_STRING},
        {"\"\\ud83d\\ude00\"", JSON_STRING},
        {"\"\xc3\xbc \xe2\x82\xac \xf0\x9f\x98\x80\"", JSON_STRING},
        {"\"\x7f\"", JSON_STRING},
        {"\"\xe2\x80\xa8\"", JSON_STRING},
        {"[]", JSON_ARRAY},
        {"[ ]", JSON_ARRAY},
        {"[1,\"a\",null,[],{}]", JSON_ARRAY},
        {"[[[[]]],{\"a\":[{}]}]", JSON_ARRAY},
        {"{}", JSON_OBJECT},
        {"{ }", JSON_OBJECT},
        {"{\"\":0}", JSON_OBJECT},
        {"{\"a\" : 1 , \"b\" : { \"a\" : 2 } }", JSON_OBJECT},
        {"[{\"a\":1},{\"a\":1}]", JSON_ARRAY},
        {"{\"a\":{\"b\":1},\"b\":{\"a\":1}}", JSON_OBJECT},
        {"{\"a\":1,\"A\":1,\"a \":1,\"\\u0000\":1,\"\":1}", JSON_OBJECT},
        {"{\"abcdefgh\":1,\"abcdefghi\":2,\"abcdefgx\":3}", JSON_OBJECT},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        Json root = parse(str_from(rows[i].text));
        assert_int_equal(root.kind, rows[i].kind);
        assert_true(str_eq(root.text, str_trim(str_from(rows[i].text))));
    }
}

static const struct {
    const char *text;
    const char *code;
    const char *message;
} refused_documents[] = {
    {"", "invalid-json", "line 1 column 1: expected a value"},
    {"  ", "invalid-json", "line 1 column 3: expected a value"},
    {"\xef\xbb\xbf{}", "invalid-json", "line 1 column 1: expected a value"},
    {"{", "invalid-json", "line 1 column 2: expected a key in quotes or '}'"},
    {"[", "invalid-json", "line 1 column 2: expected a value or ']'"},
    {"]", "invalid-json", "line 1 column 1: expected a value"},
    {"[1,]", "invalid-json", "line 1 column 4: expected a value"},
    {"[,1]", "invalid-json", "line 1 column 2: expected a value"},
    {"[1 2]", "invalid-json", "line 1 column 4: expected ',' or ']'"},
    {"[1}", "invalid-json", "line 1 column 3: expected ',' or ']'"},
    {"[1", "invalid-json", "line 1 column 3: expected ',' or the closing bracket"},
    {"[1,", "invalid-json", "line 1 column 4: expected a value"},
    {"{\"a\":1,}", "invalid-json", "line 1 column 8: expected a key in quotes"},
    {"{\"a\"}", "invalid-json", "line 1 column 5: expected ':'"},
    {"{\"a\"", "invalid-json", "line 1 column 5: expected ':'"},
    {"{\"a\":}", "invalid-json", "line 1 column 6: expected a value"},
    {"{\"a\":1 \"b\":2}", "invalid-json", "line 1 column 8: expected ',' or '}'"},
    {"{\"a\":1]", "invalid-json", "line 1 column 7: expected ',' or '}'"},
    {"{a:1}", "invalid-json", "line 1 column 2: expected a key in quotes"},
    {"{'a':1}", "invalid-json", "line 1 column 2: expected a key in quotes"},
    {"{1:1}", "invalid-json", "line 1 column 2: expected a key in quotes"},
    {"{}{}", "invalid-json", "line 1 column 3: expected the end"},
    {"1 2", "invalid-json", "line 1 column 3: expected the end"},
    {"nul", "invalid-json", "line 1 column 1: expected a value"},
    {"nulll", "invalid-json", "line 1 column 5: expected the end"},
    {"True", "invalid-json", "line 1 column 1: expected a value"},
    {"NaN", "invalid-json", "line 1 column 1: expected a value"},
    {"-Infinity", "invalid-json", "line 1 column 2: expected a digit"},
    {"/* c */1", "invalid-json", "line 1 column 1: expected a value"},
    {"1 // c", "invalid-json", "line 1 column 3: expected the end"},
    {"\n\n [1,\n\"\xc3\xbc\",x]", "invalid-json", "line 4 column 5: expected a value"},
    {"\f1", "invalid-json", "line 1 column 1: expected a value"},
    {"01", "invalid-json", "line 1 column 2: expected the end"},
    {"-", "invalid-json", "line 1 column 2: expected a digit"},
    {"-01", "invalid-json", "line 1 column 3: expected the end"},
    {"+1", "invalid-json", "line 1 column 1: expected a value"},
    {".5", "invalid-json", "line 1 column 1: expected a value"},
    {"1.", "invalid-json", "line 1 column 3: expected a digit"},
    {"1.e1", "invalid-json", "line 1 column 3: expected a digit"},
    {"1e", "invalid-json", "line 1 column 3: expected a digit"},
    {"1e+", "invalid-json", "line 1 column 4: expected a digit"},
    {"0x1", "invalid-json", "line 1 column 2: expected the end"},
    {"\"a", "invalid-json", "line 1 column 3: the string does not end"},
    {"\"\\", "invalid-json", "line 1 column 3: the string does not end"},
    {"\"\\\"", "invalid-json", "line 1 column 4: the string does not end"},
    {"\"\\x\"", "invalid-json", "line 1 column 3: no such escape"},
    {"\"\\u12\"", "invalid-json", "line 1 column 4: expected four hexadecimal digits"},
    {"\"\\u12g4\"", "invalid-json", "line 1 column 4: expected four hexadecimal digits"},
    {"\"a\nb\"", "invalid-json",
     "line 1 column 3: a control character in a string must be escaped"},
    {"\"\\ud800\"", "invalid-utf8", "line 1 column 2: half a surrogate pair"},
    {"\"\\udc00\"", "invalid-utf8", "line 1 column 2: half a surrogate pair"},
    {"\"\\ud800\\ud800\"", "invalid-utf8", "line 1 column 2: half a surrogate pair"},
    {"\"\\ud800\\n\"", "invalid-utf8", "line 1 column 2: half a surrogate pair"},
    {"\"\\ud800\\udcgg\"", "invalid-utf8", "line 1 column 2: half a surrogate pair"},
    {"\"\xff\"", "invalid-utf8", "line 1 column 2: the bytes are not UTF-8"},
    {"\"\xc0\xaf\"", "invalid-utf8", "line 1 column 2: the bytes are not UTF-8"},
    {"\"\xed\xa0\x80\"", "invalid-utf8", "line 1 column 2: the bytes are not UTF-8"},
    {"\"\xe2\x82", "invalid-utf8", "line 1 column 2: the bytes are not UTF-8"},
    {"\xff", "invalid-utf8", "line 1 column 1: the bytes are not UTF-8"},
    {"{\"a\":1,\"a\":2}", "duplicate-key", "the key /a is there twice"},
    {"{\"a\":1,\"\\u0061\":2}", "duplicate-key", "the key /a is there twice"},
    {"{\"\\u00fc\":1,\"\xc3\xbc\":2}", "duplicate-key", "the key /\xc3\xbc is there twice"},
    {"{\"\":1,\"\":2}", "duplicate-key", "the key / is there twice"},
    {"[0,{\"a/b\":[{\"m~n\":1,\"m~n\":1}]}]", "duplicate-key",
     "the key /1/a~1b/0/m~0n is there twice"},
    {"{\"a\\n\":{\"x\":1,\"x\":1}}", "duplicate-key", "the key /a?/x is there twice"},
    {"{\"abcdefgh1\":1,\"abcdefgh2\":1,\"abcdefgh1\":1}", "duplicate-key",
     "the key /abcdefgh1 is there twice"},
};

static void test_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < LENGTH(refused_documents); i++) {
        Json root = {0};
        Error error = {0};
        assert_int_equal(json_check(str_from(refused_documents[i].text), &root, &error),
                         ERR_INVALID);
        assert_string_equal(error.code, refused_documents[i].code);
        assert_string_equal(error.message, refused_documents[i].message);
        assert_null(root.text.ptr);
        assert_int_equal(json_check(str_from(refused_documents[i].text), &root, NULL), ERR_INVALID);
    }
    Json root;
    assert_int_equal(json_check((Str){0}, &root, NULL), ERR_INVALID);
    assert_int_equal(json_check((Str){"1\0", 2}, &root, NULL), ERR_INVALID);
    assert_int_equal(json_check((Str){"\"\0\"", 3}, &root, NULL), ERR_INVALID);
}

static void repeat(Buf *buf, const char *text, int count) {
    for (int i = 0; i < count; i++) {
        buf_add(buf, str_from(text));
    }
}

static void test_depth(void **state) {
    (void)state;
    Buf buf;
    buf_init(&buf, 1000000);
    Json root;
    Error error = {0};
    repeat(&buf, "[", 64);
    repeat(&buf, "]", 64);
    assert_int_equal(json_check(buf_str(&buf), &root, &error), OK);
    buf_clear(&buf);
    repeat(&buf, "{\"a\":", 64);
    buf_add_char(&buf, '1');
    repeat(&buf, "}", 64);
    assert_int_equal(json_check(buf_str(&buf), &root, &error), OK);
    buf_clear(&buf);
    repeat(&buf, "[", 100000);
    assert_int_equal(json_check(buf_str(&buf), &root, &error), ERR_INVALID);
    assert_string_equal(error.code, "json-too-deep");
    assert_string_equal(error.message, "line 1 column 65: nested more than 64 deep");
    buf_done(&buf);
}

static void test_number_length(void **state) {
    (void)state;
    Buf buf;
    buf_init(&buf, 1000);
    Json root;
    Error error = {0};
    double value = 0;
    repeat(&buf, "1", JSON_MAX_NUMBER);
    assert_int_equal(json_check(buf_str(&buf), &root, &error), OK);
    assert_false(json_double(root, &value));
    buf_add_char(&buf, '1');
    assert_int_equal(json_check(buf_str(&buf), &root, &error), ERR_LIMIT);
    assert_string_equal(error.code, "too-large");
    buf_done(&buf);
}

/* An object of `count` members k0, k1, …; every seventh key is written with an escape. */
static void add_members(Buf *buf, int count) {
    buf_add_char(buf, '{');
    for (int i = 0; i < count; i++) {
        const char *comma = i ? "," : "";
        buf_format(buf, i % 7 ? "%s\"k%d\":%d" : "%s\"\\u006b%d\":%d", comma, i, i);
    }
}

static void test_members(void **state) {
    (void)state;
    static const int counts[] = {1, 2, 16, 17, 63, 64, 65, 129, 1000, JSON_MAX_MEMBERS - 1};
    Buf buf;
    buf_init(&buf, 1000000);
    Error error = {0};
    Json root;
    for (size_t i = 0; i < LENGTH(counts); i++) {
        for (int twin = -1; twin < counts[i]; twin += 1 + counts[i] / 20) {
            buf_clear(&buf);
            add_members(&buf, counts[i]);
            if (twin >= 0) buf_format(&buf, ",\"k%d\":null", twin);
            buf_add_char(&buf, '}');
            Err err = json_check(buf_str(&buf), &root, &error);
            assert_int_equal(err, twin < 0 ? OK : ERR_INVALID);
            if (twin >= 0) assert_string_equal(error.code, "duplicate-key");
        }
    }
    buf_clear(&buf);
    add_members(&buf, JSON_MAX_MEMBERS);
    buf_add_char(&buf, '}');
    assert_int_equal(json_check(buf_str(&buf), &root, &error), OK);
    assert_int_equal(json_count(root), JSON_MAX_MEMBERS);
    buf_clear(&buf);
    add_members(&buf, JSON_MAX_MEMBERS + 1);
    buf_add_char(&buf, '}');
    assert_int_equal(json_check(buf_str(&buf), &root, &error), ERR_LIMIT);
    assert_string_equal(error.code, "too-large");
    buf_done(&buf);
}

/* Keys of outer objects wait on the stack while inner ones come and go. */
static void test_members_nested(void **state) {
    (void)state;
    Buf buf;
    buf_init(&buf, 1000000);
    Error error = {0};
    Json root;
    for (int depth = 0; depth < 20; depth++) {
        add_members(&buf, 40);
        buf_add(&buf, STR(",\"in\":[0,"));
    }
    buf_add(&buf, STR("{\"x\":1}"));
    size_t innermost = buf.len;
    for (int depth = 0; depth < 20; depth++) {
        buf_add(&buf, STR("]}"));
    }
    assert_int_equal(json_check(buf_str(&buf), &root, &error), OK);
    buf.len = innermost;
    buf_add(&buf, STR("],\"k3\":1}"));
    assert_int_equal(json_check(buf_str(&buf), &root, &error), ERR_INVALID);
    assert_string_equal(error.code, "duplicate-key");
    assert_non_null(strstr(error.message, "/in/1/in/1/"));
    buf_done(&buf);
}

static void test_long_key_in_error(void **state) {
    (void)state;
    Buf buf;
    buf_init(&buf, 10000);
    Error error = {0};
    Json root;
    for (int i = 0; i < 2; i++) {
        buf_add(&buf, i ? STR(",\"") : STR("{\""));
        repeat(&buf, "\xe2\x82\xac", 500);
        buf_add(&buf, STR("\":1"));
    }
    buf_add_char(&buf, '}');
    assert_int_equal(json_check(buf_str(&buf), &root, &error), ERR_INVALID);
    assert_string_equal(error.code, "duplicate-key");
    assert_true(str_is_utf8(str_from(error.message)));
    assert_non_null(strstr(error.message, "… is there twice"));
    buf_done(&buf);
}

static void test_walk(void **state) {
    (void)state;
    Json root = parse(
        STR(" { \"a\" : [ 1 , [ ] , \"]}\\\"\" ] , \"b\\u0063\" : { \"x\":{} },\"d\":-1.5e3 } "));
    static const struct {
        const char *key;
        const char *value;
        JsonKind kind;
    } rows[] = {
        {"a", "[ 1 , [ ] , \"]}\\\"\" ]", JSON_ARRAY},
        {"b\\u0063", "{ \"x\":{} }", JSON_OBJECT},
        {"d", "-1.5e3", JSON_NUMBER},
    };
    JsonIter iter = json_iter(root);
    Str key;
    Json value;
    for (size_t i = 0; i < LENGTH(rows); i++) {
        assert_true(json_next(&iter, &key, &value));
        assert_true(str_eq(key, str_from(rows[i].key)));
        assert_true(str_eq(value.text, str_from(rows[i].value)));
        assert_int_equal(value.kind, rows[i].kind);
    }
    assert_false(json_next(&iter, &key, &value));
    assert_false(json_next(&iter, &key, &value));

    assert_int_equal(json_count(root), 3);
    assert_int_equal(json_count(json_member(root, STR("a"))), 3);
    assert_int_equal(json_count(json_member(root, STR("d"))), 0);
    assert_int_equal(json_count((Json){0}), 0);
    assert_int_equal(json_member(root, STR("bc")).kind, JSON_OBJECT);
    assert_null(json_member(root, STR("b")).text.ptr);
    assert_null(json_member(root, STR("bcd")).text.ptr);
    assert_null(json_member(json_member(root, STR("a")), STR("a")).text.ptr);
    assert_null(json_member((Json){0}, STR("a")).text.ptr);
    assert_string_equal(json_kind_name(JSON_OBJECT), "object");
}

static void test_strings(void **state) {
    (void)state;
    static const struct {
        const char *text;
        Str value;
    } rows[] = {
        {"\"\"", {"", 0}},
        {"\"plain\"", {"plain", 5}},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", {"\"\\/\b\f\n\r\t", 8}},
        {"\"a\\u0000b\"", {"a\0b", 3}},
        {"\"\\u00e9\\u20AC\\ud83d\\ude00x\"", {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80x", 10}},
        {"\"\xc3\xbc\\n\xc3\xbc\"", {"\xc3\xbc\n\xc3\xbc", 5}},
        {"\"\\udbff\\udfff\"", {"\xf4\x8f\xbf\xbf", 4}},
    };
    cleanup(arena_done) Arena arena = {0};
    for (size_t i = 0; i < LENGTH(rows); i++) {
        Json root = parse(str_from(rows[i].text));
        Str value = json_string(root, &arena);
        assert_non_null(value.ptr);
        assert_true(str_eq(value, rows[i].value));
    }
    const char *plain = "\"slice\"";
    assert_ptr_equal(json_string(parse(str_from(plain)), &arena).ptr, plain + 1);
    assert_true(str_eq(json_key(STR("a\\tb"), &arena), STR("a\tb")));
}

static void test_numbers(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool is_int;
        int64_t as_int;
        bool is_double;
        double as_double;
    } rows[] = {
        {"0", true, 0, true, 0},
        {"-1", true, -1, true, -1},
        {"9223372036854775807", true, INT64_MAX, true, 0x1p63},
        {"9223372036854775808", false, 0, true, 0x1p63},
        {"-9223372036854775808", true, INT64_MIN, true, -0x1p63},
        {"9007199254740993", true, INT64_C(9007199254740993), true, 9007199254740992.0},
        {"-0", false, 0, true, -0.0},
        {"1.0", false, 0, true, 1},
        {"1e2", false, 0, true, 100},
        {"0.1", false, 0, true, 0.1},
        {"1e308", false, 0, true, 1e308},
        {"1e309", false, 0, false, 0},
        {"1e-400", false, 0, true, 0},
        {"\"1\"", false, 0, false, 0},
        {"null", false, 0, false, 0},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        Json root = parse(str_from(rows[i].text));
        int64_t as_int = 77;
        double as_double = 77;
        assert_int_equal(json_int64(root, &as_int), rows[i].is_int);
        assert_int_equal(json_double(root, &as_double), rows[i].is_double);
        assert_int_equal(as_int, rows[i].is_int ? rows[i].as_int : 77);
        double expected = rows[i].is_double ? rows[i].as_double : 77;
        assert_memory_equal(&as_double, &expected, sizeof(expected));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_number_length),
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_members_nested),
        cmocka_unit_test(test_long_key_in_error),
        cmocka_unit_test(test_walk),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
