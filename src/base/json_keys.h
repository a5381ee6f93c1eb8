/* The keys of all objects that are open while a document is checked, and the search for a key that
 * an object has twice.
 *
 * Internal to base/. One stack for all depths: an object's keys lie from a place that its caller
 * remembers to the top. Keys are slices of the document, compared unescaped. */
#pragma once

#include "base/str.h"

typedef struct JsonKey {
    Str text;       /* between the quotes, still escaped */
    uint64_t print; /* the first eight bytes, unescaped, 0 behind a shorter key */
    bool escaped;
} JsonKey;

enum { JSON_INLINE_KEYS = 64 }; /* before the stack moves to the heap */

typedef struct JsonKeys {
    size_t count;
    size_t capacity;
    JsonKey *stack;  /* inline_stack, or owned */
    uint32_t *table; /* owned; for objects with many members */
    size_t table_capacity;
    uint64_t secret[2];
    bool has_secret;
    JsonKey inline_stack[JSON_INLINE_KEYS];
} JsonKeys;

/* In place, without touching the 2 KiB of inline_stack. */
void json_keys_init(JsonKeys *keys);
void json_keys_done(JsonKeys *keys);

/* Pushes a key; `end` is the end of the document, at least one byte behind the key. */
void json_keys_push(JsonKeys *keys, Str text, bool escaped, const char *end);

/* A key from place `first` on that equals an earlier one from there on, or NULL. Linear. */
const JsonKey *json_keys_twin(JsonKeys *keys, size_t first);
