/* The store's clock as this node knows it.
 *
 * now = CLOCK_MONOTONIC + offset. Embedded, the offset follows the machine's time of day: forward at once
 * and backward at half speed, so that a clock that is set back never makes a job due twice nor time stand
 * still. In a cluster it follows what the store says of its own clock, in the same way, and the machine's
 * time of day only tells by how much it is off. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct StoreClock {
    _Atomic(int64_t) offset_us;
    bool learned;       /* from the store */
    int64_t best_us;    /* the shortest way to the store and back, of late */
    int64_t learned_us; /* monotonic: when it was last told */
} StoreClock;

void store_clock_init(StoreClock *clock);
/* Thread safe. */
int64_t store_clock_now_us(const StoreClock *clock);
/* The store's clock said `store_us`, at some time within the last `round_trip_us` (RFC 5905 takes the
 * middle; what took much longer than others is not believed). `mono_us`: now, monotonic. */
void store_clock_learn(StoreClock *clock, int64_t store_us, int64_t round_trip_us, int64_t mono_us);
/* Call once a second; returns by how much the time of day is off (µs, positive: it is ahead). */
int64_t store_clock_follow(StoreClock *clock);
