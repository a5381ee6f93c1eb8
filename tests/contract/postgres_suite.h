/* Stores on a real PostgreSQL (or through a PgBouncer in front of it), for the stores' contract.
 *
 * The server is named by the environment (tests/servers/with); without it a test fails. */
#pragma once

#include "net/loop.h"
#include "store_fixture.h"

typedef struct PostgresSuite {
    Loop *loop;
    const char *url; /* as given; on_fresh goes to TAKT_TEST_POSTGRES */
} PostgresSuite;

/* `variable`: TAKT_TEST_POSTGRES or TAKT_TEST_PGBOUNCER. postgres_suite_done() afterwards. */
StoreSuite postgres_suite(PostgresSuite *postgres, const char *variable);
void postgres_suite_done(PostgresSuite *postgres);

/* Straight to the server, blocking. */
void postgres_exec(const char *sql);
/* Turns the loop until the store is in touch (or, refused: is refused for good); fails after 10 s. */
void postgres_wait(Store *store, Loop *loop, Err until);
