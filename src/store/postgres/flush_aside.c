/* What a batch writes beside its rows: captured output, sessions, settings of queues, revoked tokens, nodes;
 * and, last in the transaction, counts and controls. */
#include "store/postgres/flush.h"

#include "base/time.h"
#include "core/limits.h"

#include <stdlib.h>

#define CONTROLS_KEPT_US (3600 * US_PER_S)

/* ---- sessions, nodes: rows that a batch may lock by name before they are there ---- */

#define LOCK_SESSIONS "SELECT pg_advisory_xact_lock(hashtextextended($1, 7239483))"
#define LOCK_NODE "SELECT pg_advisory_xact_lock(hashtextextended($1, 7239484))"

static void lock_name(PgWriter *writer, const char *sql, Str name) {
    cleanup(params_done) PgParams params;
    params_init(&params);
    params_add_text(&params, name);
    pg_query(writer, sql, &params, pg_ignore, NULL);
}

static void write_session(PgWriter *writer, const SessionWrite *write) {
    const SessionRow *session = &write->session;
    lock_name(writer, LOCK_SESSIONS, session->worker);
    cleanup(params_done) PgParams params;
    params_init(&params);
    params_add_text(&params, session->worker);
    params_add_text(&params, session->node);
    if (write->forget) {
        pg_write(writer, "DELETE FROM takt.session WHERE worker = $1 AND node = $2", &params,
                 pg_ignore, NULL);
        return;
    }
    params_add_text(&params, session->info);
    params_add_int(&params, session->lease_ms);
    params_add_int(&params, session->seen_us);
    params_add_int(&params, session->opened_us);
    params_add_int(&params, session->closed_us);
    params_add_int(&params, session->quick);
    pg_write(writer,
             "INSERT INTO takt.session VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
             " ON CONFLICT (worker, node) DO UPDATE SET info = excluded.info,"
             " lease_ms = excluded.lease_ms, seen_us = excluded.seen_us,"
             " opened_us = excluded.opened_us, closed_us = excluded.closed_us,"
             " quick = excluded.quick",
             &params, pg_ignore, NULL);
}

static void write_node(PgWriter *writer, const NodeWrite *write) {
    const NodeRow *node = &write->node;
    lock_name(writer, LOCK_NODE, node->name);
    cleanup(params_done) PgParams params;
    params_init(&params);
    params_add_text(&params, node->name);
    params_add_text(&params, node->instance);
    if (write->forget) {
        pg_write(writer, "DELETE FROM takt.node WHERE name = $1 AND instance = $2", &params,
                 pg_ignore, NULL);
        return;
    }
    params_add_text(&params, node->version);
    params_add_text(&params, node->info);
    params_add_int(&params, node->started_us);
    params_add_int(&params, writer->batch->now_us);
    params_add_int(&params, node->clock_offset_us);
    params_add_int(&params, node->draining);
    pg_write(writer,
             "INSERT INTO takt.node VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
             " ON CONFLICT (name) DO UPDATE SET instance = excluded.instance,"
             " version = excluded.version, info = excluded.info,"
             " started_us = excluded.started_us, seen_us = excluded.seen_us,"
             " clock_offset_us = excluded.clock_offset_us, draining = excluded.draining",
             &params, pg_ignore, NULL);
}

/* ---- the rest ---- */

/* Of a job the last LIMIT_LOG bytes are kept; the reader cuts a character that was cut here. */
static void write_log(PgWriter *writer, const LogWrite *write) {
    if (write->row->slot == 0 || write->text.len == 0) return; /* deleted in this batch */
    cleanup(params_done) PgParams params;
    params_init(&params);
    params_add_int(&params, slot_number(write->row->slot));
    params_add_bytes(&params, write->text);
    params_add_int(&params, LIMIT_LOG);
    pg_write(writer,
             "INSERT INTO takt.log AS l VALUES ($1, substring($2::bytea FROM"
             " greatest(1, length($2::bytea) - $3 + 1)::int))"
             " ON CONFLICT (slot) DO UPDATE SET text = substring(l.text || excluded.text FROM"
             " greatest(1, length(l.text) + length(excluded.text) - $3 + 1)::int)",
             &params, pg_ignore, NULL);
}

static void write_pair(PgWriter *writer, const char *sql, Str name, int64_t value) {
    cleanup(params_done) PgParams params;
    params_init(&params);
    params_add_text(&params, name);
    params_add_int(&params, value);
    pg_write(writer, sql, &params, pg_ignore, NULL);
}

static void write_number(PgWriter *writer, const char *sql, int64_t number) {
    cleanup(params_done) PgParams params;
    params_init(&params);
    params_add_int(&params, number);
    pg_write(writer, sql, &params, pg_ignore, NULL);
}

void pg_flush_aside(PgWriter *writer) {
    Batch *batch = writer->batch;
    for (LogWrite *write = batch->logs; write; write = write->next) {
        write_log(writer, write);
    }
    batch->logs = NULL;
    for (SessionWrite *write = batch->sessions; write; write = write->next) {
        write_session(writer, write);
    }
    batch->sessions = NULL;
    for (QueueWrite *write = batch->queues; write; write = write->next) {
        write_pair(writer,
                   "INSERT INTO takt.queue VALUES ($1, $2)"
                   " ON CONFLICT (name) DO UPDATE SET paused = excluded.paused",
                   write->queue, write->paused);
    }
    batch->queues = NULL;
    for (NodeWrite *write = batch->nodes; write; write = write->next) {
        write_node(writer, write);
    }
    batch->nodes = NULL;
    if (batch->tokens) {
        write_number(writer, "DELETE FROM takt.token WHERE until_us <= $1", batch->now_us);
    }
    for (TokenWrite *write = batch->tokens; write; write = write->next) {
        write_pair(writer,
                   "INSERT INTO takt.token VALUES ($1, $2)"
                   " ON CONFLICT (token_id) DO UPDATE SET until_us = excluded.until_us",
                   write->token_id, write->until_us);
    }
    batch->tokens = NULL;
}

/* A revoked token stays revoked; nodes and what they are to hear of are no jobs. */
void pg_flush_wipe(PgWriter *writer) {
    pg_write(writer,
             "TRUNCATE takt.live, takt.lease, takt.done, takt.dead, takt.log, takt.queue,"
             " takt.count, takt.session",
             NULL, pg_ignore, NULL);
}

/* ---- counts ---- */

/* What became due since the frontier was last moved; $1 shard, $2 from, $3 to. The lock of the transaction
 * (write.c) keeps every other batch out meanwhile, since they count relative to it. */
static const char FRONTIER[] =
    "WITH RECURSIVE q(queue) AS ((SELECT queue FROM takt.live ORDER BY queue LIMIT 1)"
    " UNION ALL SELECT (SELECT l.queue FROM takt.live AS l WHERE l.queue > q.queue"
    " ORDER BY l.queue LIMIT 1) FROM q WHERE q.queue IS NOT NULL),"
    " due AS (SELECT q.queue, l.failures > 0 AS retrying, count(*) AS n"
    " FROM q, generate_series(1, 9) AS p, LATERAL (SELECT t.failures FROM takt.live AS t"
    " WHERE t.queue = q.queue AND t.priority = p AND t.due_us > $2 AND t.due_us <= $3"
    " AND t.state = 1) AS l WHERE q.queue IS NOT NULL GROUP BY 1, 2)"
    " INSERT INTO takt.count AS c (shard, queue, status, n)"
    " SELECT $1, queue, status, n FROM (SELECT queue, CASE WHEN retrying THEN %d ELSE %d END"
    " AS status, -n AS n FROM due UNION ALL SELECT queue, %d, sum(n)::int8 FROM due GROUP BY queue)"
    " AS d ORDER BY queue, status"
    " ON CONFLICT (queue, status, shard) DO UPDATE SET n = c.n + excluded.n";

static void move_frontier(PgWriter *writer) {
    const Batch *batch = writer->batch;
    char text[2048];
    snprintf(text, sizeof text, FRONTIER, STATUS_RETRYING, STATUS_SCHEDULED, STATUS_PENDING);
    cleanup(params_done) PgParams params;
    params_init(&params);
    params_add_int(&params, writer->shard);
    params_add_int(&params, batch->frontier_us);
    params_add_int(&params, batch->count_to_us);
    pg_write(writer, text, &params, pg_ignore, NULL);
    write_number(writer, "UPDATE takt.meta SET value = $1::int8::text WHERE name = 'frontier'",
                 batch->count_to_us);
}

static int by_queue(const void *a, const void *b) {
    return str_compare((*(CountDelta *const *)a)->queue, (*(CountDelta *const *)b)->queue);
}

void pg_flush_count(PgWriter *writer) {
    Batch *batch = writer->batch;
    CountDelta **deltas = arena_zero(&batch->arena, batch->counts.count + 1, sizeof(CountDelta *));
    size_t count = 0, at = 0;
    while ((deltas[count] = map_next(&batch->counts, &at)))
        count++;
    if (count > 1) qsort(deltas, count, sizeof(CountDelta *), by_queue);
    cleanup(params_done) PgParams params;
    params_init(&params);
    params_add_int(&params, writer->shard);
    PgParam *queues = params_add_array(&params, PG_TEXT);
    PgParam *statuses = params_add_array(&params, PG_INT8);
    PgParam *numbers = params_add_array(&params, PG_INT8);
    for (size_t i = 0; i < count; i++) {
        for (JobStatus status = 0; status < STATUS_COUNT; status++) {
            if (deltas[i]->by[status] == 0) continue;
            array_add_text(queues, deltas[i]->queue);
            array_add_int(statuses, status);
            array_add_int(numbers, deltas[i]->by[status]);
        }
    }
    if (queues->elements > 0) {
        pg_write(writer,
                 "INSERT INTO takt.count AS c (shard, queue, status, n) SELECT $1, u.q, u.s, u.n"
                 " FROM unnest($2::text[], $3::int8[], $4::int8[]) AS u(q, s, n)"
                 " ON CONFLICT (queue, status, shard) DO UPDATE SET n = c.n + excluded.n",
                 &params, pg_ignore, NULL);
    }
    if (writer->exclusive && batch->count_to_us > batch->frontier_us) move_frontier(writer);
}

/* ---- controls ---- */

/* Their counter is locked last, until the commit: the order of the numbers is that of the commits. */
void pg_flush_controls(PgWriter *writer) {
    Batch *batch = writer->batch;
    if (!batch->controls) return;
    write_number(writer, "DELETE FROM takt.control WHERE at_us <= $1",
                 batch->now_us - CONTROLS_KEPT_US);
    cleanup(params_done) PgParams params;
    params_init(&params);
    PgParam *kinds = params_add_array(&params, PG_INT8);
    PgParam *nodes = params_add_array(&params, PG_TEXT);
    PgParam *subjects = params_add_array(&params, PG_TEXT);
    PgParam *details = params_add_array(&params, PG_TEXT);
    PgParam *untils = params_add_array(&params, PG_INT8);
    for (ControlWrite *write = batch->controls; write; write = write->next) {
        array_add_int(kinds, write->control.kind);
        array_add_text(nodes, write->control.node);
        array_add_text(subjects, write->control.subject);
        array_add_text(details, write->control.detail);
        array_add_int(untils, write->control.until_us);
    }
    int64_t count = kinds->elements;
    params_add_int(&params, count);
    params_add_int(&params, batch->now_us);
    pg_write(writer,
             "WITH c AS (UPDATE takt.counter SET value = value + $6 WHERE name = 'control'"
             " RETURNING value) INSERT INTO takt.control"
             " SELECT c.value - $6 + u.ord, u.kind, u.node, u.subject, u.detail, u.until_us, $7"
             " FROM c, unnest($1::int8[], $2::text[], $3::text[], $4::text[], $5::int8[])"
             " WITH ORDINALITY AS u(kind, node, subject, detail, until_us, ord)",
             &params, pg_ignore, NULL);
    batch->controls = NULL;
}
