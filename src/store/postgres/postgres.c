/* The store on PostgreSQL: a writer and a reader, each with a connection of its own. The reader connects
 * once the writer has brought the schema up to date. */
#include "store/kinds.h"

#include "base/alloc.h"
#include "store/postgres/read.h"
#include "store/postgres/schema.h"
#include "store/postgres/write.h"

#include <stdlib.h>
#include <string.h>

typedef struct PostgresStore {
    Store base;
    StoreIo io;
    PgTruth truth;
    char *url;
    PgWriter writer;
    PgReader reader;
    bool reads; /* the reader is there */
} PostgresStore;

static PostgresStore *self(Store *store) {
    return container_of(store, PostgresStore, base);
}

static void on_turned(void *context) {
    PostgresStore *postgres = context;
    if (!pg_is_ready(postgres->writer.connection)) return;
    if (postgres->reads) {
        pg_hurry(postgres->reader.connection);
        return;
    }
    postgres->reads = true;
    pg_reader_init(&postgres->reader, &postgres->io, postgres->url, &postgres->truth);
}

/* libpq takes the whole URL, whose scheme the front door has cut off. */
static char *url_of(Str location) {
    static const char scheme[] = "postgres:";
    char *url = alloc_zero(1, sizeof scheme + location.len);
    memcpy(url, scheme, sizeof scheme - 1);
    memcpy(url + sizeof scheme - 1, location.ptr, location.len);
    return url;
}

/* A mistake in the URL is told at once, and without the URL: it may hold a password. */
static Err check_url(const char *url, Error *error) {
    char *why = NULL;
    PQconninfoOption *options = PQconninfoParse(url, &why);
    if (options) {
        PQconninfoFree(options);
        return OK;
    }
    Str rest = str_from(why ? why : "");
    Str line = str_trim(str_split(&rest, '\n'));
    error_code(error, ERR_INVALID, "invalid-store", "the store's URL is not valid: " STR_FMT,
               STR_ARG(line));
    if (why) PQfreemem(why);
    return ERR_INVALID;
}

static Err postgres_open(Store **ret, Str location, const StoreIo *io, Error *error) {
    char *url = url_of(location);
    Err err = check_url(url, error);
    if (err != OK) {
        free(url);
        return err;
    }
    check(io->loop);
    PostgresStore *postgres = alloc_zero(1, sizeof *postgres);
    postgres->base.kind = &store_kind_postgres;
    postgres->io = *io;
    postgres->url = url;
    pg_writer_init(&postgres->writer, &postgres->io, url, &postgres->truth, on_turned, postgres);
    *ret = &postgres->base;
    return OK;
}

static void postgres_run(Store *store, Batch *batch, BatchDone done, void *context) {
    pg_writer_run(&self(store)->writer, batch, done, context);
}

typedef struct Away {
    PostgresStore *postgres;
    Query *query;
} Away;

static void on_away(void *context) {
    Away away = *(Away *)context;
    free(context);
    Query *query = away.query;
    if (away.postgres->reads) {
        pg_reader_read(&away.postgres->reader, query);
        return;
    }
    query->outcome = ERR_UNAVAILABLE;
    (void)pg_health(away.postgres->writer.connection, &query->error);
    query->error.err = ERR_UNAVAILABLE;
    query->now_us = away.postgres->io.now_us(away.postgres->io.context);
    query->done(query);
}

static void postgres_read(Store *store, Query *query) {
    PostgresStore *postgres = self(store);
    if (postgres->reads) {
        pg_reader_read(&postgres->reader, query);
        return;
    }
    Away *away = alloc(sizeof *away);
    *away = (Away){postgres, query};
    postgres->io.post(postgres->io.context, on_away, away);
}

static Err postgres_health(Store *store, Error *error) {
    PostgresStore *postgres = self(store);
    TRY(pg_health(postgres->writer.connection, error));
    if (!postgres->reads) {
        return error_code(error, ERR_UNAVAILABLE, "store-unavailable",
                          "PostgreSQL has not answered yet");
    }
    return pg_health(postgres->reader.connection, error);
}

static Err postgres_migrate(Str location, bool check_only, Buf *report, Error *error) {
    char *url cleanup(free_pointer) = url_of(location);
    TRY(check_url(url, error));
    return pg_schema_migrate(str_from(url), check_only, report, error);
}

static Str postgres_secret(Store *store) {
    const char *secret = self(store)->truth.secret;
    return secret[0] ? str_from(secret) : (Str){0};
}

static Err postgres_read_secret(Str location, Buf *ret, Error *error) {
    char *url cleanup(free_pointer) = url_of(location);
    TRY(check_url(url, error));
    return pg_read_secret(str_from(url), ret, error);
}

static void postgres_close(Store *store) {
    PostgresStore *postgres = self(store);
    if (postgres->reads) pg_reader_done(&postgres->reader);
    pg_writer_done(&postgres->writer);
    free(postgres->url);
    free(postgres);
}

#define KIND(name)                                                                                 \
    {                                                                                              \
        .scheme = (name), .open = postgres_open, .run = postgres_run, .read = postgres_read,       \
        .health = postgres_health, .migrate = postgres_migrate, .secret = postgres_secret,         \
        .read_secret = postgres_read_secret, .close = postgres_close,                              \
    }

const StoreKind store_kind_postgres = KIND("postgres");
const StoreKind store_kind_postgresql = KIND("postgresql");
