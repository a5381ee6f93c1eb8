/* What a flush of the simulated store writes and answers; the order is that of
 * store/sqlite/flush.c, the ways are the naive ones: scan everything, sort, cut. */
#include "simulation/store_simulated_state.h"

#include "base/alloc.h"
#include "core/fence.h"

#include <stdlib.h>

static size_t place_of(const State *state, int64_t slot) {
    size_t at = state->entries.count;
    while (at > 0 && state_entry(state, at - 1)->slot != slot)
        at--;
    check(at > 0);
    return at - 1;
}

static Entry *entry_new(SimulatedDisk *disk, int64_t slot, const Job *job, Str log) {
    Entry *entry = alloc_zero(1, sizeof *entry);
    entry->slot = slot;
    entry->job = *job;
    job_copy(&entry->job, &entry->arena);
    entry->log = arena_str(&entry->arena, log);
    *(Entry **)table_add(&disk->added, sizeof entry) = entry;
    return entry;
}

static void entry_removed(SimulatedDisk *disk, Entry *entry) {
    *(Entry **)table_add(&disk->removed, sizeof entry) = entry;
}

static void replace(SimulatedDisk *disk, int64_t slot, const Job *job) {
    size_t at = place_of(&disk->open, slot);
    Entry *old = state_entry(&disk->open, at);
    ((Entry **)disk->open.entries.rows)[at] = entry_new(disk, slot, job, old->log);
    entry_removed(disk, old);
}

static void load(SimulatedDisk *disk, Batch *batch, Row *row) {
    const Entry *entry = state_newest(&disk->open, &row->key);
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

static void write_blind(SimulatedDisk *disk, Batch *batch, Row *row) {
    bool start = row->write == WRITE_START;
    const Entry *entry = state_newest(&disk->open, &row->key);
    bool hit = false;
    ChangeContext context = {batch->now_us, batch->random, &batch->arena};
    if (entry) {
        Job job = entry->job;
        int64_t slot = entry->slot;
        if (start) {
            int64_t fence = fence_make(0, disk->open.fence + 1);
            hit = job_start(&job, fence, row->lease.worker, row->grace_ms, &context) ==
                  CHANGE_APPLIED;
        } else {
            hit =
                job_succeed(&job, &row->lease, row->result, row->hash, &context) == CHANGE_APPLIED;
        }
        if (hit) {
            disk->open.fence += start;
            Job told = start ? job : light(&job);
            batch_hit(batch, row, slot, &told);
            replace(disk, slot, &job);
        }
    }
    row->write = WRITE_NONE;
    if (!hit) load(disk, batch, row);
}

static void write_row(SimulatedDisk *disk, Batch *batch, Row *row) {
    switch (row->write) {
    case WRITE_NONE: break;
    case WRITE_INSERT: {
        Entry *entry = entry_new(disk, ++disk->open.slot, &row->job, (Str){0});
        *(Entry **)table_add(&disk->open.entries, sizeof entry) = entry;
        batch_written(batch, row, entry->slot);
        break;
    }
    case WRITE_START:
    case WRITE_SUCCEED: write_blind(disk, batch, row); break;
    case WRITE_UPDATE:
        replace(disk, row->slot, &row->job);
        batch_written(batch, row, row->slot);
        break;
    case WRITE_DELETE: {
        size_t at = place_of(&disk->open, row->slot);
        entry_removed(disk, state_entry(&disk->open, at));
        table_remove(&disk->open.entries, at, sizeof(Entry *));
        batch_written(batch, row, 0);
        break;
    }
    }
}

static void flush_rows(SimulatedDisk *disk, Batch *batch) {
    static const RowWrite ORDER[] = {WRITE_DELETE, WRITE_UPDATE, WRITE_INSERT, WRITE_START,
                                     WRITE_SUCCEED};
    for (size_t i = 0; i < LENGTH(ORDER); i++) {
        list_each(&batch->flush, node) {
            Row *row = container_of(node, Row, in_flush);
            if (row->write == ORDER[i]) write_row(disk, batch, row);
        }
    }
    ListNode *node;
    while ((node = list_pop(&batch->flush))) {
        Row *row = container_of(node, Row, in_flush);
        if (row->status == ROW_ASKED) load(disk, batch, row);
    }
}

/* ---- beside the rows ---- */

static void append_log(SimulatedDisk *disk, const LogWrite *write) {
    if (write->row->slot == 0 || write->text.len == 0) return;
    size_t at = place_of(&disk->open, write->row->slot);
    Entry *old = state_entry(&disk->open, at);
    cleanup(buf_done) Buf all;
    buf_init(&all, old->log.len + write->text.len);
    buf_add(&all, old->log);
    buf_add(&all, write->text);
    size_t from = all.len > LIMIT_LOG ? all.len - LIMIT_LOG : 0;
    while (from > 0 && from < all.len && ((unsigned char)all.data[from] & 0xc0) == 0x80)
        from++;
    buf_drop(&all, from);
    ((Entry **)disk->open.entries.rows)[at] = entry_new(disk, old->slot, &old->job, buf_str(&all));
    entry_removed(disk, old);
}

static void write_session(SimulatedDisk *disk, const SessionWrite *write) {
    Table *table = &disk->open.sessions;
    SessionRow *rows = table->rows;
    size_t at = 0;
    while (at < table->count && !(str_eq(rows[at].worker, write->session.worker) &&
                                  str_eq(rows[at].node, write->session.node))) {
        at++;
    }
    bool known = at < table->count;
    if (write->forget) {
        if (known) table_remove(table, at, sizeof *rows);
        return;
    }
    SessionRow *row = known ? &rows[at] : table_add(table, sizeof *rows);
    *row = write->session;
    row->worker = disk_text(disk, row->worker);
    row->node = disk_text(disk, row->node);
    row->info = disk_text(disk, row->info);
}

static void write_queue(SimulatedDisk *disk, const QueueWrite *write) {
    Table *table = &disk->open.queues;
    QueueSetting *rows = table->rows;
    size_t at = 0;
    while (at < table->count && !str_eq(rows[at].name, write->queue))
        at++;
    QueueSetting *row = at < table->count ? &rows[at] : table_add(table, sizeof *rows);
    *row = (QueueSetting){disk_text(disk, write->queue), write->paused};
}

static void write_tokens(SimulatedDisk *disk, const Batch *batch) {
    if (!batch->tokens) return;
    Table *table = &disk->open.tokens;
    for (size_t i = table->count; i > 0; i--) {
        bool over = ((Revoked *)table->rows)[i - 1].until_us <= batch->now_us;
        if (over) table_remove(table, i - 1, sizeof(Revoked));
    }
    for (const TokenWrite *write = batch->tokens; write; write = write->next) {
        Revoked *rows = table->rows;
        size_t at = 0;
        while (at < table->count && !str_eq(rows[at].token_id, write->token_id))
            at++;
        Revoked *row = at < table->count ? &rows[at] : table_add(table, sizeof *rows);
        *row = (Revoked){disk_text(disk, write->token_id), write->until_us};
    }
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
    case ASK_SESSIONS: break;
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

static void answer(const State *state, Batch *batch, Ask *ask) {
    if (ask->kind == ASK_SESSIONS) {
        answer_sessions(state, batch, ask);
        return;
    }
    ask->rows = arena_zero(&batch->arena, ask->limit, sizeof(Row *));
    const Entry *entry = ask_next(state, ask, NULL);
    while (entry && ask->count < ask->limit) {
        Row *row = row_of(batch, state, entry);
        batch_found(batch, row, entry->slot, &entry->job);
        ask->rows[ask->count++] = row;
        entry = ask_next(state, ask, entry);
    }
}

void simulated_flush(SimulatedDisk *disk, Batch *batch) {
    flush_rows(disk, batch);
    for (LogWrite *write = batch->logs; write; write = write->next)
        append_log(disk, write);
    for (SessionWrite *write = batch->sessions; write; write = write->next)
        write_session(disk, write);
    for (QueueWrite *write = batch->queues; write; write = write->next)
        write_queue(disk, write);
    write_tokens(disk, batch);
    for (Ask *ask = batch->asks; ask; ask = ask->next)
        answer(&disk->open, batch, ask);
    batch->logs = NULL;
    batch->sessions = NULL;
    batch->queues = NULL;
    batch->tokens = NULL;
    batch->asks = NULL;
}

void simulated_wipe(SimulatedDisk *disk) {
    State *state = &disk->open;
    for (size_t i = 0; i < state->entries.count; i++)
        entry_removed(disk, state_entry(state, i));
    state->entries.count = 0;
    state->sessions.count = 0;
    state->queues.count = 0;
    state->tokens.count = 0;
    state->counts.count = 0;
}

/* ---- counts ---- */

static int64_t *counts_of(SimulatedDisk *disk, Str queue) {
    Table *table = &disk->open.counts;
    CountDelta *rows = table->rows;
    for (size_t i = 0; i < table->count; i++) {
        if (str_eq(rows[i].queue, queue)) return rows[i].by;
    }
    CountDelta *row = table_add(table, sizeof *row);
    row->queue = disk_text(disk, queue);
    return row->by;
}

void simulated_count(SimulatedDisk *disk, Batch *batch) {
    State *state = &disk->open;
    size_t at = 0;
    CountDelta *delta;
    while ((delta = map_next(&batch->counts, &at))) {
        int64_t *by = counts_of(disk, delta->queue);
        for (JobStatus status = 0; status < STATUS_COUNT; status++)
            by[status] += delta->by[status];
    }
    if (batch->count_to_us <= state->frontier_us) return;
    for (size_t i = 0; i < state->entries.count; i++) {
        const Job *job = &state_entry(state, i)->job;
        counts_of(disk, job->queue)[job_status_at(job, state->frontier_us)]--;
        counts_of(disk, job->queue)[job_status_at(job, batch->count_to_us)]++;
    }
    state->frontier_us = batch->count_to_us;
}
