/* The ceiling: the product's own writes per job, in its own table, straight against SQLite, with nothing around
 * them. Three transactions per group, each durable: insert, start, succeed.
 *
 *   raw_sqlite FILE [JOBS] [GROUP]       (the file must not exist)
 */
#include "base/check.h"
#include "base/clock.h"
#include "base/id.h"
#include "store/sqlite/database.h"
#include "store/sqlite/row.h"
#include "store/sqlite/schema.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void must(Err err, const Error *error) {
    if (err == OK) return;
    fprintf(stderr, "raw_sqlite: %s\n", error->message);
    exit(1);
}

static Job make_job(UuidMaker *ids, Random *random, char *id, Str args, int64_t now_us) {
    Job job = job_default();
    Uuid uuid = uuid_make(ids, now_us, random);
    job.key = job_key_from_uuid(&uuid, id);
    job.id = str_from(id);
    job.type = STR("bench");
    job.queue = STR("bench");
    job.args = args;
    job.state = JOB_WAITING;
    job.due_us = job.created_us = job.enqueued_us = job.run_at_us = now_us;
    return job;
}

static void write_group(Database *db, Sql sql, FieldSet set, const Job *jobs, int64_t first_slot,
                        size_t count) {
    Error error;
    sqlite3_stmt *statement = NULL;
    must(database_run(db, SQL_BEGIN_WRITE, &error), &error);
    must(database_statement(db, sql, &statement, &error), &error);
    for (size_t i = 0; i < count; i++) {
        bind_int(statement, 1, first_slot + (int64_t)i);
        row_bind(statement, set, &jobs[i]);
        must(statement_run(statement, &error), &error);
    }
    must(database_run(db, SQL_COMMIT, &error), &error);
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: raw_sqlite FILE [JOBS] [GROUP]\n");
        return 2;
    }
    int64_t total = argc > 2 ? strtol(argv[2], NULL, 10) : 200000;
    size_t group = argc > 3 ? (size_t)strtol(argv[3], NULL, 10) : 500;
    Database db = {0};
    Error error;
    int fd = open(argv[1], O_CREAT | O_EXCL | O_RDWR, 0600);
    if (fd < 0) {
        perror(argv[1]);
        return 1;
    }
    close(fd);
    must(database_open(&db, argv[1], DATABASE_WRITER, &error), &error);
    must(database_settle(&db, &error), &error);
    must(schema_migrate(db.db, clock_real_us(), &error), &error);
    char text[200];
    int len = snprintf(text, sizeof text, "[1,\"%0*d\"]", 190, 0);
    Job *jobs = calloc(group, sizeof *jobs);
    char *ids = calloc(group, UUID_TEXT_SIZE);
    check(jobs && ids);
    UuidMaker maker = {0};
    Random random;
    random_init(&random, 1);
    int64_t begun_us = clock_mono_us(), slot = 1;
    for (int64_t done = 0; done < total; done += (int64_t)group, slot += (int64_t)group) {
        for (size_t i = 0; i < group; i++) {
            jobs[i] = make_job(&maker, &random, ids + i * UUID_TEXT_SIZE, (Str){text, (size_t)len},
                               clock_real_us());
        }
        write_group(&db, SQL_INSERT, FIELDS_ALL, jobs, slot, group);
        for (size_t i = 0; i < group; i++) {
            jobs[i].state = JOB_RUNNING;
            jobs[i].attempt = 1;
            jobs[i].fence = slot + (int64_t)i;
            jobs[i].worker = STR("bench-worker-1");
            jobs[i].started_us = clock_real_us();
            jobs[i].deadline_us = jobs[i].started_us + 1800000000;
        }
        write_group(&db, SQL_START, FIELDS_START, jobs, slot, group);
        for (size_t i = 0; i < group; i++) {
            jobs[i].state = JOB_SUCCEEDED;
            jobs[i].deadline_us = 0;
            jobs[i].finished_us = clock_real_us();
            jobs[i].outcome = STR("74234e98afe7498fb5daf1f36ac2d78a");
        }
        write_group(&db, SQL_SUCCEED, FIELDS_SUCCEED, jobs, slot, group);
    }
    double seconds = (double)(clock_mono_us() - begun_us) / 1e6;
    printf("{\"scenario\":\"raw-sqlite\",\"jobs\":%lld,\"group\":%zu,\"seconds\":%.3f,"
           "\"jobs_per_second\":%.0f}\n",
           (long long)total, group, seconds, (double)total / seconds);
    free(jobs);
    free(ids);
    database_close(&db);
    return 0;
}
