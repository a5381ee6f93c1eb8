/* Rows that are loaded or new: each is written once, grouped by what happens to it. A job that ends moves to
 * the table of its end, one that is run again moves back; it keeps its number. */
#include "store/postgres/flush.h"

#include <stdlib.h>
#include <string.h>

typedef struct Group {
    Row **rows;
    size_t count;
} Group;

typedef struct Groups {
    Group gone[TABLES];    /* out of this table */
    Group deleted[TABLES]; /* and for good */
    Group changed[TABLES]; /* in place */
    Group added[TABLES];
    Group leased, released; /* live rows that run, or run no more */
} Groups;

static int by_key(const void *a, const void *b) {
    const Row *one = *(Row *const *)a, *two = *(Row *const *)b;
    return memcmp(one->key.bytes, two->key.bytes, sizeof one->key.bytes);
}

void pg_sort_rows(Row **rows, size_t count) {
    if (count > 1) qsort(rows, count, sizeof(Row *), by_key);
}

static void group_add(Batch *batch, Group *group, Row *row) {
    if (!group->rows) {
        group->rows = arena_zero(&batch->arena, batch->row_count + 1, sizeof(Row *));
    }
    group->rows[group->count++] = row;
}

static void sort_out(Batch *batch, Groups *groups, Row *row) {
    if (row->write == WRITE_DELETE) {
        group_add(batch, &groups->deleted[slot_table(row->slot)], row);
        return;
    }
    PgTable to = table_of_state(row->job.state);
    bool ran = row->state_before == JOB_RUNNING || row->hit;
    if (row->write == WRITE_INSERT) {
        group_add(batch, &groups->added[to], row);
    } else if (slot_table(row->slot) == to) {
        group_add(batch, &groups->changed[to], row);
    } else {
        group_add(batch, &groups->gone[slot_table(row->slot)], row);
        group_add(batch, &groups->added[to], row);
    }
    if (row->job.state == JOB_RUNNING) group_add(batch, &groups->leased, row);
    if (row->job.state != JOB_RUNNING && ran) group_add(batch, &groups->released, row);
}

static void add_numbers(PgParams *params, const Group *group) {
    PgParam *numbers = params_add_array(params, PG_INT8);
    for (size_t i = 0; i < group->count; i++) {
        array_add_int(numbers, slot_number(group->rows[i]->slot));
    }
}

static void take_out(PgWriter *writer, PgTable table, const Group *group) {
    if (group->count == 0) return;
    static const char *const texts[TABLES] = {"DELETE FROM takt.live WHERE slot = ANY($1::int8[])",
                                              "DELETE FROM takt.done WHERE slot = ANY($1::int8[])",
                                              "DELETE FROM takt.dead WHERE slot = ANY($1::int8[])"};
    cleanup(params_done) PgParams params;
    params_init(&params);
    add_numbers(&params, group);
    pg_write(writer, texts[table], &params, pg_ignore, NULL);
}

static void forget(PgWriter *writer, PgTable table, const Group *group) {
    if (group->count == 0) return;
    take_out(writer, table, group);
    cleanup(params_done) PgParams params;
    params_init(&params);
    add_numbers(&params, group);
    pg_write(writer, "DELETE FROM takt.log WHERE slot = ANY($1::int8[])", &params, pg_ignore, NULL);
    for (size_t i = 0; i < group->count; i++) {
        batch_written(writer->batch, group->rows[i], 0);
    }
}

static void change(PgWriter *writer, PgTable table, const Group *group) {
    if (group->count == 0) return;
#define CHANGE(table)                                                                              \
    "UPDATE takt." table " AS t SET {changing=u}"                                                  \
    " FROM unnest($1::int8[], {changing$2}) AS u(slot, {changing}) WHERE t.slot = u.slot"
    static const char *const texts[TABLES] = {CHANGE("live"), CHANGE("done"), CHANGE("dead")};
#undef CHANGE
    cleanup(params_done) PgParams params;
    params_init(&params);
    add_numbers(&params, group);
    PgParam *arrays = pg_row_arrays(&params, FIELDS_CHANGING);
    for (size_t i = 0; i < group->count; i++) {
        pg_row_add(arrays, FIELDS_CHANGING, &group->rows[i]->job);
        batch_written(writer->batch, group->rows[i], group->rows[i]->slot);
    }
    pg_write(writer, texts[table], &params, pg_ignore, NULL);
}

/* ---- into a table ---- */

typedef struct Added {
    Batch *batch;
    PgTable table;
    Group group;
} Added;

static Err on_added(void *context, const PGresult *result, Error *error) {
    const Added *added = context;
    if ((size_t)PQntuples(result) != added->group.count) {
        return error_set(error, ERR_INTERNAL, "%d of %zu jobs were inserted", PQntuples(result),
                         added->group.count);
    }
    for (size_t i = 0; i < added->group.count; i++) {
        Row *row = added->group.rows[i];
        JobKey key = value_key(result, (int)i, 1);
        check(job_key_eq(&key, &row->key));
        batch_written(added->batch, row, slot_make(value_int(result, (int)i, 0), added->table));
    }
    return OK;
}

static void add(PgWriter *writer, PgTable table, const Group *group) {
    if (group->count == 0) return;
#define ADD(table)                                                                                 \
    "INSERT INTO takt." table " (slot, {all})"                                                     \
    " SELECT CASE WHEN u.slot = 0 THEN nextval('takt.slot') ELSE u.slot END, {all.u}"              \
    " FROM unnest($1::int8[], {all$2}) AS u(slot, {all}) RETURNING slot, key"
    static const char *const texts[TABLES] = {ADD("live"), ADD("done"), ADD("dead")};
#undef ADD
    Added *added = arena_new(&writer->batch->arena, Added);
    *added = (Added){writer->batch, table, *group};
    cleanup(params_done) PgParams params;
    params_init(&params);
    add_numbers(&params, group);
    PgParam *arrays = pg_row_arrays(&params, FIELDS_ALL);
    for (size_t i = 0; i < group->count; i++) {
        pg_row_add(arrays, FIELDS_ALL, &group->rows[i]->job);
        group->rows[i]->write = WRITE_NONE;
    }
    pg_write(writer, texts[table], &params, on_added, added);
}

/* ---- leases ---- */

static void lease(PgWriter *writer, const Group *group) {
    if (group->count == 0) return;
    cleanup(params_done) PgParams params;
    params_init(&params);
    PgParam *keys = params_add_array(&params, PG_UUID);
    for (size_t i = 0; i < group->count; i++) {
        array_add_key(keys, &group->rows[i]->key);
    }
    pg_write(writer,
             "INSERT INTO takt.lease SELECT slot, worker, coalesce(deadline_us, 0) FROM takt.live"
             " WHERE key = ANY($1::uuid[]) AND state = 3 ON CONFLICT (slot) DO UPDATE SET"
             " worker = excluded.worker, deadline_us = excluded.deadline_us",
             &params, pg_ignore, NULL);
}

static void release(PgWriter *writer, const Group *group) {
    if (group->count == 0) return;
    cleanup(params_done) PgParams params;
    params_init(&params);
    add_numbers(&params, group);
    pg_write(writer, "DELETE FROM takt.lease WHERE slot = ANY($1::int8[])", &params, pg_ignore,
             NULL);
}

void pg_flush_rows(PgWriter *writer) {
    Batch *batch = writer->batch;
    Row **rows = arena_zero(&batch->arena, batch->row_count + 1, sizeof(Row *));
    size_t count = 0;
    Groups groups = {0};
    list_each(&batch->flush, node) {
        Row *row = container_of(node, Row, in_flush);
        /* in the order in which they were submitted, which their numbers keep */
        if (row->write == WRITE_INSERT) sort_out(batch, &groups, row);
        if (row->write == WRITE_UPDATE || row->write == WRITE_DELETE) rows[count++] = row;
    }
    pg_sort_rows(rows, count);
    for (size_t i = 0; i < count; i++) {
        sort_out(batch, &groups, rows[i]);
    }
    release(writer, &groups.released); /* while their slots are those from before */
    for (PgTable table = 0; table < TABLES; table++) {
        forget(writer, table, &groups.deleted[table]);
        take_out(writer, table, &groups.gone[table]);
        change(writer, table, &groups.changed[table]);
    }
    for (PgTable table = 0; table < TABLES; table++) {
        add(writer, table, &groups.added[table]);
    }
    lease(writer, &groups.leased);
}
