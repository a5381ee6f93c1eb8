/* The buckets of log_limit.h: open addressing over a fixed table, keyed by the event's text.
 *
 * It never writes and never asks for the time. An event's slot is never given up. */
#include "telemetry/log_limit.h"

#include <stddef.h>
#include <string.h>

enum { REFILL_US = 1000000 };

static unsigned event_hash(const char *event) {
    unsigned hash = 2166136261u; /* FNV-1a: the keys are our own literals */
    for (const char *at = event; *at; at++) {
        hash = (hash ^ (unsigned char)*at) * 16777619u;
    }
    return hash;
}

static LogLimitSlot *find_slot(LogLimit *limit, const char *event) {
    unsigned start = event_hash(event);
    for (unsigned step = 0; step < LOG_LIMIT_SLOTS; step++) {
        LogLimitSlot *slot = &limit->slots[(start + step) % LOG_LIMIT_SLOTS];
        if (!slot->event || strcmp(slot->event, event) == 0) return slot;
    }
    return NULL;
}

static void refill(LogLimitSlot *slot, int64_t now_us) {
    int64_t due = (now_us - slot->refilled_us) / REFILL_US;
    if (due <= 0) return;
    slot->refilled_us += due * REFILL_US;
    int64_t tokens = slot->tokens + due;
    slot->tokens = tokens > LOG_LIMIT_BURST ? LOG_LIMIT_BURST : (int)tokens;
}

bool log_limit_pass(LogLimit *limit, const char *event, int level, int64_t now_us,
                    uint64_t *ret_suppressed) {
    LogLimitSlot *slot = find_slot(limit, event);
    if (!slot) {
        *ret_suppressed = 0;
        return true;
    }
    if (!slot->event) {
        *slot = (LogLimitSlot){.event = event, .tokens = LOG_LIMIT_BURST, .refilled_us = now_us};
    }
    slot->level = level;
    refill(slot, now_us);
    if (slot->tokens == 0) {
        slot->suppressed++;
        return false;
    }
    slot->tokens--;
    *ret_suppressed = slot->suppressed;
    slot->suppressed = 0;
    return true;
}

const LogLimitSlot *log_limit_next(LogLimit *limit, unsigned *at, uint64_t *ret_suppressed) {
    while (*at < LOG_LIMIT_SLOTS) {
        LogLimitSlot *slot = &limit->slots[(*at)++];
        if (slot->suppressed == 0) continue;
        *ret_suppressed = slot->suppressed;
        slot->suppressed = 0;
        return slot;
    }
    return NULL;
}
