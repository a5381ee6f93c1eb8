/* Error: codes, sentences, wrapping, and that cutting never tears a character. */
#include "base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"

static void test_set(void **state) {
    (void)state;
    Error error = {0};
    assert_int_equal(error_set(&error, ERR_NOT_FOUND, "no job %s", "j1"), ERR_NOT_FOUND);
    assert_int_equal(error.err, ERR_NOT_FOUND);
    assert_string_equal(error.code, "");
    assert_string_equal(error.message, "no job j1");
    assert_int_equal(error_code(&error, ERR_CONFLICT, "not-unique", "key %d", 5), ERR_CONFLICT);
    assert_string_equal(error.code, "not-unique");
    assert_string_equal(error.message, "key 5");
    assert_int_equal(error_set(NULL, ERR_LIMIT, "x"), ERR_LIMIT);
    assert_int_equal(error_code(NULL, ERR_DENIED, "x", "x"), ERR_DENIED);

    const char *slug = "a-slug-that-is-much-too-long-for-its-forty-bytes";
    assert_int_equal(error_code(&error, ERR_INVALID, slug, "x"), ERR_INVALID);
    assert_int_equal(strlen(error.code), sizeof(error.code) - 1);
}

static void test_context(void **state) {
    (void)state;
    Error error = {0};
    assert_int_equal(error_code(&error, ERR_TIMEOUT, "slow", "no answer"), ERR_TIMEOUT);
    assert_int_equal(error_context(&error, "claiming from '%s'", "mail"), ERR_TIMEOUT);
    assert_string_equal(error.message, "claiming from 'mail': no answer");
    assert_string_equal(error.code, "slow");
    assert_int_equal(error_set(&error, ERR_INTERNAL, "again: %s", error.message), ERR_INTERNAL);
    assert_string_equal(error.message, "again: claiming from 'mail': no answer");
    assert_int_equal(error_context(NULL, "x"), ERR_INTERNAL);
}

/* Whatever the place of the cut, the rest is well-formed and at most three bytes short. */
static void test_cut(void **state) {
    (void)state;
    static const char *const characters[] = {"a", "\xc3\xbc", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    for (size_t c = 0; c < LENGTH(characters); c++) {
        for (size_t lead = 0; lead < 5; lead++) {
            char text[600] = {0};
            memset(text, 'x', lead);
            for (size_t len = lead; len < 500; len += strlen(characters[c])) {
                memcpy(text + len, characters[c], strlen(characters[c]));
            }
            Error error;
            error_set(&error, ERR_INVALID, "%s", text);
            size_t len = strlen(error.message);
            assert_true(str_is_utf8(str_from(error.message)));
            assert_in_range(len, sizeof(error.message) - 4, sizeof(error.message) - 1);
            error_context(&error, "%s", "context");
            len = strlen(error.message);
            assert_true(str_is_utf8(str_from(error.message)));
            assert_in_range(len, sizeof(error.message) - 4, sizeof(error.message) - 1);
            error_context(&error, "%s", text);
            assert_true(str_is_utf8(str_from(error.message)));
        }
    }
}

static Err fail_with(Err err) {
    return err;
}

static Err try_twice(Err first, Err second) {
    TRY(fail_with(first));
    TRY(fail_with(second));
    return OK;
}

static void test_try(void **state) {
    (void)state;
    assert_int_equal(try_twice(OK, OK), OK);
    assert_int_equal(try_twice(ERR_LIMIT, ERR_DENIED), ERR_LIMIT);
    assert_int_equal(try_twice(OK, ERR_DENIED), ERR_DENIED);
}

static void test_names(void **state) {
    (void)state;
    static const char *const names[] = {"ok",    "invalid",     "not-found", "conflict", "denied",
                                        "limit", "unavailable", "timeout",   "internal"};
    for (size_t i = 0; i < LENGTH(names); i++) {
        assert_string_equal(err_name((Err)i), names[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set), cmocka_unit_test(test_context), cmocka_unit_test(test_cut),
        cmocka_unit_test(test_try), cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
