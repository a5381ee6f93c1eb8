/* What the broker's window is filled from: waiting jobs by score or by due, read along
 * job_waiting, one range per priority. A page ends between two scores (or dues), never inside one:
 * then the last one is a place to go on from. */
#include "store/sqlite/read.h"

#include "core/order.h"

#include <string.h>

enum { PRIORITY_TOP = 9, PRIORITY_LAST = 1, PRIORITIES = 9 };

/* Sets a range of one priority up: after < due ≤ until. */
static void bind_range(sqlite3_stmt *statement, Str queue, int64_t priority, int64_t after_us,
                       int64_t until_us) {
    bind_text(statement, 1, queue);
    bind_int(statement, 2, priority);
    bind_int(statement, 3, after_us);
    bind_int(statement, 4, until_us);
}

static void add_hint(Query *query, sqlite3_stmt *statement, int64_t priority) {
    query->hints = read_grow(&query->arena, query->hints, query->count, sizeof(Hint));
    Hint *hint = &query->hints[query->count++];
    const void *key = sqlite3_column_blob(statement, 0);
    check(key && sqlite3_column_bytes(statement, 0) == (int)sizeof hint->key.bytes);
    memcpy(hint->key.bytes, key, sizeof hint->key.bytes);
    hint->due_us = sqlite3_column_int64(statement, 1);
    hint->score = order_score(priority, hint->due_us);
}

/* true: the page is full and this due begins a new score. */
static bool is_behind(const Query *query, int64_t value, int64_t last) {
    return query->count >= query->limit && (query->count == 0 || value != last);
}

static Err read_priority(Database *database, Query *query, int64_t priority, int64_t after_us,
                         Error *error) {
    sqlite3_stmt *statement;
    TRY(database_statement(database, SQL_WAITING_PAGE, &statement, error));
    bind_range(statement, query->queue, priority, after_us, query->until_us);
    bool there;
    TRY(statement_step(statement, &there, error));
    while (there) {
        int64_t score = order_score(priority, sqlite3_column_int64(statement, 1));
        int64_t last = query->count > 0 ? query->hints[query->count - 1].score : 0;
        if (is_behind(query, score, last)) {
            query->more = true;
            statement_end(statement);
            return OK;
        }
        add_hint(query, statement, priority);
        TRY(statement_step(statement, &there, error));
    }
    return OK;
}

Err read_ready(Database *database, Query *query, Error *error) {
    int64_t priority = order_priority(query->after);
    int64_t after_us = order_due_us(query->after);
    if (priority > PRIORITY_TOP) {
        priority = PRIORITY_TOP;
        after_us = INT64_MIN;
    }
    for (; priority >= PRIORITY_LAST && !query->more; priority--) {
        TRY(read_priority(database, query, priority, after_us, error));
        after_us = INT64_MIN;
    }
    return OK;
}

/* ---- by due: nine ranges merged ---- */

typedef struct Stream {
    sqlite3_stmt *statement;
    bool there;
} Stream;

typedef struct Merge {
    Stream streams[PRIORITIES]; /* highest priority first */
} Merge;

static void merge_done(Merge *merge) {
    for (size_t i = 0; i < PRIORITIES; i++) {
        sqlite3_finalize(merge->streams[i].statement);
    }
}

static Err merge_begin(Merge *merge, Database *database, const Query *query, Error *error) {
    cleanup(buf_done) Buf text;
    buf_init(&text, 1024);
    sql_write(SQL_WAITING_PAGE, &text);
    for (size_t i = 0; i < PRIORITIES; i++) {
        Stream *stream = &merge->streams[i];
        TRY(database_prepare(database, buf_str(&text), &stream->statement, error));
        bind_range(stream->statement, query->queue, PRIORITY_TOP - (int64_t)i, query->after,
                   INT64_MAX);
        TRY(statement_step(stream->statement, &stream->there, error));
    }
    return OK;
}

/* The stream with the lowest due, the highest priority first among equals; PRIORITIES at the
 * end. */
static size_t merge_next(const Merge *merge, int64_t *ret_due_us) {
    size_t best = PRIORITIES;
    for (size_t i = 0; i < PRIORITIES; i++) {
        if (!merge->streams[i].there) continue;
        int64_t due_us = sqlite3_column_int64(merge->streams[i].statement, 1);
        if (best < PRIORITIES && due_us >= *ret_due_us) continue;
        best = i;
        *ret_due_us = due_us;
    }
    return best;
}

Err read_delayed(Database *database, Query *query, Error *error) {
    cleanup(merge_done) Merge merge = {0};
    TRY(merge_begin(&merge, database, query, error));
    int64_t due_us = 0;
    size_t next;
    while ((next = merge_next(&merge, &due_us)) < PRIORITIES) {
        int64_t last = query->count > 0 ? query->hints[query->count - 1].due_us : 0;
        if (is_behind(query, due_us, last)) {
            query->more = true;
            return OK;
        }
        Stream *stream = &merge.streams[next];
        add_hint(query, stream->statement, PRIORITY_TOP - (int64_t)next);
        TRY(statement_step(stream->statement, &stream->there, error));
    }
    return OK;
}

Err read_waiting_queues(Database *database, Query *query, Error *error) {
    Str queue = STR("");
    for (;;) {
        sqlite3_stmt *statement;
        bool there;
        TRY(database_statement(database, SQL_WAITING_QUEUE, &statement, error));
        bind_text(statement, 1, queue);
        TRY(statement_step(statement, &there, error));
        if (!there) return OK;
        queue = arena_str(&query->arena, column_str(statement, 0));
        statement_end(statement);
        query->queues = read_grow(&query->arena, query->queues, query->count, sizeof(QueueInfo));
        query->queues[query->count++].name = queue;
    }
}
