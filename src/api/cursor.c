/* Sealing: position and time, 8 bytes each, and 16 bytes of MAC, as base64url. */
#include "api/cursor.h"

#include "base/hash.h"
#include "base/time.h"
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

enum { PLAIN_SIZE = 16, MAC_SIZE = 16, SEALED_SIZE = PLAIN_SIZE + MAC_SIZE, TEXT_MAX = 64 };

static void put_number(Buf *buf, int64_t value) {
    for (int shift = 56; shift >= 0; shift -= 8) {
        buf_add_char(buf, (char)(uint8_t)((uint64_t)value >> shift));
    }
}

static int64_t get_number(const char *at) {
    uint64_t value = 0;
    for (int i = 0; i < 8; i++) {
        value = value << 8 | (uint8_t)at[i];
    }
    return (int64_t)value;
}

/* plain has PLAIN_SIZE bytes, so where the scope begins is certain. */
static void make_mac(const uint8_t key[CURSOR_KEY_SIZE], Str plain, Str scope,
                     uint8_t ret[SHA256_SIZE]) {
    cleanup(buf_done) Buf text;
    buf_init(&text, plain.len + scope.len);
    buf_add(&text, plain);
    buf_add(&text, scope);
    unsigned len = 0;
    check(
        HMAC(EVP_sha256(), key, CURSOR_KEY_SIZE, (const uint8_t *)text.data, text.len, ret, &len));
    check(len == SHA256_SIZE);
}

Str cursor_seal(const uint8_t key[CURSOR_KEY_SIZE], Str scope, int64_t position, int64_t now_us,
                Arena *arena) {
    check(position != 0);
    uint8_t mac[SHA256_SIZE];
    cleanup(buf_done) Buf sealed, text;
    buf_init(&sealed, SEALED_SIZE);
    buf_init(&text, TEXT_MAX);
    put_number(&sealed, position);
    put_number(&sealed, now_us / US_PER_S);
    make_mac(key, buf_str(&sealed), scope, mac);
    buf_add_bytes(&sealed, mac, MAC_SIZE);
    base64url_encode(&text, sealed.data, sealed.len);
    return arena_str(arena, buf_str(&text));
}

Err cursor_open(const uint8_t key[CURSOR_KEY_SIZE], Str scope, Str text, int64_t now_us,
                int64_t *ret_position, Error *error) {
    uint8_t mac[SHA256_SIZE];
    cleanup(buf_done) Buf sealed;
    buf_init(&sealed, TEXT_MAX);
    bool good = text.len > 0 && text.len <= TEXT_MAX && base64url_decode(&sealed, text) &&
                sealed.len == SEALED_SIZE;
    if (good) {
        make_mac(key, (Str){sealed.data, PLAIN_SIZE}, scope, mac);
        int64_t made_s = get_number(sealed.data + 8);
        good = CRYPTO_memcmp(mac, sealed.data + PLAIN_SIZE, MAC_SIZE) == 0 &&
               now_us / US_PER_S - made_s <= CURSOR_TTL_S;
    }
    if (!good) {
        return error_code(error, ERR_INVALID, "invalid-cursor",
                          "the cursor is not one that this list gave within the last day");
    }
    *ret_position = get_number(sealed.data);
    return OK;
}
