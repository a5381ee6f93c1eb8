/* The nodes, and what each of them asks every second. */
#include "store/sqlite/read.h"
#include "store/sqlite/row.h"

Err read_nodes(Database *database, Query *query, Error *error) {
    sqlite3_stmt *statement;
    TRY(database_statement(database, SQL_NODES, &statement, error));
    bool there;
    TRY(statement_step(statement, &there, error));
    while (there) {
        query->nodes = read_grow(&query->arena, query->nodes, query->count, sizeof(NodeRow));
        node_read(statement, &query->arena, &query->nodes[query->count++]);
        TRY(statement_step(statement, &there, error));
    }
    return OK;
}

Err node_seen(Database *database, const Query *query, Error *error) {
    sqlite3_stmt *statement;
    TRY(database_statement(database, SQL_NODE_SEEN, &statement, error));
    bind_text(statement, 1, query->node);
    bind_text(statement, 2, query->node_instance);
    bind_int(statement, 3, query->now_us);
    bind_int(statement, 4, query->clock_offset_us);
    return statement_run(statement, error);
}

static Err find_node(Database *database, Query *query, Error *error) {
    if (!query->node.ptr) return OK;
    sqlite3_stmt *statement;
    bool there;
    TRY(database_statement(database, SQL_ASK_NODE, &statement, error));
    bind_text(statement, 1, query->node);
    TRY(statement_step(statement, &there, error));
    query->node_known = there && str_eq(column_str(statement, 1), query->node_instance);
    statement_end(statement);
    return OK;
}

static ControlRow control_read(sqlite3_stmt *statement, Arena *arena) {
    return (ControlRow){
        .number = sqlite3_column_int64(statement, 0),
        .kind = (ControlKind)sqlite3_column_int(statement, 1),
        .node = arena_str(arena, column_str(statement, 2)),
        .subject = arena_str(arena, column_str(statement, 3)),
        .detail = arena_str(arena, column_str(statement, 4)),
        .until_us = sqlite3_column_int64(statement, 5),
        .at_us = sqlite3_column_int64(statement, 6),
    };
}

static Err read_last_control(Database *database, Query *query, Error *error) {
    sqlite3_stmt *statement;
    bool there;
    TRY(database_statement(database, SQL_META_GET, &statement, error));
    bind_text(statement, 1, STR("control"));
    TRY(statement_step(statement, &there, error));
    if (!there) return error_set(error, ERR_INTERNAL, "the store lacks 'control'");
    query->last_control = sqlite3_column_int64(statement, 0);
    statement_end(statement);
    return OK;
}

static Err read_controls(Database *database, Query *query, Error *error) {
    TRY(read_last_control(database, query, error));
    sqlite3_stmt *statement;
    TRY(database_statement(database, SQL_CONTROLS, &statement, error));
    bind_int(statement, 1, query->after);
    bind_int(statement, 2, (int64_t)query->limit + 1);
    bool there;
    TRY(statement_step(statement, &there, error));
    while (there && !query->more) {
        query->more = query->control_count == query->limit;
        if (query->more) break;
        query->controls =
            read_grow(&query->arena, query->controls, query->control_count, sizeof(ControlRow));
        query->controls[query->control_count++] = control_read(statement, &query->arena);
        TRY(statement_step(statement, &there, error));
    }
    statement_end(statement);
    return OK;
}

static Err read_finished(Database *database, Query *query, Error *error) {
    query->finished = arena_zero(&query->arena, query->key_count + 1, sizeof(JobKey));
    for (size_t i = 0; i < query->key_count; i++) {
        sqlite3_stmt *statement;
        bool there;
        TRY(database_statement(database, SQL_STATE, &statement, error));
        bind_key(statement, 1, &query->keys[i]);
        TRY(statement_step(statement, &there, error));
        if (!there) continue;
        bool finished = sqlite3_column_int64(statement, 0) >= JOB_SUCCEEDED;
        if (finished) query->finished[query->finished_count++] = query->keys[i];
        statement_end(statement);
    }
    return OK;
}

Err read_every(Database *database, Query *query, Error *error) {
    TRY(read_next(database, query, error));
    TRY(find_node(database, query, error));
    TRY(read_controls(database, query, error));
    return read_finished(database, query, error);
}
