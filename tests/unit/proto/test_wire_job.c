/* The job object: the protocol's checks in their order and words, types, defaults, and round
 * trips. */
#include "proto/wire_job.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define JOB(rest) "{\"jid\":\"12345678\",\"jobtype\":\"t\",\"args\":[]" rest "}"
#define JID "jobs must have a reasonable jid parameter"

typedef struct Row {
    const char *document;
    const char *message; /* how it begins; NULL: taken */
} Row;

static const Row ROWS[] = {
    {JOB(""), NULL},
    {"{ \"args\" : [ 1 , 2 ], \"jobtype\": \"t\", \"jid\": \"12345678\" }", NULL},
    {"{}", JID},
    {"{\"jid\":\"1234567\"}", JID},
    {"{\"jid\":null}", JID},
    {"{\"jid\":\"with space\",\"jobtype\":\"t\",\"args\":[]}", JID},
    {"{\"jid\":\"12345678901234567890123456789012345678901234567890123456789012345\"}", JID},
    {"{\"jid\":\"12345678\"}", "jobs must have a jobtype parameter"},
    {"{\"jid\":\"12345678\",\"jobtype\":\"\"}", "jobs must have a jobtype parameter"},
    {"{\"jid\":\"12345678\",\"jobtype\":\"t\"}", "jobs must have an args parameter"},
    {"{\"jid\":\"12345678\",\"jobtype\":\"t\",\"args\":null}", "jobs must have an args parameter"},
    {"{\"jid\":\"12345678\",\"jobtype\":\"t\",\"args\":{}}", "invalid JSON: args must be an array"},
    {"{\"jid\":12345678}", "invalid JSON: jid must be a string"},
    {"{\"jobtype\":1}", "invalid JSON: jobtype must be a string"},
    {JOB(",\"reserve_for\":86400"), NULL},
    {JOB(",\"reserve_for\":1"), NULL},
    {JOB(",\"reserve_for\":86401"), "jobs cannot be reserved for more than one day"},
    {JOB(",\"reserve_for\":\"60\""), "invalid JSON: reserve_for must be an integer"},
    {JOB(",\"reserve_for\":60.0"), "invalid JSON: reserve_for must be an integer"},
    {JOB(",\"reserve_for\":99999999999999999999"), "invalid JSON: reserve_for must be an integer"},
    {JOB(",\"reserve_for\":86401,\"at\":\"x\""), "jobs cannot be reserved for more than one day"},
    {JOB(",\"at\":\"2030-01-02T03:04:05.123456789Z\""), NULL},
    {JOB(",\"at\":\"2030-01-02T03:04:05+02:00\""), NULL},
    {JOB(",\"at\":\"\""), NULL},
    {JOB(",\"at\":null"), NULL},
    {JOB(",\"at\":\"tomorrow\""), "invalid timestamp for 'at': "},
    {JOB(",\"at\":5"), "invalid JSON: at must be a string"},
    {JOB(",\"at\":\"x\",\"queue\":\"a/b\""), "invalid timestamp for 'at': "},
    {JOB(",\"queue\":\"A-z_0.9:x\""), NULL},
    {JOB(",\"queue\":\"\""), NULL},
    {JOB(",\"queue\":\"a/b\""), "cannot get \"a/b\" queue: queue names must match"},
    {JOB(",\"retry\":-1"), NULL},
    {JOB(",\"retry\":true"), "invalid JSON: retry must be an integer"},
    {JOB(",\"priority\":\"high\""), NULL},
    {JOB(",\"priority\":99"), NULL},
    {JOB(",\"custom\":{\"a\":1},\"anything\":[1]"), NULL},
    {JOB(",\"custom\":[]"), "invalid JSON: custom must be an object"},
    {JOB(",\"backtrace\":\"5\""), "invalid JSON: backtrace must be an integer"},
    {"", "invalid JSON: "},
    {"{", "invalid JSON: "},
    {"[]", "invalid JSON: expected an object"},
    {"null", "invalid JSON: expected an object"},
    {JOB("") "x", "invalid JSON: "},
    {JOB(",\"jid\":\"87654321\""), "invalid JSON: "},
};

static void test_checks(void **state) {
    (void)state;
    for (size_t i = 0; i < LENGTH(ROWS); i++) {
        const Row *row = &ROWS[i];
        Arena arena = {0};
        WireJob job;
        Error error = {0};
        Err err = wire_job_parse(str_from(row->document), &arena, &job, &error);
        bool right = row->message ? err == ERR_INVALID && strncmp(error.message, row->message,
                                                                  strlen(row->message)) == 0
                                  : err == OK;
        if (!right) fail_msg("%s: %s", row->document, error.message);
        arena_done(&arena);
    }
}

static WireJob parse(const char *document, Arena *arena) {
    WireJob job;
    Error error = {0};
    if (wire_job_parse(str_from(document), arena, &job, &error) != OK)
        fail_msg("%s", error.message);
    return job;
}

static void test_values(void **state) {
    (void)state;
    Arena arena = {0};
    WireJob job = parse(JOB(""), &arena);
    assert_int_equal(job.retry, 25);
    assert_int_equal(job.reserve_for, 1800);
    assert_int_equal(job.priority, 5);
    assert_int_equal(job.at_us, 0);
    assert_null(job.queue.ptr);
    assert_null(job.custom.text.ptr);

    /* a job with its own retry leaves nothing behind for the next */
    assert_int_equal(parse(JOB(",\"retry\":3"), &arena).retry, 3);
    assert_int_equal(parse(JOB(""), &arena).retry, 25);
    assert_int_equal(parse(JOB(",\"priority\":9"), &arena).priority, 9);
    assert_int_equal(parse(JOB(",\"priority\":0"), &arena).priority, 5);
    assert_int_equal(parse(JOB(",\"at\":\"1970-01-01T00:00:01.5Z\""), &arena).at_us, 1500000);

    job =
        parse("{\"jid\":\"1234\\u003567\\u0038\",\"jobtype\":\"t\",\"args\":[12345678901234567890, "
              "\"<&>\"],\"custom\":{\"a\" : 1.50}}",
              &arena);
    assert_true(str_eq(job.jid, STR("12345678")));
    assert_true(str_eq(job.args.text, STR("[12345678901234567890, \"<&>\"]")));
    assert_true(str_eq(job.custom.text, STR("{\"a\" : 1.50}")));
    arena_done(&arena);
}

static void test_round_trip(void **state) {
    (void)state;
    Arena arena = {0};
    WireJob job = parse(JOB(",\"queue\":\"q\",\"retry\":-1,\"priority\":7,\"backtrace\":4,"
                            "\"custom\":{\"x\":1e2},\"created_at\":\"2030-01-02T03:04:05Z\""),
                        &arena);
    Error ignored;
    assert_int_equal(json_check(STR("[1,\r\n \"a\\nb\"]"), &job.args, &ignored), OK);
    job.fence = 8796093022209;
    job.lease_ms = 30000;
    job.attempt = 2;
    Buf buf;
    buf_init(&buf, 4096);
    wire_job_write(&buf, &job);
    Json root;
    Error error = {0};
    WireJob back;
    assert_int_equal(json_check(buf_str(&buf), &root, &error), OK);
    assert_int_equal(wire_job_read_leased(root, &arena, &back, &error), OK);
    assert_true(str_eq(back.jid, job.jid) && str_eq(back.queue, job.queue));
    assert_true(str_eq(back.custom.text, job.custom.text));
    assert_true(str_eq(back.args.text, STR("[1,\"a\\nb\"]")));
    assert_true(str_eq(back.created_at, job.created_at));
    assert_int_equal(back.retry, -1);
    assert_int_equal(back.priority, 7);
    assert_int_equal(back.fence, job.fence);
    assert_int_equal(back.lease_ms, 30000);
    assert_int_equal(back.attempt, 2);
    assert_non_null(strstr(buf_cstr(&buf), "\"reserve_for\":1800"));
    buf_done(&buf);
    arena_done(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checks),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
