/* Jobs as submitted: what is taken, and every way of being wrong with its code and pointer. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "api/job_input.h"
#include "base/time.h"

#define NOW INT64_C(1800000000000000) /* 2027-01-15T08:00:00Z */

static const Principal anybody = {.subject = {"test", 4}};

static bool read_as(const char *text, const Principal *principal, Arena *arena,
                    FieldErrors **ret_errors, Job *ret) {
    Json document;
    Error error;
    JobInputRules rules = {.now_us = NOW,
                           .max_args = 64,
                           .principal = principal,
                           .correlation_id = STR("from-header")};
    *ret_errors = field_errors_new(arena);
    if (json_check(str_from(text), &document, &error) != OK)
        fail_msg("%s: %s", text, error.message);
    return job_input_read(document, &rules, STR(""), *ret_errors, ret);
}

#define NAME_64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define WITH(members) "{\"type\":\"t\"," members "}"

static const struct {
    const char *text;
    const char *code;
    const char *pointer;
    const char *says; /* part of the detail, or NULL */
} faults[] = {
    /* B21 to B26 */
    {WITH("\"id\":\"a\\u0000b\""), "invalid-string", "/id", NULL},
    {WITH("\"priority\":1.5"), "not-an-integer", "/priority", NULL},
    {WITH("\"priority\":1e400"), "not-an-integer", "/priority", NULL},
    {WITH("\"priority\":9007199254740993000000"), "not-an-integer", "/priority", NULL},
    {WITH("\"priority\":-0"), "not-an-integer", "/priority", NULL},
    {WITH("\"priority\":\"5\""), "not-an-integer", "/priority", NULL},
    {WITH("\"priority\":0"), "out-of-range", "/priority", "1 to 9"},
    {WITH("\"priority\":10"), "out-of-range", "/priority", NULL},
    {WITH("\"prioritty\":5"), "unknown-member", "/prioritty", "did you mean priority?"},
    {WITH("\"__proto__\":{}"), "unknown-member", "/__proto__", NULL},
    {WITH("\"a/b~c\":1"), "unknown-member", "/a~1b~0c", NULL},
    {WITH("\"exec\":[\"rm\"]"), "unknown-member", "/exec", NULL},
    /* B27 */
    {"{}", "invalid-name", "/type", "missing"},
    {"{\"type\":\"\"}", "invalid-name", "/type", "1 to 128"},
    {"{\"type\":\"" NAME_64 NAME_64 "a\"}", "invalid-name", "/type", NULL},
    {"{\"type\":5}", "wrong-type", "/type", NULL},
    {"{\"type\":null}", "wrong-type", "/type", NULL},
    {"{\"type\":\"takt.x\"}", "reserved-name", "/type", NULL},
    {WITH("\"queue\":\"../x\""), "invalid-name", "/queue", "letters, digits"},
    {WITH("\"queue\":\"\xf0\x9f\x98\x80\""), "invalid-name", "/queue", NULL},
    {WITH("\"id\":\"" NAME_64 "a\""), "invalid-name", "/id", NULL},
    {"[]", "wrong-type", "", NULL},
    /* B28 */
    {WITH("\"run_at\":\"tomorrow\""), "invalid-time", "/run_at", NULL},
    {WITH("\"run_at\":\"2027-01-15T08:00:00\""), "invalid-time", "/run_at", NULL},
    {WITH("\"run_at\":\"0000-01-15T08:00:00Z\""), "invalid-time", "/run_at", NULL},
    {WITH("\"run_at\":\"10000-01-15T08:00:00Z\""), "invalid-time", "/run_at", NULL},
    {WITH("\"run_at\":\"2027-02-30T08:00:00Z\""), "invalid-time", "/run_at", NULL},
    {WITH("\"run_at\":\"2027-01-15T23:59:60Z\""), "invalid-time", "/run_at", NULL},
    {WITH("\"run_at\":\"2038-01-15T08:00:00Z\""), "invalid-time", "/run_at", "10 years"},
    {WITH("\"run_at\":1800000000"), "invalid-time", "/run_at", NULL},
    {WITH("\"expires_at\":\"soon\""), "invalid-time", "/expires_at", NULL},
    /* B29 */
    {WITH("\"delay\":\"-1s\""), "invalid-duration", "/delay", NULL},
    {WITH("\"delay\":-1"), "invalid-duration", "/delay", NULL},
    {WITH("\"delay\":\"1000000000000000000s\""), "invalid-duration", "/delay", NULL},
    {WITH("\"delay\":\"5 parsecs\""), "invalid-duration", "/delay", NULL},
    {WITH("\"delay\":\"1s\",\"run_at\":\"2027-01-16T08:00:00Z\""), "conflict-members", "/delay",
     NULL},
    {WITH("\"expires_in\":\"1s\",\"expires_at\":\"2027-01-16T08:00:00Z\""), "conflict-members",
     "/expires_in", NULL},
    {WITH("\"timeout\":\"0s\""), "out-of-range", "/timeout", NULL},
    /* B30 */
    {WITH("\"retry\":{\"max_attempts\":0}"), "out-of-range", "/retry/max_attempts", "1 to 1000"},
    {WITH("\"retry\":{\"max_attempts\":-1}"), "out-of-range", "/retry/max_attempts", NULL},
    {WITH("\"retry\":{\"max_attempts\":1001}"), "out-of-range", "/retry/max_attempts", NULL},
    {WITH("\"retry\":{\"base\":\"0s\"}"), "out-of-range", "/retry/base", NULL},
    {WITH("\"retry\":{\"factor\":0.5}"), "out-of-range", "/retry/factor", NULL},
    {WITH("\"retry\":{\"factor\":1e400}"), "out-of-range", "/retry/factor", NULL},
    {WITH("\"retry\":{\"base\":\"10s\",\"cap\":\"9s\"}"), "out-of-range", "/retry/cap", "10s"},
    {WITH("\"retry\":{\"backoff\":\"random\"}"), "out-of-range", "/retry/backoff", NULL},
    {WITH("\"retry\":{\"jitter\":\"some\"}"), "out-of-range", "/retry/jitter", NULL},
    {WITH("\"retry\":{\"maxattempts\":3}"), "unknown-member", "/retry/maxattempts",
     "did you mean max_attempts?"},
    {WITH("\"retry\":5"), "wrong-type", "/retry", NULL},
    /* B31: 65 bytes where 64 are allowed */
    {WITH("\"args\":\"" NAME_64 "\""), "payload-too-large", "/args", NULL},
    /* B42, B85 */
    {WITH("\"state\":\"dead\""), "read-only-member", "/state", NULL},
    {WITH("\"fence\":1"), "read-only-member", "/fence", NULL},
    {WITH("\"created_by\":\"me\""), "read-only-member", "/created_by", NULL},
    /* named by the contract, not in this version */
    {WITH("\"unique\":{}"), "not-available", "/unique", "not available"},
    {WITH("\"concurrency\":{}"), "not-available", "/concurrency", NULL},
    {WITH("\"notify\":[]"), "not-available", "/notify", NULL},
    /* the rest */
    {WITH("\"version\":0"), "out-of-range", "/version", NULL},
    {WITH("\"max_lost\":-1"), "out-of-range", "/max_lost", NULL},
    {WITH("\"tags\":\"a\""), "wrong-type", "/tags", NULL},
    {WITH("\"tags\":[\"a\",\"\"]"), "invalid-name", "/tags/1", NULL},
    {WITH("\"tags\":[\"a\",7]"), "wrong-type", "/tags/1", NULL},
    {WITH("\"meta\":[]"), "wrong-type", "/meta", NULL},
    {WITH("\"meta\":{\"a\":1}"), "wrong-type", "/meta/a", NULL},
    {WITH("\"correlation_id\":\"\""), "invalid-string", "/correlation_id", NULL},
};

static void each_fault_has_its_code_and_pointer(void **state) {
    (void)state;
    for (size_t i = 0; i < LENGTH(faults); i++) {
        Arena arena = {0};
        FieldErrors *errors;
        Job job;
        if (read_as(faults[i].text, &anybody, &arena, &errors, &job))
            fail_msg("taken: %s", faults[i].text);
        if (errors->count != 1) fail_msg("%zu errors for %s", errors->count, faults[i].text);
        const FieldError *error = &errors->items[0];
        if (!str_eq(error->code, str_from(faults[i].code)) ||
            !str_eq(error->pointer, str_from(faults[i].pointer)) ||
            (faults[i].says && !strstr(error->detail.ptr, faults[i].says))) {
            fail_msg("%s: " STR_FMT " at " STR_FMT ": " STR_FMT, faults[i].text,
                     STR_ARG(error->code), STR_ARG(error->pointer), STR_ARG(error->detail));
        }
        arena_done(&arena);
    }
}

static void absent_members_have_the_contracts_defaults(void **state) {
    (void)state;
    Arena arena = {0};
    FieldErrors *errors;
    Job job;
    assert_true(read_as("{\"type\":\"t\"}", &anybody, &arena, &errors, &job));
    Job usual = job_default();
    assert_true(str_eq(job.type, STR("t")) && str_eq(job.queue, STR("default")));
    assert_true(str_eq(job.args, STR("[]")) && !job.id.ptr && !job.tags.ptr && !job.meta.ptr);
    assert_true(str_eq(job.correlation_id, STR("from-header")));
    assert_int_equal(job.priority, 5);
    assert_int_equal(job.run_at_us, 0);
    assert_int_equal(job.expires_us, 0);
    assert_int_equal(job.timeout_ms, 30 * 60 * 1000);
    assert_int_equal(job.max_lost, 3);
    assert_int_equal(job.retry.max_attempts, usual.retry.max_attempts);
    assert_int_equal(job.retry.base_ms, usual.retry.base_ms);
    assert_int_equal(job.retry.backoff, usual.retry.backoff);
    arena_done(&arena);
}

static void members_are_read(void **state) {
    (void)state;
    Arena arena = {0};
    FieldErrors *errors;
    Job job;
    assert_true(read_as("{\"id\":\"order-1\",\"type\":\"A::B\\\\c\",\"version\":3,\"queue\":\"q\","
                        "\"args\":{\"b\":1.10, \"a\":90071992547409931234},\"priority\":9,"
                        "\"delay\":\"1m30s\",\"max_lost\":0,\"timeout\":\"100ms\","
                        "\"expires_in\":\"1h\",\"tags\":[\"x\",\"\\u0079\"],"
                        "\"meta\":{\"k\" : \"v\"},\"correlation_id\":\"c\","
                        "\"retry\":{\"max_attempts\":1,\"backoff\":\"linear\",\"base\":\"2s\","
                        "\"factor\":1,\"cap\":\"2s\",\"jitter\":\"none\"}}",
                        &anybody, &arena, &errors, &job));
    assert_true(str_eq(job.id, STR("order-1")) && str_eq(job.type, STR("A::B\\c")));
    assert_true(str_eq(job.args, STR("{\"b\":1.10, \"a\":90071992547409931234}")));
    assert_true(str_eq(job.tags, STR("[\"x\",\"y\"]")));
    assert_true(str_eq(job.meta, STR("{\"k\":\"v\"}")));
    assert_true(str_eq(job.correlation_id, STR("c")));
    assert_int_equal(job.version, 3);
    assert_int_equal(job.priority, 9);
    assert_int_equal(job.run_at_us, NOW + 90 * US_PER_S);
    assert_int_equal(job.expires_us, NOW + 3600 * US_PER_S);
    assert_int_equal(job.timeout_ms, 100);
    assert_int_equal(job.max_lost, 0);
    assert_int_equal(job.retry.max_attempts, 1);
    assert_int_equal(job.retry.backoff, BACKOFF_LINEAR);
    assert_int_equal(job.retry.base_ms, 2000);
    assert_int_equal(job.retry.jitter, JITTER_NONE);
    assert_true(read_as(WITH("\"delay\":\"0s\",\"args\":null"), &anybody, &arena, &errors, &job));
    assert_int_equal(job.run_at_us, 0);
    assert_true(str_eq(job.args, STR("null")));
    arena_done(&arena);
}

static void all_faults_are_told_at_once(void **state) {
    (void)state;
    Arena arena = {0};
    FieldErrors *errors;
    Job job;
    assert_false(read_as("{\"type\":\"\",\"queue\":\"/\",\"state\":1,\"zzz\":1}", &anybody, &arena,
                         &errors, &job));
    assert_int_equal(errors->count, 4);
    Buf many;
    buf_init(&many, 1 << 20);
    buf_add(&many, STR("{\"type\":\"t\""));
    for (int i = 0; i < 9000; i++) {
        buf_format(&many, ",\"k%d\":1", i);
    }
    buf_add_char(&many, '}');
    assert_false(read_as(buf_cstr(&many), &anybody, &arena, &errors, &job));
    assert_int_equal(errors->count, FIELD_ERRORS_MAX);
    buf_done(&many);
    arena_done(&arena);
}

static void a_long_key_is_cut(void **state) {
    (void)state;
    Arena arena = {0};
    FieldErrors *errors;
    Job job;
    Buf text;
    buf_init(&text, 6 << 20);
    buf_add(&text, STR("{\"type\":\"t\",\""));
    char *key = buf_reserve(&text, 5 << 20);
    memset(key, 'k', 5 << 20);
    buf_add(&text, STR("\":1}"));
    assert_false(read_as(buf_cstr(&text), &anybody, &arena, &errors, &job));
    assert_int_equal(errors->count, 1);
    assert_true(errors->items[0].pointer.len < 200 && errors->items[0].detail.len < 200);
    buf_done(&text);
    arena_done(&arena);
}

static void queues_that_the_caller_does_not_see_are_forbidden(void **state) {
    (void)state;
    static const Str globs[] = {{"billing.*", 9}};
    const Principal bound = {.subject = {"b", 1}, .queues = globs, .queue_count = 1};
    static const struct {
        const char *text;
        bool taken;
    } rows[] = {
        {WITH("\"queue\":\"billing.eu\""), true},
        {WITH("\"queue\":\"other\""), false},
        {"{\"type\":\"t\"}", false}, /* the default queue is one too */
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        Arena arena = {0};
        FieldErrors *errors;
        Job job;
        assert_int_equal(read_as(rows[i].text, &bound, &arena, &errors, &job), rows[i].taken);
        if (!rows[i].taken) {
            Problem problem = problem_of_fields(errors);
            assert_int_equal(problem.status, 403);
            assert_non_null(strstr(problem.detail.ptr, "job:submit"));
        }
        arena_done(&arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_fault_has_its_code_and_pointer),
        cmocka_unit_test(absent_members_have_the_contracts_defaults),
        cmocka_unit_test(members_are_read),
        cmocka_unit_test(all_faults_are_told_at_once),
        cmocka_unit_test(a_long_key_is_cut),
        cmocka_unit_test(queues_that_the_caller_does_not_see_are_forbidden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
