/* Questions of a batch that are not about one known key: see Ask in store/batch.h. */
#include "store/sqlite/flush.h"
#include "store/sqlite/row.h"

#include <string.h>

static const Sql SQL_OF_ASK[] = {
    [ASK_RUNNING_OF] = SQL_ASK_RUNNING_OF,
    [ASK_OVERDUE] = SQL_ASK_OVERDUE,
    [ASK_EXPIRED] = SQL_ASK_EXPIRED,
    [ASK_PRUNABLE] = SQL_ASK_PRUNABLE,
    [ASK_PRUNABLE_DEAD] = SQL_ASK_PRUNABLE_DEAD,
    [ASK_SESSIONS] = SQL_ASK_SESSIONS,
    [ASK_READY] = SQL_ASK_READY,
    [ASK_NODE] = SQL_ASK_NODE,
};

static Row *row_apart(Batch *batch, const JobKey *key, int64_t slot) {
    list_each(&batch->rows, node) {
        Row *row = container_of(node, Row, in_rows);
        if (row->slot == slot && job_key_eq(&row->key, key)) return row;
    }
    return batch_row_apart(batch, key);
}

static Err read_row(Batch *batch, Ask *ask, sqlite3_stmt *statement, Error *error) {
    Job job;
    TRY(row_read(statement, 2, FIELDS_ALL, &batch->arena, &job, error));
    int64_t slot = sqlite3_column_int64(statement, 0);
    bool newest = slot == sqlite3_column_int64(statement, 1);
    Row *row = newest ? batch_row(batch, &job.key) : row_apart(batch, &job.key, slot);
    batch_found(batch, row, slot, &job);
    ask->rows[ask->count++] = row;
    return OK;
}

static Err ask_rows(Batch *batch, Ask *ask, sqlite3_stmt *statement, Error *error) {
    ask->rows = arena_zero(&batch->arena, ask->limit, sizeof(Row *));
    bool there;
    TRY(statement_step(statement, &there, error));
    while (there) {
        Err err = read_row(batch, ask, statement, error);
        if (err != OK) {
            statement_end(statement);
            return err;
        }
        TRY(statement_step(statement, &there, error));
    }
    return OK;
}

static Err ask_sessions(Batch *batch, Ask *ask, sqlite3_stmt *statement, Error *error) {
    ask->sessions = arena_zero(&batch->arena, ask->limit, sizeof(SessionRow));
    bool there;
    TRY(statement_step(statement, &there, error));
    while (there) {
        session_read(statement, &batch->arena, &ask->sessions[ask->count++]);
        TRY(statement_step(statement, &there, error));
    }
    return OK;
}

static Err ask_node(Batch *batch, Ask *ask, sqlite3_stmt *statement, Error *error) {
    bind_text(statement, 1, ask->text);
    bool there;
    TRY(statement_step(statement, &there, error));
    if (!there) return OK;
    ask->node = arena_new(&batch->arena, NodeRow);
    node_read(statement, &batch->arena, ask->node);
    ask->count = 1;
    statement_end(statement);
    return OK;
}

/* Rows that the batch knows already are passed over, whatever it is about to do with them. */
static Err ask_ready(Batch *batch, Ask *ask, int64_t priority, sqlite3_stmt *statement,
                     Error *error) {
    bind_text(statement, 1, ask->text);
    bind_int(statement, 2, priority);
    bind_int(statement, 3, ask->until_us);
    bind_int(statement, 4, batch->now_us);
    bool there;
    TRY(statement_step(statement, &there, error));
    while (there && ask->count < ask->limit) {
        JobKey key;
        const void *bytes = sqlite3_column_blob(statement, 1);
        check(bytes && sqlite3_column_bytes(statement, 1) == (int)sizeof key.bytes);
        memcpy(key.bytes, bytes, sizeof key.bytes);
        if (!map_get(&batch->by_key, job_key_str(&key))) {
            ask->rows[ask->count++] = batch_row(batch, &key);
        }
        TRY(statement_step(statement, &there, error));
    }
    statement_end(statement);
    return OK;
}

static Err ask_ready_all(Batch *batch, Ask *ask, sqlite3_stmt *statement, Error *error) {
    enum { PRIORITY_TOP = 9, PRIORITY_LAST = 1 };
    ask->rows = arena_zero(&batch->arena, ask->limit, sizeof(Row *));
    for (int64_t priority = PRIORITY_TOP; priority >= PRIORITY_LAST; priority--) {
        TRY(ask_ready(batch, ask, priority, statement, error));
    }
    return OK;
}

Err ask_answer(Writer *writer, Batch *batch, Ask *ask, Error *error) {
    sqlite3_stmt *statement;
    TRY(database_statement(&writer->database, SQL_OF_ASK[ask->kind], &statement, error));
    if (ask->kind == ASK_READY) return ask_ready_all(batch, ask, statement, error);
    if (ask->kind == ASK_NODE) return ask_node(batch, ask, statement, error);
    bool by_worker = ask->kind == ASK_RUNNING_OF || ask->kind == ASK_SESSIONS;
    if (by_worker) bind_text(statement, 1, ask->text);
    if (!by_worker) bind_int(statement, 2, ask->until_us);
    bind_int(statement, 3, (int64_t)ask->limit);
    if (ask->kind == ASK_SESSIONS) return ask_sessions(batch, ask, statement, error);
    return ask_rows(batch, ask, statement, error);
}
