/* What the model remembers, and what clients tell it: see model.h. */
#include "simulation/model.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

Model *model_new(Simulation *simulation) {
    Model *model = alloc_zero(1, sizeof *model);
    model->simulation = simulation;
    return model;
}

void model_free(Model *model) {
    if (!model) return;
    table_done(&model->sessions);
    free(model->saved);
    free(model);
}

ModelJob *model_find_slot(Model *model, int64_t slot) {
    for (size_t i = model->count; i > 0; i--) {
        if (model->jobs[i - 1].slot == slot) return &model->jobs[i - 1];
    }
    return NULL;
}

const ModelJob *model_find_key(const Model *model, const JobKey *key) {
    for (size_t i = model->count; i > 0; i--) {
        if (job_key_eq(&model->jobs[i - 1].seen.key, key)) return &model->jobs[i - 1];
    }
    return NULL;
}

/* ---- a standby ---- */

void model_save(Model *model) {
    free(model->saved);
    model->saved = alloc((model->count + 1) * sizeof *model->saved);
    memcpy(model->saved, model->jobs, model->count * sizeof *model->saved);
    model->saved_count = model->count;
}

/* What was asked for since may still come: a request outlives the connection it was sent on. */
void model_roll_back(Model *model) {
    for (size_t i = 0; i < model->saved_count; i++) {
        const ModelJob *later = &model->jobs[i];
        ModelJob *job = &model->saved[i];
        for (ActKind kind = ACT_CANCEL; kind <= ACT_KILL; kind++)
            job->may[kind] = job->may[kind] || later->may[kind];
        job->missing_us = 0;
        job->changed_us = model->simulation->now_us;
    }
    /* nor is it known any more which of the jobs that are lost it was for */
    for (ActKind kind = ACT_CANCEL; kind <= ACT_KILL; kind++)
        model->asked_all_us[kind] = model->simulation->now_us + 10 * US_PER_S;
    memcpy(model->jobs, model->saved, model->saved_count * sizeof *model->jobs);
    model->count = model->saved_count;
    for (size_t i = 0; i < QUEUES; i++)
        model->paused_us[i] = 0; /* a pause may be lost as well */
}

void model_gone(Model *model, Str worker) {
    check(model->gone_count < GONE_MOST);
    model->gone[model->gone_count++] = (Gone){worker, model->simulation->now_us};
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

void model_asked_wipe(Model *model) {
    model->may_wipe = true;
}

void model_submitted(Model *model, const JobKey *key, Str id, bool answered, bool made) {
    bool known = model_find_key(model, key) != NULL;
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

void model_touched(const Model *model, const JobKey *key, int64_t fence, int64_t begun_us) {
    const ModelJob *job = model_find_key(model, key);
    if (!job || !job->exists || job->changed_us >= begun_us) return;
    bool held = job->seen.state == JOB_RUNNING && job->seen.fence == fence;
    if (!held) FAIL(job, "a lease that was over was extended");
}

bool model_was_cancelled(const Model *model, const JobKey *key, int64_t fence) {
    for (size_t i = 0; i < model->count; i++) {
        const ModelJob *job = &model->jobs[i];
        if (!job_key_eq(&job->seen.key, key)) continue;
        bool over = !job->exists || job_is_over(&job->seen);
        if (over && job->seen.fence == fence) return true;
        for (size_t at = 0; at < CANCELLED_KEPT; at++) {
            if (job->cancelled[at] == fence) return true;
        }
    }
    return false;
}

bool model_is_deleted(const Model *model, const JobKey *key) {
    const ModelJob *job = model_find_key(model, key);
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
