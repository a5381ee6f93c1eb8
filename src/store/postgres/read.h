/* The reader: one connection, one query at a time, each in a transaction of its own with a limit on its
 * time. */
#pragma once

#include "store/postgres/connection.h"
#include "store/postgres/row.h"

typedef struct PgReader {
    const StoreIo *io;
    PgConnection *connection;
    List waiting; /* ReadTask */
    Query *query; /* under way */
    int64_t asked_us;
} PgReader;

void pg_reader_init(PgReader *reader, const StoreIo *io, const char *url, PgTruth *truth);
void pg_reader_done(PgReader *reader);
void pg_reader_read(PgReader *reader, Query *query);

/* The parts of a query: sends its statement. An error refuses the query. */
Err pg_read_jobs(PgConnection *connection, Query *query, Error *error);  /* read_jobs.c */
Err pg_read_state(PgConnection *connection, Query *query, Error *error); /* read_state.c */
