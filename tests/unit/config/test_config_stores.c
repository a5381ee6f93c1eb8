/* Which stores and brokers go together, and that no password gets into what is said about them. */
#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static Err load(const char *store, const char *broker, Config **ret, ConfigReport *report) {
    char one[128], two[128];
    const char *environment[3] = {one, two, NULL};
    snprintf(one, sizeof one, "TAKT_STORE_URL=%s", store);
    snprintf(two, sizeof two, "TAKT_BROKER_URL=%s", broker);
    ConfigSource source = {.environment = environment};
    Error error;
    config_report_init(report);
    return config_load(&source, ret, report, &error);
}

static const struct {
    const char *store, *broker;
    const char *refused; /* NULL: taken */
    bool cluster;
} CASES[] = {
    {"", "", NULL, false},
    {"sqlite:/tmp/x.db", "memory:", NULL, false},
    {"postgres://h/d", "", NULL, true},
    {"postgresql://u:hunter2@h:5433/d?sslmode=require", "none:", NULL, true},
    {"postgres://h/d", "redis://u:hunter2@h:6380/1", NULL, true},
    {"postgres://h/d", "rediss://h", "TLS towards Redis is not available yet", true},
    {"sqlite:/tmp/x.db", "redis://u:hunter2@h", "broker.url: an SQLite store is one node's own",
     false},
    {"", "none:", "broker.url: an SQLite store is one node's own", false},
    {"postgres://h/d", "memory:", "broker.url: memory: is for one node", false},
    {"postgres://h/d", "amqp://u:hunter2@h", "broker.url: expected memory:, none: or redis://",
     false},
    {"mysql://u:hunter2@h", "", "store.url: expected sqlite:PATH or postgres://", false},
    {"sqlite:", "", "store.url: expected sqlite:PATH or postgres://", false},
    {"postgres:", "", "store.url: expected sqlite:PATH or postgres://", false},
};

static void stores_and_brokers(void **state) {
    (void)state;
    for (size_t i = 0; i < LENGTH(CASES); i++) {
        Config *config = NULL;
        ConfigReport report;
        Err err = load(CASES[i].store, CASES[i].broker, &config, &report);
        const char *said = buf_cstr(&report.errors);
        if (CASES[i].refused) {
            assert_int_not_equal(err, OK);
            if (!strstr(said, CASES[i].refused)) print_error("%zu: %s\n", i, said);
            assert_non_null(strstr(said, CASES[i].refused));
            assert_null(strstr(said, "hunter2"));
        } else {
            if (err != OK) print_error("%zu: %s\n", i, said);
            assert_int_equal(err, OK);
            assert_int_equal(config->store.cluster, CASES[i].cluster);
        }
        config_free(config);
        config_report_done(&report);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(stores_and_brokers)};
    return cmocka_run_group_tests_name("stores and brokers", tests, NULL, NULL);
}
