/* A bounded-by-its-owner sorted array of window members, lowest rank first, ties by key.
 *
 * Knows nothing of horizons: window.c decides what belongs in it. Appending at the back and
 * popping at the front are O(1) (the front is a moving head), finding is a binary search. No
 * member is in it twice: rank and key together are its identity. 32 bytes a member, at most 1.5
 * times that allocated at growth. */
#pragma once

#include "core/job.h"

typedef struct SortedMember {
    int64_t rank;  /* what the set is sorted by: a score, or a due time */
    int64_t other; /* carried along: the due time, or the score */
    JobKey key;
} SortedMember;

typedef struct SortedSet { /* a zero SortedSet is valid and empty */
    SortedMember *items;   /* owned */
    size_t head;           /* where the first member is */
    size_t count;
    size_t capacity;
} SortedSet;

/* Frees; empty and valid afterwards. Accepts NULL. */
void sorted_set_done(SortedSet *set);

/* Adds one; false when rank and key are there already. */
bool sorted_set_add(SortedSet *set, const SortedMember *member);
/* Adds many in one merge; sorts `members` in place. Returns how many were not there yet. */
size_t sorted_set_add_all(SortedSet *set, SortedMember *members, size_t count);

/* The member at a place below count, 0 = lowest; borrowed until the next change. */
const SortedMember *sorted_set_at(const SortedSet *set, size_t place);
/* Drops the lowest `count` members (at most all). */
void sorted_set_drop_front(SortedSet *set, size_t count);
/* Drops every member ranked above `bound`; ties stay or leave together. Returns how many left. */
size_t sorted_set_drop_above(SortedSet *set, int64_t bound);

/* How many members have a rank of at most `bound`. */
size_t sorted_set_count_to(const SortedSet *set, int64_t bound);
bool sorted_set_has(const SortedSet *set, int64_t rank, const JobKey *key);
