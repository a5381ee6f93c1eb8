/* One connection to the SQLite file: opened with its settings, its prepared statements, and
 * SQLite's result codes as errors in words. A database belongs to one thread at a time. */
#pragma once

#include "base/error.h"
#include "base/str.h"
#include "store/sqlite/sql.h"
#include <sqlite3.h>

typedef enum DatabaseRole {
    DATABASE_WRITER, /* the only one that writes and checkpoints */
    DATABASE_READER,
} DatabaseRole;

typedef struct Database {
    sqlite3 *db;
    sqlite3_stmt *statements[SQL_COUNT_]; /* prepared at their first use */
} Database;

/* In place. The file exists. The settings of a reader assume that the writer has set WAL mode. */
Err database_open(Database *database, const char *path, DatabaseRole role, Error *error) must_check;
/* The settings of the writer: WAL mode and what comes with it. Apart from opening, because a file
 * that is not ours must not be changed (schema.h). */
Err database_settle(Database *database, Error *error) must_check;

void database_close(Database *database); /* accepts a zero one */

/* The statement, without bindings. */
Err database_statement(Database *database, Sql sql, sqlite3_stmt **ret, Error *error) must_check;

/* Prepares any text; the caller finalizes. */
Err database_prepare(Database *database, Str text, sqlite3_stmt **ret, Error *error) must_check;

/* Steps. *ret_row: a row is there; at the end, or on error, the statement is reset. */
Err statement_step(sqlite3_stmt *statement, bool *ret_row, Error *error) must_check;
/* Steps to the end, then resets. */
Err statement_run(sqlite3_stmt *statement, Error *error) must_check;
/* Resets and forgets the bindings. Accepts NULL. */
void statement_end(sqlite3_stmt *statement);

/* A statement without parameters and rows. */
Err database_run(Database *database, Sql sql, Error *error) must_check;

void bind_text(sqlite3_stmt *statement, int index,
               Str text); /* absent: NULL; borrowed until the end */
void bind_int(sqlite3_stmt *statement, int index, int64_t value);
void bind_key(sqlite3_stmt *statement, int index, const JobKey *key);
/* Borrowed until the next step; NULL: absent. */
Str column_str(sqlite3_stmt *statement, int column);

/* Runs texts that give no rows. */
Err sqlite_exec(sqlite3 *db, const char *sql, Error *error) must_check;

/* ERR_UNAVAILABLE "store-full" or "store-unavailable"; ERR_INTERNAL "store-damaged" when the disk
 * failed or the file is broken: then what has been committed can't be known any more; else
 * ERR_INTERNAL. */
Err sqlite_error(sqlite3 *db, int rc, const char *doing, Error *error);
bool error_is_damage(const Error *error);
