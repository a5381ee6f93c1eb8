/* The process's metrics: counters, gauges and histograms in one table (metric_table.c), shown in
 * the Prometheus text format 0.0.4.
 *
 * A new metric is one row and one increment. Label values are bounded: past METRIC_MAX_TYPES types,
 * or METRIC_MAX_CELLS label sets of one metric, the open labels (queue, type) become `other`. No
 * locks: everything here belongs to the loop thread; other threads hand their figures over to it.
 */
#pragma once

#include "base/buf.h"
#include "base/str.h"
#include <stddef.h>
#include <stdint.h>

enum {
    METRIC_MAX_TYPES = 100,  /* distinct values of the label `type`, over all metrics */
    METRIC_MAX_CELLS = 1000, /* label sets of one metric before values fold */
    METRIC_MAX_LABELS = 4,
};

typedef enum MetricId {
    METRIC_JOBS_ENQUEUED,
    METRIC_JOBS_FINISHED,
    METRIC_JOB_ATTEMPTS_FAILED,
    METRIC_JOB_RETRIES,
    METRIC_QUEUE_JOBS,
    METRIC_QUEUE_OLDEST_PENDING,
    METRIC_QUEUE_PAUSED,
    METRIC_JOB_WAIT,
    METRIC_JOB_RUN,
    METRIC_SCHEDULE_LATENESS,
    METRIC_WORKERS,
    METRIC_WORKER_SLOTS,
    METRIC_LEASES_EXPIRED,
    METRIC_STALE_ACKS,
    METRIC_STORE_COMMIT,
    METRIC_STORE_COMMIT_BATCH,
    METRIC_STORE_UP,
    METRIC_BROKER_OP,
    METRIC_BROKER_UP,
    METRIC_HTTP_REQUESTS,
    METRIC_HTTP_REQUEST,
    METRIC_AUTH_FAILURES,
    METRIC_BUILD_INFO,
    METRIC_PROCESS_CPU,
    METRIC_PROCESS_RESIDENT,
    METRIC_PROCESS_VIRTUAL,
    METRIC_PROCESS_OPEN_FDS,
    METRIC_PROCESS_MAX_FDS,
    METRIC_PROCESS_START,
    METRIC_COUNT,
} MetricId;

/* The label values of one call, in the order of the metric's row: LABELS(queue, type). Metrics
 * without labels take NULL. Values of all labels but queue and type come from the program's own
 * small sets: a method or reason that a peer made up is mapped to one of them first. */
#define LABELS(...) ((const Str[]){__VA_ARGS__})

/* Counters only: adds `count`. */
void metric_add(MetricId id, const Str *labels, double count);

/* Gauges only: sets the value. Where the labels fold into `other` the value is added instead, so
 * that a scrape's collector sees the sum there. */
void metric_set(MetricId id, const Str *labels, double value);

/* Histograms only: one observation; the …_seconds metrics take seconds. Negative values (a clock
 * that was set back) count as 0. */
void metric_observe(MetricId id, const Str *labels, double value);

/* Fills gauges with metric_set() when a scrape asks. The labelled gauges that the table marks as
 * collected are emptied before, so a queue that is gone disappears. */
typedef void MetricCollector(void *context);
enum { METRIC_MAX_COLLECTORS = 8 };
void metric_collect_with(MetricCollector *collector, void *context);

/* Runs the collectors and appends everything; HELP and TYPE lines are always present. Content type:
 * METRIC_CONTENT_TYPE. */
#define METRIC_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"
void metric_expose(Buf *buf);

/* The present value of a counter or gauge, or a histogram's number of observations; 0 for a label
 * set that was never touched. For tests, statistics and doctor. */
double metric_value(MetricId id, const Str *labels);

/* Forgets all values and collectors: at exit and between tests. */
void metric_reset(void);
