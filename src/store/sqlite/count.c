/* Counts of jobs per queue and status, relative to the counted frontier: a waiting job due later
 * counts as scheduled or retrying, else as pending.
 *
 * The invariant: after every commit the counts are those of a recount at the stored frontier. */
#include "store/sqlite/flush.h"

static Err add(Writer *writer, Str queue, JobStatus status, int64_t by, Error *error) {
    if (by == 0) return OK;
    sqlite3_stmt *statement;
    TRY(database_statement(&writer->database, SQL_COUNT_ADD, &statement, error));
    bind_text(statement, 1, queue);
    bind_int(statement, 2, status);
    bind_int(statement, 3, by);
    TRY(statement_run(statement, error));
    if (by > 0) return OK;
    TRY(database_statement(&writer->database, SQL_COUNT_DROP, &statement, error));
    bind_text(statement, 1, queue);
    bind_int(statement, 2, status);
    return statement_run(statement, error);
}

/* Rows of one priority that became due: ret_due[1] after failures, [0] without. */
static Err became_due(Writer *writer, Str queue, int64_t priority, int64_t from_us, int64_t to_us,
                      int64_t ret_due[2], Error *error) {
    sqlite3_stmt *statement;
    TRY(database_statement(&writer->database, SQL_WAITING_BETWEEN, &statement, error));
    bind_text(statement, 1, queue);
    bind_int(statement, 2, priority);
    bind_int(statement, 3, from_us);
    bind_int(statement, 4, to_us);
    bool there;
    TRY(statement_step(statement, &there, error));
    while (there) {
        ret_due[sqlite3_column_int64(statement, 0) != 0] += sqlite3_column_int64(statement, 1);
        TRY(statement_step(statement, &there, error));
    }
    return OK;
}

static Err advance_queue(Writer *writer, Str queue, int64_t to_us, Error *error) {
    int64_t due[2] = {0};
    for (int64_t priority = 9; priority >= 1; priority--) {
        TRY(became_due(writer, queue, priority, writer->now.frontier_us, to_us, due, error));
    }
    TRY(add(writer, queue, STATUS_SCHEDULED, -due[0], error));
    TRY(add(writer, queue, STATUS_RETRYING, -due[1], error));
    return add(writer, queue, STATUS_PENDING, due[0] + due[1], error);
}

static Err advance_frontier(Writer *writer, Batch *batch, int64_t to_us, Error *error) {
    Str queue = STR("");
    sqlite3_stmt *statement;
    for (;;) {
        bool there;
        TRY(database_statement(&writer->database, SQL_WAITING_QUEUE, &statement, error));
        bind_text(statement, 1, queue);
        TRY(statement_step(statement, &there, error));
        if (!there) break;
        queue = arena_str(&batch->arena, column_str(statement, 0));
        statement_end(statement);
        TRY(advance_queue(writer, queue, to_us, error));
    }
    TRY(database_statement(&writer->database, SQL_META_PUT, &statement, error));
    bind_text(statement, 1, STR("frontier"));
    bind_int(statement, 2, to_us);
    writer->now.frontier_us = to_us;
    return statement_run(statement, error);
}

Err count_write(Writer *writer, Batch *batch, Error *error) {
    size_t at = 0;
    CountDelta *delta;
    while ((delta = map_next(&batch->counts, &at))) {
        for (JobStatus status = 0; status < STATUS_COUNT; status++) {
            TRY(add(writer, delta->queue, status, delta->by[status], error));
        }
    }
    if (batch->count_to_us <= writer->now.frontier_us) return OK;
    return advance_frontier(writer, batch, batch->count_to_us, error);
}
