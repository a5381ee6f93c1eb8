/* See the header. */
#include "server/store_clock.h"

#include "base/clock.h"
#include "base/time.h"

void store_clock_init(StoreClock *clock) {
    atomic_store(&clock->offset_us, clock_real_us() - clock_mono_us());
}

int64_t store_clock_now_us(const StoreClock *clock) {
    return clock_mono_us() + atomic_load_explicit(&clock->offset_us, memory_order_relaxed);
}

int64_t store_clock_follow(StoreClock *clock) {
    int64_t offset_us = atomic_load(&clock->offset_us);
    int64_t wanted_us = clock_real_us() - clock_mono_us();
    int64_t step_us = wanted_us - offset_us;
    if (step_us < -US_PER_S / 2) step_us = -US_PER_S / 2;
    atomic_store(&clock->offset_us, offset_us + step_us);
    return wanted_us - offset_us;
}
