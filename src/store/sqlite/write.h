/* The writer: one thread, the only one that writes to the file. It runs a batch as one
 * transaction.
 *
 * A failure of the disk below a commit is not survived: whether a page that failed to reach the
 * disk is there can't be told afterwards, and asking again may lie, so nothing is retried. The
 * process prints one line and ends; the next start recovers from what is on the disk. */
#pragma once

#include "store/sqlite/database.h"
#include "store/store.h"
#include <pthread.h>

/* What the writer keeps of the file in memory; on a rollback it goes back to what was committed. */
typedef struct WriterMemory {
    int64_t slot;  /* the highest given out */
    int64_t fence; /* likewise */
    int64_t frontier_us;
    int64_t control; /* the number of the last one */
} WriterMemory;

typedef struct Writer {
    Database database;
    const StoreIo *io;
    WriterMemory committed, now;
    int log_pages; /* length of the write-ahead log */

    pthread_t thread;
    bool started;
    pthread_mutex_t mutex; /* over the members below */
    pthread_cond_t wake;
    Batch *batch; /* handed over, not yet begun */
    List queries; /* WriterQuery: reads that write something too */
    bool stop;

    /* of the batch in flight; the loop thread's but while the writer has it */
    Batch *in_flight;
    BatchDone done;
    void *context;
} Writer;

/* In place: takes over an open, migrated database and starts the thread. */
Err writer_start(Writer *writer, const StoreIo *io, Error *error) must_check;
/* Finishes the batch under way, ends the thread and closes the database. Accepts a zero
 * Writer. */
void writer_stop(Writer *writer);

void writer_run(Writer *writer, Batch *batch, BatchDone done, void *context);
/* For a QUERY_EVERY that names its node: the row is seen, then the query is answered, in one
 * transaction. */
void writer_read(Writer *writer, Query *query);
