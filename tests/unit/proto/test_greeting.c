/* The handshake: exact bytes, passwords, and what HELLO may hold. */
#include "proto/greeting.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_bytes(void **state) {
    (void)state;
    Buf buf;
    buf_init(&buf, 256);
    greeting_write(&buf, &(Challenge){0});
    assert_string_equal(buf_cstr(&buf), "+HI {\"v\":2}\r\n");
    buf_clear(&buf);
    Challenge challenge = challenge_make(UINT64_MAX, UINT64_MAX);
    assert_int_equal(challenge.rounds, 8095);
    assert_string_equal(challenge.salt, "7fffffffffffffff");
    challenge = challenge_make(0, 0x1e);
    assert_int_equal(challenge.rounds, 4000);
    greeting_write(&buf, &challenge);
    assert_string_equal(buf_cstr(&buf), "+HI {\"v\":2,\"i\":4000,\"s\":\"f\"}\r\n");
    Str text = {buf.data + 1, buf.len - 3};
    Challenge back;
    Error error;
    assert_int_equal(greeting_parse(text, &back, &error), OK);
    assert_int_equal(back.rounds, 4000);
    assert_string_equal(back.salt, "f");
    buf_done(&buf);
}

static void test_bad_greetings(void **state) {
    (void)state;
    static const char long_salt[] = "HI {\"v\":2,\"i\":5,\"s\":\"00000000000000000000000000000000"
                                    "00000000000000000000000000000000\"}";
    static const char *const rows[] = {
        long_salt,
        "OK",
        "HI",
        "HI {",
        "HI {\"v\":1}",
        "HI {\"v\":3}",
        "HI {}",
        "HI {\"v\":2,\"s\":\"a\"}",
        "HI {\"v\":2,\"s\":\"a\",\"i\":0}",
        "HI {\"v\":2,\"s\":\"a\",\"i\":1000001}",
        "HI {\"v\":2,\"s\":7,\"i\":5}",
        "HI {\"v\":2,\"s\":\"\\u0041\",\"i\":5}",
    };
    Challenge challenge;
    Error error;
    for (size_t i = 0; i < LENGTH(rows); i++) {
        if (greeting_parse(str_from(rows[i]), &challenge, &error) == OK) fail_msg("%s", rows[i]);
    }
}

/* Values made with: printf 'password123' | sha256sum, and the digest fed back. */
static void test_passwords(void **state) {
    (void)state;
    char hash[PASSWORD_HASH_SIZE];
    Challenge challenge = {.rounds = 2, .salt = "123"};
    password_hash(STR("password"), &challenge, 0, hash);
    assert_string_equal(hash, "ef92b778bafe771e89245b89ecbc08a44a4e166c06659911881f383d4473e94f");
    char once[PASSWORD_HASH_SIZE];
    password_hash(STR("password"), &(Challenge){.rounds = 1, .salt = "123"}, 2, once);
    assert_string_equal(hash, once);
    password_hash(STR("password"), &challenge, 2, hash);
    assert_string_equal(hash, "92342313fa33728f8da85edfb3458ef9c0030b28c364781f446a4730d953637d");
    assert_true(password_matches(str_from(hash), hash));
    assert_false(password_matches(str_from(once), hash));
    assert_false(password_matches((Str){0}, hash));
    assert_false(password_matches((Str){hash, 63}, hash));
}

typedef struct Row {
    const char *argument;
    bool good;
} Row;

static const Row ROWS[] = {
    {"{}", true},
    {"{\"v\":99}", true},
    {"{\"v\":2,\"unknown\":[1]}", true},
    {"{\"wid\":null,\"pwdhash\":null,\"username\":null,\"v\":null,\"labels\":null}", true},
    {"{\"labels\":[]}", true},
    {"{\"takt\":{}}", true},
    {"{\"takt\":{\"token\":\"x\"}}", true},
    {"", false},
    {" {}", false},
    {"[]", false},
    {"{} {}", false},
    {"{\"v\":\"2\"}", false},
    {"{\"v\":2.0}", false},
    {"{\"pid\":\"1\"}", false},
    {"{\"wid\":1}", false},
    {"{\"labels\":\"a\"}", false},
    {"{\"labels\":[1]}", false},
    {"{\"labels\":[null]}", false},
    {"{\"takt\":1}", false},
    {"{\"takt\":{\"token\":1}}", false},
};

static void test_hello(void **state) {
    (void)state;
    for (size_t i = 0; i < LENGTH(ROWS); i++) {
        Arena arena = {0};
        Hello hello;
        Error error;
        Err err = hello_parse(str_from(ROWS[i].argument), &arena, &hello, &error);
        if ((err == OK) != ROWS[i].good) fail_msg("%s", ROWS[i].argument);
        arena_done(&arena);
    }
}

static void test_hello_round_trip(void **state) {
    (void)state;
    Arena arena = {0};
    Error error;
    Json labels;
    assert_int_equal(json_check(STR("[\"a\"]"), &labels, &error), OK);
    const Hello hello = {.version = 2,
                         .hostname = STR("h\n"),
                         .wid = STR("w"),
                         .pid = 7,
                         .labels = labels,
                         .pwdhash = STR("p"),
                         .opted_in = true,
                         .token = STR("t")};
    Buf buf;
    buf_init(&buf, 4096);
    hello_write(&buf, &hello);
    assert_memory_equal(buf.data, "HELLO {", 7);
    Hello back;
    assert_int_equal(hello_parse((Str){buf.data + 6, buf.len - 8}, &arena, &back, &error), OK);
    assert_true(str_eq(back.hostname, hello.hostname) && str_eq(back.wid, hello.wid));
    assert_true(str_eq(back.token, hello.token) && str_eq(back.pwdhash, hello.pwdhash));
    assert_true(back.opted_in && back.pid == 7 && back.version == 2);
    assert_true(str_eq(back.labels.text, STR("[\"a\"]")));
    buf_done(&buf);
    arena_done(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_bad_greetings),
        cmocka_unit_test(test_passwords),
        cmocka_unit_test(test_hello),
        cmocka_unit_test(test_hello_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
