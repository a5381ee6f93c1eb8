/* The sorted array behind the window's two sets: see sorted_set.h.
 *
 * The members lie in items[head … head + count). Slots in front of head are free: popping
 * leaves them, and inserting near the front uses them. Memory follows the count down, so that a
 * queue that was full once does not stay large. */
#include "broker/sorted_set.h"

#include "base/alloc.h"
#include "base/check.h"

#include <stdlib.h>
#include <string.h>

enum { LEAST_CAPACITY = 16, SHRINK_FROM = 256 };

void sorted_set_done(SortedSet *set) {
    if (!set) return;
    free(set->items);
    *set = (SortedSet){0};
}

static int compare(const SortedMember *a, const SortedMember *b) {
    if (a->rank != b->rank) return a->rank < b->rank ? -1 : 1;
    return memcmp(a->key.bytes, b->key.bytes, sizeof a->key.bytes);
}

static int compare_any(const void *a, const void *b) {
    return compare(a, b);
}

static void move_to(SortedSet *set, size_t capacity) {
    SortedMember *items = alloc(capacity * sizeof *items);
    if (set->count > 0) memcpy(items, &set->items[set->head], set->count * sizeof *items);
    free(set->items);
    set->items = items;
    set->head = 0;
    set->capacity = capacity;
}

/* Makes sure that `more` members fit behind the last one. Sliding down is worth it only when
 * that frees more slots than it moves members, which keeps appending O(1). */
static void make_room(SortedSet *set, size_t more) {
    size_t needed = set->count + more;
    if (set->head + needed <= set->capacity) return;
    if (set->head >= set->count && needed <= set->capacity) {
        memmove(set->items, &set->items[set->head], set->count * sizeof *set->items);
        set->head = 0;
        return;
    }
    size_t capacity = needed + needed / 2;
    move_to(set, capacity < LEAST_CAPACITY ? LEAST_CAPACITY : capacity);
}

static void shrink(SortedSet *set) {
    if (set->count == 0) set->head = 0;
    if (set->capacity < SHRINK_FROM || set->count >= set->capacity / 4) return;
    if (set->count == 0) {
        sorted_set_done(set);
    } else {
        move_to(set, set->capacity / 2);
    }
}

const SortedMember *sorted_set_at(const SortedSet *set, size_t place) {
    check(place < set->count);
    return &set->items[set->head + place];
}

/* The first place whose member is not below `member`. */
static size_t place_of(const SortedSet *set, const SortedMember *member) {
    size_t from = 0, to = set->count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (compare(&set->items[set->head + middle], member) < 0) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from;
}

static bool is_at(const SortedSet *set, size_t place, const SortedMember *member) {
    return place < set->count && compare(&set->items[set->head + place], member) == 0;
}

bool sorted_set_has(const SortedSet *set, int64_t rank, const JobKey *key) {
    SortedMember member = {.rank = rank, .key = *key};
    return is_at(set, place_of(set, &member), &member);
}

static void insert(SortedSet *set, size_t place, const SortedMember *member) {
    if (set->head > 0 && place < set->count / 2) {
        SortedMember *first = &set->items[set->head];
        memmove(first - 1, first, place * sizeof *first);
        set->head--;
    } else {
        make_room(set, 1);
        SortedMember *at = &set->items[set->head + place];
        memmove(at + 1, at, (set->count - place) * sizeof *at);
    }
    set->items[set->head + place] = *member;
    set->count++;
}

bool sorted_set_add(SortedSet *set, const SortedMember *member) {
    size_t place = set->count;
    if (place > 0 && compare(sorted_set_at(set, place - 1), member) >= 0) {
        place = place_of(set, member);
        if (is_at(set, place, member)) return false;
    }
    insert(set, place, member);
    return true;
}

/* Sorts, if need be, and drops doubles; returns how many are left. */
static size_t sort_members(SortedMember *members, size_t count) {
    bool rising = true;
    for (size_t i = 1; rising && i < count; i++) {
        rising = compare(&members[i - 1], &members[i]) < 0;
    }
    if (rising) return count;
    qsort(members, count, sizeof *members, compare_any);
    size_t kept = 1;
    for (size_t i = 1; i < count; i++) {
        if (compare(&members[kept - 1], &members[i]) != 0) members[kept++] = members[i];
    }
    return kept;
}

/* Merges from the back, so that each member moves once. Each double leaves a gap between what
 * has been written and what has not been looked at; the lower part then moves up to close it. */
static size_t merge(SortedSet *set, const SortedMember *members, size_t count) {
    make_room(set, count);
    SortedMember *items = &set->items[set->head];
    size_t old = set->count, new = count, at = old + count, doubles = 0;
    while (new > 0) {
        int order = old > 0 ? compare(&items[old - 1], &members[new - 1]) : -1;
        if (order > 0) {
            items[--at] = items[--old];
        } else {
            if (order == 0) {
                old--;
                doubles++;
            }
            items[--at] = members[--new];
        }
    }
    if (doubles > 0) {
        memmove(&items[at - old], items, old * sizeof *items);
        set->head += doubles;
    }
    set->count += count - doubles;
    return count - doubles;
}

size_t sorted_set_add_all(SortedSet *set, SortedMember *members, size_t count) {
    if (count == 0) return 0;
    if (count == 1) return sorted_set_add(set, members) ? 1 : 0;
    return merge(set, members, sort_members(members, count));
}

void sorted_set_drop_front(SortedSet *set, size_t count) {
    if (count > set->count) count = set->count;
    set->head += count;
    set->count -= count;
    shrink(set);
}

size_t sorted_set_count_to(const SortedSet *set, int64_t bound) {
    if (set->count == 0 || sorted_set_at(set, set->count - 1)->rank <= bound) return set->count;
    if (bound == INT64_MAX) return set->count;
    SortedMember above = {.rank = bound + 1};
    return place_of(set, &above);
}

size_t sorted_set_drop_above(SortedSet *set, int64_t bound) {
    size_t kept = sorted_set_count_to(set, bound);
    size_t dropped = set->count - kept;
    set->count = kept;
    if (dropped > 0) shrink(set);
    return dropped;
}
