/* What must happen in time, and in the end: E1, E6, and that nothing waits that could run. */
#include "simulation/model.h"

#include <stdio.h>

#define IDLE_MOST_US (3 * US_PER_S)
#define SLOW_MOST_US (20 * US_PER_S) /* hints of cancelled jobs cost a commit each */
#define REAP_MOST_US (10 * US_PER_S) /* from a deadline until it is seen to */

/* How long a due job may wait beside a fetch that waits for it, when nothing has failed lately. Words
 * between nodes may be lost at any time: then the next sweep finds it. */
static int64_t idle_most_us(const Simulation *simulation) {
    int64_t most_us = simulation->slow ? SLOW_MOST_US : IDLE_MOST_US;
    bool lossy = has_trouble(simulation, TROUBLE_BROKER_SLOW) ||
                 (simulation->node_count > 1 && has_trouble(simulation, TROUBLE_WORD_LOST)) ||
                 simulation->hints_struck_us + HINTS_STEADY_US > simulation->now_us;
    return simulation->server && lossy ? most_us + HINTS_STEADY_US : most_us;
}

static void watch_waiting(Model *model, const ModelJob *job) {
    Simulation *simulation = model->simulation;
    int64_t now_us = simulation->now_us, since_us = now_us - idle_most_us(simulation);
    if (job->seen.state != JOB_WAITING || job->seen.due_us > since_us ||
        job->changed_us > since_us) {
        return;
    }
    for (size_t at = 0; at < QUEUES; at++) {
        bool open = str_eq(job->seen.queue, queue_names[at]) && !simulation->paused[at] &&
                    simulation->resumed_us[at] + 2 * US_PER_S <= since_us;
        if (open && workers_wait_for(simulation, queue_names[at], since_us, now_us - STEADY_US)) {
            FAIL(job, "waits though it is due and a worker waits for it");
        }
    }
}

/* Since when every node has been up and in touch with the store, as it has noticed itself. */
static int64_t all_steady_us(const Simulation *simulation) {
    int64_t steady_us = 0;
    for (size_t i = 0; i < simulation->node_count; i++) {
        const Node *node = &simulation->nodes[i];
        if (node_waits(node)) continue;
        bool hears = node->engine && engine_ready(node->engine) && node->in_touch;
        if (!hears || simulation->store_away) return simulation->now_us;
        if (node->steady_us > steady_us) steady_us = node->steady_us;
        if (node->shaken_us > steady_us) steady_us = node->shaken_us;
    }
    return steady_us;
}

static void tell_sessions(const Simulation *simulation, const ModelJob *job) {
    const Table *sessions = &simulation->disk->committed.sessions;
    for (size_t i = 0; simulation->verbose && i < sessions->count; i++) {
        const SessionRow *row = &((const SessionRow *)sessions->rows)[i];
        if (!str_eq(row->worker, job->seen.worker)) continue;
        printf("session of " STR_FMT " on " STR_FMT
               ": lease %lld ms, seen %lld ms ago, closed %lld\n",
               STR_ARG(row->worker), STR_ARG(row->node), (long long)row->lease_ms,
               (long long)((simulation->now_us - row->seen_us) / US_PER_MS),
               (long long)row->closed_us);
    }
}

/* E6: what a vanished worker held is given away when its lease is over. A session that another node has
 * left behind is looked at a little later. */
static void watch_running(Model *model, const ModelJob *job) {
    const Simulation *simulation = model->simulation;
    if (job->seen.state != JOB_RUNNING) return;
    for (size_t i = 0; i < model->gone_count; i++) {
        if (!str_eq(model->gone[i].worker, job->seen.worker)) continue;
        int64_t lease_ms = model_lease_ms(model, job->seen.worker);
        int64_t since_us = model->gone[i].at_us;
        if (since_us < all_steady_us(simulation)) since_us = all_steady_us(simulation);
        if (since_us < job->changed_us) since_us = job->changed_us;
        int64_t late_us =
            (simulation->node_count > 1 ? 8 : 2) * US_PER_S + (simulation->slow ? SLOW_MOST_US : 0);
        if (lease_ms == 0 || since_us + lease_ms * US_PER_MS + late_us > simulation->now_us)
            continue;
        tell_sessions(simulation, job);
        FAIL(job, "still runs though its worker is gone and its lease is over");
    }
}

void model_watch(Model *model) {
    Simulation *simulation = model->simulation;
    bool steady = simulation->struck_us + STEADY_US < simulation->now_us;
    for (size_t i = 0; steady && i < model->count; i++) {
        const ModelJob *job = &model->jobs[i];
        if (!job->exists) continue;
        watch_waiting(model, job);
        watch_running(model, job);
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

bool model_runs(const Model *model) {
    for (size_t i = 0; i < model->count; i++) {
        if (model->jobs[i].exists && model->jobs[i].seen.state == JOB_RUNNING) return true;
    }
    return false;
}

bool model_is_finished(const Model *model) {
    for (size_t i = 0; i < model->count; i++) {
        if (model->jobs[i].exists && !job_is_over(&model->jobs[i].seen)) return false;
    }
    return true;
}

void model_end(Model *model) {
    for (size_t i = 0; i < model->count; i++) {
        const ModelJob *job = &model->jobs[i];
        if (job->exists && !job_is_over(&job->seen)) FAIL(job, "never came to its end");
    }
}
