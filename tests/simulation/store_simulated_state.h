/* Inside the simulated store: its tables, its transactions, and the parts that have a file of their own. */
#pragma once

#include "simulation/store_simulated.h"

/* One job as stored. Never changed: an update makes a new one, so that a state is a copy of the pointers.
 * All of them live as long as the disk. */
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

typedef struct Mark { /* which batch of a connection landed last */
    unsigned store, batch;
} Mark;

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
    Table marks;    /* Mark */
    Table nodes;    /* NodeRow */
    Table controls; /* ControlRow, by number */
    int64_t last_control;
    int64_t frontier_us;
} State;

/* One thing that a transaction writes; done to its own view at once, to the committed state at the end. */
typedef struct Change {
    enum {
        CHANGE_ENTRY, /* the entry of this slot; NULL: deleted */
        CHANGE_SESSION,
        CHANGE_SESSION_GONE,
        CHANGE_QUEUE,
        CHANGE_TOKEN,
        CHANGE_TOKEN_GONE,
        CHANGE_COUNTS,
        CHANGE_MARK,
        CHANGE_NODE,
        CHANGE_NODE_GONE,
        CHANGE_CONTROL,
        CHANGE_ALL_GONE,
    } kind;
    int64_t slot;
    Entry *entry;
    SessionRow session;
    QueueSetting queue;
    Revoked token;
    CountDelta counts;
    Mark mark;
    NodeRow node;
    ControlRow control;
} Change;

typedef struct SimulatedStore SimulatedStore;

typedef struct Lock { /* until its transaction ends */
    JobKey name;
    SimulatedStore *owner;
} Lock;

/* Numbers that only rise, as a sequence's do: they are not a transaction's. */
typedef struct Sequences {
    int64_t slot, fence;
    uint64_t takes; /* of either, ever: tells whether somebody else has taken one meanwhile */
} Sequences;

struct SimulatedDisk {
    State committed;
    Sequences sequences;
    int64_t timeline;
    State replica; /* what a standby has */
    Sequences replica_sequences;
    bool replicates;
    Table locks;   /* Lock */
    Table entries; /* Entry *: every one ever made */
    Map texts;     /* Str *: every small text once */
    Arena arena;
    Table stores; /* SimulatedStore * */
};

typedef struct Transaction {
    SimulatedDisk *disk;
    State view;    /* what is committed, with its own changes over it */
    Table changes; /* Change */
    Sequences begun, taken;
    bool open;
} Transaction;

struct SimulatedStore {
    Store base;
    SimulatedDisk *disk;
    StoreIo io;
    SimulatedIo simulated;
    unsigned number;
    bool dead; /* kept until the disk goes, because calls may still be scheduled */
    Transaction transaction;
    Batch *batch;
    unsigned batch_number;
    BatchDone done;
    void *context;
    int64_t begin_us;
    int64_t timeline; /* of the server that the batch began on */
    bool cut;         /* the server has ended its transaction */
    bool advanced;    /* this round's step is done, its flush is not */
    bool more;        /* and another round follows */
    bool flushed;     /* the rows are written, asks are left */
    bool touched;     /* it has read or written anything in this transaction */
    SimulatedStore *waits_for;
};

void *table_add(Table *table, size_t size); /* a zeroed row at the end */
void table_remove(Table *table, size_t at, size_t size);
void table_done(Table *table);

static inline Entry *state_entry(const State *state, size_t at) {
    return ((Entry **)state->entries.rows)[at];
}
/* The newest job of a key, or NULL. */
Entry *state_newest(const State *state, const JobKey *key);
State state_copy(const State *from);
void state_done(State *state);
/* A text that lives as long as the disk. */
Str disk_text(SimulatedDisk *disk, Str text);
/* A copy of the job, which lives as long as the disk. */
Entry *disk_entry(SimulatedDisk *disk, int64_t slot, const Job *job, Str log);

/* store_simulated_transaction.c */
void transaction_begin(Transaction *transaction, SimulatedDisk *disk);
/* What others have committed meanwhile comes into view. */
void transaction_refresh(Transaction *transaction);
void transaction_write(Transaction *transaction, const Change *change);
void transaction_commit(Transaction *transaction, const Batch *batch);
void transaction_roll_back(Transaction *transaction);
int64_t transaction_slot(Transaction *transaction);
int64_t transaction_fence(Transaction *transaction);
/* false: somebody else has it; store->waits_for says who. */
bool lock_row(SimulatedStore *store, const JobKey *name);
bool lock_session(SimulatedStore *store, Str worker);
bool lock_node(SimulatedStore *store, Str name);
/* The lock if it is free, else nothing: nobody waits. */
bool lock_row_if_free(SimulatedStore *store, const JobKey *name);
void locks_release(SimulatedStore *store);

/* store_simulated_flush.c; each false: it waits for a lock, call again */
bool simulated_lock_rows(SimulatedStore *store);
void simulated_flush_rows(SimulatedStore *store);
bool simulated_answer(SimulatedStore *store);
void simulated_count(SimulatedStore *store);
void simulated_control(SimulatedStore *store);

/* store_simulated_read.c */
NodeRow *state_node(const State *state, Str name); /* NULL: none */
Err simulated_read(const State *state, Query *query);
