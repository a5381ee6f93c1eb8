/* Tables for people: columns as wide as their content, cut to the terminal's width.
 *
 * Cells must be fit for a terminal (cell.h) and live as long as the table, most easily in its
 * arena. A column marked `whole` is never cut: ids are there to be copied. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"

enum { TABLE_COLUMNS_MAX = 12 };

typedef struct Column {
    const char *title;
    bool right; /* numbers */
    bool whole;
} Column;

typedef struct Table {
    Arena *arena;
    const Column *columns;
    size_t column_count;
    Str *cells; /* row after row */
    size_t row_count, row_capacity;
} Table;

/* In place; columns are borrowed. Everything else goes with the arena. */
void table_init(Table *table, const Column *columns, size_t column_count, Arena *arena);

/* One row: column_count cells. */
void table_add(Table *table, const Str *cells);

/* Appends the title line and the rows. width 0: nothing is cut. */
void table_write(const Table *table, size_t width, Buf *out);

/* To stdout, as wide as the terminal; whole when it is none. */
void table_print(const Table *table);
