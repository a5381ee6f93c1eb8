/* Limits of what users can make large, and of a batch. Refused by limit before it is allocated. */
#pragma once

#include <stdint.h>

enum {
    LIMIT_ID = 64,
    LIMIT_TYPE = 128,
    LIMIT_QUEUE = 64,
    LIMIT_TAGS = 32,
    LIMIT_TAG = 64,
    LIMIT_META = 16 * 1024,
    LIMIT_LOG = 64 * 1024,   /* captured output kept per job */
    LEASE_QUICK_MS = 30000,  /* how long the silence of a worker that opted in may last */
    LEASE_PLAIN_MS = 60000,  /* the same for a plain one that has ever beaten */
    SESSION_CLOSE_MS = 5000, /* from an opted-in worker's last connection until it counts as gone */
    LIMIT_BATCH_OPERATIONS = 1000,
    LIMIT_BATCH_BYTES = 4 * 1024 * 1024,
    LIMIT_BATCH_ROUNDS = 8,
    LIMIT_WINDOW = 16384, /* members of a queue's ready set, and of its delayed set */
};

#define LIMIT_AHEAD_US (INT64_C(10) * 366 * 24 * 3600 * 1000000) /* run_at at most 10 years ahead */
