/* One connection to PostgreSQL, on the loop: made again whenever it is lost, checked each time, and used
 * in groups of statements that go out together (libpq's pipeline mode).
 *
 * A group is what is sent between two syncs; its results come in order, and after the first failure in it
 * only its end. Only one group is under way at a time. All on the loop thread. */
#pragma once

#include "store/postgres/params.h"
#include "store/store.h"
#include <libpq-fe.h>

typedef struct PgConnection PgConnection;

/* What both connections of a store must agree on. A server that has been promoted counts on in a higher
 * timeline; one in a lower timeline than was seen before lacks what went to the other. */
typedef struct PgTruth {
    int64_t timeline;  /* the highest seen; 0 = none yet */
    char store_id[64]; /* "" = none yet; likewise the next */
    char secret[128];  /* what all nodes share */
} PgTruth;

/* A statement's result. An error fails the group. */
typedef Err (*PgAnswer)(void *context, const PGresult *result, Error *error);

typedef enum PgOutcome {
    PG_DONE,
    PG_FAILED, /* a statement failed, or an answer: `state` has the SQLSTATE, "" when it was an answer */
    PG_LOST, /* the connection broke: what became of the group is unknown */
} PgOutcome;

typedef struct PgEnd {
    PgOutcome outcome;
    char state[6];
    bool sync_cancelled; /* the wait for a synchronous standby was cancelled (WARNING 01000) */
    Error error;
} PgEnd;

typedef void (*PgDone)(void *context, const PgEnd *end);

typedef struct PgOptions {
    const StoreIo *io; /* borrowed, likewise the next */
    const char *url;
    PgTruth *truth;
    bool migrates; /* brings the schema up to date when it connects */
    /* It has become ready, or is ready no more. NULL: nobody wants to know. */
    void (*turned)(void *context);
    void *context;
} PgOptions;

/* Begins to connect. Free with pg_connection_free(). */
PgConnection *pg_connection_new(const PgOptions *options) __attribute__((returns_nonnull));
/* No callback comes any more. Accepts NULL. */
void pg_connection_free(PgConnection *connection);

bool pg_is_ready(const PgConnection *connection);
/* OK, or why not, as store_health(). */
Err pg_health(const PgConnection *connection, Error *error);
/* When this connection became ready, by the clock of StoreIo. */
int64_t pg_ready_since_us(const PgConnection *connection);

/* Adds a statement to the group; `params` (NULL: none) are sealed and copied. Ready connections only. */
void pg_send(PgConnection *connection, const char *sql, PgParams *params, PgAnswer answer,
             void *context);
/* Ends the group and sends it; `done` comes after its last result, or at `deadline_us` from now as PG_LOST.
 * A failed group in a transaction is rolled back before the next begins. */
void pg_sync(PgConnection *connection, int64_t deadline_us, PgDone done, void *context);
/* Drops the connection, because of `why`; it is made again. What is under way is PG_LOST. */
void pg_break(PgConnection *connection, const char *why);

/* The server answers again, as another connection has seen: no pause before the next try. */
void pg_hurry(PgConnection *connection);

/* For answers that need none. */
Err pg_ignore(void *context, const PGresult *result, Error *error);

/* An error of the server as ours: away, full or a failure of the statement. */
Err pg_error(const char *state, const char *message, Error *error);
