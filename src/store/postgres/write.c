/* See write.h. */
#include "store/postgres/write.h"

#include "base/clock.h"
#include "base/random.h"
#include "base/time.h"
#include "net/loop.h"
#include "store/postgres/flush.h"

#include <string.h>
#include <unistd.h>

#define GROUP_MOST_US (5 * US_PER_S) /* without an answer: the connection is given up */
#define RESOLVE_MOST_US US_PER_S     /* so long the outcome of a commit is looked up */
#define RESOLVE_AGAIN_US (US_PER_S / 50)

enum { TRIES_MOST = 6, SHARDS = 16 };

/* Of every transaction that counts jobs, shared; alone, when it moves the frontier that they are counted
 * by. */
#define LOCK_COUNT "7239485"

static void round_begin(PgWriter *writer);

/* ---- the end of a batch ---- */

static void finish(PgWriter *writer, Err outcome, const Error *error) {
    Batch *batch = writer->batch;
    BatchDone done = writer->done;
    loop_timer_cancel(&writer->timer);
    writer->batch = NULL;
    batch->outcome = outcome;
    if (outcome != OK) batch->error = *error;
    batch->commit_us = clock_mono_us() - writer->begin_us;
    done(batch, writer->context);
}

static void away(PgWriter *writer, const Error *why) {
    Error error = *why;
    error.err = ERR_UNAVAILABLE;
    if (!error.code[0])
        error_code(&error, ERR_UNAVAILABLE, "store-unavailable", "%s", why->message);
    finish(writer, ERR_UNAVAILABLE, &error);
}

static void indeterminate(PgWriter *writer, const char *why) {
    Error error;
    error_code(&error, ERR_UNAVAILABLE, "store-indeterminate",
               "%s: whether it was stored is not known; ask again with the same id", why);
    finish(writer, ERR_UNAVAILABLE, &error);
}

/* ---- once more ---- */

static void run_again(PgWriter *writer, int64_t delay_us) {
    batch_restart(writer->batch);
    writer->begun = writer->wrote = writer->exclusive = false;
    writer->resolving = false;
    loop_timer_after(&writer->timer, delay_us);
}

/* With a pause that grows and is not the same for two that met. */
static void after_conflict(PgWriter *writer, const PgEnd *end) {
    if (++writer->tries >= TRIES_MOST) {
        away(writer, &end->error);
        return;
    }
    int64_t most_us = US_PER_MS << writer->tries;
    run_again(writer, 1 + (int64_t)random_below(writer->batch->random, (uint64_t)most_us));
}

/* ---- a commit whose answer was lost ---- */

static void resolve(PgWriter *writer);

static Err on_resolved(void *context, const PGresult *result, Error *error) {
    PgWriter *writer = context;
    (void)error;
    writer->landed = value_int(result, 0, 0) == writer->number;
    return OK;
}

static void resolved(void *context, const PgEnd *end) {
    PgWriter *writer = context;
    if (end->outcome != PG_DONE) {
        resolve(writer);
        return;
    }
    bool same = writer->truth->timeline == writer->timeline;
    writer->resolving = false;
    if (writer->landed) {
        finish(writer, OK, NULL);
    } else if (!same) {
        indeterminate(writer, "another server has taken PostgreSQL's place");
    } else {
        writer->batch->connected_since_us = pg_ready_since_us(writer->connection);
        run_again(writer, 0);
    }
}

/* On a new connection: the same row, which the old transaction holds as long as it lives. */
static void resolve(PgWriter *writer) {
    writer->resolving = true;
    if (clock_mono_us() > writer->resolve_us) {
        writer->resolving = false;
        indeterminate(writer, "the connection to PostgreSQL broke during the commit");
        return;
    }
    if (!pg_is_ready(writer->connection)) {
        loop_timer_after(&writer->timer, RESOLVE_AGAIN_US);
        return;
    }
    cleanup(params_done) PgParams params;
    params_init(&params);
    params_add_text(&params, str_from(writer->id));
    params_add_int(&params, writer->io->now_us(writer->io->context));
    pg_send(writer->connection,
            "INSERT INTO takt.batch AS b VALUES ($1, 0, $2)"
            " ON CONFLICT (writer) DO UPDATE SET at_us = b.at_us RETURNING number",
            &params, on_resolved, writer);
    pg_sync(writer->connection, RESOLVE_MOST_US, resolved, writer);
}

/* ---- commit ---- */

static void committed(void *context, const PgEnd *end) {
    PgWriter *writer = context;
    switch (end->outcome) {
    case PG_DONE:
        if (end->sync_cancelled) {
            indeterminate(writer, "the wait for the standby was cancelled");
        } else {
            finish(writer, OK, NULL);
        }
        return;
    case PG_LOST:
        if (!writer->wrote) {
            run_again(writer, 0);
            return;
        }
        writer->resolve_us = clock_mono_us() + RESOLVE_MOST_US;
        resolve(writer);
        return;
    case PG_FAILED: break;
    }
    if (end->error.err == ERR_UNAVAILABLE && strncmp(end->state, "40", 2) == 0) {
        after_conflict(writer, end);
    } else {
        finish(writer, end->error.err, &end->error);
    }
}

static void commit(PgWriter *writer) {
    Batch *batch = writer->batch;
    batch->finish(batch);
    pg_flush_end(writer);
    writer->timeline = writer->truth->timeline;
    if (writer->wrote) {
        writer->number++;
        cleanup(params_done) PgParams params;
        params_init(&params);
        params_add_text(&params, str_from(writer->id));
        params_add_int(&params, writer->number);
        params_add_int(&params, batch->now_us);
        pg_send(writer->connection,
                "INSERT INTO takt.batch VALUES ($1, $2, $3)"
                " ON CONFLICT (writer) DO UPDATE SET number = excluded.number,"
                " at_us = excluded.at_us",
                &params, pg_ignore, NULL);
    }
    pg_send(writer->connection, "COMMIT", NULL, pg_ignore, NULL);
    pg_sync(writer->connection, GROUP_MOST_US, committed, writer);
}

/* ---- rounds ---- */

static bool is_conflict(const PgEnd *end) {
    return strncmp(end->state, "40", 2) == 0 || strcmp(end->state, "23505") == 0;
}

static void round_failed(PgWriter *writer, const PgEnd *end) {
    if (end->outcome == PG_LOST) {
        away(writer, &end->error);
    } else if (is_conflict(end)) {
        after_conflict(writer, end);
    } else {
        if (strcmp(end->state, "25006") == 0) {
            pg_break(writer->connection, "PostgreSQL has become read-only");
        }
        finish(writer, end->error.err, &end->error);
    }
}

static void flushed(void *context, const PgEnd *end) {
    PgWriter *writer = context;
    if (end->outcome != PG_DONE) {
        round_failed(writer, end);
        return;
    }
    writer->begun = true;
    if (pg_flush_rest(writer)) {
        pg_sync(writer->connection, GROUP_MOST_US, flushed, writer);
    } else if (writer->more) {
        round_begin(writer);
    } else {
        commit(writer);
    }
}

static int64_t text_int(const PGresult *result, int column) {
    int64_t number = 0;
    (void)str_to_int64(value_text(result, 0, column), &number);
    return number;
}

static Err on_begun(void *context, const PGresult *result, Error *error) {
    PgWriter *writer = context;
    PgTruth *truth = writer->truth;
    if (PQntuples(result) != 1) {
        return error_code(error, ERR_UNAVAILABLE, "store-unavailable",
                          "another store is there than before");
    }
    int64_t timeline = value_int(result, 0, 1);
    if (timeline != truth->timeline) {
        /* through a pooler the server may be another from one transaction to the next */
        return error_code(error, ERR_UNAVAILABLE, "store-unavailable",
                          "PostgreSQL's timeline is %lld, and was %lld when it was connected to",
                          (long long)timeline, (long long)truth->timeline);
    }
    writer->batch->frontier_us = text_int(result, 0);
    return OK;
}

/* What the transaction needs; all of it is gone with it, so that a pooler may stand between. */
static void send_begin(PgWriter *writer) {
    static const char settings[] =
        "SELECT set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', "
        "true), set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', "
        "true), set_config('lock_timeout', '3000', true), set_config('statement_timeout', '5000', "
        "true), set_config('idle_in_transaction_session_timeout', '10000', true), %s";
    char text[1024];
    writer->exclusive = writer->batch->count_to_us > 0;
    snprintf(text, sizeof text, settings,
             writer->exclusive ? "pg_advisory_xact_lock(" LOCK_COUNT ")"
                               : "pg_advisory_xact_lock_shared(" LOCK_COUNT ")");
    pg_send(writer->connection, "BEGIN", NULL, pg_ignore, NULL);
    pg_send(writer->connection, text, NULL, pg_ignore, NULL);
    cleanup(params_done) PgParams params;
    params_init(&params);
    params_add_text(&params, str_from(writer->truth->store_id));
    pg_send(writer->connection,
            "SELECT f.value, ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1,"
            " 8))::bit(32)::int8 FROM takt.meta AS f, takt.meta AS i WHERE f.name = 'frontier'"
            " AND i.name = 'store_id' AND i.value = $1",
            &params, on_begun, writer);
}

static void round_begin(PgWriter *writer) {
    Batch *batch = writer->batch;
    writer->more = batch->advance(batch);
    if (!writer->begun) send_begin(writer);
    pg_flush(writer);
    pg_sync(writer->connection, GROUP_MOST_US, flushed, writer);
}

static void batch_begin(PgWriter *writer) {
    Error error;
    if (pg_health(writer->connection, &error) != OK) {
        away(writer, &error);
        return;
    }
    writer->batch->now_us = writer->io->now_us(writer->io->context);
    writer->batch->frontier_us = 0;
    round_begin(writer);
}

static void on_timer(void *owner) {
    PgWriter *writer = owner;
    if (writer->resolving) {
        resolve(writer);
    } else {
        batch_begin(writer);
    }
}

void pg_writer_run(PgWriter *writer, Batch *batch, BatchDone done, void *context) {
    check(!writer->batch);
    writer->batch = batch;
    writer->done = done;
    writer->context = context;
    writer->begun = writer->wrote = writer->exclusive = writer->resolving = false;
    writer->tries = 0;
    writer->begin_us = clock_mono_us();
    if (pg_is_ready(writer->connection)) {
        batch_begin(writer);
    } else {
        loop_timer_after(&writer->timer, 0); /* answered, but not from inside the call */
    }
}

/* ---- life ---- */

void pg_writer_init(PgWriter *writer, const StoreIo *io, const char *url, PgTruth *truth,
                    void (*turned)(void *context), void *context) {
    *writer = (PgWriter){.io = io, .truth = truth};
    uint64_t random[2];
    check(getentropy(random, sizeof random) == 0);
    snprintf(writer->id, sizeof writer->id, "%016llx%016llx", (unsigned long long)random[0],
             (unsigned long long)random[1]);
    writer->shard = (int64_t)(random[0] % SHARDS);
    loop_timer_init(&writer->timer, io->loop, on_timer, writer);
    PgOptions options = {.io = io,
                         .url = url,
                         .truth = truth,
                         .migrates = true,
                         .turned = turned,
                         .context = context};
    writer->connection = pg_connection_new(&options);
}

void pg_writer_done(PgWriter *writer) {
    loop_timer_cancel(&writer->timer);
    pg_connection_free(writer->connection);
}
