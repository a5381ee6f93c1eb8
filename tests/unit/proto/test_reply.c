/* Replies, written and read back, whole and in pieces; forged and broken ones. */
#include "proto/reply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_written(void **state) {
    (void)state;
    Buf buf;
    buf_init(&buf, 4096);
    reply_ok(&buf);
    reply_simple(&buf, STR("HI"));
    reply_error(&buf, "ERR", STR("bad\r\n+OK\r\n\x7f\x01"));
    reply_bulk(&buf, STR("a\r\nb"));
    reply_bulk(&buf, STR(""));
    reply_null(&buf);
    assert_string_equal(buf_cstr(&buf), "+OK\r\n+HI\r\n-ERR bad  +OK    \r\n"
                                        "$4\r\na\r\nb\r\n$0\r\n\r\n$-1\r\n");
    buf_done(&buf);
}

typedef struct Row {
    const char *input;
    ReplyStatus status;
    ReplyKind kind;
    const char *text;
} Row;

static const Row ROWS[] = {
    {"+OK\r\n", REPLY_READY, REPLY_SIMPLE, "OK"},
    {"+OK\n", REPLY_READY, REPLY_SIMPLE, "OK"},
    {"-ERR no\r\n", REPLY_READY, REPLY_ERROR, "ERR no"},
    {"$2\r\n{}\r\n", REPLY_READY, REPLY_BULK, "{}"},
    {"$4\r\na\r\nb\r\n", REPLY_READY, REPLY_BULK, "a\r\nb"},
    {"$0\r\n\r\n", REPLY_READY, REPLY_BULK, ""},
    {"$-1\r\n", REPLY_READY, REPLY_NULL, ""},
    {"", REPLY_MORE, 0, NULL},
    {"$2\r\n{", REPLY_MORE, 0, NULL},
    {"\r\n", REPLY_MALFORMED, 0, NULL},
    {":1\r\n", REPLY_MALFORMED, 0, NULL},
    {"*1\r\n", REPLY_MALFORMED, 0, NULL},
    {"HTTP/1.1 400\r\n", REPLY_MALFORMED, 0, NULL},
    {"$-2\r\n", REPLY_MALFORMED, 0, NULL},
    {"$+2\r\n", REPLY_MALFORMED, 0, NULL},
    {"$2x\r\n", REPLY_MALFORMED, 0, NULL},
    {"$101\r\n", REPLY_MALFORMED, 0, NULL},
    {"$18446744073709551616\r\n", REPLY_MALFORMED, 0, NULL},
    {"$2\r\n{}x\n", REPLY_MALFORMED, 0, NULL},
};

static void test_read(void **state) {
    (void)state;
    for (size_t i = 0; i < LENGTH(ROWS); i++) {
        const Row *row = &ROWS[i];
        ReplyScan whole = {0};
        ReplyScan pieces = {0};
        Reply reply = {0};
        size_t used = 0;
        Str input = str_from(row->input);
        assert_int_equal(reply_scan(&whole, input, 100, &reply, &used), row->status);
        if (row->status != REPLY_READY) continue;
        assert_int_equal(reply.kind, row->kind);
        assert_true(str_eq(reply.text, str_from(row->text)));
        assert_int_equal(used, input.len);
        for (size_t len = 0; len < input.len; len++) {
            Str part = {input.ptr, len};
            assert_int_equal(reply_scan(&pieces, part, 100, &reply, &used), REPLY_MORE);
            assert_true(len + reply_missing(&pieces, part) <= input.len);
        }
        assert_int_equal(reply_scan(&pieces, input, 100, &reply, &used), REPLY_READY);
        assert_true(str_eq(reply.text, str_from(row->text)));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_written),
        cmocka_unit_test(test_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
