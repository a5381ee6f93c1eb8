/* The embedded store's clock: the machine's time of day, made monotonic.
 *
 * now = CLOCK_MONOTONIC + offset. The offset follows the time of day forward at once and backward
 * at half speed, so a clock that is set back never makes a job due twice nor time stand still. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

typedef struct StoreClock {
    _Atomic(int64_t) offset_us;
} StoreClock;

void store_clock_init(StoreClock *clock);
/* Thread safe. */
int64_t store_clock_now_us(const StoreClock *clock);
/* Call once a second; returns by how much the time of day was off (µs, positive: it is ahead). */
int64_t store_clock_follow(StoreClock *clock);
