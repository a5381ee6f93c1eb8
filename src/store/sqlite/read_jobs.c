/* Jobs: one, all running ones, the output of one, and lists by filter, newest first.
 *
 * A list walks the rows by slot backwards. Where the statuses asked for are few by the counts, it
 * reads them along their index and sorts instead: that is bounded by SELECTIVE, the walk is not
 * worth it there. */
#include "store/sqlite/read.h"
#include "store/sqlite/row.h"

enum { SELECTIVE = 20000, IDS_MOST = 1000, SQL_MOST = 64 * 1024 };

static Err add_job(Query *query, sqlite3_stmt *statement, int column, FieldSet set, Error *error) {
    query->jobs = read_grow(&query->arena, query->jobs, query->count, sizeof(Job));
    Job *job = &query->jobs[query->count];
    TRY(row_read(statement, column, set, &query->arena, job, error));
    job_copy(job, &query->arena);
    query->count++;
    return OK;
}

/* The newest job of the key, and its slot; 0 = none. The statement is left on its row. */
static Err find(Database *database, const JobKey *key, sqlite3_stmt **ret, int64_t *ret_slot,
                Error *error) {
    bool there;
    TRY(database_statement(database, SQL_LOAD, ret, error));
    bind_key(*ret, 1, key);
    TRY(statement_step(*ret, &there, error));
    *ret_slot = there ? sqlite3_column_int64(*ret, 0) : 0;
    return OK;
}

Err read_job(Database *database, Query *query, Error *error) {
    sqlite3_stmt *statement;
    int64_t slot;
    TRY(find(database, &query->key, &statement, &slot, error));
    return slot == 0 ? OK : add_job(query, statement, 2, FIELDS_ALL, error);
}

Err read_running(Database *database, Query *query, Error *error) {
    sqlite3_stmt *statement;
    TRY(database_statement(database, SQL_RUNNING, &statement, error));
    bool there;
    TRY(statement_step(statement, &there, error));
    while (there) {
        TRY(add_job(query, statement, 0, FIELDS_RUNNING, error));
        TRY(statement_step(statement, &there, error));
    }
    return OK;
}

Err read_log(Database *database, Query *query, Error *error) {
    sqlite3_stmt *statement;
    int64_t slot;
    TRY(find(database, &query->key, &statement, &slot, error));
    statement_end(statement);
    if (slot == 0) return OK;
    TRY(database_statement(database, SQL_LOG_READ, &statement, error));
    bind_int(statement, 1, slot);
    bind_int(statement, 2, 0);
    cleanup(buf_done) Buf text;
    buf_init(&text, LIMIT_LOG);
    bool there;
    TRY(statement_step(statement, &there, error));
    while (there) {
        buf_add(&text, column_str(statement, 0));
        TRY(statement_step(statement, &there, error));
    }
    query->text = arena_str(&query->arena, buf_str(&text));
    return OK;
}

/* ---- lists: the statement is put together from what the filter names; values are bound ---- */

typedef struct Parameter {
    Str text; /* absent: number */
    int64_t number;
    bool blob;
} Parameter;

typedef struct Builder {
    Buf sql;
    Parameter *parameters;
    size_t count;
    Arena *arena;
} Builder;

static void builder_done(Builder *builder) {
    buf_done(&builder->sql);
}

static void parameter_add(Builder *builder, Parameter parameter) {
    builder->parameters =
        read_grow(builder->arena, builder->parameters, builder->count, sizeof parameter);
    builder->parameters[builder->count++] = parameter;
}

/* `condition` has one '?' for the value. */
static void where_text(Builder *builder, const char *condition, Str text) {
    if (!text.ptr) return;
    buf_format(&builder->sql, " AND %s", condition);
    parameter_add(builder, (Parameter){.text = text});
}

static void where_number(Builder *builder, const char *condition, int64_t number) {
    if (number == 0) return;
    buf_format(&builder->sql, " AND %s", condition);
    parameter_add(builder, (Parameter){.number = number});
}

static void where_key(Builder *builder, const JobKey *key) {
    Str bytes = arena_str(builder->arena, job_key_str(key));
    parameter_add(builder, (Parameter){.text = bytes, .blob = true});
}

/* A job without a correlation id has its own id for one. */
static void where_correlation(Builder *builder, Str id) {
    if (!id.ptr) return;
    buf_add(&builder->sql,
            STR(" AND (correlation_id = ? OR (correlation_id IS NULL AND key = ?))"));
    parameter_add(builder, (Parameter){.text = id});
    JobKey key = job_key_from_id(id);
    where_key(builder, &key);
}

static void where_globs(Builder *builder, const JobFilter *filter) {
    for (size_t i = 0; i < filter->queue_glob_count; i++) {
        buf_add(&builder->sql, i == 0 ? STR(" AND (") : STR(" OR "));
        buf_add(&builder->sql, STR("queue_matches(?, queue)"));
        parameter_add(builder, (Parameter){.text = filter->queue_globs[i]});
    }
    if (filter->queue_glob_count > 0) buf_add_char(&builder->sql, ')');
}

static Err where_ids(Builder *builder, Str list, Error *error) {
    if (!list.ptr) return OK;
    Json ids, id;
    TRY(json_check(list, &ids, error));
    if (ids.kind != JSON_ARRAY || json_count(ids) > IDS_MOST) {
        return error_set(error, ERR_INVALID, "a list of ids is an array of at most %d", IDS_MOST);
    }
    buf_add(&builder->sql, STR(" AND key IN ("));
    JsonIter iter = json_iter(ids);
    for (size_t i = 0; json_next(&iter, NULL, &id); i++) {
        if (id.kind != JSON_STRING) return error_set(error, ERR_INVALID, "an id is a string");
        buf_add(&builder->sql, i == 0 ? STR("?") : STR(",?"));
        JobKey key = job_key_from_id(json_string(id, builder->arena));
        where_key(builder, &key);
    }
    buf_add_char(&builder->sql, ')');
    return OK;
}

static Err where_filter(Builder *builder, const JobFilter *filter, Error *error) {
    where_text(builder, "queue = ?", filter->queue);
    where_text(builder, "type = ?", filter->type);
    where_text(builder, "worker = ?", filter->worker);
    where_number(builder, "version = ?", filter->version);
    where_number(builder, "created_us > ?", filter->created_after_us);
    where_number(builder, "created_us < ?", filter->created_before_us);
    for (size_t i = 0; i < filter->tag_count; i++) {
        where_text(builder, "EXISTS (SELECT 1 FROM json_each(tags) WHERE value = ?)",
                   filter->tags[i]);
    }
    where_correlation(builder, filter->correlation_id);
    where_globs(builder, filter);
    return where_ids(builder, filter->id_list_json, error);
}

/* ---- statuses: which stored states they mean, and the index of each ---- */

typedef struct Source {
    unsigned statuses;  /* any of these asked for … */
    const char *index;  /* … can be found here, */
    const char *states; /* with this condition of the index */
} Source;

enum {
    WAITING = 1U << STATUS_SCHEDULED | 1U << STATUS_PENDING | 1U << STATUS_RETRYING,
    HELD = 1U << STATUS_BLOCKED | 1U << STATUS_PENDING,
    ENDED = 1U << STATUS_SUCCEEDED | 1U << STATUS_CANCELLED,
};

static const Source SOURCES[] = {
    {WAITING, "job_waiting", "state = 1"},
    {HELD, "job_held", "state IN (0, 2)"},
    {1U << STATUS_RUNNING, "job_running", "state = 3"},
    {ENDED, "job_finished", "state IN (4, 6)"},
    {1U << STATUS_DEAD, "job_dead", "state = 5"},
};

static const char *const CONDITIONS[STATUS_COUNT] = {
    [STATUS_BLOCKED] = "state = 0",
    [STATUS_SCHEDULED] = "(state = 1 AND due_us > ? AND failures IS NULL)",
    [STATUS_PENDING] = "(state = 2 OR (state = 1 AND due_us <= ?))",
    [STATUS_RUNNING] = "state = 3",
    [STATUS_RETRYING] = "(state = 1 AND due_us > ? AND failures > 0)",
    [STATUS_SUCCEEDED] = "state = 4",
    [STATUS_DEAD] = "state = 5",
    [STATUS_CANCELLED] = "state = 6",
};

static void where_statuses(Builder *builder, unsigned statuses, int64_t now_us) {
    if (statuses == 0) return;
    const char *before = " AND (";
    for (JobStatus status = 0; status < STATUS_COUNT; status++) {
        if (!(statuses & (1U << status))) continue;
        buf_format(&builder->sql, "%s%s", before, CONDITIONS[status]);
        if (WAITING & (1U << status)) parameter_add(builder, (Parameter){.number = now_us});
        before = " OR ";
    }
    buf_add_char(&builder->sql, ')');
}

/* By the counts, relative to their frontier: good enough to choose a plan. */
static Err count_statuses(Database *database, unsigned statuses, int64_t *ret, Error *error) {
    /* between frontier and now, jobs move among these */
    if (statuses & WAITING) statuses |= WAITING;
    *ret = 0;
    sqlite3_stmt *statement;
    TRY(database_statement(database, SQL_STATUS_TOTALS, &statement, error));
    bool there;
    TRY(statement_step(statement, &there, error));
    while (there) {
        bool wanted = statuses & (1U << sqlite3_column_int64(statement, 0));
        if (wanted) *ret += sqlite3_column_int64(statement, 1);
        TRY(statement_step(statement, &there, error));
    }
    return OK;
}

static Err write_select(Builder *builder, const Query *query, const char *from, Error *error) {
    sql_expand(query->filter.with_bodies ? "SELECT slot, {all} FROM job "
                                         : "SELECT slot, {list} FROM job ",
               &builder->sql);
    buf_format(&builder->sql, "%s", from);
    where_number(builder, "slot < ?", query->cursor);
    where_statuses(builder, query->filter.statuses, query->until_us);
    return where_filter(builder, &query->filter, error);
}

static Err write_list(Builder *builder, Database *database, const Query *query, Error *error) {
    const JobFilter *filter = &query->filter;
    if (filter->id_list_json.ptr) {
        return write_select(builder, query, "INDEXED BY job_key WHERE 1", error);
    }
    int64_t wanted = INT64_MAX;
    if (filter->statuses != 0) TRY(count_statuses(database, filter->statuses, &wanted, error));
    if (wanted > SELECTIVE) return write_select(builder, query, "NOT INDEXED WHERE 1", error);
    const char *before = "";
    for (size_t i = 0; i < LENGTH(SOURCES); i++) {
        if (!(SOURCES[i].statuses & filter->statuses)) continue;
        cleanup(buf_done) Buf from;
        buf_init(&from, 256);
        buf_format(&from, "INDEXED BY %s WHERE %s", SOURCES[i].index, SOURCES[i].states);
        buf_format(&builder->sql, "%s", before);
        TRY(write_select(builder, query, buf_cstr(&from), error));
        before = " UNION ALL ";
    }
    return OK;
}

static void bind_parameters(const Builder *builder, sqlite3_stmt *statement) {
    for (size_t i = 0; i < builder->count; i++) {
        const Parameter *parameter = &builder->parameters[i];
        int index = (int)i + 1;
        if (!parameter->text.ptr) {
            bind_int(statement, index, parameter->number);
        } else if (parameter->blob) {
            check(sqlite3_bind_blob(statement, index, parameter->text.ptr, (int)parameter->text.len,
                                    SQLITE_STATIC) == SQLITE_OK);
        } else {
            bind_text(statement, index, parameter->text);
        }
    }
}

static Err read_page(Query *query, sqlite3_stmt *statement, Error *error) {
    FieldSet set = query->filter.with_bodies ? FIELDS_ALL : FIELDS_LIST;
    int64_t last = 0;
    bool there;
    TRY(statement_step(statement, &there, error));
    while (there) {
        if (query->count == query->limit) {
            query->more = true;
            query->next_cursor = last;
            return OK;
        }
        last = sqlite3_column_int64(statement, 0);
        TRY(add_job(query, statement, 1, set, error));
        TRY(statement_step(statement, &there, error));
    }
    return OK;
}

Err read_jobs(Database *database, Query *query, Error *error) {
    cleanup(builder_done) Builder builder = {.arena = &query->arena};
    buf_init(&builder.sql, SQL_MOST);
    TRY(write_list(&builder, database, query, error));
    buf_add(&builder.sql, STR(" ORDER BY slot DESC LIMIT ?"));
    parameter_add(&builder, (Parameter){.number = (int64_t)query->limit + 1});
    if (builder.sql.overflow) return error_set(error, ERR_LIMIT, "the filter is too long");
    sqlite3_stmt *statement;
    TRY(database_prepare(database, buf_str(&builder.sql), &statement, error));
    bind_parameters(&builder, statement);
    Err err = read_page(query, statement, error);
    sqlite3_finalize(statement);
    return err;
}
