/* Which repeats of a log event are written: 20 at once, then one a second.
 *
 * Pure bookkeeping, a bucket of tokens per event; the time comes in as a value. The table is fixed:
 * events beyond its size are never limited, so nothing is lost by a collision. Not thread safe. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
    LOG_LIMIT_BURST = 20,
    LOG_LIMIT_SLOTS = 512, /* more than there are events in the program */
};

typedef struct LogLimitSlot {
    const char *event; /* borrowed for ever: a string literal; NULL = free */
    int level;         /* of the last line */
    int tokens;
    int64_t refilled_us; /* when tokens were last added */
    uint64_t suppressed; /* since the last line that was written */
} LogLimitSlot;

/* A zero LogLimit is valid and empty. */
typedef struct LogLimit {
    LogLimitSlot slots[LOG_LIMIT_SLOTS];
} LogLimit;

/* True when the line may be written; *ret_suppressed is then the number of lines of this event that
 * were held back since the one before. now_us is monotonic. */
bool log_limit_pass(LogLimit *limit, const char *event, int level, int64_t now_us,
                    uint64_t *ret_suppressed);

/* The next slot that holds back lines, its count reset, or NULL: *at starts at 0. *ret_suppressed
 * is the count. */
const LogLimitSlot *log_limit_next(LogLimit *limit, unsigned *at, uint64_t *ret_suppressed);
