/* When a failed attempt is tried again. Pure: the random number comes in.
 *
 * The formulas are those of contract.md section 2; `faktory` and `sidekiq` are those projects'
 * published ones: faktory n^4 + 15 + random(0..29)·(n+1) s, sidekiq n^4 + 15 + random(0..9)·(n+1)
 * s, n = failures before this one. */
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "base/random.h"
#include <stdint.h>

typedef enum Backoff {
    BACKOFF_EXPONENTIAL = 0,
    BACKOFF_LINEAR = 1,
    BACKOFF_CONSTANT = 2,
    BACKOFF_FAKTORY = 3,
    BACKOFF_SIDEKIQ = 4,
} Backoff;

typedef enum Jitter { JITTER_EQUAL = 0, JITTER_FULL = 1, JITTER_NONE = 2 } Jitter;

typedef struct RetryPolicy {
    int64_t max_attempts; /* 1–1000; reported failures */
    int64_t base_ms;
    int64_t cap_ms;
    double factor;
    Backoff backoff;
    Jitter jitter;
    /* Worker protocol, retry 0: the first failure cancels the job (reason discarded) */
    bool discard;
} RetryPolicy;

/* exponential, 10 s, factor 2, cap 6 h, equal jitter, 20 attempts. */
RetryPolicy retry_default(void);

/* The worker protocol's `retry`: 25 by default, 0 discards, -1 goes straight to dead. */
RetryPolicy retry_from_wire(int64_t retry);
/* What FETCH shows as `retry`: max_attempts - 1, never below 0. */
int64_t retry_to_wire(const RetryPolicy *policy);

/* Delay before the next attempt after `failures` failures so far (≥ 1), in ms. */
int64_t retry_delay_ms(const RetryPolicy *policy, int64_t failures, Random *random);

/* Compact text for the store ("x20 exponential 10000 2 21600000 equal"), and back; a text it did
 * not write is ERR_INTERNAL. The default policy writes as the empty text. */
void retry_format(const RetryPolicy *policy, Buf *buf);
Err retry_parse(Str text, RetryPolicy *ret, Error *error) must_check;

const char *backoff_name(Backoff backoff);
bool backoff_parse(Str text, Backoff *ret);
const char *jitter_name(Jitter jitter);
bool jitter_parse(Str text, Jitter *ret);
