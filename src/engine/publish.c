/* What a commit makes known: hints for the broker, watches that fire, cancels to tell, metrics.
 *
 * One function runs over every row that changed, so no use case can forget a consequence. It runs
 * after the answers: store first, then answer, hints after. */
#include "engine/internal.h"

#include "base/alloc.h"
#include "core/order.h"
#include "telemetry/metric.h"
#include <stdlib.h>

typedef struct WatchList {
    JobKey key;
    List watches;
} WatchList;

void watch_init(Engine *engine) {
    map_init(&engine->watches, random_next(&engine->random), random_next(&engine->random));
}

void watch_done(Engine *engine) {
    size_t at = 0;
    WatchList *list;
    while ((list = map_next(&engine->watches, &at))) {
        free(list);
    }
    map_done(&engine->watches);
}

void engine_watch(Engine *engine, Watch *watch) {
    WatchList *list = map_get(&engine->watches, job_key_str(&watch->key));
    if (!list) {
        list = alloc_zero(1, sizeof *list);
        list->key = watch->key;
        list_init(&list->watches);
        map_put(&engine->watches, job_key_str(&list->key), list);
    }
    list_append(&list->watches, &watch->node);
    look_quickly(engine);
}

size_t watch_keys(const Engine *engine, Arena *arena, JobKey **ret_keys) {
    *ret_keys = arena_zero(arena, engine->watches.count + 1, sizeof **ret_keys);
    size_t count = 0, at = 0;
    const WatchList *list;
    while ((list = map_next(&engine->watches, &at))) {
        (*ret_keys)[count++] = list->key;
    }
    return count;
}

static void watch_list_free(Engine *engine, WatchList *list) {
    map_remove(&engine->watches, job_key_str(&list->key));
    free(list);
}

void engine_watch_cancel(Engine *engine, Watch *watch) {
    if (!list_holds(&watch->node)) return;
    list_remove(&watch->node);
    WatchList *list = map_get(&engine->watches, job_key_str(&watch->key));
    if (list && list_is_empty(&list->watches)) watch_list_free(engine, list);
}

void watch_fire(Engine *engine, const JobKey *key) {
    if (engine->watches.count == 0) return;
    WatchList *list = map_get(&engine->watches, job_key_str(key));
    if (!list) return;
    List fired;
    list_init(&fired);
    ListNode *node;
    while ((node = list_pop(&list->watches))) {
        list_append(&fired, node);
    }
    watch_list_free(engine, list);
    while ((node = list_pop(&fired))) {
        Watch *watch = container_of(node, Watch, node);
        watch->fire(watch);
    }
}

static double seconds(int64_t us) {
    return (double)us / (double)US_PER_S;
}

static void publish_started(Engine *engine, const Job *job) {
    look_quickly(engine);
    control_forget_cancel(engine, job->worker, job->id);
    const Str *queue = LABELS(job->queue);
    metric_observe(METRIC_JOB_WAIT, queue, seconds(job->started_us - job->due_us));
    bool delayed = job->due_us > job->enqueued_us + US_PER_MS;
    if (delayed)
        metric_observe(METRIC_SCHEDULE_LATENESS, NULL, seconds(job->started_us - job->due_us));
}

static void publish_finished(Engine *engine, const Row *row) {
    static const char *const outcomes[JOB_STATES] = {
        [JOB_SUCCEEDED] = "succeeded", [JOB_DEAD] = "dead", [JOB_CANCELLED] = "cancelled"};
    const Job *job = &row->job;
    metric_add(METRIC_JOBS_FINISHED, LABELS(job->queue, job->type, str_from(outcomes[job->state])),
               1);
    if (job->state == JOB_SUCCEEDED) engine->stats.succeeded++;
    if (row->state_before == JOB_RUNNING && job->state == JOB_CANCELLED) {
        control_note_cancel(engine, job->worker, job->id, engine_now_us(engine));
    }
}

static void publish_row(Engine *engine, const Row *row) {
    const Job *job = &row->job;
    bool live_before = row->state_before < JOB_SUCCEEDED;
    if (row->inserted) {
        metric_add(METRIC_JOBS_ENQUEUED, LABELS(job->queue, job->type), 1);
        engine->stats.enqueued++;
    }
    if (row->deleted) return;
    if (job->state == JOB_RUNNING && row->state_before != JOB_RUNNING) publish_started(engine, job);
    if (row->state_before == JOB_RUNNING && job->state != JOB_RUNNING && job->started_us > 0) {
        int64_t end_us = job->finished_us ? job->finished_us : job->enqueued_us;
        metric_observe(METRIC_JOB_RUN, LABELS(job->queue, job->type),
                       seconds(end_us - job->started_us));
    }
    if (live_before && job_is_finished(job)) publish_finished(engine, row);
    if (job_is_finished(job)) watch_fire(engine, &row->key);
}

/* Hints in runs of one queue, so that a bulk of jobs is one call. */
static void publish_hints(Engine *engine, Batch *batch) {
    Hint *hints = arena_zero(&batch->arena, batch->row_count + 1, sizeof *hints);
    size_t count = 0;
    EngineQueue *queue = NULL;
    int64_t now_us = engine_now_us(engine);
    list_each(&batch->rows, node) {
        const Row *row = container_of(node, Row, in_rows);
        const Job *job = &row->job;
        if (!row->changed || row->deleted || job->state != JOB_WAITING) continue;
        if (!queue || !str_eq(queue->name, job->queue)) {
            if (count > 0) hints_push(queue, hints, count);
            if (queue) dispatch_queue(queue);
            count = 0;
            queue = queue_get(engine, job->queue);
        }
        hints[count++] = (Hint){.key = row->key,
                                .score = order_score(job->priority, job->due_us),
                                .due_us = job->due_us};
        if (job->due_us > now_us) promote_at(queue, job->due_us);
    }
    if (count > 0) {
        hints_push(queue, hints, count);
        dispatch_queue(queue);
    }
}

void publish_batch(Engine *engine, Batch *batch) {
    list_each(&batch->rows, node) {
        const Row *row = container_of(node, Row, in_rows);
        if (row->changed) publish_row(engine, row);
    }
    engine->changes += batch->row_count > 0;
    publish_hints(engine, batch);
}
