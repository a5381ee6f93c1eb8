/* The embedded store: one SQLite file, one writer thread, a few readers. Opening and closing; the
 * work is in write.c and read.c.
 *
 * The order of opening is the safety of the file: lock it, look whether it is ours, and only then
 * change anything in it. */
#include "base/alloc.h"
#include "base/crash.h"
#include "store/kinds.h"
#include "store/sqlite/lock.h"
#include "store/sqlite/read.h"
#include "store/sqlite/schema.h"
#include "store/sqlite/write.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct SqliteStore {
    Store base;
    StoreIo io;
    char *path;
    int lock_fd;
    Writer writer;
    Readers readers;
} SqliteStore;

static SqliteStore *self(Store *store) {
    return container_of(store, SqliteStore, base);
}

static void sqlite_store_close(Store *store) {
    SqliteStore *sqlite = self(store);
    readers_stop(&sqlite->readers);
    writer_stop(&sqlite->writer); /* last: its closing copies the log into the file */
    lock_release(sqlite->lock_fd);
    free(sqlite->path);
    free(sqlite);
}

static Err file_error(const char *doing, const char *path, Error *error) {
    return error_code(error, ERR_UNAVAILABLE, "store-unavailable", "%s '%s': %s", doing, path,
                      strerror(errno));
}

/* So that the file's name survives a power cut too. */
static Err sync_directory(const char *path, Error *error) {
    char *copy cleanup(free_pointer) = alloc_string(path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return file_error("opening the directory of", path, error);
    int rc = fsync(fd);
    Err err = rc == 0 ? OK : file_error("syncing the directory of", path, error);
    close(fd);
    return err;
}

/* SQLite would create it with the process's umask only. Its log takes the file's mode over. */
static Err create_file(const char *path, Error *error) {
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST) return OK;
    if (fd < 0) return file_error("creating", path, error);
    close(fd);
    crash_point(STORE_FILE_MADE);
    return sync_directory(path, error);
}

static Err open_file(SqliteStore *sqlite, Error *error) {
    Database *database = &sqlite->writer.database;
    crash_point(STORE_LOCKED);
    TRY(create_file(sqlite->path, error));
    TRY(database_open(database, sqlite->path, DATABASE_WRITER, error));
    TRY(schema_check(database->db, sqlite->path, error));
    TRY(database_settle(database, error));
    crash_point(STORE_SETTLED);
    TRY(schema_migrate(database->db, sqlite->io.now_us(sqlite->io.context), error));
    TRY(writer_start(&sqlite->writer, &sqlite->io, error));
    return readers_start(&sqlite->readers, sqlite->path, &sqlite->io, error);
}

/* A path that names the file whatever links lead to it, so that the lock is the same one. */
static char *real_path(Str location) {
    char *given = alloc_zero(1, location.len + 1);
    memcpy(given, location.ptr, location.len);
    char *real = realpath(given, NULL);
    if (!real) return given;
    free(given);
    return real;
}

static Err sqlite_store_open(Store **ret, Str location, const StoreIo *io, Error *error) {
    /* counting every allocation under one mutex serves nobody here; fails once SQLite is in use:
     * fine */
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    SqliteStore *sqlite = alloc_zero(1, sizeof *sqlite);
    sqlite->base.kind = &store_kind_sqlite;
    sqlite->io = *io;
    sqlite->path = real_path(location);
    sqlite->lock_fd = -1;
    Err err = lock_take(sqlite->path, &sqlite->lock_fd, error);
    if (err == OK) err = open_file(sqlite, error);
    if (err != OK) {
        sqlite_store_close(&sqlite->base);
        return error_context(error, "opening the store");
    }
    *ret = &sqlite->base;
    return OK;
}

static void sqlite_store_run(Store *store, Batch *batch, BatchDone done, void *context) {
    writer_run(&self(store)->writer, batch, done, context);
}

static void sqlite_store_read(Store *store, Query *query) {
    bool beats = query->kind == QUERY_EVERY && query->node.ptr;
    if (beats) {
        writer_read(&self(store)->writer, query);
    } else {
        readers_read(&self(store)->readers, query);
    }
}

const StoreKind store_kind_sqlite = {
    .scheme = "sqlite",
    .open = sqlite_store_open,
    .run = sqlite_store_run,
    .read = sqlite_store_read,
    .close = sqlite_store_close,
};
