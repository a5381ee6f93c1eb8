/* Inside the model: a second, simpler memory of each job, compared with the disk after every commit. It
 * shares no decision with the core: it only knows which change of a job's row needs which cause. */
#pragma once

#include "base/time.h"
#include "simulation/simulation.h"
#include "simulation/store_simulated_state.h"

enum {
    JOBS_MOST = 400,
    REPORTS_KEPT = 64,
    CANCELLED_KEPT = 16,
    FENCES_MOST = 4000,
    GONE_MOST = 400
};

#define STEADY_US (25 * US_PER_S) /* since the last failure: a sweep has been over everything */
#define HINTS_STEADY_US                                                                            \
    (45 * US_PER_S) /* the same where the broker or its clients fail: a refill's lock comes first */

typedef struct ModelJob {
    int64_t slot;
    Job seen; /* its texts live with the disk */
    char holder[24];
    bool exists;
    bool met; /* in this look */
    int64_t changed_us;
    int64_t starts, returns; /* of this run */
    int64_t cancelled
        [CANCELLED_KEPT]; /* fences whose holder may not know that it is over; the last ones */
    size_t cancelled_count;
    int64_t missing_us;     /* since when no window has it though one should; 0: none */
    bool may[ACT_KILL + 1]; /* asked for by an operator, some time */
    struct {
        int64_t fence;
        bool failed;
    } accepted[REPORTS_KEPT];
    size_t accepted_count;
} ModelJob;

typedef struct Gone { /* a worker that will not come back */
    Str worker;
    int64_t at_us;
} Gone;

struct Model {
    Simulation *simulation;
    ModelJob jobs[JOBS_MOST];
    size_t count;
    int64_t asked_all_us[ACT_KILL + 1]; /* jobs made until then may have been meant */
    bool may_wipe;
    int64_t fences[FENCES_MOST]; /* every one handed out, by whichever store */
    size_t fence_count;
    Gone gone[GONE_MOST];
    size_t gone_count;
    Table sessions;            /* SessionRow: as of the last look */
    int64_t paused_us[QUEUES]; /* since when each is, by the store; 0: it is not */
    ModelJob *saved;           /* what a standby knows, or NULL */
    size_t saved_count;
};

#define FAIL(job, text)                                                                            \
    simulation_fail(model->simulation, "slot %lld (fence %lld, run %lld): %s",                     \
                    (long long)(job)->slot, (long long)(job)->seen.fence,                          \
                    (long long)(job)->seen.run, (text))

static inline bool job_is_over(const Job *job) {
    return job->state == JOB_SUCCEEDED || job->state == JOB_DEAD || job->state == JOB_CANCELLED;
}

ModelJob *model_find_slot(Model *model, int64_t slot);
/* The newest one of this key. */
const ModelJob *model_find_key(const Model *model, const JobKey *key);
/* The longest lease that the store knows of for this worker; 0: none. */
int64_t model_lease_ms(const Model *model, Str worker);
