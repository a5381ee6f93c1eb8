/* The other messages: what each reader takes and refuses, and that it reads what its writer
 * wrote. */
#include "proto/messages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef enum Message { TAKE, DONE, EXTEND, BEAT, BEATEN, TRACK, LOG, TAKEN } Message;

static Err read_message(Message message, Str argument, Arena *arena, Error *error) {
    union {
        TakeRequest take;
        BeatRequest beat;
        BeatReply beaten;
        ProgressRequest track;
        LogRequest log;
    } any;
    Outcome *outcomes;
    LeaseRef *refs;
    WireJob *jobs;
    size_t count;
    switch (message) {
    case TAKE: return take_request_parse(argument, arena, &any.take, error);
    case DONE: return outcomes_parse(argument, arena, &outcomes, &count, error);
    case EXTEND: return lease_refs_parse(argument, arena, &refs, &count, error);
    case BEAT: return beat_request_parse(argument, arena, &any.beat, error);
    case BEATEN: return beat_reply_parse(argument, arena, &any.beaten, error);
    case TRACK: return progress_parse(argument, arena, &any.track, error);
    case LOG: return log_request_parse(argument, arena, &any.log, error);
    case TAKEN: return take_reply_parse(argument, arena, &jobs, &count, error);
    }
    return ERR_INTERNAL;
}

typedef struct Row {
    Message message;
    const char *argument; /* NULL: the verb alone */
    bool good;
} Row;

static const Row ROWS[] = {
    {TAKE, "{\"queues\":[\"a\"]}", true},
    {TAKE, "{\"queues\":[\"a\",\"b\"],\"n\":1000,\"wait_ms\":60000}", true},
    {TAKE, NULL, false},
    {TAKE, "{}", false},
    {TAKE, "[]", false},
    {TAKE, "{\"queues\":[]}", false},
    {TAKE, "{\"queues\":\"a\"}", false},
    {TAKE, "{\"queues\":[1]}", false},
    {TAKE, "{\"queues\":[\"a\"],\"n\":0}", false},
    {TAKE, "{\"queues\":[\"a\"],\"n\":-1}", false},
    {TAKE, "{\"queues\":[\"a\"],\"n\":1001}", false},
    {TAKE, "{\"queues\":[\"a\"],\"n\":2147483648}", false},
    {TAKE, "{\"queues\":[\"a\"],\"n\":1.5}", false},
    {TAKE, "{\"queues\":[\"a\"],\"wait_ms\":-1}", false},
    {TAKE, "{\"queues\":[\"a\"],\"wait_ms\":60001}", false},
    {DONE, "[]", true},
    {DONE, "[{\"jid\":\"a\",\"fence\":1}]", true},
    {DONE, "[{\"jid\":\"a\",\"fence\":1,\"result\":[1]}]", true},
    {DONE, "[{\"jid\":\"a\",\"fence\":0,\"error\":{}}]", true},
    {DONE,
     "[{\"jid\":\"a\",\"fence\":1,\"error\":{\"backtrace\":[\"x\"],\"retryable\":false,"
     "\"retry_after\":\"90s\"},\"meta\":{}}]",
     true},
    {DONE, "[{\"jid\":\"a\",\"fence\":1,\"error\":{\"retry_after\":90}}]", true},
    {DONE, "[{\"jid\":\"a\",\"fence\":1,\"error\":{\"retry_after\":null}}]", true},
    {DONE, NULL, false},
    {DONE, "{}", false},
    {DONE, "[1]", false},
    {DONE, "[{\"fence\":1}]", false},
    {DONE, "[{\"jid\":\"a\",\"fence\":\"1\"}]", false},
    {DONE, "[{\"jid\":\"a\",\"fence\":9223372036854775808}]", false},
    {DONE, "[{\"jid\":\"a\",\"error\":\"x\"}]", false},
    {DONE, "[{\"jid\":\"a\",\"error\":{\"backtrace\":\"x\"}}]", false},
    {DONE, "[{\"jid\":\"a\",\"error\":{\"backtrace\":[1]}}]", false},
    {DONE, "[{\"jid\":\"a\",\"error\":{\"retryable\":\"no\"}}]", false},
    {DONE, "[{\"jid\":\"a\",\"error\":{\"retry_after\":\"soon\"}}]", false},
    {DONE, "[{\"jid\":\"a\",\"error\":{\"retry_after\":-1}}]", false},
    {DONE, "[{\"jid\":\"a\",\"meta\":[]}]", false},
    {EXTEND, "[{\"jid\":\"a\",\"fence\":1}]", true},
    {EXTEND, "[{\"jid\":\"\",\"fence\":1}]", false},
    {EXTEND, "{\"jid\":\"a\"}", false},
    {BEAT, "{\"wid\":\"w\"}", true},
    {BEAT, "{\"wid\":\"w\",\"current_state\":\"quiet\",\"rss_kb\":5,\"wait_ms\":10000}", true},
    {BEAT, "{\"wid\":1}", false},
    {BEAT, "{\"wid\":\"w\",\"wait_ms\":-1}", false},
    {BEAT, NULL, false},
    {BEATEN, "{\"state\":\"quiet\"}", true},
    {BEATEN, "{\"state\":\"\",\"cancel\":[\"a\"]}", true},
    {BEATEN, "{\"cancel\":[1]}", false},
    {TRACK, "{\"jid\":\"a\",\"percent\":100,\"desc\":\"d\"}", true},
    {TRACK, "{\"jid\":\"a\",\"percent\":101}", false},
    {TRACK, "{\"percent\":1}", false},
    {LOG, "{\"jid\":\"a\",\"fence\":1,\"data\":\"x\"}", true},
    {LOG, "{\"fence\":1,\"data\":\"x\"}", false},
    {LOG, "{\"jid\":\"a\",\"data\":1}", false},
    {TAKEN, "[]", true},
    {TAKEN, "[{\"jid\":\"a\",\"jobtype\":\"t\",\"fence\":1,\"args\":{\"any\":1}}]", true},
    {TAKEN, "[{\"jid\":\"a\",\"jobtype\":\"t\",\"args\":[]}]", false},
    {TAKEN, "{}", false},
};

static void test_readers(void **state) {
    (void)state;
    for (size_t i = 0; i < LENGTH(ROWS); i++) {
        Arena arena = {0};
        Error error = {0};
        Err err = read_message(ROWS[i].message, str_from(ROWS[i].argument), &arena, &error);
        if ((err == OK) != ROWS[i].good) fail_msg("%s: %s", ROWS[i].argument, error.message);
        if (err != OK) assert_true(error.message[0] != '\0');
        arena_done(&arena);
    }
}

static void test_outcomes(void **state) {
    (void)state;
    Arena arena = {0};
    Error error = {0};
    Json lines;
    assert_int_equal(json_check(STR("[\"one\",\"two\"]"), &lines, &error), OK);
    const Outcome outcomes[] = {
        {.jid = STR("a"), .fence = 8796093022209, .retry_after_ms = -1},
        {.jid = STR("b\n"),
         .fence = 2,
         .failed = true,
         .error_type = STR("E"),
         .error_message = STR("m\"\x01"),
         .backtrace = lines,
         .not_retryable = true,
         .retry_after_ms = 90500},
    };
    Buf buf;
    buf_init(&buf, 4096);
    JsonWriter writer = json_writer(&buf);
    json_begin_array(&writer);
    for (size_t i = 0; i < 2; i++)
        outcome_write(&writer, &outcomes[i]);
    json_end_array(&writer);
    assert_null(memchr(buf.data, '\n', buf.len));
    Outcome *back;
    size_t count;
    assert_int_equal(outcomes_parse(buf_str(&buf), &arena, &back, &count, &error), OK);
    assert_int_equal(count, 2);
    assert_int_equal(back[0].fence, 8796093022209);
    assert_false(back[0].failed);
    assert_int_equal(back[0].result.kind, JSON_NULL);
    assert_int_equal(back[0].retry_after_ms, -1);
    assert_true(back[1].failed && back[1].not_retryable);
    assert_int_equal(back[1].retry_after_ms, 90500);
    assert_true(str_eq(back[1].jid, STR("b\n")));
    assert_true(str_eq(back[1].error_message, STR("m\"\x01")));
    assert_true(str_eq(back[1].backtrace.text, lines.text));
    buf_done(&buf);
    arena_done(&arena);
}

static void test_round_trips(void **state) {
    (void)state;
    Arena arena = {0};
    Error error = {0};
    Buf buf;
    buf_init(&buf, 4096);
    Str queues[] = {STR("a"), STR("b")};
    const TakeRequest take = {.queues = queues, .queue_count = 2, .n = 5, .wait_ms = 7};
    take_request_write(&buf, &take);
    TakeRequest taken;
    assert_int_equal(take_request_parse(buf_str(&buf), &arena, &taken, &error), OK);
    assert_true(taken.queue_count == 2 && str_eq(taken.queues[1], queues[1]));
    assert_true(taken.n == 5 && taken.wait_ms == 7);

    buf_clear(&buf);
    const BeatRequest beat = {
        .wid = STR("w"), .current_state = STR("quiet"), .rss_kb = 3, .parked = true, .wait_ms = 0};
    beat_request_write(&buf, &beat);
    BeatRequest beaten;
    assert_int_equal(beat_request_parse(buf_str(&buf), &arena, &beaten, &error), OK);
    assert_true(beaten.parked && beaten.wait_ms == 0 && beaten.rss_kb == 3);
    assert_true(str_eq(beaten.current_state, STR("quiet")));

    buf_clear(&buf);
    const BeatReply reply = {.state = WORKER_TERMINATE, .cancel = queues, .cancel_count = 2};
    beat_reply_write(&buf, &reply);
    BeatReply replied;
    assert_int_equal(beat_reply_parse(buf_str(&buf), &arena, &replied, &error), OK);
    assert_true(replied.state == WORKER_TERMINATE && replied.cancel_count == 2);
    buf_done(&buf);
    arena_done(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_readers),
        cmocka_unit_test(test_outcomes),
        cmocka_unit_test(test_round_trips),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
