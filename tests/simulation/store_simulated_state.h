/* Inside the simulated store: its tables, and the parts that have a file of their own. */
#pragma once

#include "simulation/store_simulated.h"

/* One job as stored. Never changed: an update makes a new one, so that a transaction is a copy of
 * the pointers. */
typedef struct Entry {
    int64_t slot;
    Job job;
    Str log;
    Arena arena;
} Entry;

typedef struct QueueSetting {
    Str name;
    bool paused;
} QueueSetting;

typedef struct Revoked {
    Str token_id;
    int64_t until_us;
} Revoked;

/* A growing array of one type. */
typedef struct Table {
    void *rows;
    size_t count, capacity;
} Table;

typedef struct State {
    Table entries;  /* Entry *, by slot */
    Table sessions; /* SessionRow */
    Table queues;   /* QueueSetting */
    Table tokens;   /* Revoked */
    Table counts;   /* CountDelta */
    int64_t slot, fence, frontier_us;
} State;

struct SimulatedDisk {
    State committed;
    State open; /* of the transaction under way; a copy */
    bool writing;
    Table removed; /* Entry *: to be freed by the commit */
    Table added;   /* Entry *: to be freed by a rollback */
    Map texts;     /* Str *: every small text once */
    Arena arena;
    Table stores; /* SimulatedStore * */
};

void *table_add(Table *table, size_t size); /* a zeroed row at the end */
void table_remove(Table *table, size_t at, size_t size);
Table table_copy(const Table *table, size_t size);

static inline Entry *state_entry(const State *state, size_t at) {
    return ((Entry **)state->entries.rows)[at];
}
/* The newest job of a key, or NULL. */
Entry *state_newest(const State *state, const JobKey *key);
/* A text that lives as long as the disk. */
Str disk_text(SimulatedDisk *disk, Str text);

/* A transaction: everything it writes goes to disk->open. */
void disk_begin(SimulatedDisk *disk);
void disk_commit(SimulatedDisk *disk);
void disk_roll_back(SimulatedDisk *disk);

/* store_simulated_flush.c */
void simulated_flush(SimulatedDisk *disk, Batch *batch);
void simulated_wipe(SimulatedDisk *disk);
void simulated_count(SimulatedDisk *disk, Batch *batch);

/* store_simulated_read.c */
Err simulated_read(const State *state, Query *query);
