/* What must be true of every history: see docs on what Takt promises (E1 to E5, T1, the window's I1 and I2).
 *
 * The model is a second, simpler memory of each job, compared with the disk after every commit. It shares no
 * decision with the core: it only knows which change of a job's row needs which cause. */
#include "simulation/simulation.h"
#include "simulation/store_simulated_state.h"

#include "base/alloc.h"
#include "base/time.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { JOBS_MOST = 400, REPORTS_KEPT = 64 };
#define IDLE_MOST_US (3 * US_PER_S) /* a due job beside a waiting fetch, when nothing had failed */
#define SLOW_MOST_US                                                                               \
    (20 * US_PER_S) /* … on a slow disk: hints of cancelled jobs cost a commit each */
#define REAP_MOST_US (10 * US_PER_S) /* from a deadline until it is seen to */
#define STEADY_US (25 * US_PER_S)    /* since the last failure: a sweep has been over everything */

typedef struct ModelJob {
    int64_t slot;
    Job seen; /* its texts are not valid */
    char holder[24];
    bool exists;
    bool met; /* in this look */
    int64_t changed_us;
    int64_t starts, returns; /* of this run */
    int64_t cancelled_fence; /* its holder does not know that it is over */
    bool may[ACT_KILL + 1];  /* asked for by an operator, some time */
    struct {
        int64_t fence;
        bool failed;
    } accepted[REPORTS_KEPT];
    size_t accepted_count;
} ModelJob;

struct Model {
    Simulation *simulation;
    ModelJob jobs[JOBS_MOST];
    size_t count;
    int64_t asked_all_us[ACT_KILL + 1]; /* jobs made until then may have been meant */
    int64_t last_fence, fence_before;   /* the highest so far, and before this look */
};

Model *model_new(Simulation *simulation) {
    Model *model = alloc_zero(1, sizeof *model);
    model->simulation = simulation;
    return model;
}

void model_free(Model *model) {
    free(model);
}

static ModelJob *find_slot(Model *model, int64_t slot) {
    for (size_t i = model->count; i > 0; i--) {
        if (model->jobs[i - 1].slot == slot) return &model->jobs[i - 1];
    }
    return NULL;
}

/* The newest one of this key. */
static const ModelJob *find_key(const Model *model, const JobKey *key) {
    for (size_t i = model->count; i > 0; i--) {
        if (job_key_eq(&model->jobs[i - 1].seen.key, key)) return &model->jobs[i - 1];
    }
    return NULL;
}

#define FAIL(job, text)                                                                            \
    simulation_fail(model->simulation, "slot %lld (fence %lld, run %lld): %s",                     \
                    (long long)(job)->slot, (long long)(job)->seen.fence,                          \
                    (long long)(job)->seen.run, (text))

/* ---- one change ---- */

static bool is_over(const Job *job) {
    return job->state == JOB_SUCCEEDED || job->state == JOB_DEAD || job->state == JOB_CANCELLED;
}

/* The fence that the worker wrote into what it reported; 0: it was not a worker's report. */
static int64_t fence_in(Str text) {
    const char *at = text.len > 0 ? memmem(text.ptr, text.len, "fence ", 6) : NULL;
    if (!at) return 0;
    int64_t fence = 0;
    for (at += 6; at < text.ptr + text.len && *at >= '0' && *at <= '9'; at++) {
        fence = 10 * fence + (*at - '0');
    }
    return fence;
}

/* The newest element of the record of attempts. */
static Str last_attempt(const Job *job) {
    Json root, item, last = {0};
    if (!job->attempts.ptr || json_check(job->attempts, &root, NULL) != OK) return (Str){0};
    JsonIter iter = json_iter(root);
    while (json_next(&iter, NULL, &item)) {
        last = item;
    }
    return last.text;
}

/* A plain client gives no fence: what it reports counts for whatever its own worker holds by then. */
static void accept_outcome(Model *model, ModelJob *job, Str text, int64_t fence, bool failed) {
    int64_t reported = fence_in(text);
    bool plain = memmem(text.ptr, text.len, "plain", 5) != NULL;
    char by[sizeof job->holder + 4];
    snprintf(by, sizeof by, "by %s.", job->holder);
    bool own = memmem(text.ptr, text.len, by, strlen(by)) != NULL;
    if (!own) FAIL(job, "an outcome was taken from a worker that did not hold it");
    if (plain ? reported > fence : reported != fence)
        FAIL(job, "an outcome of another fence was taken");
    if (plain && reported != fence) {
        job->cancelled_fence = fence;
        workers_lapse(model->simulation, &job->seen.key);
    }
    check(job->accepted_count < REPORTS_KEPT);
    job->accepted[job->accepted_count].fence = reported;
    job->accepted[job->accepted_count++].failed = failed;
}

static void check_start(Model *model, ModelJob *job, const Job *before, const Job *after) {
    bool taken = after->fence <= model->fence_before;
    for (size_t i = 0; i < model->count; i++) {
        taken = taken || model->jobs[i].seen.fence == after->fence;
    }
    if (taken) FAIL(job, "a fence that is not new");
    if (after->fence > model->last_fence) model->last_fence = after->fence;
    if (before->state != JOB_WAITING) FAIL(job, "started though it was not waiting");
    if (after->started_us < before->due_us) FAIL(job, "started before it was due");
    if (before->expires_us > 0 && before->expires_us <= after->started_us) {
        FAIL(job, "started after it had expired");
    }
    if (after->attempt != before->attempt + 1) FAIL(job, "a start that is not counted");
    if (workers_hold(model->simulation, &after->key, after->fence, /* other= */ true)) {
        FAIL(job, "started while another worker held it");
    }
    job->starts++;
    model->simulation->tally.starts++;
}

/* The attempt that was running, or has begun in the same batch, has ended: why? */
static void check_end(Model *model, ModelJob *job, const Job *before, const Job *after) {
    bool same_run = before->run == after->run;
    int64_t failed = same_run ? after->failures - before->failures : 0;
    int64_t lost = same_run ? after->lost - before->lost : 0;
    bool returned = after->attempt < before->attempt;
    Simulation *simulation = model->simulation;
    simulation->tally.losts += lost > 0;
    simulation->tally.failures += failed > 0;
    if (failed < 0 || lost < 0 || failed + lost > 1) FAIL(job, "counts its failures wrongly");
    if (failed == 1) {
        Str attempt = last_attempt(after);
        bool timeout = memmem(attempt.ptr, attempt.len, "\"timeout\"", 9) != NULL;
        int64_t reported = fence_in(attempt);
        if (!timeout && reported == 0) FAIL(job, "failed though nobody said so");
        if (!timeout) accept_outcome(model, job, attempt, after->fence, true);
    } else if (lost == 1) {
        if (workers_hold(simulation, &after->key, before->fence, /* other= */ false)) {
            FAIL(job, "taken from a worker that holds its lease");
        }
        /* a node that has just come back has not heard of anybody yet */
        int64_t heard_us = simulation->up_us + (SESSION_CLOSE_MS - 10) * US_PER_MS;
        if (before->deadline_us > simulation->now_us && simulation->now_us < heard_us) {
            FAIL(job, "taken from a worker that could not be heard");
        }
    } else if (after->state == JOB_SUCCEEDED) {
        accept_outcome(model, job, after->result, after->fence, false);
    } else if (!same_run) {
        /* retried in the same batch */
        Str attempt = last_attempt(after);
        if (fence_in(attempt) == after->fence)
            accept_outcome(model, job, attempt, after->fence, true);
        job->cancelled_fence = after->fence;
        workers_lapse(simulation, &after->key);
    } else if (returned) {
        job->returns++;
        simulation->tally.returns++;
    } else if (!job->may[ACT_CANCEL]) {
        FAIL(job, "its attempt ended without a cause");
    } else {
        /* cancelled: the lease ends with it, though the worker has not been told yet */
        job->cancelled_fence = after->fence;
        workers_lapse(simulation, &after->key);
    }
}

static void check_final(Model *model, const ModelJob *job, const Job *after) {
    bool good = true;
    switch ((JobReason)after->reason) {
    case REASON_NONE: good = after->state == JOB_SUCCEEDED; break;
    case REASON_EXPIRED:
        good = after->expires_us > 0 && after->expires_us <= model->simulation->now_us;
        break;
    case REASON_CANCELLED: good = job->may[ACT_CANCEL]; break;
    case REASON_DISCARDED: good = after->retry.discard && after->failures > 0; break;
    case REASON_KILLED: good = job->may[ACT_KILL]; break;
    case REASON_WORKER_LOST: good = after->lost == after->max_lost + 1; break;
    case REASON_ATTEMPTS_EXHAUSTED: good = after->failures == after->retry.max_attempts; break;
    case REASON_NOT_RETRYABLE: good = after->failures > 0; break;
    case REASON_PURGED:
    case REASON_COUNT: good = false; break;
    }
    if (!good) FAIL(job, "ended without a cause");
}

static void check_change(Model *model, ModelJob *job, const Job *after) {
    const Job *before = &job->seen;
    bool next_run = after->run != before->run;
    bool ended = job->may[ACT_CANCEL] || job->may[ACT_KILL]; /* and asked for again, in one batch */
    bool runs_on = after->run > before->run && (after->run == before->run + 1 || ended);
    if (next_run && !(runs_on && job->may[ACT_RETRY])) {
        FAIL(job, "runs again though nobody asked for it");
    }
    if (is_over(before) && !next_run) FAIL(job, "changed after its end");
    if (before->state == JOB_SUCCEEDED) FAIL(job, "changed after its success");
    if (after->fence < before->fence) FAIL(job, "lost its fence");
    bool started = after->fence != before->fence;
    if (started) check_start(model, job, before, after);
    bool ran = before->state == JOB_RUNNING || started;
    if (!ran && (after->failures > before->failures || after->lost > before->lost)) {
        FAIL(job, "failed or lost without running");
    }
    if (!ran && after->state == JOB_SUCCEEDED) FAIL(job, "succeeded without running");
    if (ran && after->state != JOB_RUNNING) check_end(model, job, before, after);
    if (next_run) job->starts = job->returns = 0;
    if (job->starts - job->returns > after->retry.max_attempts + after->max_lost) {
        FAIL(job, "started more often than it may");
    }
    if (is_over(after)) check_final(model, job, after);
}

static void tell(const Simulation *simulation, const ModelJob *known, const Job *job) {
    int64_t due_ms = (job->due_us - simulation->now_us) / US_PER_MS;
    printf(
        "             slot %lld: state %lld, run %lld, fence %lld, due in %lld ms, failures %lld, "
        "lost %lld, " STR_FMT ", '" STR_FMT "'\n",
        (long long)known->slot, (long long)job->state, (long long)job->run, (long long)job->fence,
        (long long)due_ms, (long long)job->failures, (long long)job->lost, STR_ARG(job->queue),
        STR_ARG(job->worker));
}

static void look_at(Model *model, const Entry *entry) {
    const Job *job = &entry->job;
    ModelJob *known = find_slot(model, entry->slot);
    if (!known) {
        const ModelJob *older = find_key(model, &job->key);
        if (older && older->exists && !is_over(&older->seen)) FAIL(older, "lives twice");
        check(model->count < JOBS_MOST);
        known = &model->jobs[model->count++];
        known->slot = entry->slot;
        known->exists = true;
        known->seen = *job;
        known->seen.state = JOB_WAITING;
        known->seen.reason = REASON_NONE;
        known->seen.fence = 0;
        for (ActKind kind = ACT_CANCEL; kind <= ACT_KILL; kind++) {
            known->may[kind] =
                (older && older->may[kind]) || job->created_us <= model->asked_all_us[kind];
        }
        /* the job that had this id is over, whoever still works on it */
        workers_lapse(model->simulation, &job->key);
    }
    known->met = true;
    Job plain = *job, seen = known->seen;
    bool same = plain.state == seen.state && plain.fence == seen.fence && plain.run == seen.run &&
                plain.attempt == seen.attempt && plain.failures == seen.failures &&
                plain.lost == seen.lost && plain.due_us == seen.due_us &&
                plain.reason == seen.reason && plain.finished_us == seen.finished_us;
    if (!same) {
        check_change(model, known, job);
        known->changed_us = model->simulation->now_us;
        simulation_note(model->simulation, "row", (uint64_t)entry->slot,
                        (uint64_t)(job->state * 1000000 + job->fence));
        if (model->simulation->verbose) tell(model->simulation, known, job);
    }
    known->seen = *job;
    snprintf(known->holder, sizeof known->holder, STR_FMT, STR_ARG(job->worker));
}

/* ---- the counts ---- */

static void check_counts(const Model *model, const State *state) {
    for (size_t i = 0; i < QUEUES; i++) {
        int64_t counted[STATUS_COUNT] = {0};
        for (size_t at = 0; at < state->entries.count; at++) {
            const Job *job = &state_entry(state, at)->job;
            if (str_eq(job->queue, queue_names[i]))
                counted[job_status_at(job, state->frontier_us)]++;
        }
        const CountDelta *counts = state->counts.rows;
        for (size_t at = 0; at < state->counts.count; at++) {
            if (!str_eq(counts[at].queue, queue_names[i])) continue;
            for (size_t status = 0; status < STATUS_COUNT; status++) {
                counted[status] -= counts[at].by[status];
            }
        }
        for (JobStatus status = 0; status < STATUS_COUNT; status++) {
            if (counted[status] == 0) continue;
            simulation_fail(model->simulation, "the count of %s in " STR_FMT " is wrong by %lld",
                            job_status_name(status), STR_ARG(queue_names[i]),
                            (long long)counted[status]);
        }
    }
}

void model_look(Model *model) {
    const State *state = &model->simulation->disk->committed;
    model->fence_before = model->last_fence;
    for (size_t i = 0; i < model->count; i++) {
        model->jobs[i].met = false;
    }
    for (size_t i = 0; i < state->entries.count; i++) {
        look_at(model, state_entry(state, i));
    }
    for (size_t i = 0; i < model->count; i++) {
        ModelJob *job = &model->jobs[i];
        if (job->met || !job->exists) continue;
        /* it may have ended in the very batch that deleted it */
        bool ended = is_over(&job->seen) || job->seen.state == JOB_RUNNING ||
                     job->may[ACT_CANCEL] || job->may[ACT_KILL] || job->seen.expires_us > 0;
        if (!ended || !job->may[ACT_DELETE]) FAIL(job, "vanished");
        job->exists = false;
    }
    check_counts(model, state);
}

/* ---- what clients know ---- */

void model_asked(Model *model, const JobKey *key, ActKind kind) {
    for (size_t i = 0; i < model->count; i++) {
        if (job_key_eq(&model->jobs[i].seen.key, key)) model->jobs[i].may[kind] = true;
    }
}

void model_asked_all(Model *model, ActKind kind) {
    model->asked_all_us[kind] = model->simulation->now_us + US_PER_S; /* clocks differ a little */
    for (size_t i = 0; i < model->count; i++) {
        model->jobs[i].may[kind] = true;
    }
}

void model_submitted(Model *model, const JobKey *key, Str id, bool answered, bool made) {
    bool known = find_key(model, key) != NULL;
    if (answered && !known) {
        simulation_fail(model->simulation, "job '" STR_FMT "' was acknowledged but is not stored",
                        STR_ARG(id));
    }
    if (!answered && known && made) {
        simulation_fail(model->simulation, "job '" STR_FMT "' was refused but is stored",
                        STR_ARG(id));
    }
}

void model_reported(Model *model, const JobKey *key, int64_t fence, bool failed, Str worker) {
    for (size_t i = 0; i < model->count; i++) {
        const ModelJob *job = &model->jobs[i];
        for (size_t at = 0; job_key_eq(&job->seen.key, key) && at < job->accepted_count; at++) {
            if (job->accepted[at].fence == fence && job->accepted[at].failed == failed) return;
        }
    }
    if (model_is_deleted(model, key)) return; /* perhaps in the same batch */
    simulation_fail(model->simulation,
                    "the outcome of fence %lld was acknowledged to " STR_FMT " but is not stored",
                    (long long)fence, STR_ARG(worker));
}

bool model_was_cancelled(const Model *model, const JobKey *key, int64_t fence) {
    for (size_t i = 0; i < model->count; i++) {
        const ModelJob *job = &model->jobs[i];
        if (!job_key_eq(&job->seen.key, key)) continue;
        if (job->cancelled_fence == fence || (is_over(&job->seen) && job->seen.fence == fence))
            return true;
    }
    return false;
}

bool model_is_deleted(const Model *model, const JobKey *key) {
    const ModelJob *job = find_key(model, key);
    /* also when a newer job has taken its place */
    for (size_t i = 0; i < model->count; i++) {
        if (job_key_eq(&model->jobs[i].seen.key, key) && &model->jobs[i] != job) return true;
    }
    return !job || !job->exists;
}

bool model_pick(const Model *model, uint64_t number, JobKey *ret_key) {
    if (model->count == 0) return false;
    *ret_key = model->jobs[number % model->count].seen.key;
    return true;
}

/* ---- liveness ---- */

void model_watch_waiting(Model *model) {
    Simulation *simulation = model->simulation;
    int64_t now_us = simulation->now_us;
    bool steady = node_is_ready(simulation) && simulation->up_us + STEADY_US < now_us &&
                  simulation->struck_us + STEADY_US < now_us;
    if (!steady) return;
    for (size_t i = 0; i < model->count; i++) {
        const ModelJob *job = &model->jobs[i];
        int64_t since_us = now_us - (simulation->slow ? SLOW_MOST_US : IDLE_MOST_US);
        if (!job->exists || job->seen.state != JOB_WAITING || job->seen.due_us > since_us ||
            job->changed_us > since_us) {
            continue;
        }
        Str queue = {0};
        const State *state = &simulation->disk->committed;
        for (size_t at = 0; at < state->entries.count; at++) {
            if (state_entry(state, at)->slot == job->slot)
                queue = state_entry(state, at)->job.queue;
        }
        for (size_t at = 0; at < QUEUES; at++) {
            bool open = str_eq(queue, queue_names[at]) && !simulation->paused[at] &&
                        simulation->resumed_us[at] <= since_us;
            if (open && workers_wait_for(simulation, queue, since_us)) {
                simulation_fail(simulation,
                                "slot %lld waits though it is due and a worker waits for it; "
                                "%zu hints are ready in " STR_FMT,
                                (long long)job->slot, broker_ready(simulation->broker, queue),
                                STR_ARG(queue));
            }
        }
    }
}

/* Only those without a lease may still run: their deadline is to come. */
void model_check_reaped(const Model *model) {
    const State *state = &model->simulation->disk->committed;
    for (size_t i = 0; i < state->entries.count; i++) {
        const Job *job = &state_entry(state, i)->job;
        if (job->state != JOB_RUNNING) continue;
        const SessionRow *sessions = state->sessions.rows;
        bool leased = false;
        for (size_t at = 0; at < state->sessions.count; at++) {
            leased =
                leased || (str_eq(sessions[at].worker, job->worker) && sessions[at].lease_ms > 0);
        }
        if (!leased && job->deadline_us + REAP_MOST_US > model->simulation->now_us) continue;
        simulation_fail(model->simulation, "slot %lld still runs though its worker is long gone",
                        (long long)state_entry(state, i)->slot);
    }
}

bool model_is_finished(const Model *model) {
    for (size_t i = 0; i < model->count; i++) {
        if (model->jobs[i].exists && !is_over(&model->jobs[i].seen)) return false;
    }
    return true;
}

void model_end(Model *model) {
    for (size_t i = 0; i < model->count; i++) {
        const ModelJob *job = &model->jobs[i];
        if (job->exists && !is_over(&job->seen)) FAIL(job, "never came to its end");
    }
}
