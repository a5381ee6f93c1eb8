/* The log's lines: what a reader of JSON and a reader of text get, what is held back, what is cut.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/json.h"
#include "telemetry/log.h"
#include "telemetry/log_limit.h"

enum { ROOM = 4 << 20 };

static int sink = -1;
static char *written; /* what the sink holds after read_sink() */

static int open_sink(void **state) {
    (void)state;
    sink = memfd_create("log", MFD_CLOEXEC);
    assert_true(sink >= 0);
    written = malloc(ROOM);
    log_set_fd(sink);
    log_set_format(LOG_JSON);
    log_set_level(LEVEL_INFO);
    return 0;
}

static int close_sink(void **state) {
    (void)state;
    log_flush_repeats(); /* counts of one test are not for the next */
    log_set_fd(STDERR_FILENO);
    close(sink);
    free(written);
    return 0;
}

static Str read_sink(void) {
    ssize_t len = pread(sink, written, ROOM - 1, 0);
    assert_true(len >= 0);
    written[len] = '\0';
    return (Str){written, (size_t)len};
}

static Str only_line(void) {
    Str text = read_sink();
    assert_true(text.len > 0);
    assert_int_equal(text.ptr[text.len - 1], '\n');
    Str line = {text.ptr, text.len - 1};
    assert_null(memchr(line.ptr, '\n', line.len));
    return line;
}

static void a_json_line_has_the_contracts_members_and_types(void **state) {
    (void)state;
    Error error;
    error_set(&error, ERR_INVALID, "no \"such\" thing");
    log_warn("store.commit", kv_str("job_id", STR("a\nb")), kv_int("attempt", -3),
             kv_uint("bytes", UINT64_MAX), kv_double("share", 0.5), kv_bool("late", true),
             kv_str("absent", (Str){NULL, 0}), kv_text("none", NULL), kv_error(&error));
    Str line = only_line();
    Json root;
    assert_int_equal(json_check(line, &root, &error), OK);
    const char *rest = strchr(line.ptr, ',');
    assert_string_equal(rest,
                        ",\"level\":\"warn\",\"msg\":\"store.commit\",\"component\":\"store\","
                        "\"job_id\":\"a\\nb\",\"attempt\":-3,\"bytes\":18446744073709551615,"
                        "\"share\":0.5,\"late\":true,"
                        "\"error\":\"no \\\"such\\\" thing\"}\n");
    Json ts = json_member(root, STR("ts"));
    assert_int_equal(ts.text.len, 26); /* with its quotes */
    assert_int_equal(ts.text.ptr[24], 'Z');
}

static void a_line_needs_no_fields(void **state) {
    (void)state;
    log_info("nofields");
    assert_non_null(strstr(only_line().ptr, "\"msg\":\"nofields\",\"component\":\"nofields\"}"));
}

static void a_text_line_quotes_what_a_terminal_could_misread(void **state) {
    (void)state;
    log_set_format(LOG_TEXT);
    log_error("text.line", kv_str("plain", STR("a-b")), kv_str("blank", STR("a b")),
              kv_str("escape", STR("\x1b[2J")), kv_str("empty", STR("")), kv_int("n", 7));
    assert_non_null(strstr(only_line().ptr,
                           "Z error text.line plain=a-b blank=\"a b\" escape=\"\\u001b[2J\" "
                           "empty=\"\" n=7"));
}

static void a_secret_is_only_known_to_be_set(void **state) {
    (void)state;
    log_info("secret.shown", kv_secret("password", (Secret){STR("hunter2")}),
             kv_secret("other", (Secret){{NULL, 0}}));
    Str line = only_line();
    assert_non_null(strstr(line.ptr, "\"password\":\"***\"}"));
    assert_null(strstr(line.ptr, "hunter2"));
    assert_null(strstr(line.ptr, "other"));
}

static void the_level_can_change_while_running(void **state) {
    (void)state;
    log_debug("level.first");
    log_set_level(LEVEL_DEBUG);
    log_debug("level.second");
    log_set_level(LEVEL_ERROR);
    log_warn("level.third");
    assert_non_null(strstr(only_line().ptr, "level.second"));
}

static void a_long_text_is_cut_between_characters(void **state) {
    (void)state;
    static char text[6001];
    for (size_t i = 0; i < 2000; i++)
        memcpy(text + 3 * i, "\xe2\x82\xac", 3);
    log_info("long.text", kv_str("value", (Str){text, 6000}));
    Str line = only_line();
    Json root;
    assert_int_equal(json_check(line, &root, NULL), OK);
    assert_int_equal(json_member(root, STR("value")).text.len, 1998 + 2);
}

static void what_is_not_utf8_makes_no_broken_json(void **state) {
    (void)state;
    log_info("bad.bytes", kv_str("value", STR("\xff\xfe\x00z")));
    Json root;
    assert_int_equal(json_check(only_line(), &root, NULL), OK);
}

static size_t count_lines(Str text) {
    size_t lines = 0;
    for (size_t i = 0; i < text.len; i++)
        lines += text.ptr[i] == '\n';
    return lines;
}

static void repeats_are_held_back_and_their_number_is_told(void **state) {
    (void)state;
    for (int i = 0; i < 100; i++)
        log_info("repeat.often");
    log_info("repeat.other");
    size_t before = count_lines(read_sink());
    assert_in_range(before, LOG_LIMIT_BURST + 1, LOG_LIMIT_BURST + 2); /* a second may pass */
    log_flush_repeats();
    Str text = read_sink();
    assert_int_equal(count_lines(text), before + 1);
    assert_non_null(strstr(text.ptr, "\"suppressed\":"));
    log_flush_repeats();
    assert_int_equal(count_lines(read_sink()), before + 1);
}

static void debug_lines_are_not_limited(void **state) {
    (void)state;
    log_set_level(LEVEL_DEBUG);
    for (int i = 0; i < 100; i++)
        log_debug("debug.often");
    assert_int_equal(count_lines(read_sink()), 100);
}

static void errno_survives_and_lost_lines_are_counted(void **state) {
    (void)state;
    uint64_t before = log_lost();
    log_set_fd(-1);
    errno = EPIPE;
    log_info("lost.line");
    assert_int_equal(errno, EPIPE);
    assert_int_equal(log_lost(), before + 1);
}

static void *write_many(void *argument) {
    (void)argument;
    for (int i = 0; i < 500; i++)
        log_debug("thread.line", kv_int("i", i));
    return NULL;
}

static void lines_of_threads_do_not_mix(void **state) {
    (void)state;
    pthread_t threads[4];
    log_set_level(LEVEL_DEBUG);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, NULL), 0);
    }
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    Str text = read_sink();
    assert_int_equal(count_lines(text), 2000);
    while (text.len > 0) {
        Json root;
        assert_int_equal(json_check(str_split(&text, '\n'), &root, NULL), OK);
    }
}

static void names_of_levels_and_formats_are_read(void **state) {
    (void)state;
    LogLevel level = LEVEL_DEBUG;
    LogFormat format = LOG_JSON;
    assert_true(log_level_parse(STR("warn"), &level));
    assert_int_equal(level, LEVEL_WARN);
    assert_false(log_level_parse(STR("WARN"), &level));
    assert_false(log_level_parse(STR(""), &level));
    assert_true(log_format_parse(STR("text"), &format));
    assert_int_equal(format, LOG_TEXT);
    assert_false(log_format_parse(STR("xml"), &format));
}

/* One row = one call at a time in ms; the same bucket for all. */
static void a_bucket_gives_a_burst_and_then_one_a_second(void **state) {
    (void)state;
    static const struct {
        int64_t at_ms;
        bool passes;
        uint64_t suppressed;
    } CALLS[] = {
        {0, false, 0},   {999, false, 0}, {1000, true, 2},  {1001, false, 0},  {4500, true, 1},
        {4600, true, 0}, {4700, true, 0}, {4800, false, 0}, {100000, true, 1},
    };
    LogLimit limit = {0};
    uint64_t suppressed = 9;
    for (int i = 0; i < LOG_LIMIT_BURST; i++) {
        assert_true(log_limit_pass(&limit, "event", 1, 0, &suppressed));
        assert_int_equal(suppressed, 0);
    }
    for (size_t i = 0; i < LENGTH(CALLS); i++) {
        bool passes = log_limit_pass(&limit, "event", 1, CALLS[i].at_ms * 1000, &suppressed);
        assert_int_equal(passes, CALLS[i].passes);
        if (passes) assert_int_equal(suppressed, CALLS[i].suppressed);
    }
    assert_true(log_limit_pass(&limit, "another", 1, 0, &suppressed));
}

static void a_full_table_limits_nothing_more(void **state) {
    (void)state;
    static char names[LOG_LIMIT_SLOTS + 1][16];
    LogLimit limit = {0};
    uint64_t suppressed = 0;
    for (int i = 0; i <= LOG_LIMIT_SLOTS; i++) {
        snprintf(names[i], sizeof(names[i]), "e%d", i);
        for (int j = 0; j < LOG_LIMIT_BURST; j++) {
            assert_true(log_limit_pass(&limit, names[i], 1, 0, &suppressed));
        }
    }
    assert_false(log_limit_pass(&limit, names[0], 1, 0, &suppressed));
    assert_true(log_limit_pass(&limit, names[LOG_LIMIT_SLOTS], 1, 0, &suppressed));
}

#define SINK_TEST(test) cmocka_unit_test_setup_teardown(test, open_sink, close_sink)

int main(void) {
    const struct CMUnitTest tests[] = {
        SINK_TEST(a_json_line_has_the_contracts_members_and_types),
        SINK_TEST(a_line_needs_no_fields),
        SINK_TEST(a_text_line_quotes_what_a_terminal_could_misread),
        SINK_TEST(a_secret_is_only_known_to_be_set),
        SINK_TEST(the_level_can_change_while_running),
        SINK_TEST(a_long_text_is_cut_between_characters),
        SINK_TEST(what_is_not_utf8_makes_no_broken_json),
        SINK_TEST(repeats_are_held_back_and_their_number_is_told),
        SINK_TEST(debug_lines_are_not_limited),
        SINK_TEST(errno_survives_and_lost_lines_are_counted),
        SINK_TEST(lines_of_threads_do_not_mix),
        cmocka_unit_test(names_of_levels_and_formats_are_read),
        cmocka_unit_test(a_bucket_gives_a_burst_and_then_one_a_second),
        cmocka_unit_test(a_full_table_limits_nothing_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
