/* The pool of readers and the frame of a query: snapshot, answer, post. See read.h.
 *
 * `now_us` is taken before the snapshot: whatever was committed by then is in it. */
#include "store/sqlite/read.h"

#include "base/alloc.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

typedef Err (*ReadFn)(Database *database, Query *query, Error *error);

static const ReadFn READS[] = {
    [QUERY_JOB] = read_job,           [QUERY_JOBS] = read_jobs,
    [QUERY_READY] = read_ready,       [QUERY_DELAYED] = read_delayed,
    [QUERY_QUEUES] = read_queues,     [QUERY_WAITING_QUEUES] = read_waiting_queues,
    [QUERY_SESSIONS] = read_sessions, [QUERY_NEXT] = read_next,
    [QUERY_LOG] = read_log,           [QUERY_REVOKED] = read_revoked,
    [QUERY_RUNNING] = read_running,   [QUERY_NODES] = read_nodes,
    [QUERY_EVERY] = read_every,
};

typedef struct ReadTask {
    ListNode node;
    Query *query;
} ReadTask;

void *read_grow(Arena *arena, void *array, size_t count, size_t size) {
    enum { FIRST = 16 };
    bool full = count == 0 || (count >= FIRST && (count & (count - 1)) == 0);
    if (!full) return array;
    void *larger = arena_zero(arena, count == 0 ? FIRST : 2 * count, size);
    if (count > 0) memcpy(larger, array, count * size);
    return larger;
}

static Err snapshot(Database *database, Query *query, Error *error) {
    TRY(database_run(database, SQL_BEGIN_READ, error));
    Err err = READS[query->kind](database, query, error);
    for (Sql sql = 0; sql < SQL_COUNT_; sql++) { /* whatever an error left half read */
        statement_end(database->statements[sql]);
    }
    Error ended;
    Err end = database_run(database, SQL_COMMIT, &ended);
    if (err == OK && end != OK) *error = ended;
    return err != OK ? err : end;
}

static void answer(const StoreIo *io, Database *database, Query *query) {
    query->error = (Error){0};
    query->now_us = io->now_us(io->context);
    query->outcome = snapshot(database, query, &query->error);
}

/* On the loop thread. */
static void deliver(void *context) {
    Query *query = context;
    query->done(query);
}

typedef struct Reader {
    Readers *readers;
    Database *database;
} Reader;

static void *reader_main(void *context) {
    Reader reader = *(Reader *)context;
    free(context);
    Readers *readers = reader.readers;
    pthread_mutex_lock(&readers->mutex);
    for (;;) {
        ListNode *node = list_pop(&readers->tasks);
        if (!node && readers->stop) break;
        if (!node) {
            pthread_cond_wait(&readers->wake, &readers->mutex);
            continue;
        }
        pthread_mutex_unlock(&readers->mutex);
        ReadTask *task = container_of(node, ReadTask, node);
        Query *query = task->query;
        free(task);
        answer(readers->io, reader.database, query);
        readers->io->post(readers->io->context, deliver, query);
        pthread_mutex_lock(&readers->mutex);
    }
    pthread_mutex_unlock(&readers->mutex);
    return NULL;
}

void readers_read(Readers *readers, Query *query) {
    ReadTask *task = alloc_zero(1, sizeof *task);
    task->query = query;
    pthread_mutex_lock(&readers->mutex);
    list_append(&readers->tasks, &task->node);
    pthread_cond_signal(&readers->wake);
    pthread_mutex_unlock(&readers->mutex);
}

static Err start_reader(Readers *readers, const char *path, Error *error) {
    size_t at = readers->started;
    TRY(database_open(&readers->databases[at], path, DATABASE_READER, error));
    Reader *reader = alloc_zero(1, sizeof *reader);
    *reader = (Reader){readers, &readers->databases[at]};
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&readers->threads[at], NULL, reader_main, reader);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        free(reader);
        return error_set(error, ERR_INTERNAL, "starting a reader's thread: error %d", rc);
    }
    readers->started++;
    return OK;
}

Err readers_start(Readers *readers, const char *path, const StoreIo *io, Error *error) {
    readers->io = io;
    list_init(&readers->tasks);
    pthread_mutex_init(&readers->mutex, NULL);
    pthread_cond_init(&readers->wake, NULL);
    for (int i = 0; i < READERS; i++) {
        TRY(start_reader(readers, path, error));
    }
    return OK;
}

void readers_stop(Readers *readers) {
    if (!readers->io) return;
    pthread_mutex_lock(&readers->mutex);
    readers->stop = true;
    pthread_cond_broadcast(&readers->wake);
    pthread_mutex_unlock(&readers->mutex);
    for (size_t i = 0; i < readers->started; i++) {
        pthread_join(readers->threads[i], NULL);
    }
    for (int i = 0; i < READERS; i++) {
        database_close(&readers->databases[i]);
    }
    pthread_cond_destroy(&readers->wake);
    pthread_mutex_destroy(&readers->mutex);
    readers->io = NULL;
}
