/* Queues with their counts, sessions, what the duties wait for, revoked tokens. Nothing here
 * counts jobs one by one but those that became due since the counted frontier was last moved. */
#include "store/sqlite/read.h"
#include "store/sqlite/row.h"

static Err read_frontier(Database *database, int64_t *ret, Error *error) {
    sqlite3_stmt *statement;
    bool there;
    TRY(database_statement(database, SQL_META_GET, &statement, error));
    bind_text(statement, 1, STR("frontier"));
    TRY(statement_step(statement, &there, error));
    if (!there) return error_set(error, ERR_INTERNAL, "the store lacks 'frontier'");
    *ret = sqlite3_column_int64(statement, 0);
    statement_end(statement);
    return OK;
}

/* One row per (queue, status) with a count, and one with status -1 per setting; sorted by queue. */
static Err list_queues(Database *database, Query *query, Error *error) {
    sqlite3_stmt *statement;
    TRY(database_statement(database, SQL_QUEUES, &statement, error));
    bool there;
    TRY(statement_step(statement, &there, error));
    while (there) {
        Str name = column_str(statement, 0);
        if (query->count == 0 || !str_eq(query->queues[query->count - 1].name, name)) {
            query->queues =
                read_grow(&query->arena, query->queues, query->count, sizeof(QueueInfo));
            query->queues[query->count++].name = arena_str(&query->arena, name);
        }
        QueueInfo *queue = &query->queues[query->count - 1];
        int64_t status = sqlite3_column_int64(statement, 1);
        if (status >= 0 && status < STATUS_COUNT) {
            queue->counts[status] = sqlite3_column_int64(statement, 2);
        } else {
            queue->paused = sqlite3_column_int64(statement, 3) != 0;
        }
        TRY(statement_step(statement, &there, error));
    }
    return OK;
}

static Err add_due(Database *database, QueueInfo *queue, int64_t priority, int64_t from_us,
                   int64_t to_us, Error *error) {
    sqlite3_stmt *statement;
    TRY(database_statement(database, SQL_WAITING_BETWEEN, &statement, error));
    bind_text(statement, 1, queue->name);
    bind_int(statement, 2, priority);
    bind_int(statement, 3, from_us);
    bind_int(statement, 4, to_us);
    bool there;
    TRY(statement_step(statement, &there, error));
    while (there) {
        bool retrying = sqlite3_column_int64(statement, 0) != 0;
        int64_t due = sqlite3_column_int64(statement, 1);
        queue->counts[retrying ? STATUS_RETRYING : STATUS_SCHEDULED] -= due;
        queue->counts[STATUS_PENDING] += due;
        TRY(statement_step(statement, &there, error));
    }
    return OK;
}

static Err find_oldest(Database *database, QueueInfo *queue, int64_t priority, int64_t now_us,
                       Error *error) {
    sqlite3_stmt *statement;
    bool there;
    TRY(database_statement(database, SQL_WAITING_FIRST, &statement, error));
    bind_text(statement, 1, queue->name);
    bind_int(statement, 2, priority);
    TRY(statement_step(statement, &there, error));
    if (!there) return OK;
    int64_t due_us = sqlite3_column_int64(statement, 0);
    bool older = queue->oldest_pending_us == 0 || due_us < queue->oldest_pending_us;
    if (due_us <= now_us && older) queue->oldest_pending_us = due_us;
    statement_end(statement);
    return OK;
}

Err read_queues(Database *database, Query *query, Error *error) {
    int64_t frontier_us = 0;
    TRY(read_frontier(database, &frontier_us, error));
    TRY(list_queues(database, query, error));
    int64_t now_us = query->until_us;
    for (size_t i = 0; i < query->count; i++) {
        QueueInfo *queue = &query->queues[i];
        for (int64_t priority = 9; priority >= 1; priority--) {
            if (now_us > frontier_us) {
                TRY(add_due(database, queue, priority, frontier_us, now_us, error));
            }
            TRY(find_oldest(database, queue, priority, now_us, error));
        }
    }
    return OK;
}

Err read_sessions(Database *database, Query *query, Error *error) {
    sqlite3_stmt *statement;
    TRY(database_statement(database, SQL_SESSIONS, &statement, error));
    bool there;
    TRY(statement_step(statement, &there, error));
    while (there) {
        query->sessions =
            read_grow(&query->arena, query->sessions, query->count, sizeof(SessionRow));
        session_read(statement, &query->arena, &query->sessions[query->count++]);
        TRY(statement_step(statement, &there, error));
    }
    return OK;
}

static Err read_first(Database *database, Sql sql, int64_t *ret, Error *error) {
    sqlite3_stmt *statement;
    bool there;
    TRY(database_statement(database, sql, &statement, error));
    TRY(statement_step(statement, &there, error));
    if (!there) return OK;
    *ret = sqlite3_column_int64(statement, 0);
    statement_end(statement);
    return OK;
}

static Err read_paused(Database *database, Query *query, Error *error) {
    sqlite3_stmt *statement;
    bool there;
    TRY(database_statement(database, SQL_PAUSED, &statement, error));
    TRY(statement_step(statement, &there, error));
    while (there) {
        query->queues = read_grow(&query->arena, query->queues, query->count, sizeof(QueueInfo));
        Str name = arena_str(&query->arena, column_str(statement, 0));
        query->queues[query->count++] = (QueueInfo){.name = name, .paused = true};
        TRY(statement_step(statement, &there, error));
    }
    return OK;
}

Err read_next(Database *database, Query *query, Error *error) {
    TRY(read_first(database, SQL_NEXT_DEADLINE, &query->next_deadline_us, error));
    TRY(read_first(database, SQL_NEXT_EXPIRY, &query->next_expiry_us, error));
    TRY(read_first(database, SQL_NEXT_FINISHED, &query->next_finished_us, error));
    TRY(read_first(database, SQL_NEXT_DEAD, &query->next_dead_us, error));
    TRY(read_first(database, SQL_OLDEST_SEEN, &query->oldest_seen_us, error));
    return read_paused(database, query, error);
}

Err read_revoked(Database *database, Query *query, Error *error) {
    sqlite3_stmt *statement;
    TRY(database_statement(database, SQL_TOKENS, &statement, error));
    bind_int(statement, 1, query->now_us);
    bool there;
    TRY(statement_step(statement, &there, error));
    while (there) {
        query->tokens =
            read_grow(&query->arena, query->tokens, query->count, sizeof *query->tokens);
        query->tokens[query->count].token_id = arena_str(&query->arena, column_str(statement, 0));
        query->tokens[query->count++].until_us = sqlite3_column_int64(statement, 1);
        TRY(statement_step(statement, &there, error));
    }
    return OK;
}
