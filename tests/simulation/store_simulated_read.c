/* Queries of the simulated store: scan, sort, cut. */
#include "simulation/store_simulated_state.h"

#include "core/order.h"

#include <stdlib.h>

static Job *add_job(Query *query, const Job *job) {
    Job *copy = &query->jobs[query->count++];
    *copy = *job;
    job_copy(copy, &query->arena);
    return copy;
}

/* ---- lists ---- */

static bool has_tag(Str tags, Str tag, Arena *arena) {
    Json list, element;
    if (!tags.ptr || json_check(tags, &list, NULL) != OK) return false;
    JsonIter iter = json_iter(list);
    while (json_next(&iter, NULL, &element)) {
        if (str_eq(json_string(element, arena), tag)) return true;
    }
    return false;
}

static bool matches_text(Str wanted, Str text) {
    return !wanted.ptr || str_eq(wanted, text);
}

static bool matches_lists(const JobFilter *filter, const Job *job, Arena *arena) {
    for (size_t i = 0; i < filter->tag_count; i++) {
        if (!has_tag(job->tags, filter->tags[i], arena)) return false;
    }
    bool seen = filter->queue_glob_count == 0;
    for (size_t i = 0; i < filter->queue_glob_count; i++) {
        seen = seen || str_glob(filter->queue_globs[i], job->queue);
    }
    return seen && (!filter->id_list_json.ptr || has_tag(filter->id_list_json, job->id, arena));
}

static bool matches(const Query *query, const Entry *entry, Arena *arena) {
    const JobFilter *filter = &query->filter;
    const Job *job = &entry->job;
    if (query->cursor != 0 && entry->slot >= query->cursor) return false;
    unsigned status = 1U << job_status_at(job, query->until_us);
    if (filter->statuses != 0 && !(filter->statuses & status)) return false;
    if (filter->version != 0 && filter->version != job->version) return false;
    if (filter->created_after_us != 0 && job->created_us <= filter->created_after_us) return false;
    if (filter->created_before_us != 0 && job->created_us >= filter->created_before_us)
        return false;
    Str correlation_id = job->correlation_id.ptr ? job->correlation_id : job->id;
    return matches_text(filter->queue, job->queue) && matches_text(filter->type, job->type) &&
           matches_text(filter->worker, job->worker) &&
           matches_text(filter->correlation_id, correlation_id) &&
           matches_lists(filter, job, arena);
}

static void read_jobs(const State *state, Query *query) {
    query->jobs = arena_zero(&query->arena, query->limit + 1, sizeof(Job));
    int64_t last = 0;
    for (size_t i = state->entries.count; i > 0; i--) {
        const Entry *entry = state_entry(state, i - 1);
        if (!matches(query, entry, &query->arena)) continue;
        if (query->count == query->limit) {
            query->more = true;
            query->next_cursor = last;
            return;
        }
        Job *job = add_job(query, &entry->job);
        if (!query->filter.with_bodies) job->args = job->result = (Str){0};
        last = entry->slot;
    }
}

static void read_running(const State *state, Query *query) {
    query->jobs = arena_zero(&query->arena, state->entries.count + 1, sizeof(Job));
    for (size_t i = 0; i < state->entries.count; i++) {
        const Job *job = &state_entry(state, i)->job;
        if (job->state == JOB_RUNNING) add_job(query, job);
    }
}

static void read_one(const State *state, Query *query) {
    const Entry *entry = state_newest(state, &query->key);
    if (!entry) return;
    if (query->kind == QUERY_LOG) {
        query->text = arena_str(&query->arena, entry->log.ptr ? entry->log : STR(""));
        return;
    }
    query->jobs = arena_zero(&query->arena, 1, sizeof(Job));
    add_job(query, &entry->job);
}

/* ---- the window ---- */

typedef struct Place { /* a hint with what it is sorted by */
    int64_t first, second, slot;
    Hint hint;
} Place;

static int by_place(const void *a, const void *b) {
    const Place *x = a, *y = b;
    if (x->first != y->first) return x->first < y->first ? -1 : 1;
    if (x->second != y->second) return x->second < y->second ? -1 : 1;
    return x->slot < y->slot ? -1 : x->slot > y->slot;
}

static void read_window(const State *state, Query *query) {
    bool ready = query->kind == QUERY_READY;
    Place *places = arena_zero(&query->arena, state->entries.count + 1, sizeof *places);
    size_t count = 0;
    for (size_t i = 0; i < state->entries.count; i++) {
        const Entry *entry = state_entry(state, i);
        const Job *job = &entry->job;
        if (job->state != JOB_WAITING || !str_eq(job->queue, query->queue)) continue;
        int64_t score = order_score(job->priority, job->due_us);
        if ((ready ? score : job->due_us) <= query->after) continue;
        if (ready && job->due_us > query->until_us) continue;
        places[count++] = (Place){ready ? score : job->due_us,
                                  ready ? 0 : -job->priority,
                                  entry->slot,
                                  {job->key, score, job->due_us}};
    }
    qsort(places, count, sizeof *places, by_place);
    query->hints = arena_zero(&query->arena, count + 1, sizeof(Hint));
    for (size_t i = 0; i < count; i++) {
        bool full = query->count >= query->limit;
        if (full && (i == 0 || places[i].first != places[i - 1].first)) {
            query->more = true;
            return;
        }
        query->hints[query->count++] = places[i].hint;
    }
}

/* ---- queues and the rest ---- */

static int by_name(const void *a, const void *b) {
    return str_compare(((const QueueInfo *)a)->name, ((const QueueInfo *)b)->name);
}

static QueueInfo *queue_of(Query *query, Str name) {
    for (size_t i = 0; i < query->count; i++) {
        if (str_eq(query->queues[i].name, name)) return &query->queues[i];
    }
    query->queues[query->count].name = arena_str(&query->arena, name);
    return &query->queues[query->count++];
}

static bool is_counted(const CountDelta *counts) {
    for (JobStatus status = 0; status < STATUS_COUNT; status++) {
        if (counts->by[status] != 0) return true;
    }
    return false;
}

/* From the counts, not from the jobs: a mistake in them is to be seen. */
static void read_queues(const State *state, Query *query) {
    size_t most = state->counts.count + state->queues.count + 1;
    query->queues = arena_zero(&query->arena, most, sizeof(QueueInfo));
    const CountDelta *counts = state->counts.rows;
    for (size_t i = 0; i < state->counts.count; i++) {
        if (!is_counted(&counts[i])) continue;
        QueueInfo *queue = queue_of(query, counts[i].queue);
        for (JobStatus status = 0; status < STATUS_COUNT; status++) {
            queue->counts[status] = counts[i].by[status];
        }
    }
    const QueueSetting *settings = state->queues.rows;
    for (size_t i = 0; i < state->queues.count; i++) {
        queue_of(query, settings[i].name)->paused = settings[i].paused;
    }
    int64_t now_us = query->until_us;
    for (size_t i = 0; i < state->entries.count; i++) {
        const Job *job = &state_entry(state, i)->job;
        if (job->state != JOB_WAITING) continue;
        QueueInfo *queue = queue_of(query, job->queue);
        if (job->due_us > now_us) continue;
        queue->counts[job_status_at(job, state->frontier_us)]--;
        queue->counts[STATUS_PENDING]++;
        bool older = queue->oldest_pending_us == 0 || job->due_us < queue->oldest_pending_us;
        if (older) queue->oldest_pending_us = job->due_us;
    }
    qsort(query->queues, query->count, sizeof(QueueInfo), by_name);
}

static void read_waiting_queues(const State *state, Query *query) {
    query->queues = arena_zero(&query->arena, state->entries.count + 1, sizeof(QueueInfo));
    for (size_t i = 0; i < state->entries.count; i++) {
        const Job *job = &state_entry(state, i)->job;
        if (job->state == JOB_WAITING) queue_of(query, job->queue);
    }
    qsort(query->queues, query->count, sizeof(QueueInfo), by_name);
}

static int by_worker(const void *a, const void *b) {
    const SessionRow *x = a, *y = b;
    int order = str_compare(x->worker, y->worker);
    return order != 0 ? order : str_compare(x->node, y->node);
}

static void read_sessions(const State *state, Query *query) {
    query->sessions = arena_zero(&query->arena, state->sessions.count + 1, sizeof(SessionRow));
    const SessionRow *rows = state->sessions.rows;
    for (size_t i = 0; i < state->sessions.count; i++) {
        query->sessions[query->count++] = rows[i];
    }
    qsort(query->sessions, query->count, sizeof(SessionRow), by_worker);
}

static int by_token(const void *a, const void *b) {
    return str_compare(((const struct RevokedToken *)a)->token_id,
                       ((const struct RevokedToken *)b)->token_id);
}

static void read_revoked(const State *state, Query *query) {
    query->tokens = arena_zero(&query->arena, state->tokens.count + 1, sizeof *query->tokens);
    const Revoked *rows = state->tokens.rows;
    for (size_t i = 0; i < state->tokens.count; i++) {
        if (rows[i].until_us <= query->now_us) continue;
        query->tokens[query->count].token_id = rows[i].token_id;
        query->tokens[query->count++].until_us = rows[i].until_us;
    }
    qsort(query->tokens, query->count, sizeof *query->tokens, by_token);
}

static void take_lower(int64_t *lowest, int64_t value) {
    if (value > 0 && (*lowest == 0 || value < *lowest)) *lowest = value;
}

static void read_next(const State *state, Query *query) {
    const SessionRow *sessions = state->sessions.rows;
    for (size_t i = 0; i < state->sessions.count; i++) {
        take_lower(&query->oldest_seen_us, sessions[i].seen_us);
    }
    query->queues = arena_zero(&query->arena, state->queues.count + 1, sizeof(QueueInfo));
    const QueueSetting *settings = state->queues.rows;
    for (size_t i = 0; i < state->queues.count; i++) {
        if (settings[i].paused) queue_of(query, settings[i].name)->paused = true;
    }
    qsort(query->queues, query->count, sizeof(QueueInfo), by_name);
    for (size_t i = 0; i < state->entries.count; i++) {
        const Job *job = &state_entry(state, i)->job;
        if (job->state == JOB_RUNNING) take_lower(&query->next_deadline_us, job->deadline_us);
        if (job->state == JOB_WAITING) take_lower(&query->next_expiry_us, job->expires_us);
        if (job->state == JOB_DEAD) take_lower(&query->next_dead_us, job->finished_us);
        bool ended = job->state == JOB_SUCCEEDED || job->state == JOB_CANCELLED;
        if (ended) take_lower(&query->next_finished_us, job->finished_us);
    }
}

/* ---- nodes, and what each of them asks every second ---- */

NodeRow *state_node(const State *state, Str name) {
    NodeRow *rows = state->nodes.rows;
    for (size_t i = 0; i < state->nodes.count; i++) {
        if (str_eq(rows[i].name, name)) return &rows[i];
    }
    return NULL;
}

static int by_node_name(const void *a, const void *b) {
    return str_compare(((const NodeRow *)a)->name, ((const NodeRow *)b)->name);
}

/* Their texts live with the disk, likewise those of the controls. */
static void read_nodes(const State *state, Query *query) {
    query->nodes = arena_zero(&query->arena, state->nodes.count + 1, sizeof(NodeRow));
    const NodeRow *rows = state->nodes.rows;
    for (size_t i = 0; i < state->nodes.count; i++)
        query->nodes[query->count++] = rows[i];
    qsort(query->nodes, query->count, sizeof(NodeRow), by_node_name);
}

static void read_controls(const State *state, Query *query) {
    query->controls = arena_zero(&query->arena, query->limit + 1, sizeof(ControlRow));
    query->last_control = state->last_control;
    const ControlRow *rows = state->controls.rows;
    for (size_t i = 0; i < state->controls.count; i++) {
        if (rows[i].number <= query->after) continue;
        query->more = query->control_count == query->limit;
        if (query->more) return;
        query->controls[query->control_count++] = rows[i];
    }
}

static void read_every(const State *state, Query *query) {
    read_next(state, query);
    const NodeRow *node = query->node.ptr ? state_node(state, query->node) : NULL;
    query->node_known = node && str_eq(node->instance, query->node_instance);
    read_controls(state, query);
    query->finished = arena_zero(&query->arena, query->key_count + 1, sizeof(JobKey));
    for (size_t i = 0; i < query->key_count; i++) {
        const Entry *entry = state_newest(state, &query->keys[i]);
        if (entry && job_is_finished(&entry->job))
            query->finished[query->finished_count++] = query->keys[i];
    }
}

Err simulated_read(const State *state, Query *query) {
    switch (query->kind) {
    case QUERY_JOB:
    case QUERY_LOG: read_one(state, query); break;
    case QUERY_JOBS: read_jobs(state, query); break;
    case QUERY_READY:
    case QUERY_DELAYED: read_window(state, query); break;
    case QUERY_QUEUES: read_queues(state, query); break;
    case QUERY_WAITING_QUEUES: read_waiting_queues(state, query); break;
    case QUERY_SESSIONS: read_sessions(state, query); break;
    case QUERY_NEXT: read_next(state, query); break;
    case QUERY_REVOKED: read_revoked(state, query); break;
    case QUERY_RUNNING: read_running(state, query); break;
    case QUERY_NODES: read_nodes(state, query); break;
    case QUERY_EVERY: read_every(state, query); break;
    }
    return OK;
}
