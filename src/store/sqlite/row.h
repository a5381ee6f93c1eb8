/* A Job as the columns of a statement, and back. Everything is derived from job_fields[]. */
#pragma once

#include "base/arena.h"
#include "store/sqlite/database.h"
#include "store/store.h"

/* Binds the fields from ?2 on; the texts are borrowed until the statement ends. 0 and absent stay
 * NULL, and so does the id where it is the key written as a UUID. */
void row_bind(sqlite3_stmt *statement, FieldSet set, const Job *job);

/* Reads the fields from `column` on. Texts are borrowed until the next step, or in the arena. */
Err row_read(sqlite3_stmt *statement, int column, FieldSet set, Arena *arena, Job *ret,
             Error *error) must_check;

/* The columns of a session or a node, in the order of its members; the texts in the arena. */
void node_read(sqlite3_stmt *statement, Arena *arena, NodeRow *ret);
void session_read(sqlite3_stmt *statement, Arena *arena, SessionRow *ret);
