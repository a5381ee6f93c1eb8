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
    LIMIT_LOG = 64 * 1024, /* captured output kept per job */
    LIMIT_BATCH_OPERATIONS = 1000,
    LIMIT_BATCH_BYTES = 4 * 1024 * 1024,
    LIMIT_BATCH_ROUNDS = 8,
    LIMIT_WINDOW = 16384, /* members of a queue's ready set, and of its delayed set */
};

#define LIMIT_AHEAD_US (INT64_C(10) * 366 * 24 * 3600 * 1000000) /* run_at at most 10 years ahead */
