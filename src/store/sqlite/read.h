/* The readers: a few threads, each with a database that can't write. A query sees one
 * snapshot. */
#pragma once

#include "store/sqlite/database.h"
#include "store/store.h"
#include <pthread.h>

enum { READERS = 2 };

typedef struct Readers {
    const StoreIo *io;
    Database databases[READERS];
    pthread_t threads[READERS];
    size_t started;
    pthread_mutex_t mutex; /* over the members below */
    pthread_cond_t wake;
    List tasks;
    bool stop;
} Readers;

/* In place. The file is migrated and in WAL mode. */
Err readers_start(Readers *readers, const char *path, const StoreIo *io, Error *error) must_check;
/* Answers what is queued, ends the threads. Accepts a zero one. */
void readers_stop(Readers *readers);

void readers_read(Readers *readers, Query *query);

/* ---- the queries, by file; each inside an open snapshot ---- */

/* read_window.c */
Err read_ready(Database *database, Query *query, Error *error) must_check;
Err read_delayed(Database *database, Query *query, Error *error) must_check;
Err read_waiting_queues(Database *database, Query *query, Error *error) must_check;

/* read_jobs.c */
Err read_job(Database *database, Query *query, Error *error) must_check;
Err read_jobs(Database *database, Query *query, Error *error) must_check;
Err read_running(Database *database, Query *query, Error *error) must_check;
Err read_log(Database *database, Query *query, Error *error) must_check;

/* read_state.c */
Err read_queues(Database *database, Query *query, Error *error) must_check;
Err read_sessions(Database *database, Query *query, Error *error) must_check;
Err read_next(Database *database, Query *query, Error *error) must_check;
Err read_revoked(Database *database, Query *query, Error *error) must_check;

/* read_nodes.c */
Err read_nodes(Database *database, Query *query, Error *error) must_check;
Err read_every(Database *database, Query *query, Error *error) must_check;
/* The row of the query's node has been seen now: for the writer, before read_every. */
Err node_seen(Database *database, const Query *query, Error *error) must_check;

/* Makes room for one more element of an array in the arena; doubles. Returns the array. */
void *read_grow(Arena *arena, void *array, size_t count, size_t size);
