/* What must be true of every change of a job's row: E1 to E5, E7 and T1 of what Takt promises. */
#include "simulation/model.h"

#include <stdio.h>
#include <string.h>

/* ---- one change ---- */

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

static bool is_plain(Str text) {
    return text.len > 0 && memmem(text.ptr, text.len, "plain", 5) != NULL;
}

static bool was_accepted(const ModelJob *job, int64_t fence) {
    for (size_t i = 0; i < job->accepted_count; i++) {
        if (job->accepted[i].fence == fence) return true;
    }
    return false;
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
    bool plain = is_plain(text);
    char by[sizeof job->holder + 4];
    snprintf(by, sizeof by, "by %s.", job->holder);
    bool own = memmem(text.ptr, text.len, by, strlen(by)) != NULL;
    if (!own) FAIL(job, "an outcome was taken from a worker that did not hold it");
    /* a failover may have taken back the lease that it had when it ended */
    bool older = reported <= fence || model->simulation->failed_over_us > 0;
    if (plain ? !older : reported != fence) FAIL(job, "an outcome of another fence was taken");
    if (plain && reported != fence) {
        job->cancelled[job->cancelled_count++ % CANCELLED_KEPT] = fence;
        workers_lapse(model->simulation, &job->seen.key);
    }
    check(job->accepted_count < REPORTS_KEPT);
    job->accepted[job->accepted_count].fence = reported;
    job->accepted[job->accepted_count++].failed = failed;
}

static void check_fence(Model *model, const ModelJob *job, int64_t fence) {
    for (size_t i = 0; i < model->fence_count; i++) {
        if (model->fences[i] == fence) FAIL(job, "a fence that is not new");
    }
    check(model->fence_count < FENCES_MOST);
    model->fences[model->fence_count++] = fence;
}

/* A pause is in force within a second, on nodes that are awake and see the store; what was taken by then may
 * still be on its way. */
static void check_open(Model *model, const ModelJob *job, const Job *after) {
    const Simulation *simulation = model->simulation;
    int64_t late_us = US_PER_S + (simulation->slow ? 5 * US_PER_S : US_PER_S * 8 / 10);
    if (has_trouble(simulation, TROUBLE_BROKER_SLOW)) late_us += 2 * US_PER_S;
    for (size_t i = 0; i < QUEUES; i++) {
        int64_t since_us = model->paused_us[i];
        if (since_us < simulation->struck_us) since_us = simulation->struck_us;
        bool paused = model->paused_us[i] > 0 && str_eq(after->queue, queue_names[i]);
        if (paused && after->started_us > since_us + late_us)
            FAIL(job, "started in a paused queue");
    }
}

static void note_pauses(Model *model) {
    const Table *queues = &model->simulation->disk->committed.queues;
    for (size_t i = 0; i < QUEUES; i++) {
        bool paused = false;
        for (size_t at = 0; at < queues->count; at++) {
            const QueueSetting *queue = &((const QueueSetting *)queues->rows)[at];
            paused = paused || (queue->paused && str_eq(queue->name, queue_names[i]));
        }
        if (!paused) model->paused_us[i] = 0;
        if (paused && model->paused_us[i] == 0) model->paused_us[i] = model->simulation->now_us;
    }
}

static void check_start(Model *model, ModelJob *job, const Job *before, const Job *after) {
    check_open(model, job, after);
    check_fence(model, job, after->fence);
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

#define NEVER_CAME "it never reached the worker"

/* Some node had been up, awake and in touch with the store for as long when it sent its batch. */
static bool somebody_was_steady(const Simulation *simulation, int64_t ms) {
    for (size_t i = 0; i < simulation->node_count; i++) {
        const Node *node = &simulation->nodes[i];
        int64_t since_us = node->sent_steady_us + (ms - 10) * US_PER_MS;
        if (node->engine && since_us <= simulation->now_us) return true;
    }
    return false;
}

int64_t model_lease_ms(const Model *model, Str worker) {
    const SessionRow *rows = model->sessions.rows;
    int64_t lease_ms = 0;
    for (size_t i = 0; i < model->sessions.count; i++) {
        bool its = str_eq(rows[i].worker, worker);
        if (its && rows[i].lease_ms > lease_ms) lease_ms = rows[i].lease_ms;
    }
    return lease_ms;
}

/* How long a node must have listened before it may say that this worker is gone: only for one that has
 * closed its connections it is not a whole lease. */
static int64_t listen_ms(const Model *model, Str worker) {
    const SessionRow *rows = model->sessions.rows;
    for (size_t i = 0; i < model->sessions.count; i++) {
        bool closed = rows[i].closed_us > 0 && rows[i].quick;
        if (str_eq(rows[i].worker, worker) && closed) return SESSION_CLOSE_MS;
    }
    return model_lease_ms(model, worker);
}

static void note_sessions(Model *model) {
    const State *state = &model->simulation->disk->committed;
    const SessionRow *rows = state->sessions.rows;
    model->sessions.count = 0;
    for (size_t i = 0; i < state->sessions.count; i++) {
        *(SessionRow *)table_add(&model->sessions, sizeof(SessionRow)) = rows[i];
    }
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
        if (timeout && !somebody_was_steady(simulation, model_lease_ms(model, before->worker))) {
            FAIL(job, "timed out before its worker could bring what it held back");
        }
    } else if (lost == 1) {
        if (workers_hold(simulation, &after->key, before->fence, /* other= */ false)) {
            FAIL(job, "taken from a worker that holds its lease");
        }
        /* a node that has just come back has not heard of anybody yet */
        bool due = before->deadline_us <= simulation->now_us;
        bool never_came = memmem(last_attempt(after).ptr, last_attempt(after).len, NEVER_CAME,
                                 sizeof NEVER_CAME - 1) != NULL;
        int64_t ms = listen_ms(model, before->worker);
        if (!due && !never_came && !somebody_was_steady(simulation, ms)) {
            FAIL(job, "taken from a worker that could not be heard");
        }
    } else if (after->state == JOB_SUCCEEDED) {
        accept_outcome(model, job, after->result, after->fence, false);
    } else if (!same_run) {
        /* retried in the same batch */
        Str attempt = last_attempt(after);
        int64_t reported = fence_in(attempt);
        /* a plain client's may be of its earlier lease */
        bool earlier = is_plain(attempt) && reported > 0 && !was_accepted(job, reported);
        if (reported == after->fence || earlier)
            accept_outcome(model, job, attempt, after->fence, true);
        job->cancelled[job->cancelled_count++ % CANCELLED_KEPT] = after->fence;
        workers_lapse(simulation, &after->key);
    } else if (returned) {
        job->returns++;
        simulation->tally.returns++;
    } else if (!job->may[ACT_CANCEL]) {
        FAIL(job, "its attempt ended without a cause");
    } else {
        /* cancelled: the lease ends with it, though the worker has not been told yet */
        job->cancelled[job->cancelled_count++ % CANCELLED_KEPT] = after->fence;
        workers_cancelled(simulation, &after->key);
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
    if (job_is_over(before) && !next_run) FAIL(job, "changed after its end");
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
    if (job_is_over(after)) check_final(model, job, after);
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

static bool is_stored(const State *state, int64_t slot) {
    for (size_t i = 0; i < state->entries.count; i++) {
        if (state_entry(state, i)->slot == slot) return true;
    }
    return false;
}

static void look_at(Model *model, const Entry *entry) {
    const Job *job = &entry->job;
    ModelJob *known = model_find_slot(model, entry->slot);
    if (!known) {
        const ModelJob *older = model_find_key(model, &job->key);
        bool stays = older && is_stored(&model->simulation->disk->committed, older->slot);
        if (stays && older->exists && !job_is_over(&older->seen)) FAIL(older, "lives twice");
        check(model->count < JOBS_MOST);
        known = &model->jobs[model->count++];
        *known = (ModelJob){0};
        if (model->simulation->verbose) {
            printf("             slot %lld: new, '" STR_FMT "'\n", (long long)entry->slot,
                   STR_ARG(job->id));
        }
        known->slot = entry->slot;
        known->exists = true;
        known->changed_us = model->simulation->now_us;
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
        bool ended = job_is_over(&job->seen) || job->seen.state == JOB_RUNNING ||
                     job->may[ACT_CANCEL] || job->may[ACT_KILL] || job->seen.expires_us > 0;
        bool deleted = ended && job->may[ACT_DELETE];
        if (!deleted && !model->may_wipe) FAIL(job, "vanished");
        /* whoever still runs it: an older job of this id may be asked for again */
        workers_lapse(model->simulation, &job->seen.key);
        job->exists = false;
    }
    check_counts(model, state);
    note_sessions(model);
    note_pauses(model);
}
