/* The scripts that run in Redis: the window's decisions (broker/window.c) over sorted sets. */
#pragma once

#include "base/str.h"

typedef enum RedisScript {
    SCRIPT_PUSH,
    SCRIPT_TAKE,
    SCRIPT_SETTLE,
    SCRIPT_PROMOTE,
    SCRIPT_REFILL_BEGIN,
    SCRIPT_REFILL_PART,
    SCRIPT_REFILL_END,
    SCRIPT_SWEEP,
    SCRIPT_TICK,
    REDIS_SCRIPTS
} RedisScript;

/* Its whole text, and the SHA-1 of it as Redis names it (40 digits). Valid for ever. */
const char *redis_script_text(RedisScript script);
const char *redis_script_sha(RedisScript script);
