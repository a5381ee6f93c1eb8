/* The embedded store keeps the contract, agrees with the simulated store, and refuses what it
 * must. */
#include "store_contract.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "simulated_suite.h"
#include <dirent.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WALKS = 4, WALK_BATCHES = 150 };

static char directory[64];
static const char *self_path;

static void remove_files(void) {
    DIR *entries = opendir(directory);
    if (!entries) return;
    struct dirent *entry;
    while ((entry = readdir(entries))) {
        if (entry->d_name[0] != '.') unlinkat(dirfd(entries), entry->d_name, 0);
    }
    closedir(entries);
}

static Err try_open(const StoreIo *io, Store **ret, Error *error) {
    char url[128];
    snprintf(url, sizeof url, "sqlite:%s/takt.db", directory);
    return store_open(ret, str_from(url), io, error);
}

static Store *open_sqlite(void *context, const StoreIo *io, bool fresh) {
    (void)context;
    if (fresh) remove_files();
    Store *store = NULL;
    Error error = {0};
    if (try_open(io, &store, &error) != OK) print_error("%s\n", error.message);
    assert_non_null(store);
    return store;
}

static const StoreSuite suite = {.name = "store sqlite", .open = open_sqlite};

/* ---- against the simulated store ---- */

static void random_walks(void **state) {
    (void)state;
    SimulatedSuite simulated;
    StoreSuite second = simulated_suite(&simulated);
    for (uint64_t seed = 1; seed <= WALKS; seed++) {
        store_random_walk(&suite, &second, seed, WALK_BATCHES);
    }
    simulated_suite_done(&simulated);
}

/* ---- what is refused ---- */

static void exec_on_file(const char *sql) {
    char path[128];
    snprintf(path, sizeof path, "%s/takt.db", directory);
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void check_refused(StoreTest *test, Err err, const char *code, const char *word) {
    Store *store = NULL;
    Error error = {0};
    assert_int_equal(try_open(&test->io, &store, &error), err);
    assert_string_equal(error.code, code);
    if (!strstr(error.message, word)) print_error("%s\n", error.message);
    assert_non_null(strstr(error.message, word));
}

static void a_second_process_is_refused(void **state) {
    (void)state;
    StoreTest test;
    store_test_open(&test, &suite);
    char pid[32];
    snprintf(pid, sizeof pid, "process %ld", (long)getpid());
    check_refused(&test, ERR_CONFLICT, "store-locked", pid);
    check_refused(&test, ERR_CONFLICT, "store-locked", "takt.db");
    Job job = test_job(&test);
    store_test_one(&test, op_insert(&job)); /* the first one is none the worse */
    store_test_reopen(&test);
    store_test_close(&test);
}

static void a_newer_schema_is_refused(void **state) {
    (void)state;
    StoreTest test;
    store_test_open(&test, &suite);
    store_close(test.store);
    exec_on_file("PRAGMA user_version = 999");
    check_refused(&test, ERR_CONFLICT, "newer-store", "999");
    exec_on_file("PRAGMA user_version = 2");
    test.store = open_sqlite(NULL, &test.io, false);
    store_test_close(&test);
}

/* A file as version 0.1 left it: without nodes and controls. */
static void an_old_schema_is_brought_up_to_date(void **state) {
    (void)state;
    StoreTest test;
    store_test_open(&test, &suite);
    Job job = test_job(&test);
    store_test_one(&test, op_insert(&job));
    store_close(test.store);
    exec_on_file("DROP TABLE node; DROP TABLE control; DELETE FROM meta WHERE name = 'control';"
                 "PRAGMA user_version = 1");
    for (int again = 0; again < 2; again++) {
        test.store = open_sqlite(NULL, &test.io, /* fresh= */ false);
        assert_int_equal(store_test_job(&test, &job.key).state, JOB_WAITING);
        Query query = {.kind = QUERY_EVERY, .limit = 9};
        store_test_query(&test, &query);
        assert_true(query.last_control == 0 && query.control_count == 0);
        arena_done(&query.arena);
        if (again) break;
        store_close(test.store);
    }
    store_test_one(&test, op_start(&job.key, "w1"));
    store_test_close(&test);
}

static void write_file(const char *text) {
    char path[128];
    snprintf(path, sizeof path, "%s/takt.db", directory);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int i = 0; i < 500; i++)
        fputs(text, file);
    fclose(file);
}

static void foreign_files_are_refused(void **state) {
    (void)state;
    StoreTest test;
    store_test_open(&test, &suite);
    store_close(test.store);
    remove_files();
    exec_on_file("CREATE TABLE t (a)");
    check_refused(&test, ERR_INVALID, "foreign-store", "another program");
    remove_files();
    write_file("not a database at all\n");
    check_refused(&test, ERR_INTERNAL, "store-damaged", "not a database");
    remove_files();
    test.store = open_sqlite(NULL, &test.io, true);
    store_test_close(&test);
}

static void urls_are_checked(void **state) {
    (void)state;
    StoreTest test;
    store_test_open(&test, &suite);
    static const char *const URLS[] = {"", "sqlite", "sqlite:", "mysql:x", ":x"};
    for (size_t i = 0; i < LENGTH(URLS); i++) {
        Store *store = NULL;
        Error error = {0};
        assert_int_equal(store_open(&store, str_from(URLS[i]), &test.io, &error), ERR_INVALID);
        assert_non_null(strstr(error.message, "sqlite:PATH"));
    }
    store_test_close(&test);
}

static void files_are_private(void **state) {
    (void)state;
    StoreTest test;
    mode_t before = umask(0);
    store_test_open(&test, &suite);
    umask(before);
    Job job = test_job(&test);
    store_test_one(&test, op_insert(&job));
    static const char *const NAMES[] = {"takt.db", "takt.db-wal", "takt.db-shm", "takt.db.lock"};
    for (size_t i = 0; i < LENGTH(NAMES); i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", directory, NAMES[i]);
        struct stat status;
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_mode & 0777, 0600);
    }
    store_test_close(&test);
}

/* ---- the disk ---- */

static void insert_until_full(StoreTest *test, size_t *ret_stored) {
    char *big = alloc(20000);
    memset(big, 'x', 20000);
    Err err = OK;
    for (*ret_stored = 0; err == OK && *ret_stored < 1000;) {
        Job job = test_job(test);
        job.args = (Str){big, 20000};
        Op op = op_insert(&job);
        Script script = {.ops = &op, .count = 1};
        Batch batch;
        err = store_test_run(test, &batch, &script);
        if (err == OK) {
            ++*ret_stored;
        } else {
            assert_int_equal(err, ERR_UNAVAILABLE);
            assert_string_equal(batch.error.code, "store-full");
        }
        batch_done(&batch);
    }
    free(big);
    assert_int_equal(err, ERR_UNAVAILABLE);
}

static size_t stored(StoreTest *test) {
    Query query = {.kind = QUERY_JOBS, .limit = 2000, .until_us = test->now_us};
    store_test_query(test, &query);
    size_t count = query.count;
    arena_done(&query.arena);
    return count;
}

static void a_full_disk_is_told(void **state) {
    (void)state;
    remove_files();
    if (mount("tmpfs", directory, "tmpfs", 0, "size=2m") != 0) {
        print_message("skipped: no right to mount a small file system\n");
        skip();
    }
    StoreTest test;
    store_test_open(&test, &suite);
    size_t count = 0;
    insert_until_full(&test, &count);
    assert_true(count > 10);
    assert_int_equal(stored(&test), count);
    /* room again: it goes on, without a restart */
    assert_int_equal(mount("tmpfs", directory, "tmpfs", MS_REMOUNT, "size=8m"), 0);
    Job job = test_job(&test);
    store_test_one(&test, op_insert(&job));
    store_test_reopen(&test);
    assert_int_equal(stored(&test), count + 1);
    store_test_close(&test);
    assert_int_equal(umount(directory), 0);
}

/* Run by strace in a process of its own: commits one job after the other, and says so each time. */
static int commit_many(void) {
    StoreTest test;
    store_test_open(&test, &suite);
    for (int i = 0; i < 50; i++) {
        Job job = test_job(&test);
        store_test_one(&test, op_insert(&job));
        if (write(STDOUT_FILENO, "a", 1) != 1) return 3;
    }
    store_test_close(&test);
    return 0;
}

/* Starts this program under strace, which fails the writer's 30th fdatasync; how many commits it
 * told. */
static int run_with_failing_sync(int *ret_status) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        setenv("ASAN_OPTIONS", "detect_leaks=0", 1); /* a leak check can't run under a tracer */
        execlp("strace", "strace", "-f", "-o", "/dev/null", "-e", "trace=fdatasync", "-e",
               "inject=fdatasync:error=EIO:when=30", self_path, "commit-many", directory,
               (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    int told = 0;
    char byte;
    while (read(ends[0], &byte, 1) == 1)
        told += byte == 'a';
    close(ends[0]);
    waitpid(pid, ret_status, 0);
    return told;
}

static Store *open_left_behind(void *context, const StoreIo *io, bool fresh) {
    (void)fresh;
    return open_sqlite(context, io, /* fresh= */ false);
}

static void a_failed_sync_ends_the_process(void **state) {
    (void)state;
    remove_files();
    int status = 0;
    int told = run_with_failing_sync(&status);
    if (told == 0) {
        print_message("skipped: strace is missing or may not trace here\n");
        skip();
    }
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
    assert_true(told < 50);
    /* the restart finds every commit that was told; the one that failed may be there or not */
    StoreTest test;
    store_test_open(&test, &(StoreSuite){.name = "left behind", .open = open_left_behind});
    size_t found = stored(&test);
    assert_true(found == (size_t)told || found == (size_t)told + 1);
    store_test_close(&test);
}

int main(int argc, char **argv) {
    self_path = argv[0];
    if (argc == 3 && strcmp(argv[1], "commit-many") == 0) {
        snprintf(directory, sizeof directory, "%s", argv[2]);
        return commit_many();
    }
    snprintf(directory, sizeof directory, "/tmp/takt-store-XXXXXX");
    if (!mkdtemp(directory)) return 1;
    int failed = store_contract(&suite);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_walks),
        cmocka_unit_test(a_second_process_is_refused),
        cmocka_unit_test(a_newer_schema_is_refused),
        cmocka_unit_test(an_old_schema_is_brought_up_to_date),
        cmocka_unit_test(foreign_files_are_refused),
        cmocka_unit_test(urls_are_checked),
        cmocka_unit_test(files_are_private),
        cmocka_unit_test(a_full_disk_is_told),
        cmocka_unit_test(a_failed_sync_ends_the_process),
    };
    failed += cmocka_run_group_tests_name("store sqlite alone", tests, NULL, NULL);
    remove_files();
    rmdir(directory);
    return failed;
}
