/* See the header. */
#include "cli/table.h"

#include "cli/cell.h"
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { GAP = 2, NARROWEST = 6, TABLE_MAX = 64 * 1024 * 1024 };

#define ELLIPSIS STR("…")

void table_init(Table *table, const Column *columns, size_t column_count, Arena *arena) {
    check(column_count >= 1 && column_count <= TABLE_COLUMNS_MAX);
    *table = (Table){.arena = arena, .columns = columns, .column_count = column_count};
}

void table_add(Table *table, const Str *cells) {
    size_t count = table->column_count;
    if (table->row_count == table->row_capacity) {
        size_t capacity = table->row_capacity ? table->row_capacity * 2 : 64;
        Str *more = arena_zero(table->arena, capacity * count, sizeof *more);
        if (table->row_count > 0)
            memcpy(more, table->cells, table->row_count * count * sizeof *more);
        table->cells = more;
        table->row_capacity = capacity;
    }
    memcpy(table->cells + table->row_count * count, cells, count * sizeof *cells);
    table->row_count++;
}

/* ---- widths ---- */

static void measure(const Table *table, size_t widths[TABLE_COLUMNS_MAX]) {
    for (size_t column = 0; column < table->column_count; column++) {
        widths[column] = cell_width(str_from(table->columns[column].title));
        for (size_t row = 0; row < table->row_count; row++) {
            size_t width = cell_width(table->cells[row * table->column_count + column]);
            if (width > widths[column]) widths[column] = width;
        }
    }
}

/* The widest column that may still be cut, or column_count. */
static size_t find_widest(const Table *table, const size_t *widths) {
    size_t widest = table->column_count;
    for (size_t column = 0; column < table->column_count; column++) {
        if (table->columns[column].whole || widths[column] <= NARROWEST) continue;
        if (widest == table->column_count || widths[column] > widths[widest]) widest = column;
    }
    return widest;
}

static void fit(const Table *table, size_t *widths, size_t width) {
    size_t total = GAP * (table->column_count - 1);
    for (size_t column = 0; column < table->column_count; column++) {
        total += widths[column];
    }
    while (total > width) {
        size_t widest = find_widest(table, widths);
        if (widest == table->column_count) return;
        widths[widest]--;
        total--;
    }
}

/* ---- writing ---- */

static void add_blanks(Buf *out, size_t count) {
    while (count-- > 0) {
        buf_add_char(out, ' ');
    }
}

static void write_cell(const Table *table, size_t column, Str cell, size_t width, Buf *out) {
    bool is_last = column + 1 == table->column_count;
    bool right = table->columns[column].right;
    bool cut = cell_width(cell) > width;
    if (cut) cell = cell_cut(cell, width - 1);
    size_t taken = cell_width(cell) + (cut ? 1 : 0);
    if (right) add_blanks(out, width - taken);
    buf_add(out, cell);
    if (cut) buf_add(out, ELLIPSIS);
    if (is_last) {
        buf_add_char(out, '\n');
    } else {
        add_blanks(out, (right ? 0 : width - taken) + GAP);
    }
}

void table_write(const Table *table, size_t width, Buf *out) {
    size_t widths[TABLE_COLUMNS_MAX];
    measure(table, widths);
    if (width > 0) fit(table, widths, width);
    for (size_t column = 0; column < table->column_count; column++) {
        write_cell(table, column, str_from(table->columns[column].title), widths[column], out);
    }
    for (size_t i = 0; i < table->row_count * table->column_count; i++) {
        size_t column = i % table->column_count;
        write_cell(table, column, table->cells[i], widths[column], out);
    }
}

void table_print(const Table *table) {
    struct winsize size = {0};
    bool known = isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0;
    cleanup(buf_done) Buf out;
    buf_init(&out, TABLE_MAX);
    table_write(table, known ? size.ws_col : 0, &out);
    fwrite(out.data, 1, out.len, stdout);
}
