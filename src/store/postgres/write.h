/* The writer: runs a batch as one transaction over one connection, as a state machine on the loop.
 *
 * Begin goes out with the first flush and the commit with the counts, so that a batch of one round takes two
 * round trips. What fails on a conflict (40xxx, a key that another node has just made) runs again; a
 * commit whose answer was lost is looked up by the batch's own row, which a new connection waits for. */
#pragma once

#include "net/loop.h"
#include "store/postgres/connection.h"

typedef struct PgWriter {
    const StoreIo *io;
    PgTruth *truth;
    PgConnection *connection;
    char id[40];    /* of its row in takt.batch */
    int64_t number; /* of the batch, there */
    int64_t shard;  /* of its rows in takt.count */
    LoopTimer timer;

    /* of the batch in flight */
    Batch *batch;
    BatchDone done;
    void *context;
    bool begun;     /* the transaction is open */
    bool exclusive; /* … and moves the counted frontier */
    bool wrote;
    bool more; /* the operations want another round */
    bool resolving;
    unsigned tries;
    int64_t begin_us;   /* monotonic */
    int64_t resolve_us; /* until when the outcome of a commit is looked up, monotonic */
    int64_t timeline;   /* of the server that the commit was sent to */
    bool landed;        /* what was found out about it */
} PgWriter;

/* In place; `url` and `truth` live as long as the writer. */
void pg_writer_init(PgWriter *writer, const StoreIo *io, const char *url, PgTruth *truth,
                    void (*turned)(void *context), void *context);
void pg_writer_done(PgWriter *writer);
void pg_writer_run(PgWriter *writer, Batch *batch, BatchDone done, void *context);
