/* Names: what is taken, what is not, and that no sentence carries bytes that break a line. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "base/check.h"
#include "core/limits.h"
#include "core/name.h"

#define TEXT(literal)                                                                              \
    { literal, sizeof(literal) - 1 } /* a constant, as STR() is not */
#define X8 "xxxxxxxx"
#define X64 X8 X8 X8 X8 X8 X8 X8 X8

typedef Err NameCheck(Str name, Error *error);

typedef struct Case {
    NameCheck *rule;
    Str name;
    const char *code; /* "" = good */
} Case;

static const Case CASES[] = {
    {name_check_id, TEXT("a"), ""},
    {name_check_id, TEXT("AZaz09_.:-"), ""},
    {name_check_id, TEXT(X64), ""},
    {name_check_id, TEXT(X64 "x"), "invalid-name"},
    {name_check_id, TEXT(""), "invalid-name"},
    {name_check_id, {NULL, 0}, "invalid-name"},
    {name_check_id, TEXT("a b"), "invalid-name"},
    {name_check_id, TEXT("a/b"), "invalid-name"},
    {name_check_id, TEXT("a\\b"), "invalid-name"},
    {name_check_id, TEXT("a\0b"), "invalid-name"},
    {name_check_id, TEXT("a\r\n-ERR"), "invalid-name"},
    {name_check_id, TEXT("\xc3\xa4"), "invalid-name"},
    {name_check_id, TEXT("."), "invalid-name"},
    {name_check_id, TEXT(".."), "invalid-name"},
    {name_check_id, TEXT("..."), ""},
    {name_check_queue, TEXT(".."), "invalid-name"},
    {name_check_type, TEXT(".."), "invalid-name"},
    {name_check_id, TEXT("takt.x"), "reserved-name"},
    {name_check_id, TEXT("takt."), "reserved-name"},
    {name_check_id, TEXT("takt"), ""},
    {name_check_id, TEXT("takt-x"), ""},
    {name_check_id, TEXT("my.takt.x"), ""},
    {name_check_queue, TEXT("default"), ""},
    {name_check_queue, TEXT("a/b"), "invalid-name"},
    {name_check_queue, TEXT(X64), ""},
    {name_check_queue, TEXT(X64 "x"), "invalid-name"},
    {name_check_queue, TEXT("takt.internal"), "reserved-name"},
    {name_check_type, TEXT("App\\Jobs::Mail/send"), ""},
    {name_check_type, TEXT(X64 X64), ""},
    {name_check_type, TEXT(X64 X64 "x"), "invalid-name"},
    {name_check_type, TEXT("a*"), "invalid-name"},
    {name_check_type, TEXT("takt.advance"), "reserved-name"},
    {name_check_tag, TEXT("any thing, even this \xc3\xa4 \xe2\x82\xac \xc2\xa0"), ""},
    {name_check_tag, TEXT("takt.x"), ""},
    {name_check_tag, TEXT(X64), ""},
    {name_check_tag, TEXT(X64 "x"), "invalid-name"},
    {name_check_tag, TEXT(""), "invalid-name"},
    {name_check_tag, TEXT("a\nb"), "invalid-name"},
    {name_check_tag, TEXT("a\x7f"), "invalid-name"},
    {name_check_tag, TEXT("a\xc2\x85"), "invalid-name"},
    {name_check_tag, TEXT("a\xff"), "invalid-name"},
    {name_check_tag, TEXT("a\xc2"), "invalid-name"},
};

static void names_follow_their_rule(void **state) {
    (void)state;
    for (size_t i = 0; i < LENGTH(CASES); i++) {
        Error error = {0};
        Err err = CASES[i].rule(CASES[i].name, &error);
        print_message("%zu %s\n", i, error.message);
        assert_int_equal(err, CASES[i].code[0] ? ERR_INVALID : OK);
        assert_string_equal(error.code, CASES[i].code);
        for (const char *at = error.message; *at; at++) {
            assert_true(*at >= ' ' && *at <= '~');
        }
    }
}

static void the_sentence_says_what_is_allowed(void **state) {
    (void)state;
    Error error = {0};
    assert_int_equal(name_check_type(STR("a*b"), &error), ERR_INVALID);
    assert_string_equal(error.message, "the type 'a*b' must be 1 to 128 characters, only letters, "
                                       "digits and _.:-/\\");
    assert_int_equal(name_check_id(STR("takt.x"), &error), ERR_INVALID);
    assert_non_null(strstr(error.message, "'takt.x' is reserved"));
    assert_int_equal(name_check_queue(STR("a b"), NULL), ERR_INVALID);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_follow_their_rule),
        cmocka_unit_test(the_sentence_says_what_is_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
