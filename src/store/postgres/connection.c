/* See connection.h. The life of a connection: connecting (libpq's own steps), greeting (who is it, is it a
 * primary, is it the store that was there before), ready; lost, and after a pause again from the start. */
#include "store/postgres/connection.h"

#include "base/alloc.h"
#include "base/time.h"
#include "net/loop.h"
#include "store/postgres/schema.h"

#include <endian.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_MOST_US (5 * US_PER_S)
#define AGAIN_LEAST_US (US_PER_S / 20)
#define AGAIN_MOST_US US_PER_S

typedef enum State {
    STATE_AWAY,
    STATE_CONNECTING,
    STATE_GREETING,
    STATE_READY,
    STATE_REFUSED
} State;

typedef struct Call {
    ListNode node;
    PgAnswer answer; /* NULL: the sync */
    void *context;
} Call;

struct PgConnection {
    PgOptions options;
    Loop *loop;
    PGconn *conn;
    struct event *readable, *writable;
    State state;
    List calls; /* of the group under way */
    bool synced;
    PgDone done;
    void *context;
    PgEnd end;
    bool in_failed_transaction;
    LoopTimer timer; /* the deadline of what is under way, or the next try */
    int64_t again_us;
    int64_t since_us;
    int64_t asked_us; /* when the greeting was sent: for the clock */
    Error why;        /* it is away, or refused */
    bool told_ready;
};

static void connect_now(PgConnection *connection);
static void advance(PgConnection *connection);

/* ---- errors ---- */

static bool starts_with(const char *state, const char *prefix) {
    return strncmp(state, prefix, strlen(prefix)) == 0;
}

/* The first line; the rest are hints and positions. Never holds the password: libpq does not print it. */
static Str first_line(const char *message) {
    Str rest = str_from(message ? message : "");
    return str_trim(str_split(&rest, '\n'));
}

Err pg_error(const char *state, const char *message, Error *error) {
    Str line = first_line(message);
    if (starts_with(state, "53100")) {
        return error_code(error, ERR_UNAVAILABLE, "store-full",
                          "the store's disk is full: " STR_FMT, STR_ARG(line));
    }
    static const char *const away[] = {"08", "53", "57", "58", "25006", "55P03", "40"};
    for (size_t i = 0; i < LENGTH(away); i++) {
        if (!starts_with(state, away[i])) continue;
        return error_code(error, ERR_UNAVAILABLE, "store-unavailable",
                          "PostgreSQL can't take it now: " STR_FMT, STR_ARG(line));
    }
    return error_code(error, ERR_INTERNAL, "store-failed", "PostgreSQL refused it (%s): " STR_FMT,
                      state, STR_ARG(line));
}

Err pg_ignore(void *context, const PGresult *result, Error *error) {
    (void)context, (void)result, (void)error;
    return OK;
}

/* ---- turning ---- */

static void turn(PgConnection *connection, State state) {
    bool was = connection->state == STATE_READY;
    connection->state = state;
    bool is = state == STATE_READY;
    if (is) connection->since_us = connection->options.io->now_us(connection->options.io->context);
    if (was != is && connection->options.turned) {
        connection->options.turned(connection->options.context);
    }
}

static void drop(PgConnection *connection) {
    if (connection->readable) event_free(connection->readable);
    if (connection->writable) event_free(connection->writable);
    connection->readable = connection->writable = NULL;
    if (connection->conn) PQfinish(connection->conn);
    connection->conn = NULL;
    ListNode *node;
    while ((node = list_pop(&connection->calls))) {
        free(container_of(node, Call, node));
    }
}

/* Whoever waits for the group is told that it is lost. */
static void lose(PgConnection *connection) {
    drop(connection);
    PgDone done = connection->done;
    connection->done = NULL;
    connection->synced = false;
    connection->in_failed_transaction = false;
    loop_timer_after(&connection->timer, connection->again_us);
    connection->again_us *= 2;
    if (connection->again_us > AGAIN_MOST_US) connection->again_us = AGAIN_MOST_US;
    turn(connection, STATE_AWAY);
    if (!done) return;
    PgEnd end = {.outcome = PG_LOST, .error = connection->why};
    done(connection->context, &end);
}

static void lost(PgConnection *connection, const char *what, const char *message) {
    Str line = first_line(message);
    error_code(&connection->why, ERR_UNAVAILABLE, "store-unavailable", "%s" STR_FMT, what,
               STR_ARG(line));
    lose(connection);
}

void pg_break(PgConnection *connection, const char *why) {
    if (connection->state == STATE_AWAY || connection->state == STATE_REFUSED) return;
    lost(connection, "", why);
}

void pg_hurry(PgConnection *connection) {
    if (connection->state == STATE_AWAY) loop_timer_after(&connection->timer, 0);
}

/* It is not what it should be, and waiting does not help. */
static void refuse(PgConnection *connection, const Error *error) {
    drop(connection);
    loop_timer_cancel(&connection->timer);
    connection->why = *error;
    turn(connection, STATE_REFUSED);
}

/* ---- events ---- */

static void on_event(evutil_socket_t fd, short what, void *context) {
    (void)fd, (void)what;
    advance(context);
}

static void watch(PgConnection *connection, bool write) {
    struct event_base *base = loop_base(connection->loop);
    int fd = PQsocket(connection->conn);
    if (connection->readable && event_get_fd(connection->readable) != fd) {
        event_free(connection->readable);
        event_free(connection->writable);
        connection->readable = connection->writable = NULL;
    }
    if (!connection->readable) {
        connection->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_event, connection);
        connection->writable = event_new(base, fd, EV_WRITE, on_event, connection);
        check(connection->readable && connection->writable);
        event_add(connection->readable, NULL);
    }
    if (write) event_add(connection->writable, NULL);
}

static void flush(PgConnection *connection) {
    int rc = PQflush(connection->conn);
    if (rc < 0) {
        lost(connection, "sending to PostgreSQL: ", PQerrorMessage(connection->conn));
    } else {
        watch(connection, rc == 1);
    }
}

/* ---- groups ---- */

static void on_notice(void *context, const PGresult *result) {
    PgConnection *connection = context;
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    /* "canceling wait for synchronous replication": it is committed here, and perhaps nowhere else */
    if (state && strcmp(state, "01000") == 0 && connection->synced) {
        connection->end.sync_cancelled = true;
    }
}

static void add_call(PgConnection *connection, PgAnswer answer, void *context) {
    Call *call = alloc(sizeof *call);
    *call = (Call){.answer = answer, .context = context};
    list_append(&connection->calls, &call->node);
}

static void send_statement(PgConnection *connection, const char *sql, PgParams *params,
                           PgAnswer answer, void *context) {
    Oid types[PARAMS_MOST];
    const char *values[PARAMS_MOST];
    int lengths[PARAMS_MOST], formats[PARAMS_MOST];
    size_t count = params ? params->count : 0;
    if (params) params_seal(params);
    for (size_t i = 0; i < count; i++) {
        PgParam *param = &params->at[i];
        types[i] = param_type(param);
        values[i] = param->null ? NULL : buf_cstr(&param->bytes);
        lengths[i] = (int)param->bytes.len;
        formats[i] = 1;
    }
    add_call(connection, answer, context);
    /* a failure is of the connection, and comes again at the sync */
    (void)PQsendQueryParams(connection->conn, sql, (int)count, types, values, lengths, formats, 1);
}

static bool is_usable(const PgConnection *connection) {
    return connection->state == STATE_READY || connection->state == STATE_GREETING;
}

static void roll_back_first(PgConnection *connection) {
    if (!connection->in_failed_transaction || !list_is_empty(&connection->calls)) return;
    connection->in_failed_transaction = false;
    send_statement(connection, "ROLLBACK", NULL, pg_ignore, NULL);
}

void pg_send(PgConnection *connection, const char *sql, PgParams *params, PgAnswer answer,
             void *context) {
    check(!connection->synced);
    if (!is_usable(connection)) return; /* the sync tells */
    roll_back_first(connection);
    send_statement(connection, sql, params, answer, context);
}

static void on_lost_at_once(void *context) {
    PgConnection *connection = context;
    PgDone done = connection->done;
    if (!done || is_usable(connection)) return;
    connection->done = NULL;
    PgEnd end = {.outcome = PG_LOST, .error = connection->why};
    done(connection->context, &end);
}

void pg_sync(PgConnection *connection, int64_t deadline_us, PgDone done, void *context) {
    check(!connection->synced && !connection->done);
    connection->done = done;
    connection->context = context;
    connection->end = (PgEnd){0};
    if (!is_usable(connection)) {
        const StoreIo *io = connection->options.io;
        io->post(io->context, on_lost_at_once, connection);
        return;
    }
    connection->synced = true;
    add_call(connection, NULL, NULL);
    if (PQpipelineSync(connection->conn) != 1) {
        /* told by the event, never from inside the call */
        event_active(connection->readable, EV_READ, 0);
        return;
    }
    loop_timer_after(&connection->timer, deadline_us);
    int rc = PQflush(connection->conn);
    watch(connection, rc == 1);
    if (rc < 0) event_active(connection->readable, EV_READ, 0);
}

static void fail_group(PgConnection *connection, const char *state, const Error *error) {
    if (connection->end.outcome != PG_DONE) return;
    connection->end.outcome = PG_FAILED;
    connection->end.error = *error;
    snprintf(connection->end.state, sizeof connection->end.state, "%s", state);
}

static void take_result(PgConnection *connection, const PGresult *result) {
    Call *call = container_of(list_first(&connection->calls), Call, node);
    Error error = {0};
    switch (PQresultStatus(result)) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
        if (connection->end.outcome != PG_DONE || !call->answer) return;
        if (call->answer(call->context, result, &error) != OK) fail_group(connection, "", &error);
        return;
    case PGRES_PIPELINE_ABORTED: return;
    default: {
        const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
        if (!state) state = "08006";
        pg_error(state, PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY), &error);
        fail_group(connection, state, &error);
    }
    }
}

static void group_done(PgConnection *connection) {
    loop_timer_cancel(&connection->timer);
    connection->synced = false;
    connection->in_failed_transaction = PQtransactionStatus(connection->conn) == PQTRANS_INERROR ||
                                        connection->end.outcome == PG_FAILED;
    PgDone done = connection->done;
    connection->done = NULL;
    PgEnd end = connection->end;
    done(connection->context, &end);
}

/* Takes what has come. A statement's result is followed by NULL, a sync's is not. */
static void read_results(PgConnection *connection) {
    while (connection->conn && connection->synced && !PQisBusy(connection->conn)) {
        PGresult *result = PQgetResult(connection->conn);
        ListNode *node = list_first(&connection->calls);
        if (!node) {
            if (result) PQclear(result);
            return;
        }
        if (!result) {
            if (PQstatus(connection->conn) == CONNECTION_BAD) return;
            free(container_of(list_pop(&connection->calls), Call, node));
            continue;
        }
        bool sync = PQresultStatus(result) == PGRES_PIPELINE_SYNC;
        if (!sync) take_result(connection, result);
        PQclear(result);
        if (sync) {
            free(container_of(list_pop(&connection->calls), Call, node));
            group_done(connection);
        }
    }
}

/* ---- greeting ---- */

/* The clock first: the less lies between its reading and the answer, the better. */
static const char GREETING[] =
    "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::int8,"
    " pg_is_in_recovery()::int::int8, (current_setting('transaction_read_only') = 'on')::int::int8,"
    " CASE WHEN pg_is_in_recovery() THEN 0 ELSE"
    " ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int8 END";

static int64_t field(const PGresult *result, int column) {
    uint64_t wire = 0;
    if (PQgetisnull(result, 0, column) || PQgetlength(result, 0, column) != sizeof wire) return 0;
    memcpy(&wire, PQgetvalue(result, 0, column), sizeof wire);
    return (int64_t)be64toh(wire);
}

static Err on_greeting(void *context, const PGresult *result, Error *error) {
    PgConnection *connection = context;
    const PgOptions *options = &connection->options;
    if (options->io->clock) {
        int64_t took_us = loop_now_us(connection->loop) - connection->asked_us;
        options->io->clock(options->io->context, field(result, 0), took_us);
    }
    if (field(result, 1) || field(result, 2)) {
        return error_code(error, ERR_UNAVAILABLE, "store-unavailable",
                          "PostgreSQL is read-only there (a standby, or set so): Takt needs the "
                          "primary");
    }
    int64_t timeline = field(result, 3);
    if (timeline < options->truth->timeline) {
        return error_code(error, ERR_UNAVAILABLE, "store-unavailable",
                          "PostgreSQL is an old primary there: its timeline is %lld, and %lld was "
                          "seen before",
                          (long long)timeline, (long long)options->truth->timeline);
    }
    options->truth->timeline = timeline;
    return OK;
}

static Err on_store_id(void *context, const PGresult *result, Error *error) {
    PgConnection *connection = context;
    PgTruth *truth = connection->options.truth;
    bool found = PQntuples(result) == 1;
    const char *id = found ? PQgetvalue(result, 0, 0) : "";
    if (truth->store_id[0] && strcmp(truth->store_id, id) != 0) {
        return error_code(error, ERR_UNAVAILABLE, "store-unavailable",
                          "another store is there than before");
    }
    snprintf(truth->store_id, sizeof truth->store_id, "%s", id);
    snprintf(truth->secret, sizeof truth->secret, "%s", found ? PQgetvalue(result, 0, 1) : "");
    return OK;
}

static void greeted(void *context, const PgEnd *end) {
    PgConnection *connection = context;
    if (end->outcome == PG_LOST) return;
    if (end->outcome == PG_DONE) {
        connection->again_us = AGAIN_LEAST_US;
        turn(connection, STATE_READY);
        return;
    }
    Error error = end->error;
    if (pg_schema_is_refused(end->state, &error)) {
        refuse(connection, &error);
        return;
    }
    connection->why = error;
    connection->why.err = ERR_UNAVAILABLE;
    lose(connection);
}

static void greet(PgConnection *connection) {
    PQsetnonblocking(connection->conn, 1);
    PQsetNoticeReceiver(connection->conn, on_notice, connection);
    check(PQenterPipelineMode(connection->conn) == 1);
    connection->state = STATE_GREETING;
    connection->asked_us = loop_now_us(connection->loop);
    pg_send(connection, GREETING, NULL, on_greeting, connection);
    if (connection->options.migrates) {
        pg_send(connection, pg_schema_migration(), NULL, pg_ignore, NULL);
    }
    pg_send(connection,
            "SELECT i.value, s.value FROM takt.meta AS i, takt.meta AS s WHERE i.name = 'store_id'"
            " AND s.name = 'signing_key'",
            NULL, on_store_id, connection);
    pg_sync(connection, CONNECT_MOST_US, greeted, connection);
}

/* ---- connecting ---- */

static void go_on_connecting(PgConnection *connection) {
    switch (PQconnectPoll(connection->conn)) {
    case PGRES_POLLING_OK: greet(connection); return;
    case PGRES_POLLING_READING: watch(connection, /* write= */ false); return;
    case PGRES_POLLING_WRITING: watch(connection, /* write= */ true); return;
    default: lost(connection, "PostgreSQL can't be reached: ", PQerrorMessage(connection->conn));
    }
}

static void advance(PgConnection *connection) {
    if (!connection->conn) return;
    if (connection->state == STATE_CONNECTING) {
        go_on_connecting(connection);
        return;
    }
    bool broken = PQconsumeInput(connection->conn) != 1;
    read_results(connection);
    if (!connection->conn) return;
    broken = broken || PQstatus(connection->conn) == CONNECTION_BAD;
    if (broken) {
        lost(connection, "the connection to PostgreSQL broke: ", PQerrorMessage(connection->conn));
    } else {
        flush(connection);
    }
}

static void connect_now(PgConnection *connection) {
    /* the URL comes last, so that what it says goes before the others */
    static const char *const names[] = {
        "fallback_application_name", "connect_timeout",  "keepalives_idle",
        "keepalives_interval",       "keepalives_count", "tcp_user_timeout",
        "client_encoding",           "dbname",           NULL};
    const char *values[] = {"takt", "5", "5", "2", "3", "10000", "UTF8", connection->options.url,
                            NULL};
    connection->state = STATE_CONNECTING;
    connection->conn = PQconnectStartParams(names, values, /* expand_dbname= */ 1);
    check(connection->conn);
    loop_timer_after(&connection->timer, CONNECT_MOST_US);
    if (PQstatus(connection->conn) == CONNECTION_BAD) {
        lost(connection, "PostgreSQL can't be reached: ", PQerrorMessage(connection->conn));
    } else {
        watch(connection, /* write= */ true);
    }
}

static void on_timer(void *owner) {
    PgConnection *connection = owner;
    if (connection->state == STATE_AWAY) {
        connect_now(connection);
    } else {
        lost(connection, "", "PostgreSQL does not answer in time");
    }
}

/* ---- the front ---- */

PgConnection *pg_connection_new(const PgOptions *options) {
    PgConnection *connection = alloc_zero(1, sizeof *connection);
    connection->options = *options;
    connection->loop = options->io->loop;
    check(connection->loop);
    connection->again_us = AGAIN_LEAST_US;
    list_init(&connection->calls);
    loop_timer_init(&connection->timer, connection->loop, on_timer, connection);
    error_code(&connection->why, ERR_UNAVAILABLE, "store-unavailable",
               "PostgreSQL has not answered yet");
    loop_timer_after(&connection->timer, 0);
    return connection;
}

void pg_connection_free(PgConnection *connection) {
    if (!connection) return;
    loop_timer_cancel(&connection->timer);
    drop(connection);
    free(connection);
}

bool pg_is_ready(const PgConnection *connection) {
    return connection->state == STATE_READY;
}

int64_t pg_ready_since_us(const PgConnection *connection) {
    return connection->since_us;
}

Err pg_health(const PgConnection *connection, Error *error) {
    if (connection->state == STATE_READY) return OK;
    if (error) *error = connection->why;
    return connection->state == STATE_REFUSED ? ERR_CONFLICT : ERR_UNAVAILABLE;
}
