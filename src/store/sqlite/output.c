/* Captured output of jobs: a row per chunk of a few KiB, so that a small piece of output costs a
 * small write. The invariant: a job's chunks together hold at most LIMIT_LOG bytes, the newest
 * ones. */
#include "store/sqlite/flush.h"

enum {
    CHUNK_CLOSED = 4 * 1024, /* a chunk of this size is not extended */
    CHUNKS_MOST = LIMIT_LOG / CHUNK_CLOSED + 3,
};

typedef struct Chunk {
    int64_t seq;
    int64_t len;
} Chunk;

static Err statement_for(Writer *writer, Sql sql, int64_t slot, int64_t seq, sqlite3_stmt **ret,
                         Error *error) {
    TRY(database_statement(&writer->database, sql, ret, error));
    bind_int(*ret, 1, slot);
    bind_int(*ret, 2, seq);
    return OK;
}

static Err read_chunks(Writer *writer, int64_t slot, Chunk *ret, size_t *ret_count, Error *error) {
    sqlite3_stmt *statement;
    TRY(database_statement(&writer->database, SQL_LOG_LENGTHS, &statement, error));
    bind_int(statement, 1, slot);
    size_t count = 0;
    bool there;
    TRY(statement_step(statement, &there, error));
    while (there) {
        check(count < CHUNKS_MOST);
        ret[count++] =
            (Chunk){sqlite3_column_int64(statement, 0), sqlite3_column_int64(statement, 1)};
        TRY(statement_step(statement, &there, error));
    }
    *ret_count = count;
    return OK;
}

/* Where the text may be cut: at the first character that begins at `from` or later. */
static size_t character_at(Str text, size_t from) {
    while (from < text.len && ((unsigned char)text.ptr[from] & 0xc0) == 0x80)
        from++;
    return from;
}

static Err cut_front(Writer *writer, int64_t slot, int64_t seq, size_t bytes, Error *error) {
    sqlite3_stmt *read, *write;
    bool there;
    TRY(statement_for(writer, SQL_LOG_READ, slot, seq, &read, error));
    TRY(statement_step(read, &there, error));
    check(there);
    Str text = column_str(read, 0);
    size_t from = character_at(text, bytes);
    Err err = statement_for(writer, SQL_LOG_CUT, slot, seq, &write, error);
    if (err == OK) {
        check(sqlite3_bind_text(write, 3, text.ptr + from, (int)(text.len - from),
                                SQLITE_TRANSIENT) == SQLITE_OK);
    }
    statement_end(read);
    return err == OK ? statement_run(write, error) : err;
}

/* Takes `over` bytes off the oldest chunks. */
static Err trim(Writer *writer, int64_t slot, const Chunk *chunks, size_t count, int64_t over,
                Error *error) {
    for (size_t i = 0; i < count && over > 0; i++) {
        if (chunks[i].len > over) {
            return cut_front(writer, slot, chunks[i].seq, (size_t)over, error);
        }
        sqlite3_stmt *drop;
        TRY(statement_for(writer, SQL_LOG_DROP, slot, chunks[i].seq, &drop, error));
        TRY(statement_run(drop, error));
        over -= chunks[i].len;
    }
    return OK;
}

static Err drop_all(Writer *writer, int64_t slot, Error *error) {
    sqlite3_stmt *drop;
    TRY(database_statement(&writer->database, SQL_LOG_OF_JOB, &drop, error));
    bind_int(drop, 1, slot);
    return statement_run(drop, error);
}

Err output_append(Writer *writer, int64_t slot, Str text, Error *error) {
    if (text.len == 0) return OK;
    if (text.len > LIMIT_LOG) { /* nothing of what was before is kept */
        size_t from = character_at(text, text.len - LIMIT_LOG);
        text = (Str){text.ptr + from, text.len - from};
        TRY(drop_all(writer, slot, error));
    }
    Chunk chunks[CHUNKS_MOST + 1];
    size_t count = 0;
    TRY(read_chunks(writer, slot, chunks, &count, error));
    bool extend = count > 0 && chunks[count - 1].len < CHUNK_CLOSED;
    if (!extend) chunks[count] = (Chunk){count > 0 ? chunks[count - 1].seq + 1 : 0, 0};
    Chunk *last = extend ? &chunks[count - 1] : &chunks[count++];
    sqlite3_stmt *statement;
    TRY(statement_for(writer, extend ? SQL_LOG_EXTEND : SQL_LOG_ADD, slot, last->seq, &statement,
                      error));
    bind_text(statement, 3, text);
    TRY(statement_run(statement, error));
    last->len += (int64_t)text.len;
    int64_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += chunks[i].len;
    return trim(writer, slot, chunks, count, total - LIMIT_LOG, error);
}
