/* The retry formulas, and the policy as text: for the store, and as the worker protocol's
 * one number.
 *
 * The invariant: no delay is negative or above LIMIT_AHEAD_US, whatever the policy says, so
 * that a time computed from one stays inside what core/order.h can express. */
#include "core/retry.h"

#include "core/limits.h"

enum {
    DEFAULT_ATTEMPTS = 20,
    DEFAULT_BASE_MS = 10 * 1000,
    DEFAULT_CAP_MS = 6 * 3600 * 1000,
    DEFAULT_FACTOR = 2,
    MAX_ATTEMPTS = 1000,
    FORMAT_MAX = 128,
};

#define DELAY_MAX_MS (LIMIT_AHEAD_US / 1000)

static const char *const BACKOFF_NAMES[] = {
    [BACKOFF_EXPONENTIAL] = "exponential", [BACKOFF_LINEAR] = "linear",
    [BACKOFF_CONSTANT] = "constant",       [BACKOFF_FAKTORY] = "faktory",
    [BACKOFF_SIDEKIQ] = "sidekiq",
};

static const char *const JITTER_NAMES[] = {
    [JITTER_EQUAL] = "equal",
    [JITTER_FULL] = "full",
    [JITTER_NONE] = "none",
};

RetryPolicy retry_default(void) {
    return (RetryPolicy){
        .max_attempts = DEFAULT_ATTEMPTS,
        .base_ms = DEFAULT_BASE_MS,
        .cap_ms = DEFAULT_CAP_MS,
        .factor = DEFAULT_FACTOR,
        .backoff = BACKOFF_EXPONENTIAL,
        .jitter = JITTER_EQUAL,
    };
}

RetryPolicy retry_from_wire(int64_t retry) {
    RetryPolicy policy = retry_default();
    policy.backoff = BACKOFF_FAKTORY;
    policy.discard = retry == 0;
    policy.max_attempts = 1;
    if (retry > 0) policy.max_attempts = retry < MAX_ATTEMPTS ? retry + 1 : MAX_ATTEMPTS;
    return policy;
}

int64_t retry_to_wire(const RetryPolicy *policy) {
    return policy->max_attempts > 1 ? policy->max_attempts - 1 : 0;
}

static int64_t clamp(int64_t value, int64_t lowest, int64_t highest) {
    if (value < lowest) return lowest;
    return value < highest ? value : highest;
}

/* n^4 + 15 + random(0..spread-1)·(n+1) seconds, n = failures before this one. */
static int64_t delay_by_fourth_power(int64_t failures, uint64_t spread, Random *random) {
    int64_t n = failures < MAX_ATTEMPTS ? failures - 1 : MAX_ATTEMPTS;
    int64_t seconds = n * n * n * n + 15 + (int64_t)random_below(random, spread) * (n + 1);
    return clamp(seconds * 1000, 0, DELAY_MAX_MS);
}

/* As a loop instead of pow(): it ends at the cap and never meets infinity. */
static int64_t delay_exponential(int64_t base, double factor, int64_t cap, int64_t failures) {
    double delay = (double)base;
    for (int64_t i = 1; i < failures && i < MAX_ATTEMPTS && delay < (double)cap; i++) {
        delay *= factor;
    }
    if (delay >= (double)cap) return cap;
    return delay > 0 ? (int64_t)delay : 0;
}

static int64_t delay_linear(int64_t base, int64_t cap, int64_t failures) {
    if (base > 0 && failures > cap / base) return cap;
    return base * failures;
}

static int64_t with_jitter(int64_t delay, Jitter jitter, Random *random) {
    int64_t sure = delay;
    switch (jitter) {
    case JITTER_NONE: return delay;
    case JITTER_EQUAL: sure = delay / 2; break;
    case JITTER_FULL: sure = 0; break;
    }
    return sure + (int64_t)random_below(random, (uint64_t)(delay - sure) + 1);
}

int64_t retry_delay_ms(const RetryPolicy *policy, int64_t failures, Random *random) {
    check(failures >= 1);
    int64_t cap = clamp(policy->cap_ms, 0, DELAY_MAX_MS);
    int64_t base = clamp(policy->base_ms, 0, cap);
    int64_t delay = base;
    switch (policy->backoff) {
    case BACKOFF_EXPONENTIAL: delay = delay_exponential(base, policy->factor, cap, failures); break;
    case BACKOFF_LINEAR: delay = delay_linear(base, cap, failures); break;
    case BACKOFF_CONSTANT: break;
    case BACKOFF_FAKTORY: return delay_by_fourth_power(failures, 30, random);
    case BACKOFF_SIDEKIQ: return delay_by_fourth_power(failures, 10, random);
    }
    return with_jitter(delay, policy->jitter, random);
}

static bool is_default(const RetryPolicy *policy) {
    RetryPolicy usual = retry_default();
    return policy->max_attempts == usual.max_attempts && policy->base_ms == usual.base_ms &&
           policy->cap_ms == usual.cap_ms && policy->factor == usual.factor &&
           policy->backoff == usual.backoff && policy->jitter == usual.jitter && !policy->discard;
}

void retry_format(const RetryPolicy *policy, Buf *buf) {
    if (is_default(policy)) return;
    buf_add_char(buf, 'x');
    buf_add_int(buf, policy->max_attempts);
    buf_format(buf, " %s ", backoff_name(policy->backoff));
    buf_add_int(buf, policy->base_ms);
    buf_add_char(buf, ' ');
    JsonWriter number = json_writer(buf);
    json_write_double(&number, policy->factor);
    buf_add_char(buf, ' ');
    buf_add_int(buf, policy->cap_ms);
    buf_format(buf, " %s", jitter_name(policy->jitter));
    if (policy->discard) buf_add(buf, STR(" discard"));
}

static bool read_factor(Str text, double *ret) {
    Json number;
    return text.len > 0 && json_check(text, &number, NULL) == OK && json_double(number, ret);
}

static bool read_policy(Str text, RetryPolicy *ret) {
    if (!str_starts_with(text, STR("x"))) return false;
    Str rest = {text.ptr + 1, text.len - 1};
    return str_to_int64(str_split(&rest, ' '), &ret->max_attempts) &&
           backoff_parse(str_split(&rest, ' '), &ret->backoff) &&
           str_to_int64(str_split(&rest, ' '), &ret->base_ms) &&
           read_factor(str_split(&rest, ' '), &ret->factor) &&
           str_to_int64(str_split(&rest, ' '), &ret->cap_ms) &&
           jitter_parse(str_split(&rest, ' '), &ret->jitter) &&
           (!rest.ptr || (ret->discard = str_eq(rest, STR("discard"))));
}

Err retry_parse(Str text, RetryPolicy *ret, Error *error) {
    RetryPolicy policy = retry_default();
    if (text.len > 0) {
        bool good = read_policy(text, &policy);
        /* written again it must be the same: this refuses whatever read_policy() lets pass */
        cleanup(buf_done) Buf again;
        buf_init(&again, FORMAT_MAX);
        if (good) retry_format(&policy, &again);
        if (!good || !str_eq(buf_str(&again), text)) {
            return error_set(error, ERR_INTERNAL, "the stored retry policy '%.*s' is malformed",
                             (int)(text.len < FORMAT_MAX ? text.len : FORMAT_MAX), text.ptr);
        }
    }
    *ret = policy;
    return OK;
}

static bool name_find(Str text, const char *const *names, unsigned count, unsigned *ret) {
    for (unsigned i = 0; i < count; i++) {
        if (!str_eq(text, str_from(names[i]))) continue;
        *ret = i;
        return true;
    }
    return false;
}

const char *backoff_name(Backoff backoff) {
    check(backoff < LENGTH(BACKOFF_NAMES));
    return BACKOFF_NAMES[backoff];
}

bool backoff_parse(Str text, Backoff *ret) {
    return name_find(text, BACKOFF_NAMES, LENGTH(BACKOFF_NAMES), ret);
}

const char *jitter_name(Jitter jitter) {
    check(jitter < LENGTH(JITTER_NAMES));
    return JITTER_NAMES[jitter];
}

bool jitter_parse(Str text, Jitter *ret) {
    return name_find(text, JITTER_NAMES, LENGTH(JITTER_NAMES), ret);
}
