/* See postgres_suite.h. */
#include "postgres_suite.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/time.h"
#include "core/fence.h"
#include <libpq-fe.h>
#include <stdlib.h>

static const char *variable_of(const char *name) {
    const char *value = getenv(name);
    if (!value) print_error("%s is not set: run it under tests/servers/with\n", name);
    assert_non_null(value);
    return value;
}

void postgres_exec(const char *sql) {
    PGconn *conn = PQconnectdb(variable_of("TAKT_TEST_POSTGRES"));
    PGresult *result = PQexec(conn, sql);
    ExecStatusType status = PQresultStatus(result);
    bool good = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
    if (!good) print_error("%s\n", PQerrorMessage(conn));
    assert_true(good);
    PQclear(result);
    PQfinish(conn);
}

static void on_tick(void *owner) {
    (void)owner; /* only so that the loop turns */
}

void postgres_wait(Store *store, Loop *loop, Err until) {
    int64_t most_us = clock_mono_us() + 10 * US_PER_S;
    LoopTimer tick;
    loop_timer_init(&tick, loop, on_tick, NULL);
    Error error = {0};
    while (store_health(store, &error) != until && clock_mono_us() < most_us) {
        loop_timer_after(&tick, US_PER_S / 50);
        loop_turn(loop);
    }
    loop_timer_cancel(&tick);
    if (store_health(store, &error) != until) print_error("%s\n", error.message);
    assert_int_equal(store_health(store, &error), until);
}

static Store *open_store(void *context, const StoreIo *io, bool fresh) {
    PostgresSuite *postgres = context;
    if (fresh)
        postgres_exec("SET client_min_messages = warning; DROP SCHEMA IF EXISTS takt CASCADE");
    Store *store = NULL;
    Error error = {0};
    if (store_open(&store, str_from(postgres->url), io, &error) != OK) {
        print_error("%s\n", error.message);
    }
    assert_non_null(store);
    postgres_wait(store, postgres->loop, OK);
    return store;
}

StoreSuite postgres_suite(PostgresSuite *postgres, const char *variable) {
    *postgres = (PostgresSuite){.loop = loop_new(), .url = variable_of(variable)};
    return (StoreSuite){.name = variable,
                        .fence_base = fence_make(/* timeline= */ 1, 0),
                        .open = open_store,
                        .context = postgres,
                        .loop = postgres->loop};
}

void postgres_suite_done(PostgresSuite *postgres) {
    loop_free(postgres->loop);
}
