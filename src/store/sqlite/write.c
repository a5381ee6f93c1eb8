/* The writer's thread: waits for a batch, runs it in one transaction, posts the answer, and only
 * then checkpoints. See write.h.
 *
 * The invariant: an answer is posted after the COMMIT that makes it true has returned, or after
 * the rollback that undid it. */
#include "store/sqlite/write.h"

#include "base/clock.h"
#include "base/crash.h"
#include "store/sqlite/fatal.h"
#include "base/alloc.h"
#include "store/sqlite/flush.h"
#include "store/sqlite/read.h"

#include <signal.h>
#include <stdlib.h>

enum { CHECKPOINT_PAGES = 1000 };

static void end_if_damaged(const Error *error) {
    if (error_is_damage(error)) store_fatal(error->message);
}

static Err save_number(Writer *writer, Str name, int64_t now, int64_t committed, Error *error) {
    if (now == committed) return OK;
    sqlite3_stmt *put;
    TRY(database_statement(&writer->database, SQL_META_PUT, &put, error));
    bind_text(put, 1, name);
    bind_int(put, 2, now);
    return statement_run(put, error);
}

static Err save_numbers(Writer *writer, Error *error) {
    const WriterMemory *now = &writer->now, *committed = &writer->committed;
    TRY(save_number(writer, STR("fence"), now->fence, committed->fence, error));
    return save_number(writer, STR("control"), now->control, committed->control, error);
}

static Err rounds(Writer *writer, Batch *batch, Error *error) {
    bool more = true;
    while (more) {
        more = batch->advance(batch);
        if (batch->wipe) {
            TRY(flush_wipe(writer, error));
            crash_point(WIPE_DELETED);
        }
        TRY(flush_batch(writer, batch, error));
        crash_point(STORE_FLUSHED);
    }
    batch->finish(batch);
    TRY(count_write(writer, batch, error));
    TRY(flush_controls(writer, batch, error));
    return save_numbers(writer, error);
}

static Err transaction(Writer *writer, Batch *batch, Error *error) {
    crash_point(STORE_TAKEN);
    TRY(database_run(&writer->database, SQL_BEGIN_WRITE, error));
    crash_point(STORE_BEGUN);
    batch->now_us = writer->io->now_us(writer->io->context);
    batch->frontier_us = writer->now.frontier_us;
    TRY(rounds(writer, batch, error));
    crash_point(STORE_WRITTEN);
    TRY(database_run(&writer->database, SQL_COMMIT, error));
    crash_point(STORE_COMMITTED);
    return OK;
}

static void roll_back(Writer *writer) {
    writer->now = writer->committed;
    if (sqlite3_get_autocommit(writer->database.db)) return;
    Error error;
    if (database_run(&writer->database, SQL_ROLLBACK, &error) != OK) store_fatal(error.message);
}

static void run_batch(Writer *writer, Batch *batch) {
    int64_t begin_us = clock_mono_us();
    Error error = {0};
    batch->outcome = transaction(writer, batch, &error);
    if (batch->outcome == OK) {
        writer->committed = writer->now;
    } else {
        end_if_damaged(&error);
        roll_back(writer);
        batch->error = error;
    }
    batch->commit_us = clock_mono_us() - begin_us;
}

/* ---- reads that write ---- */

typedef struct WriterQuery {
    ListNode node;
    Query *query;
} WriterQuery;

/* On the loop thread. */
static void deliver_query(void *context) {
    Query *query = context;
    query->done(query);
}

static Err read_in_transaction(Writer *writer, Query *query) {
    Database *database = &writer->database;
    TRY(database_run(database, SQL_BEGIN_WRITE, &query->error));
    query->now_us = writer->io->now_us(writer->io->context);
    TRY(node_seen(database, query, &query->error));
    TRY(read_every(database, query, &query->error));
    return database_run(database, SQL_COMMIT, &query->error);
}

static void run_query(Writer *writer, ListNode *node) {
    WriterQuery *task = container_of(node, WriterQuery, node);
    Query *query = task->query;
    free(task);
    query->error = (Error){0};
    query->outcome = read_in_transaction(writer, query);
    if (query->outcome != OK) {
        end_if_damaged(&query->error);
        roll_back(writer);
    }
    writer->io->post(writer->io->context, deliver_query, query);
}

void writer_read(Writer *writer, Query *query) {
    WriterQuery *task = alloc_zero(1, sizeof *task);
    task->query = query;
    pthread_mutex_lock(&writer->mutex);
    check(!writer->stop);
    list_append(&writer->queries, &task->node);
    pthread_cond_signal(&writer->wake);
    pthread_mutex_unlock(&writer->mutex);
}

/* After the answers: nobody waits for it but the next batch. A full disk or a reader that is still
 * in the old pages only puts it off. */
static void checkpoint(Writer *writer) {
    if (writer->log_pages < CHECKPOINT_PAGES) return;
    writer->log_pages = 0;
    crash_point(STORE_CHECKPOINT);
    sqlite3 *db = writer->database.db;
    int rc = sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    crash_point(STORE_CHECKPOINTED);
    if (rc == SQLITE_OK || rc == SQLITE_BUSY || rc == SQLITE_LOCKED) return;
    Error error;
    (void)sqlite_error(db, rc, "copying the write-ahead log into the store", &error);
    end_if_damaged(&error);
}

static int on_commit(void *context, sqlite3 *db, const char *schema, int pages) {
    (void)db;
    (void)schema;
    Writer *writer = context;
    writer->log_pages = pages;
    return SQLITE_OK;
}

/* On the loop thread. */
static void deliver(void *context) {
    Writer *writer = context;
    writer->done(writer->in_flight, writer->context);
}

static void write_batch(Writer *writer, Batch *batch) {
    run_batch(writer, batch);
    writer->io->post(writer->io->context, deliver, writer);
    crash_point(STORE_POSTED);
}

static void *writer_main(void *context) {
    Writer *writer = context;
    pthread_mutex_lock(&writer->mutex);
    for (;;) {
        Batch *batch = writer->batch;
        ListNode *query = list_pop(&writer->queries);
        if (!batch && !query) {
            if (writer->stop) break;
            pthread_cond_wait(&writer->wake, &writer->mutex);
            continue;
        }
        writer->batch = NULL;
        pthread_mutex_unlock(&writer->mutex);
        if (query) run_query(writer, query);
        if (batch) write_batch(writer, batch);
        checkpoint(writer);
        pthread_mutex_lock(&writer->mutex);
    }
    pthread_mutex_unlock(&writer->mutex);
    return NULL;
}

void writer_run(Writer *writer, Batch *batch, BatchDone done, void *context) {
    writer->in_flight = batch;
    writer->done = done;
    writer->context = context;
    pthread_mutex_lock(&writer->mutex);
    check(!writer->batch && !writer->stop);
    writer->batch = batch;
    pthread_cond_signal(&writer->wake);
    pthread_mutex_unlock(&writer->mutex);
}

static Err read_number(Writer *writer, Sql sql, Str name, int64_t *ret, Error *error) {
    sqlite3_stmt *statement;
    TRY(database_statement(&writer->database, sql, &statement, error));
    if (name.ptr) bind_text(statement, 1, name);
    bool row;
    TRY(statement_step(statement, &row, error));
    if (!row) return error_set(error, ERR_INTERNAL, "the store lacks '" STR_FMT "'", STR_ARG(name));
    *ret = sqlite3_column_int64(statement, 0);
    statement_end(statement);
    return OK;
}

/* Signals belong to the loop thread. */
static int start_thread(pthread_t *ret, void *(*run)(void *), void *argument) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(ret, NULL, run, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

Err writer_start(Writer *writer, const StoreIo *io, Error *error) {
    writer->io = io;
    WriterMemory *memory = &writer->committed;
    TRY(read_number(writer, SQL_LAST_SLOT, (Str){0}, &memory->slot, error));
    TRY(read_number(writer, SQL_META_GET, STR("fence"), &memory->fence, error));
    TRY(read_number(writer, SQL_META_GET, STR("frontier"), &memory->frontier_us, error));
    TRY(read_number(writer, SQL_META_GET, STR("control"), &memory->control, error));
    writer->now = writer->committed;
    sqlite3_wal_hook(writer->database.db, on_commit, writer);
    list_init(&writer->queries);
    pthread_mutex_init(&writer->mutex, NULL);
    pthread_cond_init(&writer->wake, NULL);
    int rc = start_thread(&writer->thread, writer_main, writer);
    if (rc != 0)
        return error_set(error, ERR_INTERNAL, "starting the writer's thread: error %d", rc);
    writer->started = true;
    return OK;
}

void writer_stop(Writer *writer) {
    if (writer->started) {
        pthread_mutex_lock(&writer->mutex);
        writer->stop = true;
        pthread_cond_signal(&writer->wake);
        pthread_mutex_unlock(&writer->mutex);
        pthread_join(writer->thread, NULL);
        pthread_cond_destroy(&writer->wake);
        pthread_mutex_destroy(&writer->mutex);
        writer->started = false;
    }
    database_close(&writer->database);
}
