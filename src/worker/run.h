/* One attempt of one job: command line, environment and user from the configuration, a reaper
 * around the command, its output captured, and at the end an outcome.
 *
 * Knows no loop and no server: whoever owns it calls run_read() when one of its descriptors is
 * readable and run_outcome() once run_has_ended(). */
#pragma once

#include "base/arena.h"
#include "proto/messages.h"
#include "worker/capture.h"
#include "worker/reaper.h"
#include "worker/worker.h"

typedef enum RunStream { RUN_REPORT, RUN_OUTPUT, RUN_ERRORS, RUN_PROGRESS, RUN_STREAMS } RunStream;

typedef struct Run {
    Arena arena;            /* of the job and everything below; frees with the run */
    WireJob job;            /* a copy */
    const ConfigType *type; /* NULL: unknown to this worker */
    Reaper reaper;
    bool open[RUN_STREAMS];
    Report end;    /* the last report */
    bool ended;    /* the command and all that it started is gone, or never was */
    Error failure; /* code and message where there was no command to run */
    bool not_retryable;
    int64_t lease_us; /* when the reaper kills everything */
    int64_t lease_ms;
    ResultCapture result; /* stdout */
    Tail errors;          /* stderr */
    Tail log;             /* both, not yet delivered */
    Buf progress_line;
    int64_t percent;      /* -1: nothing new to tell */
    Str progress_message; /* in progress_text */
    Buf progress_text;
} Run;

/* Copies the job and starts it. Never fails: what can't be started has ended at once, with a
 * failure. `lease_us`: CLOCK_MONOTONIC µs at which everything must be gone. Free with
 * run_free(). */
Run *run_new(const WireJob *job, const WorkerConfig *config, int64_t lease_us)
    __attribute__((returns_nonnull));

/* A run that still goes on is killed by its reaper. The reaper is waited for elsewhere
 * (worker.c) or here when it has ended. Accepts NULL. */
void run_free(Run *run);

/* The descriptor of a stream, -1 when closed. */
int run_fd(const Run *run, RunStream stream);

/* Reads what is there, at most `size` bytes into `scratch`; closes the stream at its end. */
void run_read(Run *run, RunStream stream, char *scratch, size_t size);

/* The command is gone, and its output has been read to the end. When something outside still
 * holds the output open, run_abandon_output() closes it. */
bool run_has_ended(const Run *run);
void run_abandon_output(Run *run);

/* Moves the end of its lease, either way; one that is past stays past. */
void run_set_lease(Run *run, int64_t lease_us);
void run_stop(Run *run, StopReason reason, int64_t grace_ms);

/* The outcome to report, in the run's arena. Only once it has ended. */
Outcome run_outcome(Run *run);

/* The entry for a job: "name@version" before "name". NULL when there is none. */
const ConfigType *run_find_type(const WorkerConfig *config, const WireJob *job);
