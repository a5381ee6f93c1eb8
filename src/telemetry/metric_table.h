/* What a row of the metrics' table says. Only metric.c and metric_table.c use this. */
#pragma once

#include "telemetry/metric.h"
#include <stdbool.h>

typedef enum MetricKind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM } MetricKind;

/* Upper bounds, rising; +Inf is implied. */
typedef struct MetricBuckets {
    const double *bounds;
    size_t count;
} MetricBuckets;

typedef struct MetricRow {
    const char *name;
    const char *help;
    const char *labels[METRIC_MAX_LABELS]; /* names; NULL where there are fewer */
    const MetricBuckets *buckets;          /* histograms only */
    MetricKind kind;
    bool collected; /* emptied before each scrape and filled by a collector */
} MetricRow;

extern const MetricRow METRIC_TABLE[METRIC_COUNT];
