/* A hash table from bytes to a pointer (open addressing, keyed SipHash).
 *
 * Keys are borrowed: they must live, unchanged, as long as their entry; keep them inside the value.
 * Not thread safe. */
#pragma once

#include "base/str.h"

typedef struct MapSlot MapSlot;

typedef struct Map {
    MapSlot *slots;
    size_t capacity; /* a power of two, or 0 */
    size_t count;
    size_t tombs;
    uint64_t key[2]; /* hash key; zero is valid (for tests and inside a batch) */
} Map;

/* In place; allocates nothing. The two numbers key the hash: random where strangers choose the
 * keys. */
void map_init(Map *map, uint64_t key0, uint64_t key1);
void map_done(Map *map); /* frees the table, not the values; accepts NULL */

/* NULL when absent. */
void *map_get(const Map *map, Str key);
/* Adds or replaces; returns the value it replaced or NULL. value must not be NULL. */
void *map_put(Map *map, Str key, void *value);
/* Removes and returns the value, or NULL. */
void *map_remove(Map *map, Str key);
void map_clear(Map *map);

/* Walks the entries in no order: size_t at = 0; while ((v = map_next(map, &at))) …; removing the
 * entry just returned is allowed. */
void *map_next(const Map *map, size_t *at);
