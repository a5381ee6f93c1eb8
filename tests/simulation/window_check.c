/* I1 to I3 of the window, after every event: every waiting job is where its window says it is, but while a
 * node is still at it, or where a fault has taken its hint and the next sweep is still to come. */
#include "simulation/model.h"

#include "core/order.h"

#include <stdio.h>

#define AT_IT_US (6 * US_PER_S) /* from a commit until its hint has arrived, and of a sweep */
#define AT_IT_SLOW_US (25 * US_PER_S)

static bool is_missing(const Window *window, const Job *job) {
    int64_t score = order_score(job->priority, job->due_us);
    if (map_get(&window->taken, job_key_str(&job->key))) return false;
    if (sorted_set_has(&window->delayed.members, job->due_us, &job->key)) return false;
    if (sorted_set_has(&window->ready.members, score, &job->key)) return false;
    bool ready = job->due_us <= window->frontier_us;
    return ready ? score <= window->ready.horizon : job->due_us <= window->delayed.horizon;
}

static void check_size(Model *model, const Window *window, const WindowHalf *half) {
    size_t count = half->members.count;
    bool over = count > window->most && sorted_set_at(&half->members, window->most)->rank !=
                                            sorted_set_at(&half->members, count - 1)->rank;
    if (over) simulation_fail(model->simulation, "a window has %zu members", count);
}

void windows_check_wiped(const Model *model) {
    for (size_t i = 0; i < model->count; i++) {
        const ModelJob *job = &model->jobs[i];
        const Window *window = simulated_broker_window(model->simulation->server, job->seen.queue);
        if (!job->exists || job->seen.state != JOB_WAITING || !window) continue;
        if (is_missing(window, &job->seen))
            FAIL(job, "a window that was wiped says that it has it");
    }
}

/* How long a job may be missing now. */
static int64_t tolerance_us(const Simulation *simulation) {
    int64_t now_us = simulation->now_us;
    bool calm = simulation->struck_us + HINTS_STEADY_US < now_us &&
                simulation->hints_struck_us + HINTS_STEADY_US < now_us;
    int64_t at_it_us = simulation->slow ? AT_IT_SLOW_US : AT_IT_US;
    return calm ? at_it_us : HINTS_STEADY_US + at_it_us;
}

/* Nobody has asked for this queue for a while, so no node looks after it: who asks finds what is lost. And
 * while the store is away there is nothing to find it in. */
static bool is_forgotten(const Simulation *simulation, const ModelJob *job) {
    const Window *window = simulated_broker_window(simulation->server, job->seen.queue);
    return simulation->store_away || window->frontier_us + STEADY_US < simulation->now_us;
}

static void tell(const Simulation *simulation, const ModelJob *job) {
    if (!simulation->verbose) return;
    const Window *window = simulated_broker_window(simulation->server, job->seen.queue);
    printf("slot %lld in " STR_FMT
           ": due %lld, score %lld; P %lld, F %lld, H %lld, most %zu; R %zu%s, D %zu%s\n",
           (long long)job->slot, STR_ARG(job->seen.queue), (long long)job->seen.due_us,
           (long long)order_score(job->seen.priority, job->seen.due_us),
           (long long)window->frontier_us, (long long)window->delayed.horizon,
           (long long)window->ready.horizon, window->most, window->ready.members.count,
           window->ready.reading ? " reading" : "", window->delayed.members.count,
           window->delayed.reading ? " reading" : "");
}

void windows_check(Model *model) {
    Simulation *simulation = model->simulation;
    if (!simulation->server || simulation->failure[0]) return;
    const Window *windows[QUEUES];
    for (size_t i = 0; i < QUEUES; i++) {
        windows[i] = simulated_broker_window(simulation->server, queue_names[i]);
        if (!windows[i]) continue;
        check_size(model, windows[i], &windows[i]->ready);
        check_size(model, windows[i], &windows[i]->delayed);
        if (windows[i]->frontier_us > windows[i]->delayed.horizon) {
            simulation_fail(simulation, "P is above F in " STR_FMT, STR_ARG(queue_names[i]));
        }
    }
    for (size_t i = 0; i < model->count; i++) {
        ModelJob *job = &model->jobs[i];
        bool missing = false;
        for (size_t at = 0; job->exists && job->seen.state == JOB_WAITING && at < QUEUES; at++) {
            bool its = windows[at] && str_eq(job->seen.queue, queue_names[at]);
            missing = missing || (its && is_missing(windows[at], &job->seen));
        }
        missing = missing && !is_forgotten(simulation, job);
        if (!missing) job->missing_us = 0;
        if (missing && job->missing_us == 0) job->missing_us = simulation->now_us;
        if (missing && simulation->now_us - job->missing_us > tolerance_us(simulation)) {
            tell(simulation, job);
            FAIL(job, "is in no window, though one says that it has it");
        }
    }
}
