/* The sorted set against a plain array that is searched and sorted anew for every step. */
#include "broker/sorted_set.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/random.h"
#include <string.h>

enum { ROOM = 4000 };

typedef struct Plain {
    SortedMember items[ROOM];
    size_t count;
} Plain;

static SortedMember member(int64_t rank, uint64_t key) {
    SortedMember made = {.rank = rank, .other = ~rank};
    memcpy(made.key.bytes, &key, sizeof key);
    return made;
}

static int compare(const void *a, const void *b) {
    const SortedMember *left = a, *right = b;
    if (left->rank != right->rank) return left->rank < right->rank ? -1 : 1;
    return memcmp(left->key.bytes, right->key.bytes, sizeof left->key.bytes);
}

static bool plain_add(Plain *plain, const SortedMember *added) {
    for (size_t i = 0; i < plain->count; i++) {
        if (compare(&plain->items[i], added) == 0) return false;
    }
    assert_true(plain->count < ROOM);
    plain->items[plain->count++] = *added;
    qsort(plain->items, plain->count, sizeof *added, compare);
    return true;
}

static void assert_same(const SortedSet *set, const Plain *plain) {
    assert_int_equal(set->count, plain->count);
    for (size_t i = 0; i < plain->count; i++) {
        assert_int_equal(compare(sorted_set_at(set, i), &plain->items[i]), 0);
        assert_true(sorted_set_at(set, i)->other == plain->items[i].other);
    }
    assert_true(set->head + set->count <= set->capacity);
}

static void plain_drop_front(Plain *plain, size_t count) {
    if (count > plain->count) count = plain->count;
    plain->count -= count;
    memmove(plain->items, plain->items + count, plain->count * sizeof *plain->items);
}

static void add_many(SortedSet *set, Plain *plain, Random *random, int64_t span) {
    SortedMember many[200];
    size_t count = (size_t)random_below(random, 200), fresh = 0;
    for (size_t i = 0; i < count; i++) {
        many[i] = member((int64_t)random_below(random, (uint64_t)span), random_below(random, 3));
        if (plain_add(plain, &many[i])) fresh++;
    }
    assert_int_equal(sorted_set_add_all(set, many, count), fresh);
}

static void walk(uint64_t seed, int64_t span) {
    static Plain plain;
    plain.count = 0;
    SortedSet set = {0};
    Random random;
    random_init(&random, seed);
    for (int step = 0; step < 300; step++) {
        int64_t rank = (int64_t)random_below(&random, (uint64_t)span);
        SortedMember one = member(rank, random_below(&random, 3));
        switch (random_below(&random, 5)) {
        case 0: add_many(&set, &plain, &random, span); break;
        case 1:
        case 2: assert_int_equal(sorted_set_add(&set, &one), plain_add(&plain, &one)); break;
        case 3: {
            size_t count = (size_t)random_below(&random, 60);
            sorted_set_drop_front(&set, count);
            plain_drop_front(&plain, count);
            break;
        }
        default:
            if (random_below(&random, 4) == 0) {
                size_t before = plain.count;
                while (plain.count > 0 && plain.items[plain.count - 1].rank > rank) {
                    plain.count--;
                }
                assert_int_equal(sorted_set_count_to(&set, rank), plain.count);
                assert_int_equal(sorted_set_drop_above(&set, rank), before - plain.count);
            }
        }
        assert_same(&set, &plain);
        bool there = false;
        for (size_t i = 0; i < plain.count; i++) {
            there = there || compare(&plain.items[i], &one) == 0;
        }
        assert_int_equal(sorted_set_has(&set, one.rank, &one.key), there);
    }
    sorted_set_done(&set);
}

static void test_walks(void **state) {
    (void)state;
    static const int64_t spans[] = {1, 20, 500, 1000000};
    for (uint64_t seed = 0; seed < 24; seed++) {
        walk(seed, spans[seed % LENGTH(spans)]);
    }
}

static void test_bounds(void **state) {
    (void)state;
    SortedSet set = {0};
    assert_int_equal(sorted_set_count_to(&set, INT64_MAX), 0);
    assert_int_equal(sorted_set_drop_above(&set, INT64_MIN), 0);
    sorted_set_drop_front(&set, 5);
    SortedMember ends[] = {member(INT64_MAX, 1), member(INT64_MIN, 1), member(INT64_MAX, 1)};
    assert_int_equal(sorted_set_add_all(&set, ends, LENGTH(ends)), 2);
    assert_int_equal(sorted_set_count_to(&set, INT64_MIN), 1);
    assert_int_equal(sorted_set_count_to(&set, INT64_MAX - 1), 1);
    assert_int_equal(sorted_set_count_to(&set, INT64_MAX), 2);
    assert_int_equal(sorted_set_drop_above(&set, INT64_MIN), 1);
    sorted_set_done(&set);
    sorted_set_done(NULL);
}

/* A queue that is used as a queue: memory stays near what it holds, and goes when it is emptied. */
static void test_memory(void **state) {
    (void)state;
    SortedSet set = {0};
    for (int64_t i = 0; i < 200000; i++) {
        SortedMember one = member(i, 0);
        sorted_set_add(&set, &one);
        if (i >= 16384) sorted_set_drop_front(&set, 1);
        if (i > 1000) assert_true(set.capacity * sizeof(SortedMember) <= 64 * set.count);
    }
    while (set.count > 100) {
        sorted_set_drop_front(&set, 10);
    }
    assert_true(set.capacity <= 1024);
    sorted_set_drop_front(&set, 100);
    assert_true(set.capacity <= 256);
    sorted_set_done(&set);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_walks),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests_name("sorted set", tests, NULL, NULL);
}
