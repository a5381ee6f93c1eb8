/* Points, faults and connections of the simulated store: see store_simulated.h. */
#include "simulation/store_simulated_state.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

typedef struct SimulatedRead {
    SimulatedStore *store;
    Query *query;
} SimulatedRead;

/* ---- tables ---- */

void *table_add(Table *table, size_t size) {
    if (table->count == table->capacity) {
        table->capacity = table->capacity ? 2 * table->capacity : 16;
        table->rows = alloc_again(table->rows, table->capacity, size);
    }
    void *row = (char *)table->rows + table->count++ * size;
    memset(row, 0, size);
    return row;
}

void table_remove(Table *table, size_t at, size_t size) {
    char *row = (char *)table->rows + at * size;
    memmove(row, row + size, (--table->count - at) * size);
}

void table_done(Table *table) {
    free(table->rows);
    *table = (Table){0};
}

static Table table_copy(const Table *table, size_t size) {
    Table copy = {.count = table->count, .capacity = table->count};
    if (table->count == 0) return copy;
    copy.rows = alloc(table->count * size);
    memcpy(copy.rows, table->rows, table->count * size);
    return copy;
}

Entry *state_newest(const State *state, const JobKey *key) {
    for (size_t i = state->entries.count; i > 0; i--) {
        Entry *entry = state_entry(state, i - 1);
        if (job_key_eq(&entry->job.key, key)) return entry;
    }
    return NULL;
}

State state_copy(const State *from) {
    State copy = {.frontier_us = from->frontier_us};
    copy.entries = table_copy(&from->entries, sizeof(Entry *));
    copy.sessions = table_copy(&from->sessions, sizeof(SessionRow));
    copy.queues = table_copy(&from->queues, sizeof(QueueSetting));
    copy.tokens = table_copy(&from->tokens, sizeof(Revoked));
    copy.counts = table_copy(&from->counts, sizeof(CountDelta));
    copy.nodes = table_copy(&from->nodes, sizeof(NodeRow));
    copy.controls = table_copy(&from->controls, sizeof(ControlRow));
    copy.last_control = from->last_control;
    copy.marks = table_copy(&from->marks, sizeof(Mark));
    return copy;
}

void state_done(State *state) {
    table_done(&state->entries);
    table_done(&state->sessions);
    table_done(&state->queues);
    table_done(&state->tokens);
    table_done(&state->counts);
    table_done(&state->marks);
    table_done(&state->nodes);
    table_done(&state->controls);
}

/* ---- the disk ---- */

Str disk_text(SimulatedDisk *disk, Str text) {
    if (!text.ptr) return text;
    Str *kept = map_get(&disk->texts, text);
    if (kept) return *kept;
    kept = arena_new(&disk->arena, Str);
    *kept = arena_str(&disk->arena, text);
    map_put(&disk->texts, *kept, kept);
    return *kept;
}

Entry *disk_entry(SimulatedDisk *disk, int64_t slot, const Job *job, Str log) {
    Entry *entry = alloc_zero(1, sizeof *entry);
    entry->slot = slot;
    entry->job = *job;
    job_copy(&entry->job, &entry->arena);
    entry->log = arena_str(&entry->arena, log);
    *(Entry **)table_add(&disk->entries, sizeof entry) = entry;
    return entry;
}

SimulatedDisk *simulated_disk_new(void) {
    return alloc_zero(1, sizeof(SimulatedDisk));
}

static SimulatedStore *disk_store(const SimulatedDisk *disk, size_t at) {
    return ((SimulatedStore **)disk->stores.rows)[at];
}

void simulated_disk_free(SimulatedDisk *disk) {
    if (!disk) return;
    for (size_t i = 0; i < disk->stores.count; i++) {
        transaction_roll_back(&disk_store(disk, i)->transaction);
        free(disk_store(disk, i));
    }
    table_done(&disk->stores);
    for (size_t i = 0; i < disk->entries.count; i++) {
        Entry *entry = ((Entry **)disk->entries.rows)[i];
        arena_done(&entry->arena);
        free(entry);
    }
    table_done(&disk->entries);
    table_done(&disk->locks);
    state_done(&disk->committed);
    state_done(&disk->replica);
    map_done(&disk->texts);
    arena_done(&disk->arena);
    free(disk);
}

/* ---- points ---- */

static SimulatedStore *self(Store *store) {
    return container_of(store, SimulatedStore, base);
}

static void go_on(SimulatedStore *store, SimulatedPoint point, void (*function)(void *)) {
    store->simulated.later(store->simulated.context, point, function, store);
}

static SimulatedFault fault_at(SimulatedStore *store, SimulatedPoint point) {
    if (!store->simulated.fault) return FAULT_NONE;
    return store->simulated.fault(store->simulated.context, point);
}

static Err fault_error(SimulatedFault fault, Error *error) {
    switch (fault) {
    case FAULT_NONE:
    case FAULT_CONFLICT:
    case FAULT_CUT_BEFORE:
    case FAULT_CUT_AFTER: return OK;
    case FAULT_UNAVAILABLE:
        return error_code(error, ERR_UNAVAILABLE, "store-unavailable", "the store is away");
    case FAULT_FULL: return error_code(error, ERR_UNAVAILABLE, "store-full", "the disk is full");
    case FAULT_INTERNAL:
        return error_code(error, ERR_INTERNAL, "store-error", "a statement failed");
    }
    return OK;
}

static void at_begin(void *argument);
static void at_round(void *argument);

/* Its locks are free, and whoever waits for one goes on. */
static void transaction_over(SimulatedStore *store) {
    locks_release(store);
    SimulatedDisk *disk = store->disk;
    for (size_t i = 0; i < disk->stores.count; i++) {
        SimulatedStore *other = disk_store(disk, i);
        if (other->waits_for != store) continue;
        other->waits_for = NULL;
        go_on(other, POINT_ROUND, at_round);
    }
}

static void roll_back(SimulatedStore *store) {
    transaction_roll_back(&store->transaction);
    transaction_over(store);
}

static void at_answer(void *argument) {
    SimulatedStore *store = argument;
    if (store->dead) return;
    Batch *batch = store->batch;
    store->batch = NULL;
    batch->commit_us = store->io.now_us(store->io.context) - store->begin_us;
    store->done(batch, store->context);
}

static void fail(SimulatedStore *store, SimulatedFault fault) {
    Batch *batch = store->batch;
    roll_back(store);
    batch->outcome = fault_error(fault, &batch->error);
    go_on(store, POINT_ANSWER, at_answer);
}

static void begin_again(SimulatedStore *store) {
    roll_back(store);
    batch_restart(store->batch);
    go_on(store, POINT_BEGIN, at_begin);
}

/* true: the batch does not go on from here by itself. */
static bool stops_at(SimulatedStore *store, SimulatedPoint point) {
    if (store->dead) return true;
    SimulatedFault fault = store->cut ? FAULT_UNAVAILABLE : fault_at(store, point);
    store->cut = false;
    if (fault == FAULT_CONFLICT) {
        begin_again(store);
        return true;
    }
    if (fault == FAULT_NONE || fault == FAULT_CUT_BEFORE || fault == FAULT_CUT_AFTER) return false;
    fail(store, fault);
    return true;
}

static void commit(SimulatedStore *store) {
    transaction_commit(&store->transaction, store->batch);
    transaction_over(store);
}

static bool has_landed(const SimulatedStore *store) {
    const Table *marks = &store->disk->committed.marks;
    for (size_t i = 0; i < marks->count; i++) {
        const Mark *mark = &((const Mark *)marks->rows)[i];
        if (mark->store == store->number) return mark->batch == store->batch_number;
    }
    return false;
}

/* The commit's answer did not come. The batch left its mark in the same transaction, so a new connection
 * can tell whether it landed; if not, it runs again. */
static void at_resolve(void *argument) {
    SimulatedStore *store = argument;
    if (store->dead) return;
    store->cut = false;
    SimulatedFault fault = fault_at(store, POINT_RESOLVE);
    if (fault == FAULT_INTERNAL) {
        fail(store, FAULT_UNAVAILABLE); /* given up: the node ends without knowing */
    } else if (fault != FAULT_NONE) {
        go_on(store, POINT_RESOLVE, at_resolve);
    } else if (has_landed(store)) {
        go_on(store, POINT_ANSWER, at_answer);
    } else if (store->timeline != store->disk->timeline) {
        fail(store, FAULT_UNAVAILABLE);
    } else {
        batch_restart(store->batch);
        store->batch->connected_since_us = store->io.now_us(store->io.context);
        go_on(store, POINT_BEGIN, at_begin);
    }
}

static void at_commit(void *argument) {
    SimulatedStore *store = argument;
    if (store->dead) return;
    SimulatedFault fault = store->cut ? FAULT_CUT_BEFORE : fault_at(store, POINT_COMMIT);
    store->cut = false;
    switch (fault) {
    case FAULT_CONFLICT: begin_again(store); return;
    case FAULT_CUT_BEFORE:
        roll_back(store);
        go_on(store, POINT_RESOLVE, at_resolve);
        return;
    case FAULT_CUT_AFTER:
        commit(store);
        go_on(store, POINT_RESOLVE, at_resolve);
        return;
    case FAULT_NONE:
        commit(store);
        go_on(store, POINT_ANSWER, at_answer);
        return;
    case FAULT_UNAVAILABLE:
    case FAULT_FULL:
    case FAULT_INTERNAL: fail(store, fault); return;
    }
}

/* It waits for a lock. Where that is a circle, this one begins again, as the server would have it. */
static void wait_for_lock(SimulatedStore *store) {
    const SimulatedStore *other = store->waits_for;
    while (other && other != store)
        other = other->waits_for;
    if (other == store) begin_again(store);
}

/* What erases everything has the store for itself: it waits for whoever has begun, and who comes later
 * waits for it. */
static bool lock_everything(SimulatedStore *store) {
    const SimulatedDisk *disk = store->disk;
    bool wipes = store->batch->wipe;
    store->waits_for = NULL;
    for (size_t i = 0; !store->touched && i < disk->stores.count; i++) {
        SimulatedStore *other = disk_store(disk, i);
        if (other == store || !other->transaction.open || !other->batch) continue;
        bool busy = wipes ? other->touched : other->batch->wipe;
        if (busy) store->waits_for = other;
    }
    if (store->waits_for) return false;
    if (wipes && !store->touched) {
        transaction_refresh(&store->transaction);
        transaction_write(&store->transaction, &(Change){.kind = CHANGE_ALL_GONE});
    }
    store->touched = true;
    return true;
}

static void finish(SimulatedStore *store) {
    store->batch->finish(store->batch);
    simulated_count(store);
    simulated_control(store);
    Change mark = {.kind = CHANGE_MARK, .mark = {store->number, store->batch_number}};
    transaction_write(&store->transaction, &mark);
    go_on(store, POINT_COMMIT, at_commit);
}

static void at_round(void *argument) {
    SimulatedStore *store = argument;
    if (stops_at(store, POINT_ROUND)) return;
    Batch *batch = store->batch;
    if (!store->advanced) {
        store->more = batch->advance(batch);
        store->advanced = true;
    }
    if (!lock_everything(store)) {
        wait_for_lock(store);
        return;
    }
    if (!store->flushed && !simulated_lock_rows(store)) {
        wait_for_lock(store);
        return;
    }
    transaction_refresh(&store->transaction);
    if (!store->flushed) simulated_flush_rows(store);
    store->flushed = true;
    if (!simulated_answer(store)) {
        wait_for_lock(store);
        return;
    }
    store->advanced = store->flushed = false;
    if (store->more) {
        go_on(store, POINT_ROUND, at_round);
    } else {
        finish(store);
    }
}

static void at_begin(void *argument) {
    SimulatedStore *store = argument;
    if (stops_at(store, POINT_BEGIN)) return;
    transaction_begin(&store->transaction, store->disk);
    store->advanced = store->flushed = store->touched = false;
    store->batch_number++;
    store->timeline = store->disk->timeline;
    Batch *batch = store->batch;
    batch->now_us = store->begin_us = store->io.now_us(store->io.context);
    batch->frontier_us = store->disk->committed.frontier_us;
    go_on(store, POINT_ROUND, at_round);
}

static void simulated_store_run(Store *base, Batch *batch, BatchDone done, void *context) {
    SimulatedStore *store = self(base);
    check(!store->dead && !store->batch);
    store->batch = batch;
    store->done = done;
    store->context = context;
    go_on(store, POINT_BEGIN, at_begin);
}

/* The one query that writes: the row of who asks has been seen. */
static void see_node(SimulatedDisk *disk, const Query *query) {
    if (query->kind != QUERY_EVERY || !query->node.ptr) return;
    NodeRow *row = state_node(&disk->committed, query->node);
    if (!row || !str_eq(row->instance, query->node_instance)) return;
    row->seen_us = query->now_us;
    row->clock_offset_us = query->clock_offset_us;
}

static void at_read(void *argument) {
    SimulatedRead read = *(SimulatedRead *)argument;
    free(argument);
    if (read.store->dead) return;
    Query *query = read.query;
    query->error = (Error){0};
    query->now_us = read.store->io.now_us(read.store->io.context);
    query->outcome = fault_error(fault_at(read.store, POINT_READ), &query->error);
    if (query->outcome == OK) see_node(read.store->disk, query);
    query->timeline = read.store->disk->timeline;
    if (query->outcome == OK) query->outcome = simulated_read(&read.store->disk->committed, query);
    query->done(query);
}

static void simulated_store_read(Store *base, Query *query) {
    SimulatedStore *store = self(base);
    SimulatedRead *read = alloc_zero(1, sizeof *read);
    *read = (SimulatedRead){store, query};
    store->simulated.later(store->simulated.context, POINT_READ, at_read, read);
}

/* ---- what happens to connections and servers ---- */

void simulated_crash(Store *base) {
    SimulatedStore *store = self(base);
    store->dead = true;
    store->batch = NULL;
    roll_back(store);
}

/* Where nothing is under way, the next batch finds that its connection is gone. */
static void cut(SimulatedStore *store) {
    if (store->dead) return;
    bool waits = store->waits_for != NULL;
    store->cut = true;
    roll_back(store);
    if (waits) go_on(store, POINT_ROUND, at_round);
}

void simulated_cut(Store *base) {
    cut(self(base));
}

void simulated_restart(SimulatedDisk *disk) {
    for (size_t i = 0; i < disk->stores.count; i++)
        cut(disk_store(disk, i));
}

void simulated_replicate(SimulatedDisk *disk) {
    state_done(&disk->replica);
    disk->replica = state_copy(&disk->committed);
    disk->replica_sequences = disk->sequences;
    disk->replicates = true;
}

void simulated_fail_over(SimulatedDisk *disk) {
    check(disk->replicates);
    simulated_restart(disk);
    state_done(&disk->committed);
    disk->committed = state_copy(&disk->replica);
    disk->sequences = disk->replica_sequences;
    disk->timeline++;
}

static const StoreKind kind = {
    .scheme = "simulated",
    .run = simulated_store_run,
    .read = simulated_store_read,
    .close = simulated_crash,
};

Store *simulated_open(SimulatedDisk *disk, const StoreIo *io, const SimulatedIo *simulated) {
    if (disk->committed.frontier_us == 0) disk->committed.frontier_us = io->now_us(io->context);
    SimulatedStore *store = alloc_zero(1, sizeof *store);
    *store = (SimulatedStore){.base.kind = &kind,
                              .disk = disk,
                              .io = *io,
                              .simulated = *simulated,
                              .number = (unsigned)disk->stores.count + 1};
    *(SimulatedStore **)table_add(&disk->stores, sizeof store) = store;
    return &store->base;
}
