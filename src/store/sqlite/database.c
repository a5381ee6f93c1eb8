/* Settings, statements and errors of a database: see database.h.
 *
 * All writes and all checkpoints go through one database (two that checkpoint at once can reset
 * the log under each other in SQLite before 3.51), so automatic checkpoints are off everywhere;
 * the writer makes its own (write.c), whose errors are not swallowed as those of the automatic
 * ones are. */
#include "store/sqlite/database.h"

#include <string.h>

enum { BUSY_MS = 5000, SQL_TEXT_MOST = 16 * 1024 };

static const char *const SETTINGS[] = {
    [DATABASE_WRITER] = "PRAGMA journal_mode = WAL;"
                        "PRAGMA synchronous = FULL;"
                        "PRAGMA wal_autocheckpoint = 0;"
                        "PRAGMA journal_size_limit = 67108864;"
                        "PRAGMA temp_store = MEMORY;"
                        "PRAGMA cache_size = -32768",
    [DATABASE_READER] = "PRAGMA query_only = 1;"
                        "PRAGMA wal_autocheckpoint = 0;"
                        "PRAGMA temp_store = MEMORY;"
                        "PRAGMA cache_size = -4096",
};

/* queue_matches(glob, queue): the globs of a token, with the rules of str_glob(). */
static void queue_matches(sqlite3_context *context, int count, sqlite3_value **values) {
    (void)count;
    Str texts[2];
    for (int i = 0; i < 2; i++) {
        texts[i].ptr = (const char *)sqlite3_value_text(values[i]);
        texts[i].len = (size_t)sqlite3_value_bytes(values[i]);
    }
    sqlite3_result_int(context, texts[0].ptr && texts[1].ptr && str_glob(texts[0], texts[1]));
}

static Err settle_reader(Database *database, Error *error) {
    int rc = sqlite3_create_function(database->db, "queue_matches", 2,
                                     SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL, queue_matches, NULL,
                                     NULL);
    if (rc != SQLITE_OK) return sqlite_error(database->db, rc, "opening the store", error);
    return sqlite_exec(database->db, SETTINGS[DATABASE_READER], error);
}

Err database_open(Database *database, const char *path, DatabaseRole role, Error *error) {
    *database = (Database){0};
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
    flags |= role == DATABASE_WRITER ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY;
    int rc = sqlite3_open_v2(path, &database->db, flags, NULL);
    if (rc != SQLITE_OK) {
        Err err = sqlite_error(database->db, rc, "opening the store", error);
        database_close(database);
        return err;
    }
    sqlite3_extended_result_codes(database->db, 1);
    sqlite3_busy_timeout(database->db, BUSY_MS);
    return role == DATABASE_WRITER ? OK : settle_reader(database, error);
}

Err database_settle(Database *database, Error *error) {
    return sqlite_exec(database->db, SETTINGS[DATABASE_WRITER], error);
}

void database_close(Database *database) {
    for (Sql sql = 0; sql < SQL_COUNT_; sql++) {
        sqlite3_finalize(database->statements[sql]);
    }
    sqlite3_close(database->db);
    *database = (Database){0};
}

Err database_prepare(Database *database, Str text, sqlite3_stmt **ret, Error *error) {
    int rc = sqlite3_prepare_v3(database->db, text.ptr, (int)text.len, SQLITE_PREPARE_PERSISTENT,
                                ret, NULL);
    if (rc == SQLITE_OK) return OK;
    return sqlite_error(database->db, rc, "preparing a statement", error);
}

Err database_statement(Database *database, Sql sql, sqlite3_stmt **ret, Error *error) {
    if (!database->statements[sql]) {
        cleanup(buf_done) Buf text;
        buf_init(&text, SQL_TEXT_MOST);
        sql_write(sql, &text);
        check(!text.overflow);
        TRY(database_prepare(database, buf_str(&text), &database->statements[sql], error));
    }
    *ret = database->statements[sql];
    return OK;
}

void statement_end(sqlite3_stmt *statement) {
    if (!statement) return;
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
}

Err statement_step(sqlite3_stmt *statement, bool *ret_row, Error *error) {
    int rc = sqlite3_step(statement);
    *ret_row = rc == SQLITE_ROW;
    if (rc == SQLITE_ROW) return OK;
    Err err = OK;
    if (rc != SQLITE_DONE) {
        err = sqlite_error(sqlite3_db_handle(statement), rc, "running a statement", error);
    }
    statement_end(statement);
    return err;
}

Err statement_run(sqlite3_stmt *statement, Error *error) {
    bool row = true;
    while (row) {
        TRY(statement_step(statement, &row, error));
    }
    return OK;
}

Err database_run(Database *database, Sql sql, Error *error) {
    sqlite3_stmt *statement;
    TRY(database_statement(database, sql, &statement, error));
    return statement_run(statement, error);
}

/* Binding fails only on an index out of range or a text over the limit of 1 GB: mistakes of
 * ours. */
void bind_text(sqlite3_stmt *statement, int index, Str text) {
    if (!text.ptr) return;
    check(sqlite3_bind_text(statement, index, text.ptr, (int)text.len, SQLITE_STATIC) == SQLITE_OK);
}

void bind_int(sqlite3_stmt *statement, int index, int64_t value) {
    check(sqlite3_bind_int64(statement, index, value) == SQLITE_OK);
}

void bind_key(sqlite3_stmt *statement, int index, const JobKey *key) {
    check(sqlite3_bind_blob(statement, index, key->bytes, (int)sizeof key->bytes, SQLITE_STATIC) ==
          SQLITE_OK);
}

Str column_str(sqlite3_stmt *statement, int column) {
    const void *text = sqlite3_column_text(statement, column);
    if (!text) return (Str){0};
    return (Str){text, (size_t)sqlite3_column_bytes(statement, column)};
}

Err sqlite_exec(sqlite3 *db, const char *sql, Error *error) {
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? OK : sqlite_error(db, rc, "running a statement", error);
}

Err sqlite_error(sqlite3 *db, int rc, const char *doing, Error *error) {
    const char *words = db ? sqlite3_errmsg(db) : sqlite3_errstr(rc);
    int extended = db ? sqlite3_extended_errcode(db) : rc;
    switch (rc & 0xff) {
    case SQLITE_FULL:
        return error_code(error, ERR_UNAVAILABLE, "store-full", "%s: the disk is full", doing);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return error_code(error, ERR_UNAVAILABLE, "store-unavailable", "%s: %s", doing, words);
    case SQLITE_IOERR:
        /* the file that readers and writer share in memory can't grow on a full disk */
        if (extended == SQLITE_IOERR_SHMSIZE) {
            return error_code(error, ERR_UNAVAILABLE, "store-full", "%s: the disk is full", doing);
        }
        break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: break;
    default:
        return error_code(error, ERR_INTERNAL, "store-error", "%s: %s (%d)", doing, words,
                          extended);
    }
    return error_code(error, ERR_INTERNAL, "store-damaged", "%s: %s (%d)", doing, words, extended);
}

bool error_is_damage(const Error *error) {
    return strcmp(error->code, "store-damaged") == 0;
}
