/* Expand and contract: a step only adds what the version before can live with; what is no longer needed
 * goes one version later. A step is never changed once it was released. */
#include "store/postgres/schema.h"

#include "base/alloc.h"
#include "store/fields.h"
#include <libpq-fe.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { SCHEMA_MOST = 64 * 1024 };

/* Custom SQLSTATEs (class TK): the schema is another program's, newer, damaged, or steps are due. */
#define STATE_FOREIGN "TK001"
#define STATE_NEWER "TK002"
#define STATE_DAMAGED "TK003"
#define STATE_DUE "TK004"

/* live: every job that is not finished. No indexed column changes from pending to the end, so that its
 * updates stay on their page (HOT); what changes and must be found (holder, deadline) is in lease. Ended
 * jobs move to done or dead. {columns}: the fields of a job. */
static const char *const STEPS[] = {
    "CREATE SCHEMA takt;"
    "CREATE TABLE takt.meta (name text PRIMARY KEY, value text NOT NULL);"
    "INSERT INTO takt.meta VALUES ('schema', '0'), ('store_id', gen_random_uuid()::text),"
    " ('signing_key', encode(sha256((gen_random_uuid()::text || gen_random_uuid()::text"
    " || gen_random_uuid()::text)::bytea), 'hex')),"
    " ('frontier', ((extract(epoch FROM clock_timestamp()) * 1000000)::int8)::text);"
    "CREATE SEQUENCE takt.slot; CREATE SEQUENCE takt.fence;"
    "CREATE FUNCTION takt.next_fence() RETURNS int8 LANGUAGE sql VOLATILE AS"
    " $f$ SELECT (('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int8 << "
    "43)"
    " + nextval('takt.fence') $f$;"
    "CREATE TABLE takt.live (slot int8 PRIMARY KEY, {columns}) WITH (fillfactor = 50,"
    " autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000,"
    " autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_scale_factor = 0.1);"
    "CREATE UNIQUE INDEX live_key ON takt.live (key);"
    "CREATE INDEX live_order ON takt.live (queue, priority DESC, due_us, key);"
    "CREATE INDEX live_expiry ON takt.live (expires_us) WHERE expires_us IS NOT NULL;"
    "CREATE TABLE takt.lease (slot int8 PRIMARY KEY, worker text, deadline_us int8 NOT NULL)"
    " WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000,"
    " autovacuum_vacuum_cost_delay = 0);"
    "CREATE INDEX lease_deadline ON takt.lease (deadline_us);"
    "CREATE INDEX lease_worker ON takt.lease (worker);"
    "CREATE TABLE takt.done (slot int8 PRIMARY KEY, {columns})"
    " WITH (autovacuum_vacuum_scale_factor = 0.05);"
    "CREATE INDEX done_key ON takt.done (key, slot);"
    "CREATE INDEX done_finished ON takt.done (finished_us);"
    "CREATE TABLE takt.dead (slot int8 PRIMARY KEY, {columns});"
    "CREATE INDEX dead_key ON takt.dead (key, slot);"
    "CREATE INDEX dead_finished ON takt.dead (finished_us);"
    "CREATE TABLE takt.log (slot int8 PRIMARY KEY, text bytea NOT NULL);"
    "CREATE TABLE takt.queue (name text PRIMARY KEY, paused int8 NOT NULL);"
    "CREATE TABLE takt.count (shard int8, queue text, status int8, n int8 NOT NULL,"
    " PRIMARY KEY (queue, status, shard)) WITH (fillfactor = 30,"
    " autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,"
    " autovacuum_vacuum_cost_delay = 0);"
    "CREATE TABLE takt.session (worker text, node text, info text, lease_ms int8, seen_us int8,"
    " opened_us int8, closed_us int8, quick int8, PRIMARY KEY (worker, node));"
    "CREATE TABLE takt.token (token_id text PRIMARY KEY, until_us int8 NOT NULL);"
    "CREATE TABLE takt.node (name text PRIMARY KEY, instance text, version text, info text,"
    " started_us int8, seen_us int8, clock_offset_us int8, draining int8) WITH (fillfactor = 30);"
    "CREATE TABLE takt.counter (name text PRIMARY KEY, value int8 NOT NULL) WITH (fillfactor = 30);"
    "INSERT INTO takt.counter VALUES ('control', 0);"
    "CREATE TABLE takt.control (number int8 PRIMARY KEY, kind int8 NOT NULL, node text,"
    " subject text, detail text, until_us int8, at_us int8 NOT NULL);"
    "CREATE INDEX control_at ON takt.control (at_us);"
    "CREATE TABLE takt.batch (writer text PRIMARY KEY, number int8 NOT NULL, at_us int8 NOT NULL)"
    " WITH (fillfactor = 30, autovacuum_vacuum_scale_factor = 0,"
    " autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);",
};

/* Every table, index and sequence of the newest version: a missing one is an error at once and not a slow
 * or failing statement later. */
static const char RELATIONS[] =
    "meta,slot,fence,live,live_pkey,live_key,live_order,live_expiry,lease,lease_pkey,"
    "lease_deadline,lease_worker,done,done_pkey,done_key,done_finished,dead,dead_pkey,dead_key,"
    "dead_finished,log,queue,count,session,token,node,counter,control,control_at,batch";

static const char *type_of(const JobField *field) {
    static const char *const types[] = {[FIELD_INT] = "int8",
                                        [FIELD_TEXT] = "text",
                                        [FIELD_KEY] = "uuid NOT NULL",
                                        [FIELD_RETRY] = "text"};
    return types[field->kind];
}

static void add_columns(Buf *buf) {
    const FieldList *list = field_list(FIELDS_ALL);
    for (size_t i = 0; i < list->count; i++) {
        buf_format(buf, "%s%s %s", i > 0 ? ", " : "", list->at[i]->name, type_of(list->at[i]));
    }
}

static void add_step(Buf *buf, const char *step) {
    Str rest = str_from(step);
    for (;;) {
        const char *at = rest.len > 0 ? memmem(rest.ptr, rest.len, "{columns}", 9) : NULL;
        if (!at) break;
        buf_add(buf, (Str){rest.ptr, (size_t)(at - rest.ptr)});
        add_columns(buf);
        rest = (Str){at + 9, rest.len - (size_t)(at + 9 - rest.ptr)};
    }
    buf_add(buf, rest);
}

static void add_checks(Buf *buf) {
    const FieldList *list = field_list(FIELDS_ALL);
    buf_format(buf,
               " SELECT name INTO missing FROM unnest(string_to_array('%s', ',')) AS r(name)"
               " WHERE to_regclass('takt.' || name) IS NULL LIMIT 1;"
               " IF missing IS NULL THEN"
               " SELECT t || '.' || c INTO missing FROM unnest(ARRAY['live', 'done', 'dead']) AS t,"
               " unnest(ARRAY[",
               RELATIONS);
    for (size_t i = 0; i < list->count; i++) {
        buf_format(buf, "%s'%s'", i > 0 ? ", " : "", list->at[i]->name);
    }
    buf_add(buf, STR("]) AS c WHERE NOT EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid ="
                     " ('takt.' || t)::regclass AND a.attname = c AND NOT a.attisdropped) LIMIT 1;"
                     " END IF;"
                     " IF missing IS NOT NULL THEN RAISE EXCEPTION USING ERRCODE = '" STATE_DAMAGED
                     "', MESSAGE = 'the schema takt is damaged: ' || missing || ' is missing;"
                     " nothing was changed in it'; END IF;"));
}

/* The lock is of the transaction, so that PgBouncer may stand between. */
static char *make_migration(bool check_only) {
    Buf buf;
    buf_init(&buf, SCHEMA_MOST);
    buf_format(
        &buf,
        "DO $takt$ DECLARE v int := 0; missing text; BEGIN"
        " PERFORM pg_advisory_xact_lock(7239482);"
        " IF to_regnamespace('takt') IS NOT NULL THEN"
        " IF to_regclass('takt.meta') IS NULL THEN"
        " RAISE EXCEPTION USING ERRCODE = '%s', MESSAGE ="
        " 'the schema takt in this database is another program''s; nothing was changed in it';"
        " END IF;"
        " SELECT value::int INTO v FROM takt.meta WHERE name = 'schema';"
        " IF v IS NULL THEN RAISE EXCEPTION USING ERRCODE = '%s', MESSAGE ="
        " 'the schema takt is damaged: its version is missing'; END IF;"
        " END IF;"
        " IF v > %zu THEN RAISE EXCEPTION USING ERRCODE = '%s', MESSAGE ="
        " 'the schema takt was written by a newer version (schema ' || v || ', known here:"
        " %zu)'; END IF;",
        STATE_FOREIGN, STATE_DAMAGED, LENGTH(STEPS), STATE_NEWER, LENGTH(STEPS));
    if (check_only) {
        buf_format(&buf,
                   " IF v < %zu THEN RAISE EXCEPTION USING ERRCODE = '%s', MESSAGE ="
                   " 'the schema is at step ' || v || ' of %zu: run takt migrate'; END IF;",
                   LENGTH(STEPS), STATE_DUE, LENGTH(STEPS));
    }
    for (size_t i = 0; i < LENGTH(STEPS) && !check_only; i++) {
        buf_format(&buf, " IF v < %zu THEN ", i + 1);
        add_step(&buf, STEPS[i]);
        buf_format(&buf,
                   " UPDATE takt.meta SET value = '%zu' WHERE name = 'schema';"
                   " RAISE NOTICE 'step %zu of %zu applied'; END IF;",
                   i + 1, i + 1, LENGTH(STEPS));
    }
    add_checks(&buf);
    buf_add(&buf, STR(" END $takt$"));
    check(!buf.overflow);
    char *text = alloc_string(buf_cstr(&buf));
    buf_done(&buf);
    return text;
}

static char *migration;
static pthread_once_t migration_made = PTHREAD_ONCE_INIT;

static void make_once(void) {
    migration = make_migration(/* check_only= */ false);
}

const char *pg_schema_migration(void) {
    pthread_once(&migration_made, make_once);
    return migration;
}

bool pg_schema_is_refused(const char *state, Error *error) {
    static const struct {
        const char *state, *code;
    } refusals[] = {{STATE_FOREIGN, "foreign-store"},
                    {STATE_NEWER, "newer-store"},
                    {STATE_DAMAGED, "damaged-store"},
                    {STATE_DUE, "migration-due"}};
    for (size_t i = 0; i < LENGTH(refusals); i++) {
        if (strcmp(state, refusals[i].state) != 0) continue;
        char message[sizeof error->message];
        const char *said = strstr(error->message, "): "); /* behind what pg_error() puts before */
        snprintf(message, sizeof message, "%s", said ? said + 3 : error->message);
        error_code(error, ERR_CONFLICT, refusals[i].code, "%s", message);
        return true;
    }
    return false;
}

/* ---- takt migrate ---- */

static void on_notice(void *context, const PGresult *result) {
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    if (message && strncmp(message, "step ", 5) == 0) buf_format(context, "%s\n", message);
}

static Err run(PGconn *conn, const char *sql, Error *error) {
    PGresult *result = PQexec(conn, sql);
    Err err = OK;
    if (PQresultStatus(result) != PGRES_COMMAND_OK) {
        const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
        const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
        error_code(error, ERR_UNAVAILABLE, "store-unavailable", "%s",
                   message ? message : PQerrorMessage(conn));
        err = state && pg_schema_is_refused(state, error) ? ERR_CONFLICT : ERR_UNAVAILABLE;
    }
    PQclear(result);
    return err;
}

static PGconn *connect_blocking(Str url, Error *error) {
    char *text cleanup(free_pointer) = alloc_zero(url.len + 1, 1);
    memcpy(text, url.ptr, url.len);
    PGconn *conn = PQconnectdb(text);
    if (PQstatus(conn) == CONNECTION_OK) return conn;
    Str rest = str_from(PQerrorMessage(conn));
    Str line = str_trim(str_split(&rest, '\n'));
    error_code(error, ERR_UNAVAILABLE, "store-unavailable", "PostgreSQL can't be reached: " STR_FMT,
               STR_ARG(line));
    PQfinish(conn);
    return NULL;
}

Err pg_read_secret(Str url, Buf *ret, Error *error) {
    PGconn *conn = connect_blocking(url, error);
    if (!conn) return ERR_UNAVAILABLE;
    PGresult *result = PQexec(conn, "SELECT value FROM takt.meta WHERE name = 'signing_key'");
    bool found = PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1;
    if (found) buf_add(ret, str_from(PQgetvalue(result, 0, 0)));
    PQclear(result);
    PQfinish(conn);
    if (found) return OK;
    return error_set(error, ERR_NOT_FOUND,
                     "this database holds no Takt yet: start a node on it, or run takt migrate");
}

Err pg_schema_migrate(Str url, bool check_only, Buf *report, Error *error) {
    PGconn *conn = connect_blocking(url, error);
    if (!conn) return ERR_UNAVAILABLE;
    PQsetNoticeReceiver(conn, on_notice, report);
    char *sql cleanup(free_pointer) = make_migration(check_only);
    Err err = run(conn, sql, error);
    if (err == OK) buf_format(report, "the schema is at step %zu, the newest\n", LENGTH(STEPS));
    PQfinish(conn);
    return err;
}
