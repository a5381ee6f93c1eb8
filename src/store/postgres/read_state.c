/* What the window is filled from, queues with their counts, sessions, nodes, and what a node asks every
 * second. Nothing here counts jobs one by one but those that became due since the counted frontier was last
 * moved. */
#include "store/postgres/read.h"

#include "core/order.h"

#include <stdio.h>

enum { PRIORITY_TOP = 9 };

/* ---- hints ---- */

/* The page ends between two scores (or dues), never inside one: then the last is a place to go on from. */
static Err on_hints(void *context, const PGresult *result, Error *error) {
    Query *query = context;
    (void)error;
    query->count = (size_t)PQntuples(result);
    query->hints = arena_zero(&query->arena, query->count + 1, sizeof(Hint));
    for (size_t i = 0; i < query->count; i++) {
        Hint *hint = &query->hints[i];
        hint->key = value_key(result, (int)i, 0);
        hint->due_us = value_int(result, (int)i, 2);
        hint->score = order_score(value_int(result, (int)i, 1), hint->due_us);
        query->more = value_int(result, (int)i, 3) != 0;
    }
    return OK;
}

/* $1 queue, $2 the highest priority that is left, $3 behind which due of it, $4 until, $5 how many */
static const char READY[] =
    "WITH page AS MATERIALIZED (SELECT k.key, p, k.due_us"
    " FROM generate_series($2::int, 1, -1) AS p, LATERAL (SELECT key, due_us FROM takt.live"
    " WHERE queue = $1 AND priority = p AND state = 1"
    " AND due_us > CASE WHEN p = $2::int THEN $3 ELSE -1 END AND due_us <= $4"
    " ORDER BY due_us FETCH FIRST $5 ROWS WITH TIES) AS k"
    " ORDER BY p DESC, k.due_us FETCH FIRST $5 ROWS WITH TIES),"
    " behind AS MATERIALIZED (SELECT EXISTS (SELECT 1 FROM generate_series(e.p, 1, -1) AS q, "
    "LATERAL"
    " (SELECT 1 FROM takt.live WHERE queue = $1 AND priority = q AND state = 1"
    " AND due_us > CASE WHEN q = e.p THEN e.due_us ELSE -1 END AND due_us <= $4 LIMIT 1) AS k)"
    " AS more FROM (SELECT p, due_us FROM page ORDER BY p, due_us DESC LIMIT 1) AS e)"
    " SELECT key, p::int8, due_us, more::int::int8 FROM page, behind ORDER BY p DESC, due_us, key";

/* $1 queue, $2 behind which due, $3 how many */
static const char DELAYED[] =
    "WITH page AS MATERIALIZED (SELECT k.key, p, k.due_us"
    " FROM generate_series(9, 1, -1) AS p, LATERAL (SELECT key, due_us FROM takt.live"
    " WHERE queue = $1 AND priority = p AND state = 1 AND due_us > $2"
    " ORDER BY due_us FETCH FIRST $3 ROWS WITH TIES) AS k"
    " ORDER BY k.due_us FETCH FIRST $3 ROWS WITH TIES),"
    " behind AS MATERIALIZED (SELECT EXISTS (SELECT 1 FROM generate_series(9, 1, -1) AS q, LATERAL"
    " (SELECT 1 FROM takt.live WHERE queue = $1 AND priority = q AND state = 1"
    " AND due_us > (SELECT max(due_us) FROM page) LIMIT 1) AS k) AS more)"
    " SELECT key, p::int8, due_us, more::int::int8 FROM page, behind ORDER BY due_us, p DESC, key";

static void send_ready(PgConnection *connection, Query *query) {
    int64_t priority = order_priority(query->after);
    int64_t after_us = order_due_us(query->after);
    if (priority > PRIORITY_TOP) {
        priority = PRIORITY_TOP;
        after_us = -1;
    }
    cleanup(params_done) PgParams params;
    params_init(&params);
    params_add_text(&params, query->queue);
    params_add_int(&params, priority < 0 ? 0 : priority);
    params_add_int(&params, after_us);
    params_add_int(&params, query->until_us);
    params_add_int(&params, (int64_t)query->limit);
    pg_send(connection, READY, &params, on_hints, query);
}

static void send_delayed(PgConnection *connection, Query *query) {
    cleanup(params_done) PgParams params;
    params_init(&params);
    params_add_text(&params, query->queue);
    params_add_int(&params, query->after);
    params_add_int(&params, (int64_t)query->limit);
    pg_send(connection, DELAYED, &params, on_hints, query);
}

/* ---- queues ---- */

static QueueInfo *queue_of(Query *query, Str name) {
    for (size_t i = 0; i < query->count; i++) {
        if (str_eq(query->queues[i].name, name)) return &query->queues[i];
    }
    return NULL;
}

/* Sorted by queue: a row per status, and one with status -1 per setting. */
static Err on_counts(void *context, const PGresult *result, Error *error) {
    Query *query = context;
    (void)error;
    query->queues = arena_zero(&query->arena, (size_t)PQntuples(result) + 1, sizeof(QueueInfo));
    for (int i = 0; i < PQntuples(result); i++) {
        Str name = value_text(result, i, 0);
        if (query->count == 0 || !str_eq(query->queues[query->count - 1].name, name)) {
            query->queues[query->count++].name = arena_str(&query->arena, name);
        }
        QueueInfo *queue = &query->queues[query->count - 1];
        int64_t status = value_int(result, i, 1);
        if (status >= 0 && status < STATUS_COUNT) {
            queue->counts[status] = value_int(result, i, 2);
        } else {
            queue->paused = value_int(result, i, 2) != 0;
        }
    }
    return OK;
}

static Err on_due(void *context, const PGresult *result, Error *error) {
    Query *query = context;
    (void)error;
    for (int i = 0; i < PQntuples(result); i++) {
        QueueInfo *queue = queue_of(query, value_text(result, i, 0));
        if (!queue) continue;
        JobStatus from = value_int(result, i, 1) ? STATUS_RETRYING : STATUS_SCHEDULED;
        queue->counts[from] -= value_int(result, i, 2);
        queue->counts[STATUS_PENDING] += value_int(result, i, 2);
    }
    return OK;
}

static Err on_oldest(void *context, const PGresult *result, Error *error) {
    Query *query = context;
    (void)error;
    for (int i = 0; i < PQntuples(result); i++) {
        QueueInfo *queue = queue_of(query, value_text(result, i, 0));
        if (queue) queue->oldest_pending_us = value_int(result, i, 1);
    }
    return OK;
}

/* The names of queues with live jobs, one look into the index each. */
#define LIVE_QUEUES                                                                                \
    "WITH RECURSIVE q(queue) AS ((SELECT queue FROM takt.live ORDER BY queue LIMIT 1)"             \
    " UNION ALL SELECT (SELECT l.queue FROM takt.live AS l WHERE l.queue > q.queue"                \
    " ORDER BY l.queue LIMIT 1) FROM q WHERE q.queue IS NOT NULL) "

static void send_queues(PgConnection *connection, Query *query) {
    pg_send(connection,
            "SELECT queue, status, sum(n)::int8 FROM takt.count GROUP BY queue, status"
            " HAVING sum(n) <> 0 UNION ALL SELECT name, -1, paused FROM takt.queue ORDER BY 1, 2",
            NULL, on_counts, query);
    cleanup(params_done) PgParams params;
    params_init(&params);
    params_add_int(&params, query->until_us);
    pg_send(connection,
            LIVE_QUEUES
            "SELECT q.queue, (l.failures > 0)::int::int8, count(*) FROM q,"
            " (SELECT value::int8 AS us FROM takt.meta WHERE name = 'frontier') AS f,"
            " generate_series(1, 9) AS p, LATERAL (SELECT t.failures FROM takt.live AS t"
            " WHERE t.queue = q.queue AND t.priority = p AND t.due_us > f.us AND t.due_us <= $1"
            " AND t.state = 1) AS l WHERE q.queue IS NOT NULL GROUP BY 1, 2",
            &params, on_due, query);
    pg_send(connection,
            LIVE_QUEUES
            "SELECT q.queue, min(l.due_us) FROM q, generate_series(1, 9) AS p, LATERAL"
            " (SELECT t.due_us FROM takt.live AS t WHERE t.queue = q.queue AND t.priority = p"
            " AND t.state = 1 AND t.due_us <= $1 ORDER BY t.due_us LIMIT 1) AS l"
            " WHERE q.queue IS NOT NULL GROUP BY 1",
            &params, on_oldest, query);
}

static Err on_names(void *context, const PGresult *result, Error *error) {
    Query *query = context;
    (void)error;
    query->count = (size_t)PQntuples(result);
    query->queues = arena_zero(&query->arena, query->count + 1, sizeof(QueueInfo));
    for (size_t i = 0; i < query->count; i++) {
        query->queues[i].name = arena_str(&query->arena, value_text(result, (int)i, 0));
        query->queues[i].paused = query->kind != QUERY_WAITING_QUEUES;
    }
    return OK;
}

/* ---- sessions, tokens, nodes ---- */

static Err on_sessions(void *context, const PGresult *result, Error *error) {
    Query *query = context;
    (void)error;
    query->count = (size_t)PQntuples(result);
    query->sessions = arena_zero(&query->arena, query->count + 1, sizeof(SessionRow));
    for (size_t i = 0; i < query->count; i++) {
        pg_session_read(result, (int)i, &query->arena, &query->sessions[i]);
    }
    return OK;
}

static Err on_tokens(void *context, const PGresult *result, Error *error) {
    Query *query = context;
    (void)error;
    query->count = (size_t)PQntuples(result);
    query->tokens = arena_zero(&query->arena, query->count + 1, sizeof *query->tokens);
    for (size_t i = 0; i < query->count; i++) {
        query->tokens[i].token_id = arena_str(&query->arena, value_text(result, (int)i, 0));
        query->tokens[i].until_us = value_int(result, (int)i, 1);
    }
    return OK;
}

static Err on_nodes(void *context, const PGresult *result, Error *error) {
    Query *query = context;
    (void)error;
    query->count = (size_t)PQntuples(result);
    query->nodes = arena_zero(&query->arena, query->count + 1, sizeof(NodeRow));
    for (size_t i = 0; i < query->count; i++) {
        pg_node_read(result, (int)i, 0, &query->arena, &query->nodes[i]);
    }
    return OK;
}

/* ---- the look ---- */

static Err on_next(void *context, const PGresult *result, Error *error) {
    Query *query = context;
    (void)error;
    query->next_deadline_us = value_int(result, 0, 0);
    query->next_expiry_us = value_int(result, 0, 1);
    query->next_finished_us = value_int(result, 0, 2);
    query->next_dead_us = value_int(result, 0, 3);
    query->oldest_seen_us = value_int(result, 0, 4);
    query->timeline = value_int(result, 0, 5);
    query->store_us = value_int(result, 0, 6);
    return OK;
}

static void send_next(PgConnection *connection, Query *query) {
    pg_send(
        connection,
        "SELECT (SELECT deadline_us FROM takt.lease WHERE deadline_us > 0 ORDER BY deadline_us"
        " LIMIT 1), (SELECT expires_us FROM takt.live WHERE expires_us IS NOT NULL AND state = 1"
        " ORDER BY expires_us LIMIT 1),"
        " (SELECT finished_us FROM takt.done ORDER BY finished_us LIMIT 1),"
        " (SELECT finished_us FROM takt.dead ORDER BY finished_us LIMIT 1),"
        " (SELECT min(seen_us) FROM takt.session),"
        " ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int8,"
        " (extract(epoch FROM clock_timestamp()) * 1000000)::int8",
        NULL, on_next, query);
    pg_send(connection, "SELECT name FROM takt.queue WHERE paused = 1 ORDER BY name", NULL,
            on_names, query);
}

static Err on_beat(void *context, const PGresult *result, Error *error) {
    Query *query = context;
    (void)error;
    query->node_known = PQntuples(result) == 1;
    return OK;
}

/* The newest number and the rows are of one snapshot. */
static Err on_controls(void *context, const PGresult *result, Error *error) {
    Query *query = context;
    (void)error;
    query->controls = arena_zero(&query->arena, (size_t)PQntuples(result) + 1, sizeof(ControlRow));
    for (int i = 0; i < PQntuples(result); i++) {
        query->last_control = value_int(result, i, 0);
        if (PQgetisnull(result, i, 1)) continue;
        query->more = query->control_count == query->limit;
        if (query->more) break;
        query->controls[query->control_count++] = (ControlRow){
            .number = value_int(result, i, 1),
            .kind = (ControlKind)value_int(result, i, 2),
            .node = arena_str(&query->arena, value_text(result, i, 3)),
            .subject = arena_str(&query->arena, value_text(result, i, 4)),
            .detail = arena_str(&query->arena, value_text(result, i, 5)),
            .until_us = value_int(result, i, 6),
            .at_us = value_int(result, i, 7),
        };
    }
    return OK;
}

static Err on_finished(void *context, const PGresult *result, Error *error) {
    Query *query = context;
    (void)error;
    query->finished = arena_zero(&query->arena, (size_t)PQntuples(result) + 1, sizeof(JobKey));
    for (int i = 0; i < PQntuples(result); i++) {
        query->finished[query->finished_count++] = value_key(result, i, 0);
    }
    return OK;
}

static void send_beat(PgConnection *connection, Query *query) {
    if (!query->node.ptr) return;
    cleanup(params_done) PgParams params;
    params_init(&params);
    params_add_text(&params, query->node);
    params_add_text(&params, query->node_instance);
    params_add_int(&params, query->now_us);
    params_add_int(&params, query->clock_offset_us);
    pg_send(connection,
            "UPDATE takt.node SET seen_us = $3, clock_offset_us = $4"
            " WHERE name = $1 AND instance = $2 RETURNING 1::int8",
            &params, on_beat, query);
}

static void send_controls(PgConnection *connection, Query *query) {
    cleanup(params_done) PgParams params;
    params_init(&params);
    params_add_int(&params, query->after);
    params_add_int(&params, (int64_t)query->limit + 1);
    pg_send(
        connection,
        "SELECT n.value, c.* FROM takt.counter AS n LEFT JOIN LATERAL (SELECT number, kind, node,"
        " subject, detail, until_us, at_us FROM takt.control WHERE number > $1"
        " ORDER BY number LIMIT $2) AS c ON true WHERE n.name = 'control' ORDER BY c.number",
        &params, on_controls, query);
}

static void send_finished(PgConnection *connection, Query *query) {
    if (query->key_count == 0) return;
    cleanup(params_done) PgParams params;
    params_init(&params);
    PgParam *keys = params_add_array(&params, PG_UUID);
    for (size_t i = 0; i < query->key_count; i++) {
        array_add_key(keys, &query->keys[i]);
    }
    pg_send(connection,
            "SELECT k FROM unnest($1::uuid[]) AS u(k)"
            " WHERE NOT EXISTS (SELECT 1 FROM takt.live WHERE key = u.k)"
            " AND (EXISTS (SELECT 1 FROM takt.done WHERE key = u.k)"
            " OR EXISTS (SELECT 1 FROM takt.dead WHERE key = u.k))",
            &params, on_finished, query);
}

Err pg_read_state(PgConnection *connection, Query *query, Error *error) {
    cleanup(params_done) PgParams params;
    params_init(&params);
    switch (query->kind) {
    case QUERY_READY: send_ready(connection, query); break;
    case QUERY_DELAYED: send_delayed(connection, query); break;
    case QUERY_QUEUES: send_queues(connection, query); break;
    case QUERY_WAITING_QUEUES:
        pg_send(connection,
                LIVE_QUEUES
                "SELECT q.queue FROM q WHERE q.queue IS NOT NULL AND EXISTS"
                " (SELECT 1 FROM takt.live AS t WHERE t.queue = q.queue AND t.state = 1)"
                " ORDER BY 1",
                NULL, on_names, query);
        break;
    case QUERY_SESSIONS:
        pg_send(connection,
                "SELECT worker, node, info, lease_ms, seen_us, opened_us, closed_us, quick"
                " FROM takt.session ORDER BY worker, node",
                NULL, on_sessions, query);
        break;
    case QUERY_REVOKED:
        params_add_int(&params, query->now_us);
        pg_send(connection,
                "SELECT token_id, until_us FROM takt.token WHERE until_us > $1 ORDER BY token_id",
                &params, on_tokens, query);
        break;
    case QUERY_NODES:
        pg_send(connection,
                "SELECT name, instance, version, info, started_us, seen_us, clock_offset_us,"
                " draining FROM takt.node ORDER BY name",
                NULL, on_nodes, query);
        break;
    case QUERY_NEXT: send_next(connection, query); break;
    case QUERY_EVERY:
        send_beat(connection, query);
        send_next(connection, query);
        send_controls(connection, query);
        send_finished(connection, query);
        break;
    default: return error_set(error, ERR_INTERNAL, "a query of no known kind");
    }
    return OK;
}
