/* See row.h. */
#include "store/postgres/row.h"

#include <endian.h>
#include <string.h>

enum { RETRY_TEXT_MOST = 256 };

const char *const pg_table_names[TABLES] = {"takt.live", "takt.done", "takt.dead"};

PgTable table_of_state(int64_t state) {
    if (state == JOB_DEAD) return TABLE_DEAD;
    return state == JOB_SUCCEEDED || state == JOB_CANCELLED ? TABLE_DONE : TABLE_LIVE;
}

/* ---- texts ---- */

static const char *array_type(const JobField *field) {
    static const char *const types[] = {[FIELD_INT] = "int8[]",
                                        [FIELD_TEXT] = "text[]",
                                        [FIELD_KEY] = "uuid[]",
                                        [FIELD_RETRY] = "text[]"};
    return types[field->kind];
}

static void add_list(Buf *buf, FieldSet set, char form, Str argument) {
    const FieldList *list = field_list(set);
    int64_t number = 0; /* of the parameter */
    if (form == '$') check(str_to_int64(argument, &number));
    for (size_t i = 0; i < list->count; i++) {
        const JobField *field = list->at[i];
        if (i > 0) buf_add(buf, STR(", "));
        switch (form) {
        case '.': buf_format(buf, STR_FMT ".%s", STR_ARG(argument), field->name); break;
        case '=':
            buf_format(buf, "%s = " STR_FMT ".%s", field->name, STR_ARG(argument), field->name);
            break;
        case '$': buf_format(buf, "$%lld::%s", (long long)number++, array_type(field)); break;
        default: buf_format(buf, "%s", field->name);
        }
    }
}

void pg_sql_expand(const char *text, Buf *buf) {
    Str rest = str_from(text);
    while (rest.ptr) {
        buf_add(buf, str_split(&rest, '{'));
        if (!rest.ptr) break;
        Str name = str_split(&rest, '}');
        size_t len = 0;
        while (len < name.len && !strchr(".=$", name.ptr[len]))
            len++;
        char form = len < name.len ? name.ptr[len] : '\0';
        Str argument = form ? (Str){name.ptr + len + 1, name.len - len - 1} : (Str){0};
        add_list(buf, field_set_named((Str){name.ptr, len}), form, argument);
    }
}

/* ---- in ---- */

static bool is_id(const JobField *field) {
    return field->offset == offsetof(Job, id);
}

static void id_of_key(const JobKey *key, char ret_text[UUID_TEXT_SIZE]) {
    Uuid uuid;
    memcpy(uuid.bytes, key->bytes, sizeof uuid.bytes);
    uuid_format(&uuid, ret_text);
}

PgParam *pg_row_arrays(PgParams *params, FieldSet set) {
    static const unsigned types[] = {[FIELD_INT] = PG_INT8,
                                     [FIELD_TEXT] = PG_TEXT,
                                     [FIELD_KEY] = PG_UUID,
                                     [FIELD_RETRY] = PG_TEXT};
    const FieldList *list = field_list(set);
    PgParam *first = NULL;
    for (size_t i = 0; i < list->count; i++) {
        PgParam *array = params_add_array(params, types[list->at[i]->kind]);
        if (!first) first = array;
    }
    return first;
}

static void add_retry(PgParam *array, const RetryPolicy *retry) {
    cleanup(buf_done) Buf text;
    buf_init(&text, RETRY_TEXT_MOST);
    retry_format(retry, &text);
    check(!text.overflow);
    array_add_text(array, text.len > 0 ? buf_str(&text) : (Str){0});
}

static void add_text(PgParam *array, const JobField *field, const Job *job) {
    Str text = *(const Str *)(const void *)((const char *)job + field->offset);
    if (is_id(field)) {
        char own[UUID_TEXT_SIZE];
        id_of_key(&job->key, own);
        if (str_eq(text, str_from(own))) text = (Str){0};
    }
    array_add_text(array, text);
}

/* What statements compare is never NULL. */
static bool is_compared(const JobField *field) {
    return field->offset == offsetof(Job, state) || field->offset == offsetof(Job, priority) ||
           field->offset == offsetof(Job, due_us) || field->offset == offsetof(Job, fence) ||
           field->offset == offsetof(Job, failures);
}

void pg_row_add(PgParam *arrays, FieldSet set, const Job *job) {
    const FieldList *list = field_list(set);
    for (size_t i = 0; i < list->count; i++) {
        const JobField *field = list->at[i];
        const void *member = (const char *)job + field->offset;
        switch (field->kind) {
        case FIELD_INT:
            if (is_compared(field)) {
                array_add_int(&arrays[i], *(const int64_t *)member);
            } else {
                array_add_int_or_null(&arrays[i], *(const int64_t *)member);
            }
            break;
        case FIELD_TEXT: add_text(&arrays[i], field, job); break;
        case FIELD_KEY: array_add_key(&arrays[i], &job->key); break;
        case FIELD_RETRY: add_retry(&arrays[i], &job->retry); break;
        }
    }
}

/* ---- out ---- */

int64_t value_int(const PGresult *result, int row, int column) {
    if (PQgetisnull(result, row, column)) return 0;
    uint64_t wire;
    check(PQgetlength(result, row, column) == sizeof wire);
    memcpy(&wire, PQgetvalue(result, row, column), sizeof wire);
    return (int64_t)be64toh(wire);
}

Str value_text(const PGresult *result, int row, int column) {
    if (PQgetisnull(result, row, column)) return (Str){0};
    return (Str){PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column)};
}

JobKey value_key(const PGresult *result, int row, int column) {
    JobKey key;
    check(PQgetlength(result, row, column) == sizeof key.bytes);
    memcpy(key.bytes, PQgetvalue(result, row, column), sizeof key.bytes);
    return key;
}

static Str read_id(Str id, const Job *job, Arena *arena) {
    if (id.ptr) return id;
    char *text = arena_alloc(arena, UUID_TEXT_SIZE);
    id_of_key(&job->key, text); /* the key's column comes first */
    return (Str){text, UUID_TEXT_SIZE - 1};
}

Err pg_row_read(const PGresult *result, int row, int column, FieldSet set, Arena *arena, Job *ret,
                Error *error) {
    const FieldList *list = field_list(set);
    *ret = (Job){0};
    for (size_t i = 0; i < list->count; i++, column++) {
        const JobField *field = list->at[i];
        switch (field->kind) {
        case FIELD_INT: *job_field_int(field, ret) = value_int(result, row, column); break;
        case FIELD_TEXT: {
            Str text = value_text(result, row, column);
            *job_field_text(field, ret) = is_id(field) ? read_id(text, ret, arena) : text;
            break;
        }
        case FIELD_KEY: ret->key = value_key(result, row, column); break;
        case FIELD_RETRY: {
            Str text = value_text(result, row, column);
            ret->retry = retry_default();
            if (text.ptr) TRY(retry_parse(text, &ret->retry, error));
            break;
        }
        }
    }
    if (ret->state >= 0 && ret->state < JOB_STATES) return OK;
    return error_code(error, ERR_INTERNAL, "store-damaged", "a job has the unknown state %lld",
                      (long long)ret->state);
}

void pg_session_read(const PGresult *result, int row, Arena *arena, SessionRow *ret) {
    *ret = (SessionRow){
        .worker = arena_str(arena, value_text(result, row, 0)),
        .node = arena_str(arena, value_text(result, row, 1)),
        .info = arena_str(arena, value_text(result, row, 2)),
        .lease_ms = value_int(result, row, 3),
        .seen_us = value_int(result, row, 4),
        .opened_us = value_int(result, row, 5),
        .closed_us = value_int(result, row, 6),
        .quick = value_int(result, row, 7) != 0,
    };
}

void pg_node_read(const PGresult *result, int row, int column, Arena *arena, NodeRow *ret) {
    *ret = (NodeRow){
        .name = arena_str(arena, value_text(result, row, column)),
        .instance = arena_str(arena, value_text(result, row, column + 1)),
        .version = arena_str(arena, value_text(result, row, column + 2)),
        .info = arena_str(arena, value_text(result, row, column + 3)),
        .started_us = value_int(result, row, column + 4),
        .seen_us = value_int(result, row, column + 5),
        .clock_offset_us = value_int(result, row, column + 6),
        .draining = value_int(result, row, column + 7) != 0,
    };
}
