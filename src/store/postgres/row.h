/* A Job as columns, and back; everything derives from job_fields[]. 0 and absent are NULL. */
#pragma once

#include "store/fields.h"
#include "store/postgres/params.h"
#include "store/store.h"
#include <libpq-fe.h>

/* Where a row is. A slot as the engine sees it is the row's number · 4 + its table. */
typedef enum PgTable { TABLE_LIVE, TABLE_DONE, TABLE_DEAD, TABLES } PgTable;

extern const char *const pg_table_names[TABLES]; /* "takt.live", … */
PgTable table_of_state(int64_t state);

static inline int64_t slot_make(int64_t number, PgTable table) {
    return number * 4 + (int64_t)table;
}
static inline int64_t slot_number(int64_t slot) {
    return slot / 4;
}
static inline PgTable slot_table(int64_t slot) {
    return (PgTable)(slot % 4);
}

/* Appends text in which "{SET}" is the names of that set of fields, "{SET.x}" the same with "x." before
 * each, "{SET=x}" "name = x.name" for each, and "{SET$N}" "$N::type[], $N+1::type[] …". */
void pg_sql_expand(const char *text, Buf *buf);

/* An array parameter for each field of the set; pg_row_add() then adds a job to all of them. */
PgParam *pg_row_arrays(PgParams *params, FieldSet set);
void pg_row_add(PgParam *arrays, FieldSet set, const Job *job);

/* ---- results, in the binary format ---- */

int64_t value_int(const PGresult *result, int row, int column); /* NULL: 0 */
Str value_text(const PGresult *result, int row, int column);    /* NULL: absent; the result's */
JobKey value_key(const PGresult *result, int row, int column);

/* Reads the fields from `column` on. Texts are the result's, or in the arena. */
Err pg_row_read(const PGresult *result, int row, int column, FieldSet set, Arena *arena, Job *ret,
                Error *error) must_check;
/* The columns of a session or a node in the order of its members; the texts in the arena. */
void pg_session_read(const PGresult *result, int row, Arena *arena, SessionRow *ret);
void pg_node_read(const PGresult *result, int row, int column, Arena *arena, NodeRow *ret);
