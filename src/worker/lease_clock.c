/* The rule of lease_clock.h. The one invariant: `over` and `epoch` change together, so that whoever
 * remembers an epoch knows whether its lease still is the same. */
#include "worker/lease_clock.h"

#include "base/time.h"

/* Four fifths. */
static int64_t usable_us(int64_t lease_ms) {
    return lease_ms * US_PER_MS * 4 / 5;
}

static int64_t shorter(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static int64_t longer(int64_t a, int64_t b) {
    return a > b ? a : b;
}

int64_t lease_clock_end_us(const LeaseClock *clock, int64_t lease_ms) {
    int64_t end_us = clock->renewed_us + usable_us(lease_ms);
    if (clock->cut_us == 0) return end_us;
    int64_t cut_us = usable_us(shorter(lease_ms, LEASE_CUT_MS));
    end_us = shorter(end_us, clock->cut_us + cut_us);
    return clock->refused_us > 0 ? longer(end_us, clock->refused_us + cut_us) : end_us;
}

bool lease_clock_look(LeaseClock *clock, int64_t now_us) {
    if (clock->renewed_us == 0 || clock->over) return false;
    if (now_us < lease_clock_end_us(clock, clock->lease_ms)) return false;
    clock->over = true;
    clock->epoch++;
    return true;
}

bool lease_clock_holds(const LeaseClock *clock) {
    return clock->renewed_us > 0 && clock->cut_us == 0 && !clock->over;
}

void lease_clock_cut(LeaseClock *clock, int64_t alive_us) {
    if (clock->renewed_us > 0 && !clock->over) clock->cut_us = longer(clock->cut_us, alive_us);
}

void lease_clock_refused(LeaseClock *clock, int64_t begun_us) {
    if (clock->cut_us > 0 && !clock->over) {
        clock->refused_us = longer(clock->refused_us, begun_us);
    }
}

void lease_clock_renew(LeaseClock *clock, int64_t sent_us) {
    clock->renewed_us = sent_us;
    clock->cut_us = clock->refused_us = 0;
    clock->over = false;
}
