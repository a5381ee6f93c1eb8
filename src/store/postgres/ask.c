/* Questions of a batch that are not about one known key: see Ask in store/batch.h. */
#include "store/postgres/flush.h"

typedef struct Asked {
    Batch *batch;
    Ask *ask;
    PgTable table;
} Asked;

static Row *row_apart(Batch *batch, const JobKey *key, int64_t slot) {
    list_each(&batch->rows, node) {
        Row *row = container_of(node, Row, in_rows);
        if (row->slot == slot && job_key_eq(&row->key, key)) return row;
    }
    return batch_row_apart(batch, key);
}

/* Columns: slot, whether it is the newest of its key, the job. */
static Err on_rows(void *context, const PGresult *result, Error *error) {
    const Asked *asked = context;
    Batch *batch = asked->batch;
    Ask *ask = asked->ask;
    ask->rows = arena_zero(&batch->arena, ask->limit + 1, sizeof(Row *));
    for (int i = 0; i < PQntuples(result); i++) {
        Job job;
        TRY(pg_row_read(result, i, 2, FIELDS_ALL, &batch->arena, &job, error));
        int64_t slot = slot_make(value_int(result, i, 0), asked->table);
        bool newest = value_int(result, i, 1) != 0;
        Row *row = newest ? batch_row(batch, &job.key) : row_apart(batch, &job.key, slot);
        batch_found(batch, row, slot, &job);
        ask->rows[ask->count++] = row;
    }
    return OK;
}

static Err on_sessions(void *context, const PGresult *result, Error *error) {
    const Asked *asked = context;
    (void)error;
    Ask *ask = asked->ask;
    ask->sessions = arena_zero(&asked->batch->arena, ask->limit, sizeof(SessionRow));
    for (int i = 0; i < PQntuples(result); i++) {
        pg_session_read(result, i, &asked->batch->arena, &ask->sessions[ask->count++]);
    }
    return OK;
}

static Err on_node(void *context, const PGresult *result, Error *error) {
    const Asked *asked = context;
    (void)error;
    if (PQntuples(result) == 0) return OK;
    asked->ask->node = arena_new(&asked->batch->arena, NodeRow);
    pg_node_read(result, 0, 0, &asked->batch->arena, asked->ask->node);
    asked->ask->count = 1;
    return OK;
}

/* Rows that the batch knows already are passed over, whatever it is about to do with them. */
static Err on_ready(void *context, const PGresult *result, Error *error) {
    const Asked *asked = context;
    Batch *batch = asked->batch;
    Ask *ask = asked->ask;
    (void)error;
    ask->rows = arena_zero(&batch->arena, ask->limit, sizeof(Row *));
    for (int i = 0; i < PQntuples(result) && ask->count < ask->limit; i++) {
        JobKey key = value_key(result, i, 0);
        if (map_get(&batch->by_key, job_key_str(&key))) continue;
        ask->rows[ask->count++] = batch_row(batch, &key);
    }
    return OK;
}

/* $1: text, $2: until, $3: limit, $4: now */
#define PRUNABLE(table)                                                                            \
    "SELECT d.slot, (NOT EXISTS (SELECT 1 FROM takt.live AS n WHERE n.key = d.key)"                \
    " AND NOT EXISTS (SELECT 1 FROM takt.done AS n WHERE n.key = d.key AND n.slot > d.slot)"       \
    " AND NOT EXISTS (SELECT 1 FROM takt.dead AS n WHERE n.key = d.key AND n.slot > d.slot)"       \
    ")::int::int8, {all.d} FROM takt." table                                                       \
    " AS d WHERE d.finished_us <= $2 AND $1::text IS NULL"                                         \
    " AND $4::int8 > 0 ORDER BY d.finished_us, d.slot LIMIT $3 FOR UPDATE OF d"

static const struct {
    const char *sql;
    const char *lock; /* sent before, with $1 */
    PgAnswer answer;
    PgTable table;
} ASKS[] = {
    [ASK_RUNNING_OF] = {"SELECT t.slot, 1::int8, {all.t} FROM takt.lease AS e, takt.live AS t"
                        " WHERE e.worker = $1 AND t.slot = e.slot AND t.state = 3 AND $2::int8 >= 0"
                        " AND $4::int8 > 0 ORDER BY e.deadline_us, t.slot LIMIT $3 FOR UPDATE OF t",
                        NULL, on_rows, TABLE_LIVE},
    [ASK_OVERDUE] = {"SELECT t.slot, 1::int8, {all.t} FROM takt.lease AS e, takt.live AS t"
                     " WHERE e.deadline_us > 0 AND e.deadline_us <= $2 AND t.slot = e.slot"
                     " AND t.state = 3 AND t.deadline_us <= $2 AND $1::text IS NULL"
                     " AND $4::int8 > 0 ORDER BY e.deadline_us, t.slot LIMIT $3 FOR UPDATE OF t",
                     NULL, on_rows, TABLE_LIVE},
    [ASK_EXPIRED] = {"SELECT t.slot, 1::int8, {all.t} FROM takt.live AS t"
                     " WHERE t.expires_us IS NOT NULL AND t.expires_us <= $2 AND t.state = 1"
                     " AND $1::text IS NULL AND $4::int8 > 0"
                     " ORDER BY t.expires_us, t.slot LIMIT $3 FOR UPDATE OF t",
                     NULL, on_rows, TABLE_LIVE},
    [ASK_PRUNABLE] = {PRUNABLE("done"), NULL, on_rows, TABLE_DONE},
    [ASK_PRUNABLE_DEAD] = {PRUNABLE("dead"), NULL, on_rows, TABLE_DEAD},
    [ASK_SESSIONS] = {"SELECT worker, node, info, lease_ms, seen_us, opened_us, closed_us, quick"
                      " FROM takt.session WHERE worker = $1 AND $2::int8 >= 0 AND $4::int8 > 0"
                      " ORDER BY node LIMIT $3 FOR UPDATE",
                      "SELECT pg_advisory_xact_lock(hashtextextended($1, 7239483))", on_sessions,
                      TABLE_LIVE},
    [ASK_READY] = {"SELECT k.key FROM generate_series(9, 1, -1) AS p, LATERAL"
                   " (SELECT key FROM takt.live WHERE queue = $1 AND priority = p AND state = 1"
                   " AND due_us <= $2 AND (expires_us IS NULL OR expires_us > $4)"
                   " ORDER BY due_us LIMIT $3 FOR UPDATE SKIP LOCKED) AS k LIMIT $3",
                   NULL, on_ready, TABLE_LIVE},
    [ASK_NODE] = {"SELECT name, instance, version, info, started_us, seen_us, clock_offset_us,"
                  " draining FROM takt.node WHERE name = $1 AND $2::int8 >= 0 AND $4::int8 > 0"
                  " LIMIT $3 FOR UPDATE",
                  "SELECT pg_advisory_xact_lock(hashtextextended($1, 7239484))", on_node,
                  TABLE_LIVE},
};

void pg_ask(PgWriter *writer, Ask *ask) {
    Batch *batch = writer->batch;
    Asked *asked = arena_new(&batch->arena, Asked);
    *asked = (Asked){batch, ask, ASKS[ask->kind].table};
    cleanup(params_done) PgParams params, lock;
    params_init(&params);
    params_init(&lock);
    bool by_text = ask->kind == ASK_RUNNING_OF || ask->kind == ASK_SESSIONS ||
                   ask->kind == ASK_READY || ask->kind == ASK_NODE;
    params_add_text(&params, by_text ? ask->text : (Str){0});
    params_add_int(&params, ask->until_us);
    /* what the batch knows already does not count */
    size_t known = ask->kind == ASK_READY ? batch->row_count : 0;
    params_add_int(&params, (int64_t)(ask->limit + known));
    params_add_int(&params, batch->now_us);
    if (ASKS[ask->kind].lock) {
        params_add_text(&lock, ask->text);
        pg_query(writer, ASKS[ask->kind].lock, &lock, pg_ignore, NULL);
    }
    pg_query(writer, ASKS[ask->kind].sql, &params, ASKS[ask->kind].answer, asked);
}
