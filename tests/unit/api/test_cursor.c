/* Cursors: they come back as they went, and nothing else is taken. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "api/cursor.h"
#include "base/time.h"

#define NOW INT64_C(1800000000000000)

static const uint8_t key[CURSOR_KEY_SIZE] = {1, 2, 3};
static const uint8_t other_key[CURSOR_KEY_SIZE] = {1, 2, 4};

static void a_cursor_comes_back(void **state) {
    (void)state;
    static const int64_t positions[] = {1, -1, 50, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < LENGTH(positions); i++) {
        Arena arena = {0};
        int64_t position = 0;
        Error error;
        Str text = cursor_seal(key, STR("scope"), positions[i], NOW, &arena);
        assert_int_equal(cursor_open(key, STR("scope"), text, NOW, &position, &error), OK);
        assert_true(position == positions[i]);
        arena_done(&arena);
    }
}

static void refused(const uint8_t *with, Str scope, Str text, int64_t now_us) {
    int64_t position = 4711;
    Error error;
    assert_int_equal(cursor_open(with, scope, text, now_us, &position, &error), ERR_INVALID);
    assert_string_equal(error.code, "invalid-cursor");
    assert_int_equal(position, 4711);
}

static void forged_foreign_and_expired_ones_are_refused(void **state) {
    (void)state;
    Arena arena = {0};
    Str text = cursor_seal(key, STR("scope"), 50, NOW, &arena);
    refused(other_key, STR("scope"), text, NOW);
    refused(key, STR("other"), text, NOW);
    refused(key, STR("scope"), text, NOW + (CURSOR_TTL_S + 1) * US_PER_S);
    refused(key, STR("scope"), STR(""), NOW);
    refused(key, STR("scope"), STR("AAAA"), NOW);
    refused(key, STR("scope"), (Str){text.ptr, text.len - 1}, NOW);
    char *copy = arena_cstr(&arena, text);
    for (size_t i = 0; i < text.len; i++) {
        char kept = copy[i];
        copy[i] = kept == 'A' ? 'B' : 'A';
        refused(key, STR("scope"), (Str){copy, text.len}, NOW);
        copy[i] = kept;
    }
    char longer[5000];
    memset(longer, 'A', sizeof longer);
    refused(key, STR("scope"), (Str){longer, sizeof longer}, NOW);
    arena_done(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cursor_comes_back),
        cmocka_unit_test(forged_foreign_and_expired_ones_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
