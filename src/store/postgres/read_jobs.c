/* Jobs: one, all running ones, the output of one, and lists by filter, newest first.
 *
 * A list walks the tables by number backwards, a page of each, and merges: the condition is the same for
 * all three. */
#include "store/postgres/read.h"

#include "core/limits.h"

enum { IDS_MOST = 1000, SQL_MOST = 64 * 1024 };

static Err add_jobs(Query *query, const PGresult *result, int column, FieldSet set, Error *error) {
    size_t count = (size_t)PQntuples(result);
    query->jobs = arena_zero(&query->arena, count + 1, sizeof(Job));
    for (size_t i = 0; i < count; i++) {
        Job *job = &query->jobs[i];
        TRY(pg_row_read(result, (int)i, column, set, &query->arena, job, error));
        job_copy(job, &query->arena);
    }
    query->count = count;
    return OK;
}

static Err on_job(void *context, const PGresult *result, Error *error) {
    return add_jobs(context, result, 1, FIELDS_ALL, error);
}

static Err on_running(void *context, const PGresult *result, Error *error) {
    return add_jobs(context, result, 0, FIELDS_RUNNING, error);
}

/* What was kept begins where its beginning was cut off, perhaps within a character. */
static Err on_log(void *context, const PGresult *result, Error *error) {
    Query *query = context;
    (void)error;
    if (PQntuples(result) == 0) return OK;
    Str text = value_text(result, 0, 0);
    if (!text.ptr) {
        query->text = STR("");
        return OK;
    }
    while (text.len > 0 && ((unsigned char)text.ptr[0] & 0xc0) == 0x80)
        text = (Str){text.ptr + 1, text.len - 1};
    query->text = arena_str(&query->arena, text);
    return OK;
}

/* ---- lists ---- */

typedef struct Builder {
    Buf where;
    PgParams params;
    Arena *arena;
} Builder;

static void builder_done(Builder *builder) {
    buf_done(&builder->where);
    params_done(&builder->params);
}

/* `condition` has one %zu for the place of the parameter added last. */
#define WHERE(builder, condition)                                                                  \
    buf_format(&(builder)->where, " AND " condition, (builder)->params.count)

static void where_numbers(Builder *builder, const Query *query) {
    const JobFilter *filter = &query->filter;
    if (query->cursor) {
        params_add_int(&builder->params, query->cursor);
        WHERE(builder, "slot < $%zu");
    }
    if (filter->version) {
        params_add_int(&builder->params, filter->version);
        WHERE(builder, "version = $%zu");
    }
    if (filter->created_after_us) {
        params_add_int(&builder->params, filter->created_after_us);
        WHERE(builder, "created_us > $%zu");
    }
    if (filter->created_before_us) {
        params_add_int(&builder->params, filter->created_before_us);
        WHERE(builder, "created_us < $%zu");
    }
}

static void where_texts(Builder *builder, const JobFilter *filter) {
    if (filter->queue.ptr) {
        params_add_text(&builder->params, filter->queue);
        WHERE(builder, "queue = $%zu");
    }
    if (filter->type.ptr) {
        params_add_text(&builder->params, filter->type);
        WHERE(builder, "type = $%zu");
    }
    if (filter->worker.ptr) {
        params_add_text(&builder->params, filter->worker);
        WHERE(builder, "worker = $%zu");
    }
    for (size_t i = 0; i < filter->tag_count; i++) {
        params_add_text(&builder->params, filter->tags[i]);
        WHERE(builder, "EXISTS (SELECT 1 FROM json_array_elements_text(tags::json) AS e(tag)"
                       " WHERE e.tag = $%zu)");
    }
}

/* A job without a correlation id has its own id for one. */
static void where_correlation(Builder *builder, Str id) {
    if (!id.ptr) return;
    JobKey key = job_key_from_id(id);
    params_add_text(&builder->params, id);
    params_add_key(&builder->params, &key);
    size_t at = builder->params.count;
    buf_format(&builder->where,
               " AND (correlation_id = $%zu OR (correlation_id IS NULL AND key = $%zu))", at - 1,
               at);
}

/* As str_glob() has it: * and ? alone are special. */
static Str like_of(Str glob, Arena *arena) {
    char *text = arena_alloc(arena, 2 * glob.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < glob.len; i++) {
        char c = glob.ptr[i];
        if (c == '%' || c == '_' || c == '\\') text[len++] = '\\';
        text[len++] = c == '*' ? '%' : c == '?' ? '_' : c;
    }
    return (Str){text, len};
}

static void where_globs(Builder *builder, const JobFilter *filter) {
    if (filter->queue_glob_count == 0) return;
    PgParam *globs = params_add_array(&builder->params, PG_TEXT);
    for (size_t i = 0; i < filter->queue_glob_count; i++) {
        array_add_text(globs, like_of(filter->queue_globs[i], builder->arena));
    }
    WHERE(builder, "queue LIKE ANY ($%zu::text[])");
}

static Err where_ids(Builder *builder, Str list, Error *error) {
    if (!list.ptr) return OK;
    Json ids, id;
    TRY(json_check(list, &ids, error));
    if (ids.kind != JSON_ARRAY || json_count(ids) > IDS_MOST) {
        return error_set(error, ERR_INVALID, "a list of ids is an array of at most %d", IDS_MOST);
    }
    PgParam *keys = params_add_array(&builder->params, PG_UUID);
    JsonIter iter = json_iter(ids);
    while (json_next(&iter, NULL, &id)) {
        if (id.kind != JSON_STRING) return error_set(error, ERR_INVALID, "an id is a string");
        JobKey key = job_key_from_id(json_string(id, builder->arena));
        array_add_key(keys, &key);
    }
    WHERE(builder, "key = ANY ($%zu::uuid[])");
    return OK;
}

/* $1 is now, everywhere. */
static const char *const CONDITIONS[STATUS_COUNT] = {
    [STATUS_BLOCKED] = "state = 0",
    [STATUS_SCHEDULED] = "(state = 1 AND due_us > $1 AND failures = 0)",
    [STATUS_PENDING] = "(state = 2 OR (state = 1 AND due_us <= $1))",
    [STATUS_RUNNING] = "state = 3",
    [STATUS_RETRYING] = "(state = 1 AND due_us > $1 AND failures > 0)",
    [STATUS_SUCCEEDED] = "state = 4",
    [STATUS_DEAD] = "state = 5",
    [STATUS_CANCELLED] = "state = 6",
};

static const unsigned STATUSES_OF[TABLES] = {
    [TABLE_LIVE] = 1U << STATUS_BLOCKED | 1U << STATUS_SCHEDULED | 1U << STATUS_PENDING |
                   1U << STATUS_RUNNING | 1U << STATUS_RETRYING,
    [TABLE_DONE] = 1U << STATUS_SUCCEEDED | 1U << STATUS_CANCELLED,
    [TABLE_DEAD] = 1U << STATUS_DEAD,
};

static void add_statuses(Buf *buf, unsigned statuses) {
    const char *before = " AND (";
    for (JobStatus status = 0; status < STATUS_COUNT; status++) {
        if (!(statuses & (1U << status))) continue;
        buf_format(buf, "%s%s", before, CONDITIONS[status]);
        before = " OR ";
    }
    buf_add_char(buf, ')');
}

/* Returns how many it has added: none where the table has no such jobs. */
static size_t add_select(Buf *buf, const Builder *builder, const Query *query, PgTable table,
                         bool behind) {
    unsigned statuses = query->filter.statuses;
    if (statuses != 0 && !(statuses & STATUSES_OF[table])) return 0;
    if (behind) buf_add(buf, STR(" UNION ALL "));
    pg_sql_expand(query->filter.with_bodies ? "(SELECT slot, {all} FROM "
                                            : "(SELECT slot, {list} FROM ",
                  buf);
    buf_format(buf, "%s WHERE $1::int8 >= 0", pg_table_names[table]);
    buf_add(buf, buf_str(&builder->where));
    if (statuses != 0) add_statuses(buf, statuses);
    buf_add(buf, STR(" ORDER BY slot DESC LIMIT $2)"));
    return 1;
}

static Err on_page(void *context, const PGresult *result, Error *error) {
    Query *query = context;
    FieldSet set = query->filter.with_bodies ? FIELDS_ALL : FIELDS_LIST;
    TRY(add_jobs(query, result, 1, set, error));
    query->more = query->count > query->limit;
    if (!query->more) return OK;
    query->count = query->limit;
    if (query->count > 0) query->next_cursor = value_int(result, (int)query->count - 1, 0);
    return OK;
}

static Err read_list(PgConnection *connection, Query *query, Error *error) {
    cleanup(builder_done) Builder builder = {.arena = &query->arena};
    buf_init(&builder.where, SQL_MOST);
    params_init(&builder.params);
    if (query->filter.tag_count + 16 > PARAMS_MOST) {
        return error_set(error, ERR_LIMIT, "the filter names too many tags");
    }
    params_add_int(&builder.params, query->until_us);
    params_add_int(&builder.params, (int64_t)query->limit + 1);
    where_numbers(&builder, query);
    where_texts(&builder, &query->filter);
    where_correlation(&builder, query->filter.correlation_id);
    where_globs(&builder, &query->filter);
    TRY(where_ids(&builder, query->filter.id_list_json, error));
    cleanup(buf_done) Buf text;
    buf_init(&text, SQL_MOST);
    size_t selects = 0;
    buf_add(&text, STR("SELECT * FROM ("));
    for (PgTable table = 0; table < TABLES; table++) {
        selects += add_select(&text, &builder, query, table, selects > 0);
    }
    if (selects == 0) return OK;
    buf_add(&text, STR(") AS page ORDER BY slot DESC LIMIT $2"));
    if (text.overflow) return error_set(error, ERR_LIMIT, "the filter is too long");
    pg_send(connection, buf_cstr(&text), &builder.params, on_page, query);
    return OK;
}

/* ---- one ---- */

static const char JOB[] =
    "(SELECT slot, {all} FROM takt.live WHERE key = $1)"
    " UNION ALL (SELECT slot, {all} FROM takt.done WHERE key = $1 ORDER BY slot DESC LIMIT 1)"
    " UNION ALL (SELECT slot, {all} FROM takt.dead WHERE key = $1 ORDER BY slot DESC LIMIT 1)"
    " ORDER BY slot DESC LIMIT 1";

static const char LOG[] =
    "SELECT l.text FROM ((SELECT slot FROM takt.live WHERE key = $1)"
    " UNION ALL (SELECT slot FROM takt.done WHERE key = $1 ORDER BY slot DESC LIMIT 1)"
    " UNION ALL (SELECT slot FROM takt.dead WHERE key = $1 ORDER BY slot DESC LIMIT 1)"
    " ORDER BY slot DESC LIMIT 1) AS n LEFT JOIN takt.log AS l ON l.slot = n.slot";

static const char RUNNING[] = "SELECT {running.t} FROM takt.lease AS e, takt.live AS t"
                              " WHERE t.slot = e.slot AND t.state = 3 ORDER BY e.deadline_us";

static void send_text(PgConnection *connection, const char *sql, PgParams *params, PgAnswer answer,
                      Query *query) {
    cleanup(buf_done) Buf text;
    buf_init(&text, SQL_MOST);
    pg_sql_expand(sql, &text);
    pg_send(connection, buf_cstr(&text), params, answer, query);
}

Err pg_read_jobs(PgConnection *connection, Query *query, Error *error) {
    cleanup(params_done) PgParams params;
    params_init(&params);
    switch (query->kind) {
    case QUERY_JOB:
        params_add_key(&params, &query->key);
        send_text(connection, JOB, &params, on_job, query);
        return OK;
    case QUERY_LOG:
        params_add_key(&params, &query->key);
        send_text(connection, LOG, &params, on_log, query);
        return OK;
    case QUERY_RUNNING: send_text(connection, RUNNING, NULL, on_running, query); return OK;
    default: return read_list(connection, query, error);
    }
}
