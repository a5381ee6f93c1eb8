/* The order of a flush: see flush.h. */
#include "store/postgres/flush.h"

enum { TEXT_MOST = 32 * 1024 };

void pg_query(PgWriter *writer, const char *sql, PgParams *params, PgAnswer answer, void *context) {
    cleanup(buf_done) Buf text;
    buf_init(&text, TEXT_MOST);
    pg_sql_expand(sql, &text);
    check(!text.overflow);
    pg_send(writer->connection, buf_cstr(&text), params, answer, context);
}

void pg_write(PgWriter *writer, const char *sql, PgParams *params, PgAnswer answer, void *context) {
    writer->wrote = true;
    pg_query(writer, sql, params, answer, context);
}

static void flush_blind(PgWriter *writer, RowWrite write) {
    Batch *batch = writer->batch;
    Row **rows = arena_zero(&batch->arena, batch->row_count + 1, sizeof(Row *));
    size_t count = 0;
    list_each(&batch->flush, node) {
        Row *row = container_of(node, Row, in_flush);
        if (row->write == write) rows[count++] = row;
    }
    pg_sort_rows(rows, count);
    pg_flush_blind(writer, rows, count, write);
}

/* Those that are asked for now; a guarded change that misses asks later. */
static size_t collect_asked(Batch *batch, Row ***ret) {
    *ret = arena_zero(&batch->arena, batch->row_count + 1, sizeof(Row *));
    size_t count = 0;
    list_each(&batch->flush, node) {
        Row *row = container_of(node, Row, in_flush);
        if (row->status == ROW_ASKED) (*ret)[count++] = row;
    }
    pg_sort_rows(*ret, count);
    return count;
}

void pg_flush(PgWriter *writer) {
    Batch *batch = writer->batch;
    if (batch->wipe) pg_flush_wipe(writer);
    Row **asked;
    size_t count = collect_asked(batch, &asked);
    pg_flush_rows(writer);
    flush_blind(writer, WRITE_START);
    flush_blind(writer, WRITE_SUCCEED);
    pg_flush_loads(writer, asked, count);
    pg_flush_aside(writer);
    for (Ask *ask = batch->asks; ask; ask = ask->next) {
        pg_ask(writer, ask);
    }
    batch->asks = NULL;
}

bool pg_flush_rest(PgWriter *writer) {
    Row **asked;
    size_t count = collect_asked(writer->batch, &asked);
    pg_flush_loads(writer, asked, count);
    while (list_pop(&writer->batch->flush)) {}
    return count > 0;
}

void pg_flush_end(PgWriter *writer) {
    pg_flush_count(writer);
    pg_flush_controls(writer);
}
