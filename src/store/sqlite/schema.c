/* Where a file stands is told by two numbers in its header: application_id (is it ours?) and
 * user_version (how many steps were applied). See schema.h. */
#include "store/sqlite/schema.h"

#include "base/buf.h"
#include "base/crash.h"
#include "store/sqlite/database.h"

enum { APPLICATION_ID = 0x54616b74 }; /* "Takt" */

/* `slot` rises with time, so rows are appended and old ones do not slow the writer. 0 and absent
 * are NULL, but for `state`. Waiting, running and ended jobs each have an index of their own, so
 * that a job is in two besides job_key at no time. */
static const char *const STEPS[] = {
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;"
    "INSERT INTO meta VALUES ('fence', 0), ('frontier', 0), ('store_id', hex(randomblob(16)));"
    "CREATE TABLE job ("
    " slot INTEGER PRIMARY KEY,"
    " key BLOB NOT NULL, id TEXT, queue TEXT NOT NULL, type TEXT, version INTEGER,"
    " priority INTEGER, state INTEGER NOT NULL, reason INTEGER, due_us INTEGER, run_at_us INTEGER,"
    " expires_us INTEGER, created_us INTEGER, enqueued_us INTEGER, started_us INTEGER,"
    " finished_us INTEGER, deadline_us INTEGER, fence INTEGER, attempt INTEGER, failures INTEGER,"
    " lost INTEGER, run INTEGER, max_lost INTEGER, timeout_ms INTEGER, backtrace INTEGER,"
    " retry TEXT, correlation_id TEXT, worker TEXT, outcome TEXT, failure_first TEXT, args TEXT,"
    " tags TEXT, meta TEXT, custom TEXT, notify TEXT, result TEXT, progress TEXT, attempts TEXT);"
    "CREATE INDEX job_key ON job (key);"
    "CREATE INDEX job_waiting ON job (queue, priority DESC, due_us) WHERE state = 1;"
    "CREATE INDEX job_running ON job (deadline_us) WHERE state = 3;"
    "CREATE INDEX job_expiring ON job (expires_us) WHERE state = 1 AND expires_us NOT NULL;"
    "CREATE INDEX job_finished ON job (finished_us) WHERE state IN (4, 6);"
    "CREATE INDEX job_dead ON job (finished_us) WHERE state = 5;"
    "CREATE INDEX job_held ON job (queue) WHERE state IN (0, 2);"
    "CREATE TABLE log (slot INTEGER, seq INTEGER, text TEXT, PRIMARY KEY (slot, seq)) WITHOUT "
    "ROWID;"
    "CREATE TABLE queue (name TEXT PRIMARY KEY, paused INTEGER) WITHOUT ROWID;"
    "CREATE TABLE count (queue TEXT, status INTEGER, n INTEGER, PRIMARY KEY (queue, status))"
    " WITHOUT ROWID;"
    "CREATE TABLE session (worker TEXT, node TEXT, info TEXT, lease_ms INTEGER, seen_us INTEGER,"
    " opened_us INTEGER, closed_us INTEGER, quick INTEGER, PRIMARY KEY (worker, node)) WITHOUT "
    "ROWID;"
    "CREATE TABLE token (token_id TEXT PRIMARY KEY, until_us INTEGER) WITHOUT ROWID;",

    "CREATE TABLE node (name TEXT PRIMARY KEY, instance TEXT, version TEXT, info TEXT,"
    " started_us INTEGER, seen_us INTEGER, clock_offset_us INTEGER, draining INTEGER) WITHOUT "
    "ROWID;"
    "CREATE TABLE control (number INTEGER PRIMARY KEY, kind INTEGER, node TEXT, subject TEXT,"
    " detail TEXT, until_us INTEGER, at_us INTEGER);"
    "INSERT INTO meta VALUES ('control', 0);",
};

static Err read_number(sqlite3 *db, const char *sql, int64_t *ret, Error *error) {
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW) *ret = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return rc == SQLITE_ROW ? OK : sqlite_error(db, rc, "reading the schema's version", error);
}

Err schema_check(sqlite3 *db, const char *path, Error *error) {
    int64_t application = 0, version = 0, tables = 0;
    TRY(read_number(db, "PRAGMA application_id", &application, error));
    TRY(read_number(db, "PRAGMA user_version", &version, error));
    TRY(read_number(db, "SELECT count(*) FROM sqlite_master", &tables, error));
    bool fresh = application == 0 && version == 0 && tables == 0;
    if (!fresh && application != APPLICATION_ID) {
        return error_code(error, ERR_INVALID, "foreign-store",
                          "'%s' is a database of another program; nothing was changed in it", path);
    }
    if (version > (int64_t)LENGTH(STEPS)) {
        return error_code(error, ERR_CONFLICT, "newer-store",
                          "'%s' was written by a newer version (schema %lld, known here: %zu)",
                          path, (long long)version, LENGTH(STEPS));
    }
    return OK;
}

static Err apply(sqlite3 *db, int64_t from, int64_t now_us, Error *error) {
    for (int64_t i = from; i < (int64_t)LENGTH(STEPS); i++) {
        TRY(sqlite_exec(db, STEPS[i], error));
    }
    cleanup(buf_done) Buf sql;
    buf_init(&sql, 512);
    if (from == 0) {
        buf_format(&sql, "UPDATE meta SET value = %lld WHERE name = 'frontier';",
                   (long long)now_us);
    }
    buf_format(&sql, "PRAGMA application_id = %d; PRAGMA user_version = %zu", APPLICATION_ID,
               LENGTH(STEPS));
    return sqlite_exec(db, buf_cstr(&sql), error);
}

Err schema_migrate(sqlite3 *db, int64_t now_us, Error *error) {
    int64_t version = 0;
    TRY(read_number(db, "PRAGMA user_version", &version, error));
    if (version == (int64_t)LENGTH(STEPS)) return OK;
    TRY(sqlite_exec(db, "BEGIN IMMEDIATE", error));
    Err err = apply(db, version, now_us, error);
    crash_point(SCHEMA_MADE);
    if (err == OK) err = sqlite_exec(db, "COMMIT", error);
    crash_point(SCHEMA_COMMITTED);
    if (!sqlite3_get_autocommit(db)) sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return err;
}
