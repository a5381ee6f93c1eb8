/* See the header. */
#include "server/store_clock.h"

#include "base/clock.h"
#include "base/time.h"

#define BACK_MOST_US (US_PER_S / 2) /* a second */
#define BEST_KEPT_US (60 * US_PER_S)

void store_clock_init(StoreClock *clock) {
    *clock = (StoreClock){0};
    atomic_store(&clock->offset_us, clock_real_us() - clock_mono_us());
}

int64_t store_clock_now_us(const StoreClock *clock) {
    return clock_mono_us() + atomic_load_explicit(&clock->offset_us, memory_order_relaxed);
}

static void step(StoreClock *clock, int64_t by_us, int64_t back_most_us) {
    if (by_us < -back_most_us) by_us = -back_most_us;
    atomic_store(&clock->offset_us, atomic_load(&clock->offset_us) + by_us);
}

void store_clock_learn(StoreClock *clock, int64_t store_us, int64_t round_trip_us,
                       int64_t mono_us) {
    int64_t wanted_us = store_us + round_trip_us / 2 - mono_us;
    if (!clock->learned) {
        /* nothing has been decided by it yet */
        clock->learned = true;
        clock->best_us = round_trip_us;
        clock->learned_us = mono_us;
        atomic_store(&clock->offset_us, wanted_us);
        return;
    }
    int64_t since_us = mono_us - clock->learned_us;
    bool old = since_us > BEST_KEPT_US;
    if (round_trip_us < clock->best_us || old) clock->best_us = round_trip_us;
    if (round_trip_us > 2 * clock->best_us + US_PER_MS && !old) return;
    clock->learned_us = mono_us;
    step(clock, wanted_us - atomic_load(&clock->offset_us), since_us / 2);
}

int64_t store_clock_follow(StoreClock *clock) {
    int64_t off_us = clock_real_us() - clock_mono_us() - atomic_load(&clock->offset_us);
    if (!clock->learned) step(clock, off_us, BACK_MOST_US);
    return off_us;
}
