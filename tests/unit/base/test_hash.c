/* Hashes and encodings against published vectors, and base64's bad inputs. */
#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"

/* FIPS 180-4 examples. */
static void test_sha256(void **state) {
    (void)state;
    static const char *const rows[][2] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {NULL, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    };
    Buf hex;
    buf_init(&hex, 64);
    for (size_t i = 0; i < LENGTH(rows); i++) {
        uint8_t digest[SHA256_SIZE];
        hash_sha256(str_from(rows[i][0]), digest);
        buf_clear(&hex);
        hex_encode(&hex, digest, sizeof(digest));
        assert_string_equal(buf_cstr(&hex), rows[i][1]);
    }
    buf_done(&hex);
}

/* The first row is the reference's (key 00 01 … 0f); those with key 0 are CPython 3.11's hash() of
 * bytes under PYTHONHASHSEED=0, which is SipHash-1-3. */
static void test_sip(void **state) {
    (void)state;
    static const struct {
        uint64_t key[2];
        const char *text;
        uint64_t hash;
    } rows[] = {
        {{UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)},
         "",
         UINT64_C(0xabac0158050fc4dc)},
        {{0, 0}, "a", UINT64_C(0x407448d2b89b1813)},
        {{0, 0}, "abc", UINT64_C(0xc03bc3a0042630f2)},
        {{0, 0}, "12345678", UINT64_C(0x3489982430560a87)},
        {{0, 0}, "0123456789abcdef0", UINT64_C(0xf738bb4f30801228)},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        uint64_t hash = hash_sip(rows[i].key, rows[i].text, strlen(rows[i].text));
        assert_true(hash == rows[i].hash);
    }
    assert_true(hash_sip(rows[0].key, NULL, 0) == rows[0].hash);
}

/* RFC 4648 section 10, and what only the URL alphabet spells otherwise. */
static void test_base64(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        const char *standard;
        const char *url;
    } rows[] = {
        {"", "", ""},
        {"f", "Zg==", "Zg"},
        {"fo", "Zm8=", "Zm8"},
        {"foo", "Zm9v", "Zm9v"},
        {"foob", "Zm9vYg==", "Zm9vYg"},
        {"fooba", "Zm9vYmE=", "Zm9vYmE"},
        {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
        {"\xfb\xff\xbf", "+/+/", "-_-_"},
    };
    Buf buf;
    buf_init(&buf, 100);
    for (size_t i = 0; i < LENGTH(rows); i++) {
        size_t len = strlen(rows[i].bytes);
        buf_clear(&buf);
        base64_encode(&buf, rows[i].bytes, len);
        assert_string_equal(buf_cstr(&buf), rows[i].standard);
        buf_clear(&buf);
        base64url_encode(&buf, rows[i].bytes, len);
        assert_string_equal(buf_cstr(&buf), rows[i].url);
        buf_clear(&buf);
        assert_true(base64_decode(&buf, str_from(rows[i].standard)));
        assert_string_equal(buf_cstr(&buf), rows[i].bytes);
        buf_clear(&buf);
        assert_true(base64url_decode(&buf, str_from(rows[i].url)));
        assert_string_equal(buf_cstr(&buf), rows[i].bytes);
    }
    buf_done(&buf);
}

static void test_base64_refused(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool standard;
        bool url;
    } rows[] = {
        {"Zg", false, true},          {"Zg==", true, false},
        {"Zg=", false, false},        {"Z", false, false},
        {"Zh==", false, false},       {"Zh", false, false}, /* trailing bits */
        {"Zm9=", false, false},       {"Zm9", false, false},
        {"Z===", false, false},       {"====", false, false},
        {"=", false, false},          {"Zg==Zg==", false, false},
        {"Zm9v\n", false, false},     {" Zm9", false, false},
        {"Zm 9", false, false},       {"+/+/", true, false},
        {"-_-_", false, true},        {"Zm9*", false, false},
        {"Zm\xc3\xbc", false, false},
    };
    Buf buf;
    buf_init(&buf, 100);
    for (size_t i = 0; i < LENGTH(rows); i++) {
        assert_int_equal(base64_decode(&buf, str_from(rows[i].text)), rows[i].standard);
        assert_int_equal(base64url_decode(&buf, str_from(rows[i].text)), rows[i].url);
    }
    buf_done(&buf);
}

static void test_base64_round_trip(void **state) {
    (void)state;
    Random random;
    random_init(&random, 6);
    Buf text;
    Buf back;
    buf_init(&text, 1000);
    buf_init(&back, 1000);
    for (size_t len = 0; len < 300; len++) {
        char bytes[300];
        for (size_t i = 0; i < len; i++) {
            bytes[i] = (char)(uint8_t)random_next(&random);
        }
        buf_clear(&text);
        buf_clear(&back);
        base64_encode(&text, bytes, len);
        assert_int_equal(text.len, (len + 2) / 3 * 4);
        assert_true(base64_decode(&back, buf_str(&text)));
        assert_true(str_eq(buf_str(&back), (Str){bytes, len}));
    }
    buf_done(&text);
    buf_done(&back);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha256),
        cmocka_unit_test(test_sip),
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_base64_refused),
        cmocka_unit_test(test_base64_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
