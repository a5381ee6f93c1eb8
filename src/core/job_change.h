/* Every change of a job's life: job + event + now → changed job. The only place that moves a
 * state.
 *
 * Pure: no clock, no randomness of its own, memory only from the arena. Each function says
 * whether the event applies; when it does not, the job is untouched. The guards (state, fence)
 * are checked here even where a store's statement has checked them before. */
#pragma once

#include "core/attempt.h"
#include "core/job.h"

typedef enum ChangeResult {
    CHANGE_APPLIED,
    CHANGE_WRONG_STATE, /* the event does not fit the state */
    CHANGE_STALE,       /* the fence or the holder is not the current one */
    CHANGE_REPEATED,    /* the same outcome under the same fence was accepted before */
    CHANGE_NOT_DUE,     /* start: its time is to come */
    CHANGE_EXPIRED,     /* start: expires_us has passed; apply job_expire */
} ChangeResult;

/* What a job is changed with. */
typedef struct ChangeContext {
    int64_t now_us;
    Random *random;
    Arena *arena;
} ChangeContext;

/* Who reports: a fence (0 = a plain client that has none) and a holder (absent = announced none).
 */
typedef struct Lease {
    int64_t fence;
    Str worker;
} Lease;

/* May the state move from `from` to `to`? The table that job_change is checked against. */
bool job_state_allows(JobState from, JobState to);

/* A new job enters: blocked is left out until workflows; due by run_at. `due_us` is the place
 * given by the batch. */
void job_enter(Job *job, int64_t due_us, const ChangeContext *context);

/* A worker takes it under a new fence, until now + timeout + grace_ms. */
ChangeResult job_start(Job *job, int64_t fence, Str worker, int64_t grace_ms,
                       const ChangeContext *context);

/* result: JSON or absent. */
ChangeResult job_succeed(Job *job, const Lease *lease, Str result, Str hash,
                         const ChangeContext *context);

typedef struct Failure {
    AttemptError error;
    Str hash;
    bool final;             /* the worker said retryable: false */
    int64_t retry_after_ms; /* ≥ 0: instead of the policy's delay; -1: none */
} Failure;

/* Next attempt by the retry policy, or death, or (discard) cancellation. */
ChangeResult job_fail(Job *job, const Lease *lease, const Failure *failure,
                      const ChangeContext *context);

/* The worker vanished: runs again at once, or dies after max_lost of these. Counted apart from
 * failures. */
ChangeResult job_lose(Job *job, const char *why, const ChangeContext *context);

/* Past its deadline with a worker that still beats: a failure `timeout`. */
ChangeResult job_time_out(Job *job, const ChangeContext *context);

/* Undoes a claim of which no byte was delivered: attempt - 1, the fence kept. */
ChangeResult job_return(Job *job, const Lease *lease, const ChangeContext *context);

/* Waiting, parked, blocked or running → cancelled. A worker that knows of leases is told to stop a
 * running one, but may not hear it before its lease ends: `deadline_us` is kept as the time before
 * which no retry lets the job start again, so that its two runs don't overlap. */
ChangeResult job_cancel(Job *job, JobReason reason, const ChangeContext *context);

/* Waiting past expires_us → cancelled, reason expired. */
ChangeResult job_expire(Job *job, const ChangeContext *context);

/* An operator's 'run again now': dead or cancelled begin the next run (failures and lost 0);
 * waiting ones become due. due_us: not before then. Succeeded and running: wrong state. */
ChangeResult job_retry(Job *job, int64_t due_us, const ChangeContext *context);

/* Waiting → dead by a request (MUTATE kill). */
ChangeResult job_kill(Job *job, const ChangeContext *context);

/* Running, and the lease is the current one? For extend, progress, log and return. */
bool job_is_held(const Job *job, const Lease *lease);
