/* The member `retry` of a job: its own small table. */
#include "api/job_input.h"

#include "base/time.h"

#define FACTOR_MAX 1000.0

typedef struct RetryReader {
    const Input *input;
    RetryPolicy *policy;
    bool bad_delays; /* base or cap can't be compared */
} RetryReader;

static void read_max_attempts(RetryReader *reader, Str name, Json value) {
    (void)input_int(reader->input, name, value, 1, 1000, &reader->policy->max_attempts);
}

static void read_backoff(RetryReader *reader, Str name, Json value) {
    Str text;
    if (!input_text(reader->input, name, value, &text)) return;
    if (!backoff_parse(text, &reader->policy->backoff)) {
        input_fail(reader->input, name, "out-of-range",
                   "backoff must be exponential, linear, constant, faktory or sidekiq");
    }
}

static void read_jitter(RetryReader *reader, Str name, Json value) {
    Str text;
    if (!input_text(reader->input, name, value, &text)) return;
    if (!jitter_parse(text, &reader->policy->jitter)) {
        input_fail(reader->input, name, "out-of-range", "jitter must be equal, full or none");
    }
}

static void read_base(RetryReader *reader, Str name, Json value) {
    if (!input_duration(reader->input, name, value, 1, &reader->policy->base_ms)) {
        reader->bad_delays = true;
    }
}

static void read_cap(RetryReader *reader, Str name, Json value) {
    if (!input_duration(reader->input, name, value, 1, &reader->policy->cap_ms)) {
        reader->bad_delays = true;
    }
}

static void read_factor(RetryReader *reader, Str name, Json value) {
    double factor = 0;
    if (value.kind != JSON_NUMBER) {
        input_fail(reader->input, name, "wrong-type", "factor must be a number, not %s",
                   json_kind_name(value.kind));
    } else if (!json_double(value, &factor) || factor < 1 || factor > FACTOR_MAX) {
        input_fail(reader->input, name, "out-of-range", "factor must be from 1 to %.0f",
                   FACTOR_MAX);
    } else {
        reader->policy->factor = factor;
    }
}

static const struct {
    const char *name;
    void (*read)(RetryReader *reader, Str name, Json value);
} MEMBERS[] = {
    {"max_attempts", read_max_attempts},
    {"backoff", read_backoff},
    {"base", read_base},
    {"factor", read_factor},
    {"cap", read_cap},
    {"jitter", read_jitter},
};

static void read_member(RetryReader *reader, Str name, Json value) {
    Str known[LENGTH(MEMBERS)];
    for (size_t i = 0; i < LENGTH(MEMBERS); i++) {
        known[i] = str_from(MEMBERS[i].name);
        if (!str_eq(name, known[i])) continue;
        MEMBERS[i].read(reader, name, value);
        return;
    }
    input_unknown(reader->input, name, known, LENGTH(MEMBERS));
}

void input_retry(const Input *input, Json value, RetryPolicy *policy) {
    RetryReader reader = {.input = input, .policy = policy};
    JsonIter iter = json_iter(value);
    Str raw;
    Json member;
    while (!field_errors_full(input->errors) && json_next(&iter, &raw, &member)) {
        read_member(&reader, json_key(raw, input->arena), member);
    }
    if (reader.bad_delays || policy->cap_ms >= policy->base_ms) return;
    cleanup(buf_done) Buf text;
    buf_init(&text, 64);
    duration_format(&text, policy->base_ms);
    input_fail(input, STR("cap"), "out-of-range", "cap must be at least base, which is %s",
               buf_cstr(&text));
}
