/* The life of a job: one function per event, each with its guard first and its changes
 * after.
 *
 * Only move() sets a state, and it aborts on a move that the table does not allow. An event
 * that does not apply leaves the job as it was. */
#include "core/job_change.h"

#include "base/time.h"
#include "core/limits.h"

#define TO(state) (1u << (state))

static const unsigned MOVES[JOB_STATES] = {
    [JOB_BLOCKED] = TO(JOB_WAITING) | TO(JOB_CANCELLED),
    [JOB_WAITING] =
        TO(JOB_WAITING) | TO(JOB_PARKED) | TO(JOB_RUNNING) | TO(JOB_DEAD) | TO(JOB_CANCELLED),
    [JOB_PARKED] = TO(JOB_WAITING) | TO(JOB_CANCELLED),
    [JOB_RUNNING] = TO(JOB_WAITING) | TO(JOB_SUCCEEDED) | TO(JOB_DEAD) | TO(JOB_CANCELLED),
    [JOB_SUCCEEDED] = 0,
    [JOB_DEAD] = TO(JOB_WAITING),
    [JOB_CANCELLED] = TO(JOB_WAITING),
};

bool job_state_allows(JobState from, JobState to) {
    check(from < JOB_STATES && to < JOB_STATES);
    return (MOVES[from] & TO(to)) != 0;
}

static void move(Job *job, JobState to, JobReason reason) {
    check(job_state_allows((JobState)job->state, to));
    /* that of a cancelled attempt stays until the next one: see job_cancel */
    if (job->state == JOB_RUNNING) job->deadline_us = 0;
    job->state = to;
    job->reason = reason;
}

static void finish(Job *job, JobState to, JobReason reason, int64_t now_us) {
    move(job, to, reason);
    job->finished_us = now_us;
}

static void wait_until(Job *job, int64_t due_us, int64_t now_us) {
    move(job, JOB_WAITING, REASON_NONE);
    job->due_us = due_us;
    job->enqueued_us = now_us;
}

static bool is_expired(const Job *job, int64_t now_us) {
    return job->expires_us > 0 && job->expires_us <= now_us;
}

/* Ready to be taken, but for its time or a permit. */
static bool is_queued(const Job *job) {
    return job->state == JOB_WAITING || job->state == JOB_PARKED;
}

static bool holder_matches(const Job *job, Str worker) {
    return job->worker.len == 0 || worker.len == 0 || str_eq(job->worker, worker);
}

bool job_is_held(const Job *job, const Lease *lease) {
    if (job->state != JOB_RUNNING) return false;
    if (lease->fence != 0 && lease->fence != job->fence) return false;
    return holder_matches(job, lease->worker);
}

void job_enter(Job *job, int64_t due_us, const ChangeContext *context) {
    check(job->state == JOB_BLOCKED && job->fence == 0);
    job->created_us = context->now_us;
    wait_until(job, due_us, context->now_us);
}

ChangeResult job_start(Job *job, int64_t fence, Str worker, int64_t grace_ms,
                       const ChangeContext *context) {
    if (job->state != JOB_WAITING) return CHANGE_WRONG_STATE;
    if (is_expired(job, context->now_us)) return CHANGE_EXPIRED;
    if (job->due_us > context->now_us) return CHANGE_NOT_DUE;
    if (fence <= job->fence) return CHANGE_STALE;
    move(job, JOB_RUNNING, REASON_NONE);
    job->fence = fence;
    job->attempt++;
    job->worker = worker;
    job->started_us = context->now_us;
    job->deadline_us = context->now_us + (job->timeout_ms + grace_ms) * US_PER_MS;
    job->result = job->progress = job->outcome = (Str){0};
    return CHANGE_APPLIED;
}

ChangeResult job_succeed(Job *job, const Lease *lease, Str result, Str hash,
                         const ChangeContext *context) {
    if (!job_is_held(job, lease)) {
        bool repeated = job->state == JOB_SUCCEEDED && lease->fence == job->fence && hash.len > 0 &&
                        str_eq(job->outcome, hash);
        return repeated ? CHANGE_REPEATED : CHANGE_STALE;
    }
    finish(job, JOB_SUCCEEDED, REASON_NONE, context->now_us);
    job->result = result;
    job->outcome = hash;
    return CHANGE_APPLIED;
}

static int64_t delay_us(const Job *job, const Failure *failure, Random *random) {
    if (failure->retry_after_ms < 0) {
        return retry_delay_ms(&job->retry, job->failures, random) * US_PER_MS;
    }
    if (failure->retry_after_ms > LIMIT_AHEAD_US / US_PER_MS) return LIMIT_AHEAD_US;
    return failure->retry_after_ms * US_PER_MS;
}

static void note_first_failure(Job *job, const ChangeContext *context) {
    if (job->failure_first.len > 0) return;
    char text[TIME_TEXT_SIZE];
    time_format(context->now_us, text);
    job->failure_first = arena_str(context->arena, str_from(text));
}

/* The running attempt has failed, whoever says so. */
static void fail(Job *job, const Failure *failure, const ChangeContext *context) {
    int64_t now_us = context->now_us;
    attempt_record(job, "failed", &failure->error, failure->hash, now_us, context->arena);
    note_first_failure(job, context);
    job->outcome = failure->hash;
    job->failures++;
    if (job->retry.discard) {
        finish(job, JOB_CANCELLED, REASON_DISCARDED, now_us);
    } else if (failure->final) {
        finish(job, JOB_DEAD, REASON_NOT_RETRYABLE, now_us);
    } else if (job->failures >= job->retry.max_attempts) {
        finish(job, JOB_DEAD, REASON_ATTEMPTS_EXHAUSTED, now_us);
    } else {
        wait_until(job, now_us + delay_us(job, failure, context->random), now_us);
    }
}

ChangeResult job_fail(Job *job, const Lease *lease, const Failure *failure,
                      const ChangeContext *context) {
    if (!job_is_held(job, lease)) {
        bool repeated = attempt_repeats(job, lease->fence, failure->hash);
        return repeated ? CHANGE_REPEATED : CHANGE_STALE;
    }
    fail(job, failure, context);
    return CHANGE_APPLIED;
}

ChangeResult job_lose(Job *job, const char *why, const ChangeContext *context) {
    if (job->state != JOB_RUNNING) return CHANGE_WRONG_STATE;
    AttemptError error = {.type = STR("worker_lost"), .message = str_from(why)};
    attempt_record(job, "lost", &error, (Str){0}, context->now_us, context->arena);
    job->lost++;
    if (job->lost > job->max_lost) {
        finish(job, JOB_DEAD, REASON_WORKER_LOST, context->now_us);
    } else {
        wait_until(job, context->now_us, context->now_us);
    }
    return CHANGE_APPLIED;
}

ChangeResult job_time_out(Job *job, const ChangeContext *context) {
    if (job->state != JOB_RUNNING) return CHANGE_WRONG_STATE;
    if (job->deadline_us == 0 || job->deadline_us > context->now_us) return CHANGE_NOT_DUE;
    cleanup(buf_done) Buf timeout;
    buf_init(&timeout, 64);
    duration_format(&timeout, job->timeout_ms);
    Failure failure = {.retry_after_ms = -1};
    failure.error.type = STR("timeout");
    failure.error.message =
        arena_format(context->arena, "ran longer than its timeout of %s", buf_cstr(&timeout));
    fail(job, &failure, context);
    return CHANGE_APPLIED;
}

ChangeResult job_return(Job *job, const Lease *lease, const ChangeContext *context) {
    (void)context;
    if (!job_is_held(job, lease)) return CHANGE_STALE;
    move(job, JOB_WAITING, REASON_NONE);
    job->attempt--;
    job->started_us = 0;
    job->worker = (Str){0};
    return CHANGE_APPLIED;
}

/* Until when a worker that opted in may still run what it has not heard is cancelled: its deadline
 * is behind the timeout by its grace, and a plain worker's is not (nobody can tell it anything). */
static int64_t stopped_us(const Job *job, int64_t now_us) {
    if (job->state != JOB_RUNNING) return job->deadline_us;
    bool opted_in = job->deadline_us - job->started_us > job->timeout_ms * US_PER_MS;
    int64_t stopped = now_us + LEASE_QUICK_MS * US_PER_MS;
    if (!opted_in) return 0;
    return stopped < job->deadline_us ? stopped : job->deadline_us;
}

ChangeResult job_cancel(Job *job, JobReason reason, const ChangeContext *context) {
    if (job_is_finished(job)) return CHANGE_WRONG_STATE;
    int64_t stopped = stopped_us(job, context->now_us);
    finish(job, JOB_CANCELLED, reason, context->now_us);
    job->deadline_us = stopped;
    return CHANGE_APPLIED;
}

ChangeResult job_expire(Job *job, const ChangeContext *context) {
    if (!is_queued(job)) return CHANGE_WRONG_STATE;
    if (!is_expired(job, context->now_us)) return CHANGE_NOT_DUE;
    finish(job, JOB_CANCELLED, REASON_EXPIRED, context->now_us);
    return CHANGE_APPLIED;
}

/* The next run of a finished job. Fence, attempts and their record go on. */
static void begin_run(Job *job, int64_t due_us, int64_t now_us) {
    wait_until(job, due_us, now_us);
    job->run++;
    job->failures = 0;
    job->lost = 0;
    job->finished_us = 0;
    job->failure_first = (Str){0};
    /* who asks for another run of an expired job wants it to run */
    if (is_expired(job, now_us)) job->expires_us = 0;
}

ChangeResult job_retry(Job *job, int64_t due_us, const ChangeContext *context) {
    if (due_us < job->deadline_us) due_us = job->deadline_us;
    switch ((JobState)job->state) {
    case JOB_WAITING: wait_until(job, due_us, context->now_us); return CHANGE_APPLIED;
    case JOB_DEAD:
    case JOB_CANCELLED: begin_run(job, due_us, context->now_us); return CHANGE_APPLIED;
    case JOB_BLOCKED:
    case JOB_PARKED:
    case JOB_RUNNING:
    case JOB_SUCCEEDED:
    case JOB_STATES: break;
    }
    return CHANGE_WRONG_STATE;
}

ChangeResult job_kill(Job *job, const ChangeContext *context) {
    if (job->state != JOB_WAITING) return CHANGE_WRONG_STATE;
    finish(job, JOB_DEAD, REASON_KILLED, context->now_us);
    return CHANGE_APPLIED;
}
