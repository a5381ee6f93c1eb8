/* SHA-256, SipHash-1-3, hex and base64: see hash.h.
 *
 * SipHash (Aumasson, Bernstein, 2012) with one round per block and three at the end: strong enough
 * against chosen keys in a hash table, not a message authenticator. Bytes are read as little
 * endian, so that values are the same on every machine. */
#include "base/hash.h"

#include <endian.h>
#include <openssl/sha.h>
#include <string.h>

void hash_sha256(Str bytes, uint8_t ret[SHA256_SIZE]) {
    SHA256((const unsigned char *)(bytes.ptr ? bytes.ptr : ""), bytes.len, ret);
}

static uint64_t rotate_left(uint64_t value, int by) {
    return (value << by) | (value >> (64 - by));
}

static inline void sip_round(uint64_t v[4]) {
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate_left(v[1], 13) ^ v[0];
    v[3] = rotate_left(v[3], 16) ^ v[2];
    v[0] = rotate_left(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotate_left(v[1], 17) ^ v[2];
    v[3] = rotate_left(v[3], 21) ^ v[0];
    v[2] = rotate_left(v[2], 32);
}

uint64_t hash_sip(const uint64_t key[2], const void *bytes, size_t len) {
    uint64_t v[4] = {
        key[0] ^ UINT64_C(0x736f6d6570736575),
        key[1] ^ UINT64_C(0x646f72616e646f6d),
        key[0] ^ UINT64_C(0x6c7967656e657261),
        key[1] ^ UINT64_C(0x7465646279746573),
    };
    const uint8_t *at = bytes;
    size_t rest = len;
    for (; rest >= 8; rest -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        word = le64toh(word);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    uint64_t last = (uint64_t)len << 56;
    for (size_t i = 0; i < rest; i++) {
        last |= (uint64_t)at[i] << (8 * i);
    }
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    sip_round(v);
    sip_round(v);
    sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void hex_encode(Buf *buf, const uint8_t *bytes, size_t len) {
    static const char digits[] = "0123456789abcdef";
    char *at = buf_reserve(buf, 2 * len);
    if (!at) return;
    for (size_t i = 0; i < len; i++) {
        *at++ = digits[bytes[i] >> 4];
        *at++ = digits[bytes[i] & 15];
    }
}

static const char STANDARD[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char URL[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void encode_64(Buf *buf, const uint8_t *bytes, size_t len, const char *alphabet,
                      bool padded) {
    size_t tail = len % 3;
    size_t size = len / 3 * 4 + (tail ? (padded ? 4 : tail + 1) : 0);
    char *at = buf_reserve(buf, size);
    if (!at) return;
    size_t i = 0;
    for (; i + 3 <= len; i += 3) {
        uint32_t group = (uint32_t)bytes[i] << 16 | (uint32_t)bytes[i + 1] << 8 | bytes[i + 2];
        *at++ = alphabet[group >> 18];
        *at++ = alphabet[group >> 12 & 63];
        *at++ = alphabet[group >> 6 & 63];
        *at++ = alphabet[group & 63];
    }
    if (tail == 0) return;
    uint32_t group = (uint32_t)bytes[i] << 16 | (tail == 2 ? (uint32_t)bytes[i + 1] << 8 : 0);
    *at++ = alphabet[group >> 18];
    *at++ = alphabet[group >> 12 & 63];
    if (tail == 2) *at++ = alphabet[group >> 6 & 63];
    if (padded && tail == 1) *at++ = '=';
    if (padded) *at = '=';
}

void base64_encode(Buf *buf, const void *bytes, size_t len) {
    encode_64(buf, bytes, len, STANDARD, /* padded= */ true);
}

void base64url_encode(Buf *buf, const void *bytes, size_t len) {
    encode_64(buf, bytes, len, URL, /* padded= */ false);
}

/* Decodes digits without padding; false for a byte outside the alphabet, a lone last digit, or bits
 * in the last digit that carry nothing and aren't 0. */
static bool decode_64(Buf *buf, Str text, char digit62, char digit63) {
    if (text.len % 4 == 1) return false;
    uint32_t group = 0;
    unsigned bits = 0;
    for (size_t i = 0; i < text.len; i++) {
        char digit = text.ptr[i];
        int value = -1;
        if (digit >= 'A' && digit <= 'Z') value = digit - 'A';
        if (digit >= 'a' && digit <= 'z') value = digit - 'a' + 26;
        if (digit >= '0' && digit <= '9') value = digit - '0' + 52;
        if (digit == digit62) value = 62;
        if (digit == digit63) value = 63;
        if (value < 0) return false;
        group = group << 6 | (uint32_t)value;
        bits += 6;
        if (bits < 8) continue;
        bits -= 8;
        buf_add_char(buf, (char)(uint8_t)(group >> bits));
        group &= (1u << bits) - 1;
    }
    return group == 0;
}

bool base64_decode(Buf *buf, Str text) {
    if (text.len % 4 != 0) return false;
    for (int i = 0; i < 2 && text.len > 0 && text.ptr[text.len - 1] == '='; i++) {
        text.len--;
    }
    return decode_64(buf, text, '+', '/');
}

bool base64url_decode(Buf *buf, Str text) {
    return decode_64(buf, text, '-', '_');
}
