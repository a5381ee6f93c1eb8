/* Finds keys that an object has twice: see json_keys.h.
 *
 * Few keys are compared pair by pair, which for most pairs is one comparison of eight bytes. Many
 * go into a hash table keyed with a fresh secret, so that nobody can choose keys that collide. */
#include "base/json_keys.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/json_scan.h"

enum { FEW_KEYS = 16 }; /* up to here comparing pairs is cheaper than hashing */

void json_keys_init(JsonKeys *keys) {
    keys->count = 0;
    keys->capacity = JSON_INLINE_KEYS;
    keys->stack = keys->inline_stack;
    keys->table = NULL;
    keys->table_capacity = 0;
    keys->has_secret = false;
}

void json_keys_done(JsonKeys *keys) {
    if (keys->stack != keys->inline_stack) free(keys->stack);
    free(keys->table);
}

static uint64_t fingerprint(Str text, bool escaped, const char *end) {
    char bytes[12] = {0};
    uint64_t print;
    if (escaped) {
        const char *at = text.ptr;
        size_t len = 0;
        while (len < sizeof(print) && at < text.ptr + text.len) {
            len += json_unescape_step(&at, bytes + len);
        }
        memcpy(&print, bytes, sizeof(print));
        return print;
    }
    if (end - text.ptr < (ptrdiff_t)sizeof(print)) {
        memcpy(bytes, text.ptr, text.len);
        memcpy(&print, bytes, sizeof(print));
        return print;
    }
    memcpy(&print, text.ptr, sizeof(print));
    if (text.len >= sizeof(print)) return print;
    return htole64(le64toh(print) & ((UINT64_C(1) << (8 * text.len)) - 1));
}

static void grow(JsonKeys *keys) {
    bool is_inline = keys->stack == keys->inline_stack;
    keys->capacity *= 2;
    keys->stack = alloc_again(is_inline ? NULL : keys->stack, keys->capacity, sizeof(JsonKey));
    if (is_inline) memcpy(keys->stack, keys->inline_stack, sizeof(keys->inline_stack));
}

void json_keys_push(JsonKeys *keys, Str text, bool escaped, const char *end) {
    if (keys->count == keys->capacity) grow(keys);
    keys->stack[keys->count++] = (JsonKey){
        .text = text,
        .print = fingerprint(text, escaped, end),
        .escaped = escaped,
    };
}

/* Unescapes byte by byte, for comparing. */
typedef struct ByteReader {
    const char *at;
    const char *end;
    char bytes[4];
    size_t len;
    size_t used;
} ByteReader;

/* The next byte, or -1 at the end. */
static int next_byte(ByteReader *reader) {
    if (reader->used == reader->len) {
        if (reader->at == reader->end) return -1;
        reader->len = json_unescape_step(&reader->at, reader->bytes);
        reader->used = 0;
    }
    return (uint8_t)reader->bytes[reader->used++];
}

static bool keys_equal(const JsonKey *a, const JsonKey *b) {
    if (a->print != b->print) return false;
    if (!a->escaped && !b->escaped) return str_eq(a->text, b->text);
    ByteReader left = {.at = a->text.ptr, .end = a->text.ptr + a->text.len};
    ByteReader right = {.at = b->text.ptr, .end = b->text.ptr + b->text.len};
    int byte;
    do {
        byte = next_byte(&left);
        if (byte != next_byte(&right)) return false;
    } while (byte >= 0);
    return true;
}

static const JsonKey *find_pair(const JsonKey *stack, size_t count) {
    for (size_t i = 1; i < count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (keys_equal(&stack[i], &stack[j])) return &stack[i];
        }
    }
    return NULL;
}

static uint64_t hash_key(const JsonKeys *keys, const JsonKey *key) {
    if (!key->escaped) return hash_sip(keys->secret, key->text.ptr, key->text.len);
    char *bytes = alloc(key->text.len);
    size_t len = 0;
    ByteReader reader = {.at = key->text.ptr, .end = key->text.ptr + key->text.len};
    for (int byte = next_byte(&reader); byte >= 0; byte = next_byte(&reader)) {
        bytes[len++] = (char)byte;
    }
    uint64_t hash = hash_sip(keys->secret, bytes, len);
    free(bytes);
    return hash;
}

/* The table holds 1-based places in stack[]; 0 is free. It is at most half full. */
static const JsonKey *find_hashed(JsonKeys *keys, const JsonKey *stack, size_t count) {
    if (!keys->has_secret) {
        check(getrandom(keys->secret, sizeof(keys->secret), 0) == sizeof(keys->secret));
        keys->has_secret = true;
    }
    size_t capacity = 4 * (size_t)FEW_KEYS;
    while (capacity < 2 * count) {
        capacity *= 2;
    }
    if (capacity > keys->table_capacity) {
        keys->table = alloc_again(keys->table, capacity, sizeof(keys->table[0]));
        keys->table_capacity = capacity;
    }
    memset(keys->table, 0, capacity * sizeof(keys->table[0]));
    for (size_t i = 0; i < count; i++) {
        size_t slot = (size_t)hash_key(keys, &stack[i]) & (capacity - 1);
        for (; keys->table[slot] != 0; slot = (slot + 1) & (capacity - 1)) {
            if (keys_equal(&stack[keys->table[slot] - 1], &stack[i])) return &stack[i];
        }
        keys->table[slot] = (uint32_t)i + 1;
    }
    return NULL;
}

const JsonKey *json_keys_twin(JsonKeys *keys, size_t first) {
    const JsonKey *stack = keys->stack + first;
    size_t count = keys->count - first;
    return count <= FEW_KEYS ? find_pair(stack, count) : find_hashed(keys, stack, count);
}
