/* Transactions of the simulated store: changes kept apart until the commit, and locks on rows.
 *
 * A row is locked by the key of its job, whether there is one or not, so that of two batches that find an
 * id free only one makes a job of it. */
#include "simulation/store_simulated_state.h"

#include "base/alloc.h"
#include "base/hash.h"

#include "base/time.h"
#include <stdlib.h>
#include <string.h>

#define CONTROL_KEPT_US (3600 * US_PER_S)

/* ---- one change ---- */

static void put_entry(State *state, const Change *change) {
    Table *table = &state->entries;
    size_t at = table->count;
    while (at > 0 && state_entry(state, at - 1)->slot > change->slot)
        at--;
    bool there = at > 0 && state_entry(state, at - 1)->slot == change->slot;
    if (!change->entry) {
        if (there) table_remove(table, at - 1, sizeof(Entry *));
    } else if (there) {
        ((Entry **)table->rows)[at - 1] = change->entry;
    } else {
        table_add(table, sizeof(Entry *));
        Entry **rows = table->rows;
        memmove(&rows[at + 1], &rows[at], (table->count - 1 - at) * sizeof *rows);
        rows[at] = change->entry;
    }
}

static void put_session(State *state, const SessionRow *session, bool gone) {
    Table *table = &state->sessions;
    SessionRow *rows = table->rows;
    size_t at = 0;
    while (at < table->count &&
           !(str_eq(rows[at].worker, session->worker) && str_eq(rows[at].node, session->node))) {
        at++;
    }
    bool there = at < table->count;
    if (gone && there) table_remove(table, at, sizeof *rows);
    if (!gone) *(there ? &rows[at] : (SessionRow *)table_add(table, sizeof *rows)) = *session;
}

static void put_queue(State *state, const QueueSetting *queue) {
    Table *table = &state->queues;
    QueueSetting *rows = table->rows;
    size_t at = 0;
    while (at < table->count && !str_eq(rows[at].name, queue->name))
        at++;
    *(at < table->count ? &rows[at] : (QueueSetting *)table_add(table, sizeof *rows)) = *queue;
}

static void put_token(State *state, const Revoked *token, bool gone) {
    Table *table = &state->tokens;
    Revoked *rows = table->rows;
    size_t at = 0;
    while (at < table->count && !str_eq(rows[at].token_id, token->token_id))
        at++;
    bool there = at < table->count;
    if (gone && there) table_remove(table, at, sizeof *rows);
    if (!gone) *(there ? &rows[at] : (Revoked *)table_add(table, sizeof *rows)) = *token;
}

static void add_counts(State *state, const CountDelta *delta) {
    Table *table = &state->counts;
    CountDelta *rows = table->rows;
    size_t at = 0;
    while (at < table->count && !str_eq(rows[at].queue, delta->queue))
        at++;
    CountDelta *row = at < table->count ? &rows[at] : table_add(table, sizeof *rows);
    row->queue = delta->queue;
    for (JobStatus status = 0; status < STATUS_COUNT; status++)
        row->by[status] += delta->by[status];
}

static void put_mark(State *state, const Mark *mark) {
    Table *table = &state->marks;
    Mark *rows = table->rows;
    size_t at = 0;
    while (at < table->count && rows[at].store != mark->store)
        at++;
    *(at < table->count ? &rows[at] : (Mark *)table_add(table, sizeof *rows)) = *mark;
}

static void put_node(State *state, const NodeRow *node, bool gone) {
    Table *table = &state->nodes;
    NodeRow *row = state_node(state, node->name);
    if (!gone) {
        if (!row) row = table_add(table, sizeof *row);
        *row = *node;
    } else if (row && str_eq(row->instance, node->instance)) {
        table_remove(table, (size_t)(row - (NodeRow *)table->rows), sizeof *row);
    }
}

/* The number is that of the commit: in a transaction's own view it is a guess. */
static void put_control(State *state, const ControlRow *control) {
    Table *table = &state->controls;
    while (table->count > 0 &&
           ((ControlRow *)table->rows)[0].at_us <= control->at_us - CONTROL_KEPT_US)
        table_remove(table, 0, sizeof(ControlRow));
    ControlRow *row = table_add(table, sizeof *row);
    *row = *control;
    row->number = ++state->last_control;
}

static void apply(State *state, const Change *change) {
    switch (change->kind) {
    case CHANGE_ENTRY: put_entry(state, change); break;
    case CHANGE_SESSION: put_session(state, &change->session, /* gone= */ false); break;
    case CHANGE_SESSION_GONE: put_session(state, &change->session, /* gone= */ true); break;
    case CHANGE_QUEUE: put_queue(state, &change->queue); break;
    case CHANGE_TOKEN: put_token(state, &change->token, /* gone= */ false); break;
    case CHANGE_TOKEN_GONE: put_token(state, &change->token, /* gone= */ true); break;
    case CHANGE_COUNTS: add_counts(state, &change->counts); break;
    case CHANGE_MARK: put_mark(state, &change->mark); break;
    case CHANGE_NODE: put_node(state, &change->node, /* gone= */ false); break;
    case CHANGE_NODE_GONE: put_node(state, &change->node, /* gone= */ true); break;
    case CHANGE_CONTROL: put_control(state, &change->control); break;
    case CHANGE_ALL_GONE:
        state->entries.count = state->sessions.count = 0;
        state->queues.count = state->counts.count = 0;
        break;
    }
}

/* ---- transactions ---- */

void transaction_begin(Transaction *transaction, SimulatedDisk *disk) {
    check(!transaction->open);
    *transaction = (Transaction){.disk = disk, .begun = disk->sequences, .open = true};
    transaction->view = state_copy(&disk->committed);
}

void transaction_refresh(Transaction *transaction) {
    state_done(&transaction->view);
    transaction->view = state_copy(&transaction->disk->committed);
    const Change *changes = transaction->changes.rows;
    for (size_t i = 0; i < transaction->changes.count; i++)
        apply(&transaction->view, &changes[i]);
}

void transaction_write(Transaction *transaction, const Change *change) {
    Change *kept = table_add(&transaction->changes, sizeof *kept);
    *kept = *change;
    apply(&transaction->view, kept);
}

static void end(Transaction *transaction) {
    state_done(&transaction->view);
    table_done(&transaction->changes);
    transaction->open = false;
}

static bool is_alone(const SimulatedDisk *disk) {
    size_t open = 0;
    for (size_t i = 0; i < disk->stores.count; i++)
        open += ((SimulatedStore **)disk->stores.rows)[i]->transaction.open;
    return open == 1;
}

/* Other batches that are under way have counted by the frontier as it is: then it stays for now. */
static void move_frontier(SimulatedDisk *disk, int64_t to_us) {
    State *state = &disk->committed;
    if (to_us <= state->frontier_us || !is_alone(disk)) return;
    for (size_t i = 0; i < state->entries.count; i++) {
        const Job *job = &state_entry(state, i)->job;
        CountDelta delta = {.queue = disk_text(disk, job->queue)};
        delta.by[job_status_at(job, state->frontier_us)]--;
        delta.by[job_status_at(job, to_us)]++;
        add_counts(state, &delta);
    }
    state->frontier_us = to_us;
}

void transaction_commit(Transaction *transaction, const Batch *batch) {
    check(transaction->open);
    SimulatedDisk *disk = transaction->disk;
    const Change *changes = transaction->changes.rows;
    for (size_t i = 0; i < transaction->changes.count; i++)
        apply(&disk->committed, &changes[i]);
    move_frontier(disk, batch->count_to_us);
    end(transaction);
}

/* Numbers that nobody else has seen are given back, as an embedded store does. */
void transaction_roll_back(Transaction *transaction) {
    if (!transaction->open) return;
    Sequences *now = &transaction->disk->sequences;
    const Sequences *begun = &transaction->begun, *taken = &transaction->taken;
    if (now->takes == begun->takes + taken->takes) {
        now->slot = begun->slot;
        now->fence = begun->fence;
    }
    end(transaction);
}

int64_t transaction_slot(Transaction *transaction) {
    transaction->taken.takes++;
    transaction->disk->sequences.takes++;
    return ++transaction->disk->sequences.slot;
}

int64_t transaction_fence(Transaction *transaction) {
    transaction->taken.takes++;
    transaction->disk->sequences.takes++;
    return ++transaction->disk->sequences.fence;
}

/* ---- locks ---- */

bool lock_row(SimulatedStore *store, const JobKey *name) {
    Table *table = &store->disk->locks;
    const Lock *locks = table->rows;
    for (size_t i = 0; i < table->count; i++) {
        if (!job_key_eq(&locks[i].name, name)) continue;
        store->waits_for = locks[i].owner == store ? NULL : locks[i].owner;
        return store->waits_for == NULL;
    }
    *(Lock *)table_add(table, sizeof(Lock)) = (Lock){*name, store};
    store->waits_for = NULL;
    return true;
}

bool lock_row_if_free(SimulatedStore *store, const JobKey *name) {
    bool taken = lock_row(store, name);
    store->waits_for = NULL;
    return taken;
}

/* Named by a hash of the text, which is no job's key: its version bits say so. */
static bool lock_text(SimulatedStore *store, const uint64_t key[2], Str text) {
    uint64_t halves[2] = {hash_sip(key, text.ptr, text.len), UINT64_MAX};
    JobKey name;
    _Static_assert(sizeof name == sizeof halves, "a key has 16 bytes");
    memcpy(&name, halves, sizeof name);
    return lock_row(store, &name);
}

bool lock_session(SimulatedStore *store, Str worker) {
    return lock_text(store, (const uint64_t[]){1, 2}, worker);
}

bool lock_node(SimulatedStore *store, Str name) {
    return lock_text(store, (const uint64_t[]){3, 4}, name);
}

void locks_release(SimulatedStore *store) {
    Table *table = &store->disk->locks;
    for (size_t i = table->count; i > 0; i--) {
        bool own = ((Lock *)table->rows)[i - 1].owner == store;
        if (own) table_remove(table, i - 1, sizeof(Lock));
    }
    store->waits_for = NULL;
}
