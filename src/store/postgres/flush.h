/* A flush as statements: what the batch wants written and asked goes out in one group, in the order that
 * keeps locks from crossing (rows by key, sessions, nodes, counts, controls). For the files of the
 * writer. */
#pragma once

#include "store/postgres/row.h"
#include "store/postgres/write.h"

/* Sends everything pending. What missed its guard, or is nowhere, needs pg_flush_rest() after the group. */
void pg_flush(PgWriter *writer);
/* true: more was sent, which is to be synced too. */
bool pg_flush_rest(PgWriter *writer);
/* Counts and controls: last in the transaction. */
void pg_flush_end(PgWriter *writer);
void pg_flush_wipe(PgWriter *writer);

/* flush_rows.c: inserts, updates, moves between the tables, deletes */
void pg_flush_rows(PgWriter *writer);
/* flush_blind.c: guarded starts and successes, loads */
void pg_flush_blind(PgWriter *writer, Row **rows, size_t count, RowWrite write);
void pg_flush_loads(PgWriter *writer, Row **rows, size_t count);
/* flush_aside.c: what is beside the rows */
void pg_flush_aside(PgWriter *writer);
void pg_flush_count(PgWriter *writer);
void pg_flush_controls(PgWriter *writer);
/* ask.c */
void pg_ask(PgWriter *writer, Ask *ask);

/* Sends a statement that writes; its texts are expanded. */
void pg_write(PgWriter *writer, const char *sql, PgParams *params, PgAnswer answer, void *context);
/* The same for one that only reads or locks. */
void pg_query(PgWriter *writer, const char *sql, PgParams *params, PgAnswer answer, void *context);
/* By key, so that two batches lock the same rows in the same order. */
void pg_sort_rows(Row **rows, size_t count);
