/* Columns and members: see row.h. */
#include "store/sqlite/row.h"

#include <string.h>

enum { RETRY_TEXT_MOST = 256 };

static bool is_id(const JobField *field) {
    return field->offset == offsetof(Job, id);
}

static void id_of_key(const JobKey *key, char ret_text[UUID_TEXT_SIZE]) {
    Uuid uuid;
    memcpy(uuid.bytes, key->bytes, sizeof uuid.bytes);
    uuid_format(&uuid, ret_text);
}

static void bind_id(sqlite3_stmt *statement, int index, const Job *job) {
    char text[UUID_TEXT_SIZE];
    id_of_key(&job->key, text);
    if (!str_eq(job->id, str_from(text))) bind_text(statement, index, job->id);
}

static void bind_retry(sqlite3_stmt *statement, int index, const RetryPolicy *retry) {
    cleanup(buf_done) Buf text;
    buf_init(&text, RETRY_TEXT_MOST);
    retry_format(retry, &text);
    check(!text.overflow);
    if (text.len == 0) return;
    check(sqlite3_bind_text(statement, index, text.data, (int)text.len, SQLITE_TRANSIENT) ==
          SQLITE_OK);
}

void row_bind(sqlite3_stmt *statement, FieldSet set, const Job *job) {
    const FieldList *list = field_list(set);
    for (size_t i = 0; i < list->count; i++) {
        const JobField *field = list->at[i];
        const void *member = (const char *)job + field->offset;
        int index = (int)i + 2;
        switch (field->kind) {
        case FIELD_INT: {
            int64_t value = *(const int64_t *)member;
            if (value != 0 || field->offset == offsetof(Job, state))
                bind_int(statement, index, value);
            break;
        }
        case FIELD_TEXT:
            if (is_id(field)) {
                bind_id(statement, index, job);
            } else {
                bind_text(statement, index, *(const Str *)member);
            }
            break;
        case FIELD_KEY: bind_key(statement, index, &job->key); break;
        case FIELD_RETRY: bind_retry(statement, index, &job->retry); break;
        }
    }
}

static Err read_key(sqlite3_stmt *statement, int column, JobKey *ret, Error *error) {
    const void *bytes = sqlite3_column_blob(statement, column);
    if (!bytes || sqlite3_column_bytes(statement, column) != (int)sizeof ret->bytes) {
        return error_code(error, ERR_INTERNAL, "store-damaged", "a job's key has a wrong length");
    }
    memcpy(ret->bytes, bytes, sizeof ret->bytes);
    return OK;
}

static Str read_id(sqlite3_stmt *statement, int column, const Job *job, Arena *arena) {
    Str id = column_str(statement, column);
    if (id.ptr) return id;
    char *text = arena_alloc(arena, UUID_TEXT_SIZE);
    id_of_key(&job->key, text); /* the key's column comes first */
    return (Str){text, UUID_TEXT_SIZE - 1};
}

Err row_read(sqlite3_stmt *statement, int column, FieldSet set, Arena *arena, Job *ret,
             Error *error) {
    const FieldList *list = field_list(set);
    *ret = (Job){0};
    for (size_t i = 0; i < list->count; i++, column++) {
        const JobField *field = list->at[i];
        switch (field->kind) {
        case FIELD_INT: *job_field_int(field, ret) = sqlite3_column_int64(statement, column); break;
        case FIELD_TEXT:
            *job_field_text(field, ret) = is_id(field) ? read_id(statement, column, ret, arena)
                                                       : column_str(statement, column);
            break;
        case FIELD_KEY: TRY(read_key(statement, column, &ret->key, error)); break;
        case FIELD_RETRY: {
            Str text = column_str(statement, column);
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

void session_read(sqlite3_stmt *statement, Arena *arena, SessionRow *ret) {
    *ret = (SessionRow){
        .worker = arena_str(arena, column_str(statement, 0)),
        .node = arena_str(arena, column_str(statement, 1)),
        .info = arena_str(arena, column_str(statement, 2)),
        .lease_ms = sqlite3_column_int64(statement, 3),
        .seen_us = sqlite3_column_int64(statement, 4),
        .opened_us = sqlite3_column_int64(statement, 5),
        .closed_us = sqlite3_column_int64(statement, 6),
        .quick = sqlite3_column_int(statement, 7) != 0,
    };
}

void node_read(sqlite3_stmt *statement, Arena *arena, NodeRow *ret) {
    *ret = (NodeRow){
        .name = arena_str(arena, column_str(statement, 0)),
        .instance = arena_str(arena, column_str(statement, 1)),
        .version = arena_str(arena, column_str(statement, 2)),
        .info = arena_str(arena, column_str(statement, 3)),
        .started_us = sqlite3_column_int64(statement, 4),
        .seen_us = sqlite3_column_int64(statement, 5),
        .clock_offset_us = sqlite3_column_int64(statement, 6),
        .draining = sqlite3_column_int(statement, 7) != 0,
    };
}
