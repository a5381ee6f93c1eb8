/* See read.h. */
#include "store/postgres/read.h"

#include "base/alloc.h"
#include "base/time.h"
#include "net/loop.h"

#include <stdlib.h>

#define READ_MOST_US (15 * US_PER_S)

typedef struct ReadTask {
    ListNode node;
    Query *query;
} ReadTask;

static void next(PgReader *reader);

static void answered(PgReader *reader, Err outcome, const Error *error) {
    Query *query = reader->query;
    reader->query = NULL;
    query->outcome = outcome;
    query->error = (Error){0};
    if (outcome != OK) query->error = *error;
    query->done(query);
    if (!reader->query) next(reader);
}

static void on_end(void *context, const PgEnd *end) {
    PgReader *reader = context;
    Error error = end->error;
    if (end->outcome == PG_DONE) {
        const StoreIo *io = reader->io;
        int64_t took_us = loop_now_us(io->loop) - reader->asked_us;
        if (reader->query->store_us > 0 && io->clock) {
            io->clock(io->context, reader->query->store_us, took_us);
        }
        answered(reader, OK, NULL);
        return;
    }
    if (end->outcome == PG_LOST) error.err = ERR_UNAVAILABLE;
    answered(reader, error.err, &error);
}

static Err send_query(PgReader *reader, Query *query, Error *error) {
    PgConnection *connection = reader->connection;
    pg_send(connection, "BEGIN", NULL, pg_ignore, NULL);
    pg_send(connection,
            "SELECT set_config('statement_timeout', '10000', true), set_config('enable_seqscan',"
            " 'off', true), set_config('enable_bitmapscan', 'off', true)",
            NULL, pg_ignore, NULL);
    bool jobs = query->kind == QUERY_JOB || query->kind == QUERY_JOBS || query->kind == QUERY_LOG ||
                query->kind == QUERY_RUNNING;
    Err err =
        jobs ? pg_read_jobs(connection, query, error) : pg_read_state(connection, query, error);
    pg_send(connection, "COMMIT", NULL, pg_ignore, NULL);
    return err;
}

typedef struct Refusal {
    PgReader *reader;
    Error error;
} Refusal;

/* The query could not be put into words; what was begun for it is ended first. */
static void on_refused(void *context, const PgEnd *end) {
    Refusal *refusal = context;
    PgReader *reader = refusal->reader;
    Error error = refusal->error;
    (void)end;
    free(refusal);
    answered(reader, error.err, &error);
}

static void begin(PgReader *reader, Query *query) {
    reader->query = query;
    query->now_us = reader->io->now_us(reader->io->context);
    query->count = 0;
    reader->asked_us = loop_now_us(reader->io->loop);
    Error error;
    if (send_query(reader, query, &error) == OK) {
        pg_sync(reader->connection, READ_MOST_US, on_end, reader);
        return;
    }
    Refusal *refusal = alloc(sizeof *refusal);
    *refusal = (Refusal){reader, error};
    pg_sync(reader->connection, READ_MOST_US, on_refused, refusal);
}

static void next(PgReader *reader) {
    if (reader->query) return;
    ListNode *node = list_pop(&reader->waiting);
    if (!node) return;
    ReadTask *task = container_of(node, ReadTask, node);
    Query *query = task->query;
    free(task);
    begin(reader, query);
}

typedef struct Away {
    PgReader *reader;
    Query *query;
} Away;

static void on_away(void *context) {
    Away away = *(Away *)context;
    free(context);
    Error error;
    if (pg_health(away.reader->connection, &error) == OK) {
        pg_reader_read(away.reader, away.query);
        return;
    }
    away.query->outcome = ERR_UNAVAILABLE;
    away.query->error = error;
    away.query->error.err = ERR_UNAVAILABLE;
    away.query->now_us = away.reader->io->now_us(away.reader->io->context);
    away.query->done(away.query);
}

void pg_reader_read(PgReader *reader, Query *query) {
    if (!pg_is_ready(reader->connection)) {
        Away *away = alloc(sizeof *away);
        *away = (Away){reader, query};
        reader->io->post(reader->io->context, on_away, away);
        return;
    }
    ReadTask *task = alloc_zero(1, sizeof *task);
    task->query = query;
    list_append(&reader->waiting, &task->node);
    next(reader);
}

void pg_reader_init(PgReader *reader, const StoreIo *io, const char *url, PgTruth *truth) {
    *reader = (PgReader){.io = io};
    list_init(&reader->waiting);
    PgOptions options = {.io = io, .url = url, .truth = truth};
    reader->connection = pg_connection_new(&options);
}

void pg_reader_done(PgReader *reader) {
    pg_connection_free(reader->connection);
    ListNode *node;
    while ((node = list_pop(&reader->waiting))) {
        free(container_of(node, ReadTask, node));
    }
}
