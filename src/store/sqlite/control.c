/* Nodes and controls, in a batch: see ControlRow in store/batch.h.
 *
 * The invariant: numbers of controls have no gaps, since the writer is alone and goes back to the last one
 * with the transaction. */
#include "base/time.h"
#include "store/sqlite/flush.h"

#define KEPT_US (3600 * US_PER_S)

Err flush_node(Writer *writer, const Batch *batch, const NodeWrite *write, Error *error) {
    const NodeRow *node = &write->node;
    Sql sql = write->forget ? SQL_NODE_DROP : SQL_NODE_PUT;
    sqlite3_stmt *statement;
    TRY(database_statement(&writer->database, sql, &statement, error));
    bind_text(statement, 1, node->name);
    bind_text(statement, 2, node->instance);
    if (!write->forget) {
        bind_text(statement, 3, node->version);
        bind_text(statement, 4, node->info);
        bind_int(statement, 5, node->started_us);
        bind_int(statement, 6, batch->now_us);
        bind_int(statement, 7, node->clock_offset_us);
        bind_int(statement, 8, node->draining);
    }
    return statement_run(statement, error);
}

static Err add(Writer *writer, const ControlRow *control, Error *error) {
    sqlite3_stmt *statement;
    TRY(database_statement(&writer->database, SQL_CONTROL_ADD, &statement, error));
    bind_int(statement, 1, ++writer->now.control);
    bind_int(statement, 2, control->kind);
    bind_text(statement, 3, control->node);
    bind_text(statement, 4, control->subject);
    bind_text(statement, 5, control->detail);
    bind_int(statement, 6, control->until_us);
    bind_int(statement, 7, control->at_us);
    return statement_run(statement, error);
}

Err flush_controls(Writer *writer, Batch *batch, Error *error) {
    if (!batch->controls) return OK;
    sqlite3_stmt *statement;
    TRY(database_statement(&writer->database, SQL_CONTROL_FORGET, &statement, error));
    bind_int(statement, 1, batch->now_us - KEPT_US);
    TRY(statement_run(statement, error));
    for (const ControlWrite *write = batch->controls; write; write = write->next) {
        TRY(add(writer, &write->control, error));
    }
    batch->controls = NULL;
    return OK;
}
