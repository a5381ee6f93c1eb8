/* Fencing tokens: timeline · 2^43 + n, below 2^53 so that JSON clients keep every digit.
 *
 * n comes from one store-wide counter taken by the batch, so fences rise strictly; the timeline
 * is that of PostgreSQL (0 in SQLite), so that a failover that lost the last numbers can't mint
 * them again. */
#pragma once

#include <stdint.h>

#define FENCE_COUNTER_BITS 43
#define FENCE_MAX ((INT64_C(1) << 53) - 1)

/* timeline 0–1023, n ≥ 1. */
static inline int64_t fence_make(int64_t timeline, int64_t n) {
    return (timeline << FENCE_COUNTER_BITS) + n;
}
