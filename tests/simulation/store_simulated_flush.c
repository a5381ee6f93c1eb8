/* What a flush of the simulated store writes and answers; the order is that of
 * store/sqlite/flush.c, the ways are the naive ones: scan everything, sort, cut. */
#include "simulation/store_simulated_state.h"

#include "base/alloc.h"
#include "core/fence.h"
#include "core/order.h"

#include <stdlib.h>
#include <string.h>

static const Entry *entry_at(const State *state, int64_t slot) {
    size_t at = state->entries.count;
    while (at > 0 && state_entry(state, at - 1)->slot != slot)
        at--;
    check(at > 0);
    return state_entry(state, at - 1);
}

static void put(Transaction *transaction, int64_t slot, const Job *job, Str log) {
    Entry *entry = disk_entry(transaction->disk, slot, job, log);
    Change change = {.kind = CHANGE_ENTRY, .slot = slot, .entry = entry};
    transaction_write(transaction, &change);
}

static void replace(Transaction *transaction, int64_t slot, const Job *job) {
    put(transaction, slot, job, entry_at(&transaction->view, slot)->log);
}

static void load(const Transaction *transaction, Batch *batch, Row *row) {
    const Entry *entry = state_newest(&transaction->view, &row->key);
    if (entry) {
        batch_found(batch, row, entry->slot, &entry->job);
    } else {
        batch_missing(batch, row);
    }
}

/* What a row hit by a succeed tells (batch.h), and what the succeed itself has set. */
static Job light(const Job *job) {
    return (Job){
        .key = job->key,
        .id = job->id,
        .type = job->type,
        .queue = job->queue,
        .state = job->state,
        .priority = job->priority,
        .due_us = job->due_us,
        .created_us = job->created_us,
        .started_us = job->started_us,
        .finished_us = job->finished_us,
        .attempt = job->attempt,
        .failures = job->failures,
        .fence = job->fence,
        .worker = job->worker,
        .correlation_id = job->correlation_id,
        .run = job->run,
        .result = job->result,
        .outcome = job->outcome,
    };
}

static void write_blind(Transaction *transaction, Batch *batch, Row *row) {
    bool start = row->write == WRITE_START;
    const Entry *entry = state_newest(&transaction->view, &row->key);
    bool hit = false;
    ChangeContext context = {batch->now_us, batch->random, &batch->arena};
    if (entry) {
        Job job = entry->job;
        const SimulatedDisk *disk = transaction->disk;
        if (start) {
            int64_t fence = fence_make(disk->timeline, disk->sequences.fence + 1);
            hit = str_eq(job.queue, row->start_queue) &&
                  job_start(&job, fence, row->lease.worker, row->grace_ms, &context) ==
                      CHANGE_APPLIED;
            if (hit) (void)transaction_fence(transaction);
        } else {
            hit =
                job_succeed(&job, &row->lease, row->result, row->hash, &context) == CHANGE_APPLIED;
        }
        if (hit) {
            Job told = start ? job : light(&job);
            batch_hit(batch, row, entry->slot, &told);
            replace(transaction, entry->slot, &job);
        }
    }
    row->write = WRITE_NONE;
    if (!hit) load(transaction, batch, row);
}

static void write_row(Transaction *transaction, Batch *batch, Row *row) {
    switch (row->write) {
    case WRITE_NONE: break;
    case WRITE_INSERT: {
        int64_t slot = transaction_slot(transaction);
        put(transaction, slot, &row->job, (Str){0});
        batch_written(batch, row, slot);
        break;
    }
    case WRITE_START:
    case WRITE_SUCCEED: write_blind(transaction, batch, row); break;
    case WRITE_UPDATE:
        replace(transaction, row->slot, &row->job);
        batch_written(batch, row, row->slot);
        break;
    case WRITE_DELETE: {
        Change change = {.kind = CHANGE_ENTRY, .slot = row->slot};
        transaction_write(transaction, &change);
        batch_written(batch, row, 0);
        break;
    }
    }
}

static void write_rows(Transaction *transaction, Batch *batch) {
    static const RowWrite ORDER[] = {WRITE_DELETE, WRITE_UPDATE, WRITE_INSERT, WRITE_START,
                                     WRITE_SUCCEED};
    for (size_t i = 0; i < LENGTH(ORDER); i++) {
        list_each(&batch->flush, node) {
            Row *row = container_of(node, Row, in_flush);
            if (row->write == ORDER[i]) write_row(transaction, batch, row);
        }
    }
    ListNode *node;
    while ((node = list_pop(&batch->flush))) {
        Row *row = container_of(node, Row, in_flush);
        if (row->status == ROW_ASKED) load(transaction, batch, row);
    }
}

/* ---- beside the rows ---- */

static void append_log(Transaction *transaction, const LogWrite *write) {
    if (write->row->slot == 0 || write->text.len == 0) return;
    const Entry *old = entry_at(&transaction->view, write->row->slot);
    cleanup(buf_done) Buf all;
    buf_init(&all, old->log.len + write->text.len);
    buf_add(&all, old->log);
    buf_add(&all, write->text);
    size_t from = all.len > LIMIT_LOG ? all.len - LIMIT_LOG : 0;
    while (from > 0 && from < all.len && ((unsigned char)all.data[from] & 0xc0) == 0x80)
        from++;
    buf_drop(&all, from);
    put(transaction, old->slot, &old->job, buf_str(&all));
}

static void write_session(Transaction *transaction, const SessionWrite *write) {
    SimulatedDisk *disk = transaction->disk;
    Change change = {.kind = write->forget ? CHANGE_SESSION_GONE : CHANGE_SESSION,
                     .session = write->session};
    change.session.worker = disk_text(disk, change.session.worker);
    change.session.node = disk_text(disk, change.session.node);
    change.session.info = disk_text(disk, change.session.info);
    transaction_write(transaction, &change);
}

static void write_queue(Transaction *transaction, const QueueWrite *write) {
    Change change = {.kind = CHANGE_QUEUE,
                     .queue = {disk_text(transaction->disk, write->queue), write->paused}};
    transaction_write(transaction, &change);
}

static void write_tokens(Transaction *transaction, const Batch *batch) {
    if (!batch->tokens) return;
    for (size_t i = transaction->view.tokens.count; i > 0; i--) {
        Revoked token = ((Revoked *)transaction->view.tokens.rows)[i - 1];
        if (token.until_us > batch->now_us) continue;
        transaction_write(transaction, &(Change){.kind = CHANGE_TOKEN_GONE, .token = token});
    }
    for (const TokenWrite *write = batch->tokens; write; write = write->next) {
        Change change = {.kind = CHANGE_TOKEN,
                         .token = {disk_text(transaction->disk, write->token_id), write->until_us}};
        transaction_write(transaction, &change);
    }
}

static void write_node(Transaction *transaction, const Batch *batch, const NodeWrite *write) {
    SimulatedDisk *disk = transaction->disk;
    Change change = {.kind = write->forget ? CHANGE_NODE_GONE : CHANGE_NODE, .node = write->node};
    NodeRow *node = &change.node;
    node->name = disk_text(disk, node->name);
    node->instance = disk_text(disk, node->instance);
    node->version = disk_text(disk, node->version);
    node->info = disk_text(disk, node->info);
    node->seen_us = batch->now_us;
    transaction_write(transaction, &change);
}

/* ---- asks ---- */

static bool is_asked(const Ask *ask, const Job *job) {
    int64_t until_us = ask->until_us;
    switch (ask->kind) {
    case ASK_RUNNING_OF: return job->state == JOB_RUNNING && str_eq(job->worker, ask->text);
    case ASK_OVERDUE:
        return job->state == JOB_RUNNING && job->deadline_us > 0 && job->deadline_us <= until_us;
    case ASK_EXPIRED:
        return job->state == JOB_WAITING && job->expires_us > 0 && job->expires_us <= until_us;
    case ASK_PRUNABLE:
        return (job->state == JOB_SUCCEEDED || job->state == JOB_CANCELLED) &&
               job->finished_us <= until_us;
    case ASK_PRUNABLE_DEAD: return job->state == JOB_DEAD && job->finished_us <= until_us;
    case ASK_SESSIONS:
    case ASK_READY:
    case ASK_NODE: break;
    }
    return false;
}

static int64_t ask_order(AskKind kind, const Job *job) {
    if (kind == ASK_EXPIRED) return job->expires_us;
    return kind == ASK_RUNNING_OF || kind == ASK_OVERDUE ? job->deadline_us : job->finished_us;
}

static Row *row_of(Batch *batch, const State *state, const Entry *entry) {
    if (state_newest(state, &entry->job.key) == entry) return batch_row(batch, &entry->job.key);
    list_each(&batch->rows, node) {
        Row *row = container_of(node, Row, in_rows);
        if (row->slot == entry->slot) return row;
    }
    return batch_row_apart(batch, &entry->job.key);
}

/* ---- ready rows ---- */

/* Best score first, then in the order they were made. */
static bool is_better(const Entry *a, const Entry *b) {
    if (!b) return true;
    int64_t x = order_score(a->job.priority, a->job.due_us);
    int64_t y = order_score(b->job.priority, b->job.due_us);
    return x != y ? x < y : a->slot < b->slot;
}

static bool is_ready(const Batch *batch, const Ask *ask, const Job *job) {
    bool expired = job->expires_us > 0 && job->expires_us <= batch->now_us;
    return job->state == JOB_WAITING && str_eq(job->queue, ask->text) &&
           job->due_us <= ask->until_us && !expired &&
           !map_get(&batch->by_key, job_key_str(&job->key));
}

/* Nobody waits here: a row that another transaction has locked is passed over. */
static void answer_ready(SimulatedStore *store, Ask *ask) {
    Batch *batch = store->batch;
    const State *state = &store->transaction.view;
    bool *passed = arena_zero(&batch->arena, state->entries.count + 1, sizeof *passed);
    ask->rows = arena_zero(&batch->arena, ask->limit, sizeof(Row *));
    while (ask->count < ask->limit) {
        size_t best = state->entries.count;
        for (size_t i = 0; i < state->entries.count; i++) {
            const Entry *entry = state_entry(state, i);
            if (passed[i] || !is_ready(batch, ask, &entry->job)) continue;
            const Entry *other = best < state->entries.count ? state_entry(state, best) : NULL;
            if (is_better(entry, other)) best = i;
        }
        if (best == state->entries.count) return;
        passed[best] = true;
        const JobKey *key = &state_entry(state, best)->job.key;
        if (lock_row_if_free(store, key)) ask->rows[ask->count++] = batch_row(batch, key);
    }
}

static void answer_node(const State *state, Batch *batch, Ask *ask) {
    const NodeRow *node = state_node(state, ask->text);
    if (!node) return;
    ask->node = arena_new(&batch->arena, NodeRow);
    *ask->node = *node;
    ask->count = 1;
}

/* The next entry of the answer: the lowest (order, slot) behind the last one. */
static const Entry *ask_next(const State *state, const Ask *ask, const Entry *last) {
    const Entry *best = NULL;
    for (size_t i = 0; i < state->entries.count; i++) {
        const Entry *entry = state_entry(state, i);
        if (!is_asked(ask, &entry->job)) continue;
        int64_t order = ask_order(ask->kind, &entry->job);
        if (last) {
            int64_t after = ask_order(ask->kind, &last->job);
            if (order < after || (order == after && entry->slot <= last->slot)) continue;
        }
        if (!best || order < ask_order(ask->kind, &best->job)) best = entry;
    }
    return best;
}

static int by_node(const void *a, const void *b) {
    return str_compare(((const SessionRow *)a)->node, ((const SessionRow *)b)->node);
}

/* Their texts live with the disk. */
static void answer_sessions(const State *state, Batch *batch, Ask *ask) {
    const SessionRow *rows = state->sessions.rows;
    ask->sessions = arena_zero(&batch->arena, ask->limit, sizeof(SessionRow));
    for (size_t i = 0; i < state->sessions.count && ask->count < ask->limit; i++) {
        if (str_eq(rows[i].worker, ask->text)) ask->sessions[ask->count++] = rows[i];
    }
    qsort(ask->sessions, ask->count, sizeof(SessionRow), by_node);
}

static void answer_rows(const State *state, Batch *batch, Ask *ask) {
    ask->rows = arena_zero(&batch->arena, ask->limit, sizeof(Row *));
    const Entry *entry = ask_next(state, ask, NULL);
    while (entry && ask->count < ask->limit) {
        Row *row = row_of(batch, state, entry);
        batch_found(batch, row, entry->slot, &entry->job);
        ask->rows[ask->count++] = row;
        entry = ask_next(state, ask, entry);
    }
}

/* What it would find is locked first: another batch may be about to change it. */
static bool lock_answer(SimulatedStore *store, const Ask *ask) {
    const State *state = &store->transaction.view;
    if (ask->kind == ASK_SESSIONS) return lock_session(store, ask->text);
    if (ask->kind == ASK_NODE) return lock_node(store, ask->text);
    if (ask->kind == ASK_READY) return true;
    const Entry *entry = ask_next(state, ask, NULL);
    for (size_t count = 0; entry && count < ask->limit; count++) {
        if (!lock_row(store, &entry->job.key)) return false;
        entry = ask_next(state, ask, entry);
    }
    return true;
}

bool simulated_answer(SimulatedStore *store) {
    Batch *batch = store->batch;
    for (; batch->asks; batch->asks = batch->asks->next) {
        if (!lock_answer(store, batch->asks)) return false;
        const State *state = &store->transaction.view;
        switch (batch->asks->kind) {
        case ASK_SESSIONS: answer_sessions(state, batch, batch->asks); break;
        case ASK_NODE: answer_node(state, batch, batch->asks); break;
        case ASK_READY: answer_ready(store, batch->asks); break;
        default: answer_rows(state, batch, batch->asks); break;
        }
    }
    return true;
}

/* ---- a flush ---- */

static int by_key(const void *a, const void *b) {
    return memcmp((*(Row *const *)a)->key.bytes, (*(Row *const *)b)->key.bytes, sizeof(JobKey));
}

/* Rows in the order of their keys, then sessions: between the rounds of a batch there is no order, so
 * two batches may still wait for each other. */
bool simulated_lock_rows(SimulatedStore *store) {
    Batch *batch = store->batch;
    Row **rows = arena_zero(&batch->arena, batch->row_count + 1, sizeof *rows);
    size_t count = 0;
    list_each(&batch->flush, node) {
        rows[count++] = container_of(node, Row, in_flush);
    }
    qsort(rows, count, sizeof *rows, by_key);
    for (size_t i = 0; i < count; i++) {
        if (!lock_row(store, &rows[i]->key)) return false;
    }
    for (const SessionWrite *write = batch->sessions; write; write = write->next) {
        if (!lock_session(store, write->session.worker)) return false;
    }
    for (const NodeWrite *write = batch->nodes; write; write = write->next) {
        if (!lock_node(store, write->node.name)) return false;
    }
    return true;
}

void simulated_flush_rows(SimulatedStore *store) {
    Batch *batch = store->batch;
    Transaction *transaction = &store->transaction;
    write_rows(transaction, batch);
    for (LogWrite *write = batch->logs; write; write = write->next)
        append_log(transaction, write);
    for (SessionWrite *write = batch->sessions; write; write = write->next)
        write_session(transaction, write);
    for (QueueWrite *write = batch->queues; write; write = write->next)
        write_queue(transaction, write);
    write_tokens(transaction, batch);
    for (NodeWrite *write = batch->nodes; write; write = write->next)
        write_node(transaction, batch, write);
    batch->nodes = NULL;
    batch->logs = NULL;
    batch->sessions = NULL;
    batch->queues = NULL;
    batch->tokens = NULL;
}

void simulated_control(SimulatedStore *store) {
    SimulatedDisk *disk = store->disk;
    for (ControlWrite *write = store->batch->controls; write; write = write->next) {
        Change change = {.kind = CHANGE_CONTROL, .control = write->control};
        change.control.node = disk_text(disk, change.control.node);
        change.control.subject = disk_text(disk, change.control.subject);
        change.control.detail = disk_text(disk, change.control.detail);
        transaction_write(&store->transaction, &change);
    }
    store->batch->controls = NULL;
}

void simulated_count(SimulatedStore *store) {
    size_t at = 0;
    const CountDelta *delta;
    while ((delta = map_next(&store->batch->counts, &at))) {
        Change change = {.kind = CHANGE_COUNTS, .counts = *delta};
        change.counts.queue = disk_text(store->disk, delta->queue);
        transaction_write(&store->transaction, &change);
    }
}
