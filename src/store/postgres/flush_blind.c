/* Rows that are not loaded: starts and successes, guarded by their statements exactly as core/job_change
 * decides them, and loads. */
#include "store/postgres/flush.h"

#include <string.h>

/* core/job_change.c: job_start. $1 keys, $2 queues, $3 workers, $4 grace in ms, $5 now */
static const char START[] =
    "WITH started AS (UPDATE takt.live AS t SET state = 3, reason = NULL,"
    " fence = takt.next_fence(), attempt = coalesce(t.attempt, 0) + 1, worker = u.worker,"
    " started_us = $5, deadline_us = $5 + (coalesce(t.timeout_ms, 0) + u.grace_ms) * 1000,"
    " result = NULL, progress = NULL, outcome = NULL"
    " FROM unnest($1::uuid[], $2::text[], $3::text[], $4::int8[]) AS u(key, queue, worker, "
    "grace_ms)"
    " WHERE t.key = u.key AND t.state = 1 AND t.queue = u.queue AND t.due_us <= $5"
    " AND (t.expires_us IS NULL OR t.expires_us > $5) RETURNING t.*),"
    " leased AS (INSERT INTO takt.lease SELECT slot, worker, deadline_us FROM started"
    " ON CONFLICT (slot) DO UPDATE SET worker = excluded.worker, deadline_us = "
    "excluded.deadline_us)"
    " SELECT slot, {all} FROM started";

/* job_succeed, of a lease as job_is_held has it. $1 keys, $2 fences, $3 workers, $4 results, $5 hashes,
 * $6 now; in place of %s the columns of what it becomes. */
static const char SUCCEED[] =
    "WITH gone AS (DELETE FROM takt.live AS t"
    " USING unnest($1::uuid[], $2::int8[], $3::text[], $4::text[], $5::text[])"
    " AS u(key, fence, worker, new_result, new_outcome)"
    " WHERE t.key = u.key AND t.state = 3 AND (u.fence = 0 OR t.fence = u.fence)"
    " AND (coalesce(t.worker, '') = '' OR coalesce(u.worker, '') = '' OR t.worker = u.worker)"
    " RETURNING t.*, u.new_result, u.new_outcome),"
    " released AS (DELETE FROM takt.lease WHERE slot IN (SELECT slot FROM gone))"
    " INSERT INTO takt.done (slot, {all}) SELECT slot, %s FROM gone RETURNING slot, {light}";

static void add_succeeded(Buf *buf) {
    static const struct {
        const char *name, *becomes;
    } changes[] = {{"state", "4"},        {"reason", "NULL::int8"}, {"deadline_us", "NULL::int8"},
                   {"finished_us", "$6"}, {"result", "new_result"}, {"outcome", "new_outcome"}};
    const FieldList *list = field_list(FIELDS_ALL);
    for (size_t i = 0; i < list->count; i++) {
        const char *text = list->at[i]->name;
        for (size_t k = 0; k < LENGTH(changes); k++) {
            if (strcmp(list->at[i]->name, changes[k].name) == 0) text = changes[k].becomes;
        }
        buf_format(buf, "%s%s", i > 0 ? ", " : "", text);
    }
}

/* ---- answers ---- */

typedef struct Blind {
    Batch *batch;
    Row **rows;
    size_t count;
    bool start;
} Blind;

static Err on_blind(void *context, const PGresult *result, Error *error) {
    const Blind *blind = context;
    Batch *batch = blind->batch;
    FieldSet set = blind->start ? FIELDS_ALL : FIELDS_LIGHT;
    PgTable table = blind->start ? TABLE_LIVE : TABLE_DONE;
    for (int i = 0; i < PQntuples(result); i++) {
        Job job;
        TRY(pg_row_read(result, i, 1, set, &batch->arena, &job, error));
        Row *row = map_get(&batch->by_key, job_key_str(&job.key));
        check(row && row->write != WRITE_NONE);
        if (!blind->start) { /* what it was given need not come back */
            job.result = row->result;
            job.outcome = row->hash;
        }
        batch_hit(batch, row, slot_make(value_int(result, i, 0), table), &job);
        row->write = WRITE_NONE;
    }
    /* what missed is loaded by the rest of the flush */
    for (size_t i = 0; i < blind->count; i++) {
        Row *row = blind->rows[i];
        if (row->write == WRITE_NONE) continue;
        row->write = WRITE_NONE;
        row->status = ROW_ASKED;
    }
    return OK;
}

static void add_start(PgParams *params, Row **rows, size_t count) {
    PgParam *keys = params_add_array(params, PG_UUID);
    PgParam *queues = params_add_array(params, PG_TEXT);
    PgParam *workers = params_add_array(params, PG_TEXT);
    PgParam *graces = params_add_array(params, PG_INT8);
    for (size_t i = 0; i < count; i++) {
        array_add_key(keys, &rows[i]->key);
        array_add_text(queues, rows[i]->start_queue);
        array_add_text(workers, rows[i]->lease.worker);
        array_add_int(graces, rows[i]->grace_ms);
    }
}

static void add_succeed(PgParams *params, Row **rows, size_t count) {
    PgParam *keys = params_add_array(params, PG_UUID);
    PgParam *fences = params_add_array(params, PG_INT8);
    PgParam *workers = params_add_array(params, PG_TEXT);
    PgParam *results = params_add_array(params, PG_TEXT);
    PgParam *hashes = params_add_array(params, PG_TEXT);
    for (size_t i = 0; i < count; i++) {
        array_add_key(keys, &rows[i]->key);
        array_add_int(fences, rows[i]->lease.fence);
        array_add_text(workers, rows[i]->lease.worker);
        array_add_text(results, rows[i]->result);
        array_add_text(hashes, rows[i]->hash);
    }
}

void pg_flush_blind(PgWriter *writer, Row **rows, size_t count, RowWrite write) {
    if (count == 0) return;
    Blind *blind = arena_new(&writer->batch->arena, Blind);
    *blind = (Blind){writer->batch, rows, count, write == WRITE_START};
    cleanup(params_done) PgParams params;
    params_init(&params);
    if (blind->start) {
        add_start(&params, rows, count);
    } else {
        add_succeed(&params, rows, count);
    }
    params_add_int(&params, writer->batch->now_us);
    if (blind->start) {
        pg_write(writer, START, &params, on_blind, blind);
        return;
    }
    Buf columns, text;
    buf_init(&columns, 8192);
    buf_init(&text, 16384);
    add_succeeded(&columns);
    buf_format(&text, SUCCEED, buf_cstr(&columns));
    pg_write(writer, buf_cstr(&text), &params, on_blind, blind);
    buf_done(&columns);
    buf_done(&text);
}

/* ---- loads ---- */

/* The newest job of each key, found in up to three tables. */
typedef struct Load {
    Row *row;
    int64_t slot; /* 0: none so far */
    Job job;
} Load;

typedef struct Loads {
    Batch *batch;
    Load *at; /* by key */
    size_t count;
    PgTable table; /* whose answer comes next */
} Loads;

static Load *find(const Loads *loads, const JobKey *key) {
    size_t low = 0, high = loads->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = memcmp(loads->at[middle].row->key.bytes, key->bytes, sizeof key->bytes);
        if (order == 0) return &loads->at[middle];
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

static void settle(const Loads *loads) {
    for (size_t i = 0; i < loads->count; i++) {
        Load *load = &loads->at[i];
        if (load->slot) {
            batch_found(loads->batch, load->row, load->slot, &load->job);
        } else {
            batch_missing(loads->batch, load->row);
        }
    }
}

/* A live job is the newest of its key. */
static Err on_loaded(void *context, const PGresult *result, Error *error) {
    Loads *loads = context;
    for (int i = 0; i < PQntuples(result); i++) {
        JobKey key = value_key(result, i, 1);
        Load *load = find(loads, &key);
        check(load);
        int64_t slot = slot_make(value_int(result, i, 0), loads->table);
        bool newer = load->slot == 0 || (slot_table(load->slot) != TABLE_LIVE &&
                                         slot_number(slot) > slot_number(load->slot));
        if (!newer) continue;
        TRY(pg_row_read(result, i, 1, FIELDS_ALL, &loads->batch->arena, &load->job, error));
        job_copy(&load->job, &loads->batch->arena);
        load->slot = slot;
    }
    if (++loads->table == TABLES) settle(loads);
    return OK;
}

/* One lock for each key whether there is a row or not: nobody else makes or moves one before the commit. A
 * guarded start or success takes none, but it changes live rows alone, and those are locked below. */
static int64_t lock_of(const JobKey *key) {
    uint64_t half[2];
    memcpy(half, key->bytes, sizeof half);
    return (int64_t)(half[0] ^ (half[1] * UINT64_C(0x9e3779b97f4a7c15)));
}

void pg_flush_loads(PgWriter *writer, Row **rows, size_t count) {
    if (count == 0) return;
    Batch *batch = writer->batch;
    Loads *loads = arena_new(&batch->arena, Loads);
    *loads = (Loads){.batch = batch, .count = count};
    loads->at = arena_zero(&batch->arena, count, sizeof(Load));
    cleanup(params_done) PgParams locks, keys;
    params_init(&locks);
    params_init(&keys);
    PgParam *numbers = params_add_array(&locks, PG_INT8);
    PgParam *array = params_add_array(&keys, PG_UUID);
    for (size_t i = 0; i < count; i++) {
        loads->at[i].row = rows[i];
        array_add_int(numbers, lock_of(&rows[i]->key));
        array_add_key(array, &rows[i]->key);
    }
    pg_query(writer, "SELECT pg_advisory_xact_lock(k) FROM unnest($1::int8[]) AS k", &locks,
             pg_ignore, NULL);
    pg_query(writer,
             "SELECT t.slot, {all.t} FROM unnest($1::uuid[]) AS u(k), takt.live AS t"
             " WHERE t.key = u.k FOR UPDATE OF t",
             &keys, on_loaded, loads);
#define NEWEST(table)                                                                              \
    "SELECT t.slot, {all.t} FROM unnest($1::uuid[]) AS u(k), LATERAL (SELECT * FROM takt." table   \
    " WHERE key = u.k ORDER BY slot DESC LIMIT 1 FOR UPDATE) AS t"
    pg_query(writer, NEWEST("done"), &keys, on_loaded, loads);
    pg_query(writer, NEWEST("dead"), &keys, on_loaded, loads);
#undef NEWEST
}
