/* Reads the two clocks: see clock.h.
 *
 * The only place in base/ that asks for the time; everything else is handed it. */
#include "base/clock.h"

#include <time.h>

#include "base/check.h"

static int64_t read_us(clockid_t id) {
    struct timespec now;
    check(clock_gettime(id, &now) == 0);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_real_us(void) {
    return read_us(CLOCK_REALTIME);
}

int64_t clock_mono_us(void) {
    return read_us(CLOCK_MONOTONIC);
}
