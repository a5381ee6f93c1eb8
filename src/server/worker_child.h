/* The worker that `takt serve` starts beside itself when worker.concurrency is set: a process of
 * its own, started again when it dies, told to drain when the node does. */
#pragma once

#include "config/config.h"
#include "net/loop.h"
#include <sys/types.h>

typedef struct WorkerChild {
    Loop *loop;
    const Config *config;
    const char *program;
    const char *config_path; /* may be NULL */
    uint16_t port;           /* of the worker protocol */
    pid_t pid;               /* 0: none is running */
    bool stopping;
    int64_t started_us;
    int64_t backoff_us;
    LoopTimer restart;
} WorkerChild;

/* In place; starts it. Does nothing when worker.concurrency is 0. */
void worker_child_start(WorkerChild *child);
/* Asks it to drain. */
void worker_child_stop(WorkerChild *child);
/* On SIGCHLD. */
void worker_child_reap(WorkerChild *child);
bool worker_child_is_running(const WorkerChild *child);
