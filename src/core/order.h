/* The order in a queue: a score per job, lowest first, exact in a double.
 *
 * score = (5 - priority)·2^50 + due in µs since 2020-01-01: priority before time, time before
 * anything. Only (priority, due) are stored, so that ageing stays a matter of configuration. */
#pragma once

#include <stdint.h>

#define ORDER_EPOCH_US INT64_C(1577836800000000) /* 2020-01-01T00:00:00Z */
#define SCORE_LOWEST INT64_MIN                   /* before every job */
#define SCORE_HIGHEST INT64_MAX                  /* behind every job */

int64_t order_score(int64_t priority, int64_t due_us);
int64_t order_priority(int64_t score);
int64_t order_due_us(int64_t score);
