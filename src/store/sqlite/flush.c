/* Writes and loads of rows: see flush.h.
 *
 * A blind change needs no statement of its own here: the writer is alone in the transaction, so it
 * reads the row, lets core/job_change decide, and writes what that changed. The guard can't differ
 * from the rule of the core, and a miss has its row in hand already. */
#include "store/sqlite/flush.h"

#include "core/fence.h"
#include "store/sqlite/row.h"

static Err write_fields(Writer *writer, Sql sql, FieldSet set, int64_t slot, const Job *job,
                        Error *error) {
    sqlite3_stmt *statement;
    TRY(database_statement(&writer->database, sql, &statement, error));
    bind_int(statement, 1, slot);
    row_bind(statement, set, job);
    return statement_run(statement, error);
}

static Err run_on_slot(Writer *writer, Sql sql, int64_t slot, Error *error) {
    sqlite3_stmt *statement;
    TRY(database_statement(&writer->database, sql, &statement, error));
    bind_int(statement, 1, slot);
    return statement_run(statement, error);
}

static Err write_insert(Writer *writer, Batch *batch, Row *row, Error *error) {
    int64_t slot = ++writer->now.slot;
    TRY(write_fields(writer, SQL_INSERT, FIELDS_ALL, slot, &row->job, error));
    batch_written(batch, row, slot);
    return OK;
}

static Err write_update(Writer *writer, Batch *batch, Row *row, Error *error) {
    TRY(write_fields(writer, SQL_UPDATE, FIELDS_CHANGING, row->slot, &row->job, error));
    batch_written(batch, row, row->slot);
    return OK;
}

static Err write_delete(Writer *writer, Batch *batch, Row *row, Error *error) {
    TRY(run_on_slot(writer, SQL_DELETE, row->slot, error));
    TRY(run_on_slot(writer, SQL_LOG_OF_JOB, row->slot, error));
    batch_written(batch, row, 0);
    return OK;
}

/* ---- loading ---- */

static Err find(Writer *writer, Sql sql, const JobKey *key, sqlite3_stmt **ret, bool *ret_row,
                Error *error) {
    TRY(database_statement(&writer->database, sql, ret, error));
    bind_key(*ret, 1, key);
    return statement_step(*ret, ret_row, error);
}

static Err load(Writer *writer, Batch *batch, Row *row, Error *error) {
    sqlite3_stmt *statement;
    bool there;
    TRY(find(writer, SQL_LOAD, &row->key, &statement, &there, error));
    if (!there) {
        batch_missing(batch, row);
        return OK;
    }
    Job job;
    Err err = row_read(statement, 2, FIELDS_ALL, &batch->arena, &job, error);
    if (err == OK) batch_found(batch, row, sqlite3_column_int64(statement, 0), &job);
    statement_end(statement);
    return err;
}

/* ---- blind changes ---- */

/* The row as it stands, if there is one; its texts live until the statement ends. */
static Err look(Writer *writer, Batch *batch, Row *row, sqlite3_stmt **ret_statement, Job *ret_job,
                int64_t *ret_slot, Error *error) {
    bool start = row->write == WRITE_START;
    bool there;
    *ret_slot = 0;
    TRY(find(writer, start ? SQL_LOAD : SQL_LOAD_LIGHT, &row->key, ret_statement, &there, error));
    if (!there) return OK;
    *ret_slot = sqlite3_column_int64(*ret_statement, 0);
    return row_read(*ret_statement, 2, start ? FIELDS_ALL : FIELDS_LIGHT, &batch->arena, ret_job,
                    error);
}

static bool decide(Writer *writer, Batch *batch, Row *row, Job *job) {
    ChangeContext context = {batch->now_us, batch->random, &batch->arena};
    if (row->write == WRITE_SUCCEED) {
        return job_succeed(job, &row->lease, row->result, row->hash, &context) == CHANGE_APPLIED;
    }
    if (!str_eq(job->queue, row->start_queue)) return false;
    int64_t fence = fence_make(0, writer->now.fence + 1);
    bool applied =
        job_start(job, fence, row->lease.worker, row->grace_ms, &context) == CHANGE_APPLIED;
    if (applied) writer->now.fence++;
    return applied;
}

static Err write_blind(Writer *writer, Batch *batch, Row *row, Error *error) {
    sqlite3_stmt *statement = NULL;
    Job job;
    int64_t slot;
    bool start = row->write == WRITE_START;
    Err err = look(writer, batch, row, &statement, &job, &slot, error);
    bool hit = err == OK && slot != 0 && decide(writer, batch, row, &job);
    if (hit) batch_hit(batch, row, slot, &job);
    statement_end(statement);
    if (err != OK) return err;
    row->write = WRITE_NONE;
    if (!hit) return load(writer, batch, row, error);
    if (start) return write_fields(writer, SQL_START, FIELDS_START, slot, &row->job, error);
    return write_fields(writer, SQL_SUCCEED, FIELDS_SUCCEED, slot, &row->job, error);
}

/* ---- the order of a flush ---- */

typedef Err (*RowFn)(Writer *writer, Batch *batch, Row *row, Error *error);

/* One pass per kind, so that a statement stays warm; several kinds may follow on one row only
 * across flushes, but for a delete and the load behind it. */
static const struct {
    RowWrite write;
    RowFn run;
} PASSES[] = {
    {WRITE_DELETE, write_delete}, {WRITE_UPDATE, write_update}, {WRITE_INSERT, write_insert},
    {WRITE_START, write_blind},   {WRITE_SUCCEED, write_blind},
};

static Err flush_rows(Writer *writer, Batch *batch, Error *error) {
    unsigned pending = 0;
    list_each(&batch->flush, node) {
        pending |= 1u << container_of(node, Row, in_flush)->write;
    }
    for (size_t i = 0; i < LENGTH(PASSES); i++) {
        if (!(pending & (1u << PASSES[i].write))) continue;
        list_each(&batch->flush, node) {
            Row *row = container_of(node, Row, in_flush);
            if (row->write == PASSES[i].write) TRY(PASSES[i].run(writer, batch, row, error));
        }
    }
    ListNode *node;
    while ((node = list_pop(&batch->flush))) {
        Row *row = container_of(node, Row, in_flush);
        if (row->status == ROW_ASKED) TRY(load(writer, batch, row, error));
    }
    return OK;
}

/* ---- what is beside the rows ---- */

static Err write_session(Writer *writer, const SessionWrite *write, Error *error) {
    const SessionRow *session = &write->session;
    Sql sql = write->forget ? SQL_SESSION_DROP : SQL_SESSION_PUT;
    sqlite3_stmt *statement;
    TRY(database_statement(&writer->database, sql, &statement, error));
    bind_text(statement, 1, session->worker);
    bind_text(statement, 2, session->node);
    if (!write->forget) {
        bind_text(statement, 3, session->info);
        bind_int(statement, 4, session->lease_ms);
        bind_int(statement, 5, session->seen_us);
        bind_int(statement, 6, session->opened_us);
        bind_int(statement, 7, session->closed_us);
        bind_int(statement, 8, session->quick);
    }
    return statement_run(statement, error);
}

static Err write_pair(Writer *writer, Sql sql, Str name, int64_t value, Error *error) {
    sqlite3_stmt *statement;
    TRY(database_statement(&writer->database, sql, &statement, error));
    bind_text(statement, 1, name);
    bind_int(statement, 2, value);
    return statement_run(statement, error);
}

static Err flush_tokens(Writer *writer, Batch *batch, Error *error) {
    if (!batch->tokens) return OK;
    TRY(run_on_slot(writer, SQL_TOKEN_FORGET, batch->now_us, error));
    for (TokenWrite *write = batch->tokens; write; write = write->next) {
        TRY(write_pair(writer, SQL_TOKEN_PUT, write->token_id, write->until_us, error));
    }
    batch->tokens = NULL;
    return OK;
}

static Err flush_aside(Writer *writer, Batch *batch, Error *error) {
    for (LogWrite *write = batch->logs; write; write = write->next) {
        if (write->row->slot == 0) continue; /* deleted in this batch */
        TRY(output_append(writer, write->row->slot, write->text, error));
    }
    batch->logs = NULL;
    for (SessionWrite *write = batch->sessions; write; write = write->next) {
        TRY(write_session(writer, write, error));
    }
    batch->sessions = NULL;
    for (QueueWrite *write = batch->queues; write; write = write->next) {
        TRY(write_pair(writer, SQL_QUEUE_PUT, write->queue, write->paused, error));
    }
    batch->queues = NULL;
    for (NodeWrite *write = batch->nodes; write; write = write->next) {
        TRY(flush_node(writer, batch, write, error));
    }
    batch->nodes = NULL;
    return flush_tokens(writer, batch, error);
}

Err flush_batch(Writer *writer, Batch *batch, Error *error) {
    TRY(flush_rows(writer, batch, error));
    TRY(flush_aside(writer, batch, error));
    for (Ask *ask = batch->asks; ask; ask = ask->next) {
        TRY(ask_answer(writer, batch, ask, error));
    }
    batch->asks = NULL;
    return OK;
}

/* A revoked token stays revoked; nodes and what they are to hear of are no jobs. */
Err flush_wipe(Writer *writer, Error *error) {
    return sqlite_exec(writer->database.db,
                       "DELETE FROM job; DELETE FROM log; DELETE FROM queue; DELETE FROM count;"
                       "DELETE FROM session",
                       error);
}
