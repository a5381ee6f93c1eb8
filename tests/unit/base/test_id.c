/* UUIDs: rising whatever the clock does, the bits of version 7, and strict reading. */
#include "base/id.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"

static int64_t ms_of(const Uuid *uuid) {
    int64_t ms = 0;
    for (int i = 0; i < 6; i++) {
        ms = ms << 8 | uuid->bytes[i];
    }
    return ms;
}

static void test_layout(void **state) {
    (void)state;
    Random random;
    random_init(&random, 3);
    UuidMaker maker = {0};
    Uuid uuid = uuid_make(&maker, INT64_C(1795428000123999), &random);
    assert_int_equal(ms_of(&uuid), INT64_C(1795428000123));
    assert_int_equal(uuid_version(&uuid), 7);
    assert_int_equal(uuid.bytes[8] >> 6, 2);
    uint8_t seen_or[8] = {0};
    uint8_t seen_and[8];
    memset(seen_and, 0xff, sizeof(seen_and));
    for (int i = 0; i < 1000; i++) {
        uuid = uuid_make(&maker, 0, &random);
        for (int at = 0; at < 8; at++) {
            seen_or[at] |= uuid.bytes[8 + at];
            seen_and[at] &= uuid.bytes[8 + at];
        }
    }
    for (int at = 0; at < 8; at++) { /* 62 bits vary, the two of the variant don't */
        assert_int_equal(seen_or[at], at == 0 ? 0xbf : 0xff);
        assert_int_equal(seen_and[at], at == 0 ? 0x80 : 0);
    }
}

static void test_rising(void **state) {
    (void)state;
    enum { MADE_PER_CLOCK = 5000 }; /* more than the counter holds */
    static const int64_t clocks_ms[] = {0, 0, 5, 5, 4, 1000, 999, 0, 1001, 2000, -5, 3000};
    Random random;
    random_init(&random, 4);
    UuidMaker maker = {0};
    Uuid last = {0};
    for (size_t i = 0; i < LENGTH(clocks_ms); i++) {
        for (int made = 0; made < MADE_PER_CLOCK; made++) {
            Uuid uuid = uuid_make(&maker, clocks_ms[i] * 1000, &random);
            assert_true(memcmp(uuid.bytes, last.bytes, sizeof(uuid.bytes)) > 0);
            assert_int_equal(uuid_version(&uuid), 7);
            last = uuid;
        }
    }
    assert_int_equal(ms_of(&last), 3001);
}

static void test_counter_overflow(void **state) {
    (void)state;
    Random random;
    random_init(&random, 5);
    UuidMaker maker = {0};
    Uuid uuid = {0};
    for (int i = 0; i < 4096; i++) {
        uuid = uuid_make(&maker, 7000, &random);
    }
    assert_int_equal(ms_of(&uuid), 7);
    assert_int_equal((uuid.bytes[6] & 15) << 8 | uuid.bytes[7], 4095);
    uuid = uuid_make(&maker, 7000, &random);
    assert_int_equal(ms_of(&uuid), 8);
    assert_int_equal((uuid.bytes[6] & 15) << 8 | uuid.bytes[7], 0);
}

static void test_text(void **state) {
    (void)state;
    static const struct {
        const char *text;
        unsigned version; /* 0: refused */
    } rows[] = {
        {"017f22e2-79b0-7cc3-98c4-dc0c0c07398f", 7}, /* the example of RFC 9562 */
        {"2489e9ad-2ee2-8e00-8ec9-32d5f69181c0", 8},
        {"ffffffff-ffff-ffff-ffff-ffffffffffff", 15},
        {"017F22E2-79B0-7CC3-98C4-DC0C0C07398F", 0},
        {"017f22e279b07cc398c4dc0c0c07398f", 0},
        {"{17f22e2-79b0-7cc3-98c4-dc0c0c07398}", 0},
        {"017f22e2-79b0-7cc3-98c4-dc0c0c07398", 0},
        {"017f22e2-79b0-7cc3-98c4-dc0c0c07398f0", 0},
        {"017f22e2-79b0-7cc3-98c4-dc0c0c07398g", 0},
        {"017f22e27-9b0-7cc3-98c4-dc0c0c07398f", 0},
        {"017f22e2_79b0-7cc3-98c4-dc0c0c07398f", 0},
        {"", 0},
        {NULL, 0},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        Uuid uuid = {0};
        assert_int_equal(uuid_parse(str_from(rows[i].text), &uuid), rows[i].version > 0);
        if (rows[i].version == 0) continue;
        char text[UUID_TEXT_SIZE];
        uuid_format(&uuid, text);
        assert_string_equal(text, rows[i].text);
        assert_int_equal(uuid_version(&uuid), rows[i].version);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout),
        cmocka_unit_test(test_rising),
        cmocka_unit_test(test_counter_overflow),
        cmocka_unit_test(test_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
