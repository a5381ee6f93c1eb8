/* One command under its own small process, the reaper, that makes sure nothing of it is left
 * behind.
 *
 *     worker ── control ──▶ reaper ──▶ command (own session and process group) ──▶ …
 *            ◀── report ──
 *
 * The reaper is a subreaper: whatever the command starts, and however it detaches, ends up as
 * the reaper's child. It kills them all when the command has ended, when the worker asks for it,
 * when the lease it was last told runs out, and when the control pipe closes because the worker
 * is gone. So the promise "no process outlives its lease" holds even while the worker is
 * stopped. Time limits are kept here too: TERM to the process group, KILL after the grace.
 *
 * Forked without exec: everything that allocates is prepared before, in a process without
 * threads. The recorded peak memory can't be below that of the freshly forked process, a few
 * MiB. */
#pragma once

#include "base/error.h"
#include "base/str.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Borrowed for the call. */
typedef struct ReaperPlan {
    char *const *candidates; /* paths to try, NULL-terminated (environment_candidates) */
    char *const *argv;
    char *const *environment;
    const char *cwd; /* NULL: stay */
    bool switch_user;
    uid_t uid;
    gid_t gid;
    const gid_t *groups;
    size_t group_count;
    Str input;        /* what the command reads from stdin */
    int64_t limit_ms; /* longest run; 0: none */
    int64_t grace_ms; /* from TERM to KILL */
    int64_t lease_us; /* CLOCK_MONOTONIC µs at which everything is killed unless extended */
} ReaperPlan;

/* The worker's end. All descriptors are close-on-exec, non-blocking and owned; -1 once closed. */
typedef struct Reaper {
    pid_t pid; /* of the reaper, a child of this process */
    int control;
    int report;   /* read with reaper_read_report() */
    int output;   /* the command's stdout */
    int errors;   /* its stderr */
    int progress; /* its descriptor 3 */
} Reaper;

typedef enum StopReason {
    STOP_NONE, /* the command ended by itself */
    STOP_TIMEOUT,
    STOP_CANCEL,
    STOP_LEASE,
    STOP_SHUTDOWN,
} StopReason;

typedef enum ReportKind {
    REPORT_STARTED,      /* pid is running the command */
    REPORT_NOT_EXECUTED, /* `error`: the errno of execve() */
    REPORT_NOT_SET_UP,   /* `error`: the errno of `stage` */
    REPORT_ENDED,        /* and nothing of it is left */
} ReportKind;

typedef struct Report {
    ReportKind kind;
    StopReason reason;
    pid_t pid;
    int error;
    int status; /* as by wait(2) */
    int64_t max_rss_kb;
    char stage[16]; /* "chdir", "setuid", …: what failed */
} Report;

/* Starts a reaper and, through it, the command. ERR_UNAVAILABLE when the system lacks processes,
 * descriptors or memory for it. What goes wrong later comes as a report. */
Err reaper_start(const ReaperPlan *plan, Reaper *ret, Error *error) must_check;

/* Moves the time at which the reaper kills everything; once it is past that changes nothing. */
void reaper_set_lease(const Reaper *reaper, int64_t lease_us);

/* TERM, and KILL after `grace_ms` (0: at once). Only the first reason counts; a shorter grace
 * wins. */
void reaper_stop(const Reaper *reaper, StopReason reason, int64_t grace_ms);

typedef enum ReportStatus { REPORT_AGAIN, REPORT_GOT, REPORT_GONE } ReportStatus;

/* REPORT_AGAIN: nothing yet; REPORT_GONE: the reaper has ended. */
ReportStatus reaper_read_report(const Reaper *reaper, Report *ret);

/* Closes all descriptors. A reaper that still runs ends its command. The process must be waited
 * for by the caller. */
void reaper_close(Reaper *reaper);
