/* Map against an array that does the same naively, through random puts, removals and walks. */
#include "base/map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/random.h"

enum { KEYS = 500 };

typedef struct Entry {
    char key[16];
    bool present;
    bool seen;
} Entry;

static void assert_same(const Map *map, Entry *entries) {
    size_t count = 0;
    for (int i = 0; i < KEYS; i++) {
        void *expected = entries[i].present ? &entries[i] : NULL;
        assert_ptr_equal(map_get(map, str_from(entries[i].key)), expected);
        count += entries[i].present ? 1 : 0;
        entries[i].seen = false;
    }
    assert_int_equal(map->count, count);
    size_t at = 0;
    size_t walked = 0;
    Entry *entry;
    while ((entry = map_next(map, &at))) {
        assert_true(entry->present && !entry->seen);
        entry->seen = true;
        walked++;
    }
    assert_int_equal(walked, count);
}

/* `bias` of 10 operations put, the others remove, so that the table grows, stays and shrinks. */
static void churn(Map *map, Entry *entries, Random *random, uint64_t bias) {
    for (int i = 0; i < 3000; i++) {
        Entry *entry = &entries[random_below(random, KEYS)];
        Str key = str_from(entry->key);
        void *expected = entry->present ? entry : NULL;
        if (random_below(random, 10) < bias) {
            assert_ptr_equal(map_put(map, key, entry), expected);
            entry->present = true;
        } else {
            assert_ptr_equal(map_remove(map, key), expected);
            entry->present = false;
        }
        assert_true(map->count + map->tombs < map->capacity || map->capacity == 0);
    }
}

static void test_model(void **state) {
    (void)state;
    static Entry entries[KEYS];
    for (int i = 0; i < KEYS; i++) {
        snprintf(entries[i].key, sizeof(entries[i].key), "%.*s%d", i % 3, "kk", i);
    }
    for (uint64_t seed = 0; seed < 5; seed++) {
        Random random;
        random_init(&random, seed);
        Map map;
        map_init(&map, seed, seed * 7);
        static const uint64_t biases[] = {2, 8, 5, 1, 9, 5, 0};
        for (size_t i = 0; i < LENGTH(biases); i++) {
            churn(&map, entries, &random, biases[i]);
            assert_same(&map, entries);
        }
        map_clear(&map);
        for (int i = 0; i < KEYS; i++) {
            entries[i].present = false;
        }
        assert_same(&map, entries);
        map_done(&map);
    }
}

static void test_walk_and_remove(void **state) {
    (void)state;
    static Entry entries[KEYS];
    Map map;
    map_init(&map, 1, 2);
    for (int i = 0; i < KEYS; i++) {
        snprintf(entries[i].key, sizeof(entries[i].key), "%d", i);
        map_put(&map, str_from(entries[i].key), &entries[i]);
        entries[i].present = true;
    }
    size_t at = 0;
    int walked = 0;
    Entry *entry;
    while ((entry = map_next(&map, &at))) {
        walked++;
        if (walked % 2) continue;
        assert_ptr_equal(map_remove(&map, str_from(entry->key)), entry);
        entry->present = false;
    }
    assert_int_equal(walked, KEYS);
    assert_same(&map, entries);
    map_done(&map);
}

static void test_edges(void **state) {
    (void)state;
    Map map = {0};
    size_t at = 0;
    int first = 1;
    int second = 2;
    assert_null(map_get(&map, STR("a")));
    assert_null(map_remove(&map, STR("a")));
    assert_null(map_next(&map, &at));
    map_clear(&map);
    assert_null(map_put(&map, STR(""), &first));
    assert_ptr_equal(map_get(&map, (Str){0}), &first);
    assert_null(map_put(&map, ((Str){"\0", 1}), &second));
    assert_ptr_equal(map_get(&map, STR("")), &first);

    char old_key[] = "key";
    char new_key[] = "key";
    map_put(&map, str_from(old_key), &first);
    assert_ptr_equal(map_put(&map, str_from(new_key), &second), &first);
    memset(old_key, 'x', 3); /* the replaced value's key is borrowed no longer */
    assert_ptr_equal(map_get(&map, STR("key")), &second);
    map_done(&map);
    map_done(&map);
    map_done(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_walk_and_remove),
        cmocka_unit_test(test_edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
