/* What the files of `takt bench` share: the plan of a run, and what is measured. A load driver,
 * not a test: it says what it saw. */
#pragma once

#include "base/error.h"
#include "net/connection.h"

typedef struct BenchPlan {
    const char *scenario;
    const char *host;
    uint16_t port;
    Str token;    /* HTTP */
    Str password; /* worker protocol */
    int64_t jobs;
    int64_t connections;
    int64_t batch;
    int64_t rate;    /* jobs a second, where the scenario is paced */
    int64_t payload; /* bytes of args */
    int64_t delay_ms;
} BenchPlan;

/* Latencies in µs, kept one by one (a run has a few million at most) and sorted at the end. */
typedef struct BenchSamples {
    uint32_t *values;
    size_t count, capacity;
} BenchSamples;

void samples_add(BenchSamples *samples, int64_t us);
/* 0 < q ≤ 1, in ms; sorts. */
double samples_quantile(BenchSamples *samples, double q);
void samples_done(BenchSamples *samples);

typedef struct BenchResult {
    int64_t jobs; /* whole units of the scenario */
    int64_t elapsed_us;
    int64_t errors;
    BenchSamples samples; /* per round trip, or as the scenario says */
} BenchResult;

/* A connected, non-blocking-ready TCP socket. */
Err bench_connect(const BenchPlan *plan, int *ret_fd, Error *error) must_check;

/* JSON arguments of about plan->payload bytes, `number` in it; appended. */
void bench_args(Buf *buf, const BenchPlan *plan, int64_t number);

Err bench_line_run(const BenchPlan *plan, BenchResult *ret, Error *error) must_check;
Err bench_http_run(const BenchPlan *plan, BenchResult *ret, Error *error) must_check;
