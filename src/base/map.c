/* A hash table from bytes to a pointer: see map.h.
 *
 * Linear probing. A slot's `hash` tells what it is: EMPTY, TOMB (removed; probing goes on) or an
 * entry. At most three quarters of the slots are not EMPTY, so every probe ends. Removing never
 * moves an entry, which is what lets a walk remove. */
#include "base/map.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/hash.h"

enum { EMPTY = 0, TOMB = 1, FIRST_HASH = 2, FIRST_CAPACITY = 16 };

struct MapSlot {
    uint64_t hash;
    Str key;
    void *value;
};

void map_init(Map *map, uint64_t key0, uint64_t key1) {
    *map = (Map){.key = {key0, key1}};
}

void map_done(Map *map) {
    if (!map) return;
    free(map->slots);
    map_init(map, map->key[0], map->key[1]);
}

static uint64_t hash_of(const Map *map, Str key) {
    uint64_t hash = hash_sip(map->key, key.ptr, key.len);
    return hash < FIRST_HASH ? hash + FIRST_HASH : hash;
}

/* The entry's slot, or NULL. */
static MapSlot *find(const Map *map, Str key, uint64_t hash) {
    if (map->count == 0) return NULL;
    size_t mask = map->capacity - 1;
    for (size_t i = (size_t)hash & mask;; i = (i + 1) & mask) {
        MapSlot *slot = &map->slots[i];
        if (slot->hash == EMPTY) return NULL;
        if (slot->hash == hash && str_eq(slot->key, key)) return slot;
    }
}

/* The slot where an entry that isn't there yet goes. */
static MapSlot *find_free(const Map *map, uint64_t hash) {
    size_t mask = map->capacity - 1;
    size_t i = (size_t)hash & mask;
    while (map->slots[i].hash >= FIRST_HASH) {
        i = (i + 1) & mask;
    }
    return &map->slots[i];
}

/* Makes room for one more: a table that is at most half full, without tombs. */
static void make_room(Map *map) {
    if (4 * (map->count + map->tombs + 1) <= 3 * map->capacity) return;
    size_t capacity = FIRST_CAPACITY;
    while (capacity < 2 * (map->count + 1)) {
        capacity *= 2;
    }
    Map bigger = *map;
    bigger.slots = alloc_zero(capacity, sizeof(MapSlot));
    bigger.capacity = capacity;
    bigger.tombs = 0;
    for (size_t i = 0; i < map->capacity; i++) {
        if (map->slots[i].hash < FIRST_HASH) continue;
        *find_free(&bigger, map->slots[i].hash) = map->slots[i];
    }
    free(map->slots);
    *map = bigger;
}

void *map_get(const Map *map, Str key) {
    if (map->count == 0) return NULL;
    const MapSlot *slot = find(map, key, hash_of(map, key));
    return slot ? slot->value : NULL;
}

void *map_put(Map *map, Str key, void *value) {
    check(value);
    uint64_t hash = hash_of(map, key);
    MapSlot *slot = find(map, key, hash);
    if (slot) {
        void *replaced = slot->value;
        slot->key = key; /* the old key dies with the old value */
        slot->value = value;
        return replaced;
    }
    make_room(map);
    slot = find_free(map, hash);
    if (slot->hash == TOMB) map->tombs--;
    *slot = (MapSlot){.hash = hash, .key = key, .value = value};
    map->count++;
    return NULL;
}

/* Where the next slot is empty no probe has to pass here, nor the tombs in front of here. */
static void bury(Map *map, size_t index) {
    size_t mask = map->capacity - 1;
    map->slots[index] = (MapSlot){.hash = TOMB};
    map->tombs++;
    if (map->slots[(index + 1) & mask].hash != EMPTY) return;
    while (map->slots[index].hash == TOMB) {
        map->slots[index].hash = EMPTY;
        map->tombs--;
        index = (index - 1) & mask;
    }
}

void *map_remove(Map *map, Str key) {
    if (map->count == 0) return NULL;
    MapSlot *slot = find(map, key, hash_of(map, key));
    if (!slot) return NULL;
    void *value = slot->value;
    map->count--;
    bury(map, (size_t)(slot - map->slots));
    return value;
}

void map_clear(Map *map) {
    if (map->capacity > 0) memset(map->slots, 0, map->capacity * sizeof(MapSlot));
    map->count = 0;
    map->tombs = 0;
}

void *map_next(const Map *map, size_t *at) {
    while (*at < map->capacity) {
        const MapSlot *slot = &map->slots[(*at)++];
        if (slot->hash >= FIRST_HASH) return slot->value;
    }
    return NULL;
}
