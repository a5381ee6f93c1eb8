/* The clock as a value: read at the edge, passed on. core/ and engine/ get their time from a
 * batch or from an Io table, never from here. */
#pragma once

#include <stdint.h>

/* CLOCK_REALTIME in µs since the Unix epoch. */
int64_t clock_real_us(void);
/* CLOCK_MONOTONIC in µs; only differences mean anything. */
int64_t clock_mono_us(void);
