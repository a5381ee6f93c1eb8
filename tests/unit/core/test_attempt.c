/* The record of attempts: bounded whatever is reported, valid JSON, and searched for repeats. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "core/attempt.h"

#define NOW INT64_C(1795428000123000)

static Job running(int64_t fence) {
    Job job = job_default();
    job.state = JOB_RUNNING;
    job.fence = fence;
    job.attempt = 2;
    job.started_us = NOW - 1000000;
    job.worker = STR("w1");
    return job;
}

static Json attempts_of(const Job *job) {
    Json root;
    assert_int_equal(json_check(job->attempts, &root, NULL), OK);
    assert_int_equal(root.kind, JSON_ARRAY);
    return root;
}

static Json last_attempt(const Job *job) {
    JsonIter iter = json_iter(attempts_of(job));
    Json last = {0};
    while (json_next(&iter, NULL, &last)) {}
    return last;
}

static void an_attempt_is_written_in_full(void **state) {
    (void)state;
    Arena arena = {0};
    Job job = running(7);
    AttemptError error = {STR("IOError"), STR("no \"disk\""), STR("[\"a.rb:1\", \"b.rb:2\"]"),
                          STR("{\"exit_code\":3}")};
    attempt_record(&job, "failed", &error, STR("00ff"), NOW, &arena);
    assert_true(
        str_eq(job.attempts,
               STR("[{\"fence\":7,\"attempt\":2,\"run\":1,\"worker\":\"w1\","
                   "\"started_at\":\"2026-11-23T09:59:59.123Z\",\"finished_at\":\"2026-11-23T10:00:"
                   "00.123Z\","
                   "\"outcome\":\"failed\",\"hash\":\"00ff\",\"error\":{\"type\":\"IOError\","
                   "\"message\":\"no \\\"disk\\\"\",\"backtrace\":[\"a.rb:1\",\"b.rb:2\"]},"
                   "\"meta\":{\"exit_code\":3}}]")));
    arena_done(&arena);
}

static void what_is_absent_or_of_another_kind_is_left_out(void **state) {
    (void)state;
    static const struct {
        const char *backtrace, *meta, *lines;
    } rows[] = {
        {NULL, NULL, NULL},
        {"", "", NULL},
        {"{}", "[]", NULL},
        {"[", "{", NULL},
        {"\"x\"", "1", NULL},
        {"[]", NULL, "[]"},
        {"[1,\"a\",null,[\"c\"]]", NULL, "[\"a\"]"},
    };
    Arena arena = {0};
    for (size_t i = 0; i < LENGTH(rows); i++) {
        Job job = running(7);
        job.worker = (Str){0};
        AttemptError error = {.backtrace = str_from(rows[i].backtrace),
                              .meta = str_from(rows[i].meta)};
        attempt_record(&job, "lost", &error, (Str){0}, NOW, &arena);
        Json attempt = last_attempt(&job);
        Json failure = json_member(attempt, STR("error"));
        assert_true(str_eq(json_member(failure, STR("type")).text, STR("\"unknown\"")));
        assert_int_equal(json_member(failure, STR("message")).kind, JSON_NULL);
        assert_int_equal(json_member(attempt, STR("worker")).kind, JSON_NULL);
        assert_null(json_member(attempt, STR("meta")).text.ptr);
        assert_true(str_eq(json_member(failure, STR("backtrace")).text, str_from(rows[i].lines)));
    }
    arena_done(&arena);
}

static Str filled(Arena *arena, size_t len, const char *unit) {
    char *bytes = arena_alloc(arena, len);
    for (size_t i = 0; i < len; i++) {
        bytes[i] = unit[i % strlen(unit)];
    }
    return (Str){bytes, len};
}

static Str long_backtrace(Arena *arena, size_t lines, Str line) {
    cleanup(buf_done) Buf buf;
    buf_init(&buf, 16 << 20);
    JsonWriter writer = json_writer(&buf);
    json_begin_array(&writer);
    for (size_t i = 0; i < lines; i++) {
        json_write_string(&writer, line);
    }
    json_end_array(&writer);
    return arena_str(arena, buf_str(&buf));
}

static void texts_are_cut_between_characters(void **state) {
    (void)state;
    /* units of 1, 2, 3 bytes, one that escapes to six, one that is not UTF-8 */
    static const char *const units[] = {"x", "\xc3\xa4", "\xe2\x82\xac", "\x01", "\xff", "\x80"};
    for (size_t i = 0; i < LENGTH(units); i++) {
        Arena arena = {0};
        Job job = running(7);
        Str text = filled(&arena, 3000, units[i]);
        job.worker = text;
        AttemptError error = {text, text, long_backtrace(&arena, 80, text), {0}};
        for (int round = 0; round < ATTEMPTS_KEPT + 5; round++) {
            attempt_record(&job, "failed", &error, (Str){0}, NOW, &arena);
        }
        Json failure = json_member(last_attempt(&job), STR("error"));
        Str type = json_string(json_member(failure, STR("type")), &arena);
        Str message = json_string(json_member(failure, STR("message")), &arena);
        Json lines = json_member(failure, STR("backtrace"));
        assert_int_equal(json_count(lines), BACKTRACE_LINES_MAX);
        if (units[i][0] != '\xff' && units[i][0] != '\x80') {
            size_t unit = strlen(units[i]);
            assert_int_equal(type.len, ERROR_TYPE_MAX / unit * unit);
            assert_int_equal(message.len, ERROR_MESSAGE_MAX / unit * unit);
            assert_memory_equal(message.ptr, text.ptr, message.len);
        }
        JsonIter iter = json_iter(lines);
        Json line;
        assert_true(json_next(&iter, NULL, &line));
        assert_true(json_string(line, &arena).len <= 3 * BACKTRACE_LINE_MAX);
        assert_int_equal(json_count(attempts_of(&job)), ATTEMPTS_KEPT);
        arena_done(&arena);
    }
}

static void large_meta_is_left_out(void **state) {
    (void)state;
    Arena arena = {0};
    for (int over = 0; over <= 1; over++) {
        Job job = running(7);
        Str text = filled(&arena, (size_t)(ATTEMPT_META_MAX - 8 + over), "m");
        AttemptError error = {.meta =
                                  arena_format(&arena, "{\"a\":\"" STR_FMT "\"}", STR_ARG(text))};
        assert_int_equal(error.meta.len, ATTEMPT_META_MAX + over);
        attempt_record(&job, "failed", &error, (Str){0}, NOW, &arena);
        assert_int_equal(json_member(last_attempt(&job), STR("meta")).text.ptr == NULL, over);
    }
    arena_done(&arena);
}

static void the_last_twenty_are_kept_in_order(void **state) {
    (void)state;
    Arena arena = {0};
    Job job = running(0);
    for (int64_t fence = 1; fence <= 50; fence++) {
        job.fence = fence;
        attempt_record(&job, "failed", &(AttemptError){0}, STR("aa"), NOW, &arena);
        Json attempts = attempts_of(&job);
        int64_t expected = fence <= ATTEMPTS_KEPT ? 1 : fence - ATTEMPTS_KEPT + 1;
        assert_int_equal(json_count(attempts), fence - expected + 1);
        JsonIter iter = json_iter(attempts);
        Json attempt;
        while (json_next(&iter, NULL, &attempt)) {
            int64_t of;
            assert_true(json_int64(json_member(attempt, STR("fence")), &of));
            assert_int_equal(of, expected++);
        }
    }
    arena_done(&arena);
}

static void a_broken_record_begins_anew(void **state) {
    (void)state;
    static const char *const broken[] = {"", "[", "{}", "[{},", "nonsense"};
    Arena arena = {0};
    for (size_t i = 0; i < LENGTH(broken); i++) {
        Job job = running(9);
        job.attempts = str_from(broken[i]);
        assert_false(attempt_repeats(&job, 9, STR("aa")));
        attempt_record(&job, "failed", &(AttemptError){0}, STR("aa"), NOW, &arena);
        assert_int_equal(json_count(attempts_of(&job)), 1);
        assert_true(attempt_repeats(&job, 9, STR("aa")));
    }
    arena_done(&arena);
}

static void repeats_are_told_by_fence_and_hash(void **state) {
    (void)state;
    Arena arena = {0};
    Job job = running(7);
    attempt_record(&job, "failed", &(AttemptError){0}, STR("aa"), NOW, &arena);
    job.fence = 8;
    attempt_record(&job, "lost", &(AttemptError){0}, (Str){0}, NOW, &arena);
    job.fence = 9;
    attempt_record(&job, "failed", &(AttemptError){0}, STR("bb"), NOW, &arena);
    static const struct {
        int64_t fence;
        const char *hash;
        bool repeats;
    } rows[] = {
        {7, "aa", true}, {9, "bb", true},    {7, "bb", false}, {9, "aa", false},  {8, "aa", false},
        {8, "", false},  {8, NULL, false},   {0, "aa", false}, {10, "aa", false}, {7, "aaa", false},
        {7, "a", false}, {8, "null", false}, {8, "ul", false},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        assert_int_equal(attempt_repeats(&job, rows[i].fence, str_from(rows[i].hash)),
                         rows[i].repeats);
    }
    /* an entry without a fence that can be read is none */
    job.attempts =
        STR("[{\"hash\":\"cc\"},{\"fence\":\"7\",\"hash\":\"cc\"},{\"fence\":7,\"hash\":\"dd\"}]");
    assert_false(attempt_repeats(&job, 7, STR("cc")));
    assert_true(attempt_repeats(&job, 7, STR("dd")));
    arena_done(&arena);
}

static void different_outcomes_have_different_hashes(void **state) {
    (void)state;
    Arena arena = {0};
    Str a = STR("a");
    Str ab = STR("ab");
    Str empty = STR("");
    Str absent = {0};
    const AttemptError errors[] = {
        {absent, absent, absent, absent}, {a, absent, absent, absent},
        {absent, a, absent, absent},      {absent, absent, a, absent},
        {ab, absent, absent, absent},     {a, STR("b"), absent, absent},
        {empty, absent, absent, absent},  {a, empty, absent, absent},
    };
    Str hashes[LENGTH(errors) + 4];
    size_t count = 0;
    for (size_t i = 0; i < LENGTH(errors); i++) {
        hashes[count++] = outcome_hash_failure(&errors[i], &arena);
    }
    const Str results[] = {absent, empty, a, ab};
    for (size_t i = 0; i < LENGTH(results); i++) {
        hashes[count++] = outcome_hash_success(results[i], &arena);
    }
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(hashes[i].len, 32);
        assert_int_equal(strspn(hashes[i].ptr, "0123456789abcdef"), 32);
        for (size_t j = 0; j < i; j++) {
            assert_false(str_eq(hashes[i], hashes[j]));
        }
    }
    AttemptError same = {a, STR("b"), absent, STR("{\"max_rss_kb\":1}")};
    assert_true(str_eq(outcome_hash_failure(&same, &arena), hashes[5]));
    assert_true(str_eq(outcome_hash_success(a, &arena), hashes[LENGTH(errors) + 2]));
    arena_done(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_attempt_is_written_in_full),
        cmocka_unit_test(what_is_absent_or_of_another_kind_is_left_out),
        cmocka_unit_test(texts_are_cut_between_characters),
        cmocka_unit_test(large_meta_is_left_out),
        cmocka_unit_test(the_last_twenty_are_kept_in_order),
        cmocka_unit_test(a_broken_record_begins_anew),
        cmocka_unit_test(repeats_are_told_by_fence_and_hash),
        cmocka_unit_test(different_outcomes_have_different_hashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
