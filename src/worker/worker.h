/* The built-in worker: fetches jobs over the worker protocol and runs local commands.
 *
 * One process, one event loop, no threads. Each command runs under a small process of its own that
 * outlives the worker just long enough to end everything the command started (reaper.h). The one
 * promise to know: no process of a job lives on past its lease, whether the worker was killed,
 * stopped, or cut off from the server. */
#pragma once

#include "base/error.h"
#include "base/secret.h"
#include "base/str.h"
#include "config/config.h"
#include <stdint.h>

enum {
    WORKER_GRACE_MS = 10000,     /* between TERM and KILL; the server's row deadline counts on it */
    WORKER_OUTPUT_KEPT = 65536,  /* bytes kept of each of stdout and stderr */
    WORKER_RESULT_MAX = 1 << 20, /* bytes of stdout that may be a JSON result */
    WORKER_ARGV_MAX = 1024,      /* elements of `exec` */
    WORKER_EXEC_BYTES_MAX = 128 * 1024, /* of `exec` and `env` as configured */
};

typedef struct WorkerConfig {
    const Str *urls; /* tcp://[:password@]host:port; tried in turn */
    size_t url_count;
    Secret password; /* used where a URL brings none */
    Secret token;    /* a JWT instead of a password, or absent */
    const Str *queues;
    size_t queue_count;
    const Str *labels;
    size_t label_count;
    int64_t concurrency;     /* 1–1000 */
    Str id;                  /* the worker's wid; absent: made of the host's name and randomness */
    const ConfigType *types; /* those with exec; "user" there needs root */
    size_t type_count;
    int64_t drain_timeout_ms; /* what running jobs are given on TERM */
    Str user;                 /* for types without one of their own; absent: the worker's */
} WorkerConfig;

/* Checks what does not depend on a job: counts and sizes of `exec` and `env`, names without '='
 * or NUL, known users, folders that exist. ERR_INVALID names the type and what was expected. */
Err worker_config_check(const WorkerConfig *config, Error *error) must_check;

/* Runs until it has drained after SIGTERM or SIGINT, or until the server said `terminate`; a
 * second signal ends running jobs at once. Returns OK then. ERR_DENIED when the server refuses
 * the password or token at the first connection, ERR_INVALID for a bad configuration; a server
 * that is away is waited for. Takes over signal handling of the process, and makes it a
 * subreaper for the duration. */
Err worker_run(const WorkerConfig *config, Error *error) must_check;
