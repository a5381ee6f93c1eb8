/* Points, faults and transactions of the simulated store: see store_simulated.h. */
#include "simulation/store_simulated_state.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

typedef struct SimulatedStore {
    Store base;
    SimulatedDisk *disk;
    StoreIo io;
    SimulatedIo simulated;
    bool dead; /* kept until the disk goes, because calls may still be scheduled */
    Batch *batch;
    BatchDone done;
    void *context;
    int64_t begin_us;
} SimulatedStore;

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

Table table_copy(const Table *table, size_t size) {
    Table copy = {.count = table->count, .capacity = table->count};
    if (table->count == 0) return copy;
    copy.rows = alloc_zero(table->count, size);
    memcpy(copy.rows, table->rows, table->count * size);
    return copy;
}

static void table_done(Table *table) {
    free(table->rows);
    *table = (Table){0};
}

Entry *state_newest(const State *state, const JobKey *key) {
    for (size_t i = state->entries.count; i > 0; i--) {
        Entry *entry = state_entry(state, i - 1);
        if (job_key_eq(&entry->job.key, key)) return entry;
    }
    return NULL;
}

Str disk_text(SimulatedDisk *disk, Str text) {
    if (!text.ptr) return text;
    Str *kept = map_get(&disk->texts, text);
    if (kept) return *kept;
    kept = arena_new(&disk->arena, Str);
    *kept = arena_str(&disk->arena, text);
    map_put(&disk->texts, *kept, kept);
    return *kept;
}

/* ---- transactions ---- */

static void free_entries(Table *entries) {
    for (size_t i = 0; i < entries->count; i++) {
        Entry *entry = ((Entry **)entries->rows)[i];
        arena_done(&entry->arena);
        free(entry);
    }
    table_done(entries);
}

static void state_done(State *state) {
    table_done(&state->entries);
    table_done(&state->sessions);
    table_done(&state->queues);
    table_done(&state->tokens);
    table_done(&state->counts);
}

void disk_begin(SimulatedDisk *disk) {
    check(!disk->writing);
    const State *from = &disk->committed;
    disk->open = *from;
    disk->open.entries = table_copy(&from->entries, sizeof(Entry *));
    disk->open.sessions = table_copy(&from->sessions, sizeof(SessionRow));
    disk->open.queues = table_copy(&from->queues, sizeof(QueueSetting));
    disk->open.tokens = table_copy(&from->tokens, sizeof(Revoked));
    disk->open.counts = table_copy(&from->counts, sizeof(CountDelta));
    disk->writing = true;
}

void disk_commit(SimulatedDisk *disk) {
    check(disk->writing);
    state_done(&disk->committed);
    disk->committed = disk->open;
    table_done(&disk->added);
    free_entries(&disk->removed);
    disk->writing = false;
}

/* An entry that was added and removed in the same transaction is in both tables. */
void disk_roll_back(SimulatedDisk *disk) {
    if (!disk->writing) return;
    state_done(&disk->open);
    table_done(&disk->removed);
    free_entries(&disk->added);
    disk->writing = false;
}

SimulatedDisk *simulated_disk_new(void) {
    return alloc_zero(1, sizeof(SimulatedDisk));
}

void simulated_disk_free(SimulatedDisk *disk) {
    if (!disk) return;
    disk_roll_back(disk);
    free_entries(&disk->committed.entries);
    state_done(&disk->committed);
    for (size_t i = 0; i < disk->stores.count; i++) {
        free(((SimulatedStore **)disk->stores.rows)[i]);
    }
    table_done(&disk->stores);
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

static Err fault_at(SimulatedStore *store, SimulatedPoint point, Error *error) {
    if (!store->simulated.fault) return OK;
    switch (store->simulated.fault(store->simulated.context, point)) {
    case FAULT_NONE: break;
    case FAULT_UNAVAILABLE:
        return error_code(error, ERR_UNAVAILABLE, "store-unavailable", "the store is away");
    case FAULT_FULL: return error_code(error, ERR_UNAVAILABLE, "store-full", "the disk is full");
    case FAULT_INTERNAL:
        return error_code(error, ERR_INTERNAL, "store-error", "a statement failed");
    }
    return OK;
}

static void at_answer(void *argument) {
    SimulatedStore *store = argument;
    if (store->dead) return;
    Batch *batch = store->batch;
    store->batch = NULL;
    batch->commit_us = store->io.now_us(store->io.context) - store->begin_us;
    store->done(batch, store->context);
}

/* true: the batch has failed and its answer is on the way. */
static bool fails_at(SimulatedStore *store, SimulatedPoint point) {
    Batch *batch = store->batch;
    batch->outcome = fault_at(store, point, &batch->error);
    if (batch->outcome == OK) return false;
    disk_roll_back(store->disk);
    go_on(store, POINT_ANSWER, at_answer);
    return true;
}

static void at_commit(void *argument) {
    SimulatedStore *store = argument;
    if (store->dead || fails_at(store, POINT_COMMIT)) return;
    disk_commit(store->disk);
    go_on(store, POINT_ANSWER, at_answer);
}

static void at_round(void *argument) {
    SimulatedStore *store = argument;
    if (store->dead || fails_at(store, POINT_ROUND)) return;
    Batch *batch = store->batch;
    bool more = batch->advance(batch);
    simulated_flush(store->disk, batch);
    if (more) {
        go_on(store, POINT_ROUND, at_round);
        return;
    }
    batch->finish(batch);
    simulated_count(store->disk, batch);
    go_on(store, POINT_COMMIT, at_commit);
}

static void at_begin(void *argument) {
    SimulatedStore *store = argument;
    if (store->dead || fails_at(store, POINT_BEGIN)) return;
    disk_begin(store->disk);
    Batch *batch = store->batch;
    batch->now_us = store->begin_us = store->io.now_us(store->io.context);
    batch->frontier_us = store->disk->open.frontier_us;
    if (batch->wipe) simulated_wipe(store->disk);
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

static void at_read(void *argument) {
    SimulatedRead read = *(SimulatedRead *)argument;
    free(argument);
    if (read.store->dead) return;
    Query *query = read.query;
    query->error = (Error){0};
    query->now_us = read.store->io.now_us(read.store->io.context);
    query->outcome = fault_at(read.store, POINT_READ, &query->error);
    if (query->outcome == OK) query->outcome = simulated_read(&read.store->disk->committed, query);
    query->done(query);
}

static void simulated_store_read(Store *base, Query *query) {
    SimulatedStore *store = self(base);
    SimulatedRead *read = alloc_zero(1, sizeof *read);
    *read = (SimulatedRead){store, query};
    store->simulated.later(store->simulated.context, POINT_READ, at_read, read);
}

void simulated_crash(Store *base) {
    SimulatedStore *store = self(base);
    store->dead = true;
    store->batch = NULL;
    disk_roll_back(store->disk);
}

static const StoreKind kind = {
    .scheme = "simulated",
    .run = simulated_store_run,
    .read = simulated_store_read,
    .close = simulated_crash,
};

Store *simulated_open(SimulatedDisk *disk, const StoreIo *io, const SimulatedIo *simulated) {
    check(!disk->writing);
    if (disk->committed.frontier_us == 0) disk->committed.frontier_us = io->now_us(io->context);
    SimulatedStore *store = alloc_zero(1, sizeof *store);
    *store = (SimulatedStore){.base.kind = &kind, .disk = disk, .io = *io, .simulated = *simulated};
    *(SimulatedStore **)table_add(&disk->stores, sizeof store) = store;
    return &store->base;
}
