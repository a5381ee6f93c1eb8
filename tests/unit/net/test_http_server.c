/* The server's conversations: late answers, pipelining, HEAD, 100 Continue, streams, hang-ups,
 * deadlines, limits, draining. */
#include "fixture.h"

#include "base/clock.h"
#include "net/http_server.h"
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>
/* cmocka.h needs the ones above. */
#include <cmocka.h>

enum { HELD_MAX = 8, BIG = 64 * 1024 };

/* A Str in a static table. */
#define TEXT(literal)                                                                              \
    { "" literal, sizeof(literal) - 1 }

typedef struct Fixture {
    Loop *loop;
    HttpServer *http;
    HttpRequest *held[HELD_MAX]; /* of "/hold" and "/stream", not answered yet */
    size_t held_count;
    size_t handled;
    size_t aborted;
    size_t drained;
    unsigned last_status;
    bool answers_on_abort;
    Buf answer;
} Fixture;

static void on_abort(HttpRequest *request) {
    Fixture *fixture = request->owner;
    fixture->aborted++;
    if (!fixture->answers_on_abort) return;
    fixture->held_count = 0;
    http_respond(request, 503, NULL, 0, STR(""));
}

static void on_stream_drain(HttpRequest *request) {
    Fixture *fixture = request->owner;
    fixture->drained++;
}

static void hold(Fixture *fixture, HttpRequest *request) {
    assert_true(fixture->held_count < HELD_MAX);
    request->owner = fixture;
    request->on_abort = on_abort;
    request->on_drain = on_stream_drain;
    fixture->held[fixture->held_count++] = request;
}

static void describe(HttpRequest *request) {
    Buf text;
    buf_init(&text, 65536);
    assert_non_null(request->segments); /* even of "/" and "*" */
    for (size_t i = 0; i < request->segment_count; i++) {
        buf_format(&text, "[" STR_FMT "]", STR_ARG(request->segments[i]));
    }
    for (size_t i = 0; i < request->parameter_count; i++) {
        buf_format(&text, "(" STR_FMT "=" STR_FMT ")", STR_ARG(request->parameters[i].name),
                   STR_ARG(request->parameters[i].value));
    }
    HttpPair headers[] = {
        {STR("Content-Type"), STR("text/plain")},
        {STR("X-Echo"), http_request_header(request, STR("x-TEST"))},
    };
    http_respond(request, 200, headers, LENGTH(headers), buf_str(&text));
    buf_done(&text);
}

static void respond_big(HttpRequest *request) {
    char *bytes = arena_alloc(&request->arena, BIG);
    memset(bytes, 'b', BIG);
    http_respond(request, 200, NULL, 0, (Str){bytes, BIG});
}

static void handle(void *owner, HttpRequest *request) {
    Fixture *fixture = owner;
    fixture->handled++;
    if (str_starts_with(request->path, STR("/hold"))) {
        hold(fixture, request);
    } else if (str_eq(request->path, STR("/big"))) {
        respond_big(request);
    } else if (str_eq(request->path, STR("/none"))) {
        http_respond(request, 204, NULL, 0, STR(""));
    } else if (str_eq(request->path, STR("/split"))) {
        HttpPair header = {STR("Location"), STR("/a\r\nSet-Cookie: b")};
        http_respond(request, 303, &header, 1, STR(""));
    } else if (request->method == HTTP_METHOD_POST) {
        http_respond(request, 200, NULL, 0, request->body);
    } else {
        describe(request);
    }
}

static void note_answer(void *owner, const HttpRequest *request) {
    Fixture *fixture = owner;
    fixture->last_status = request->status;
}

static int set_up(void **state) {
    static Fixture fixture;
    fixture = (Fixture){.loop = loop_new()};
    buf_init(&fixture.answer, (size_t)1 << 30);
    HttpServerOptions options = {
        .address = "127.0.0.1:0",
        .max_connections = 5,
        .limits = {.header_ms = 60,
                   .body_window_ms = 50,
                   .body_rate = 1000,
                   .idle_ms = 150,
                   .body_max = 2000000,
                   .open_bytes = 3000000},
        .connection_limits = {.write_stall_ms = 600},
        .handler = handle,
        .on_answer = note_answer,
        .owner = &fixture,
    };
    Error error;
    assert_int_equal(http_server_open(fixture.loop, &options, &fixture.http, &error), OK);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state) {
    Fixture *fixture = *state;
    http_server_close(fixture->http);
    loop_free(fixture->loop);
    buf_done(&fixture->answer);
    return 0;
}

static int begin(Fixture *fixture, Str request) {
    int fd = client_connect(fixture->loop, http_server_port(fixture->http));
    client_send(fixture->loop, fd, request);
    return fd;
}

/* What has come since the last call; *ret_closed may be NULL. */
static const char *receive(Fixture *fixture, int fd, bool *ret_closed) {
    pump(fixture->loop);
    buf_clear(&fixture->answer);
    bool closed = client_receive(fd, &fixture->answer);
    if (ret_closed) *ret_closed = closed;
    return buf_cstr(&fixture->answer);
}

static void expect_text(const char *text, const char *part) {
    if (!strstr(text, part)) fail_msg("'%s' is not in: %s", part, text);
}

static void expect_no_text(const char *text, const char *part) {
    if (strstr(text, part)) fail_msg("'%s' is in: %s", part, text);
}

static size_t count_text(const char *text, const char *part) {
    size_t count = 0;
    for (const char *at = strstr(text, part); at; at = strstr(at + 1, part)) {
        count++;
    }
    return count;
}

static void test_fields(void **state) {
    Fixture *fixture = *state;
    int fd =
        begin(fixture, STR("GET /v1/jobs/a%2Fb/?x=1&x=2&name=J%C3%BCrgen+K&&flag&e= HTTP/1.1\r\n"
                           "Host: a\r\nX-Test:  some value \r\nX-Request-Id: abc-1\r\n\r\n"));
    const char *text = receive(fixture, fd, NULL);
    expect_text(text, "\r\n\r\n[v1][jobs][a/b][](x=1)(x=2)(name=J\xc3\xbcrgen K)(flag=)(e=)");
    expect_text(text, "X-Echo: some value\r\n");
    expect_text(text, "X-Request-Id: abc-1\r\n");
    expect_text(text, "Date: ");
    expect_no_text(text, "Connection:");
    client_close(fixture->loop, fd);
}

static void test_request_id_is_made(void **state) {
    Fixture *fixture = *state;
    int fd = begin(fixture, STR("GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: a b\r\n\r\n"));
    const char *text = receive(fixture, fd, NULL);
    expect_no_text(text, "X-Request-Id: a b");
    const char *id = strstr(text, "X-Request-Id: ");
    assert_non_null(id);
    assert_int_equal(strcspn(id, "\r"), strlen("X-Request-Id: ") + 36);
    client_close(fixture->loop, fd);
}

static void test_header_values_are_cleaned(void **state) {
    Fixture *fixture = *state;
    int fd = begin(fixture, STR("GET /split HTTP/1.1\r\nHost: a\r\n\r\n"));
    expect_text(receive(fixture, fd, NULL), "Location: /a  Set-Cookie: b\r\n");
    client_close(fixture->loop, fd);
}

static void test_late_answers_stay_in_order(void **state) {
    Fixture *fixture = *state;
    int fd = begin(fixture, STR("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n"
                                "GET /second HTTP/1.1\r\nHost: a\r\n\r\n"
                                "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"));
    assert_string_equal(receive(fixture, fd, NULL), "");
    assert_int_equal(fixture->handled, 1);
    http_respond(fixture->held[0], 200, NULL, 0, STR("first"));
    const char *text = receive(fixture, fd, NULL);
    const char *first = strstr(text, "first");
    const char *second = strstr(text, "[second]");
    const char *third = strstr(text, "abc");
    assert_true(first && second && third && first < second && second < third);
    client_close(fixture->loop, fd);
}

static void test_head(void **state) {
    Fixture *fixture = *state;
    int fd = begin(fixture, STR("HEAD /abc HTTP/1.1\r\nHost: a\r\n\r\n"));
    const char *text = receive(fixture, fd, NULL);
    expect_text(text, "Content-Length: 5\r\n");
    expect_no_text(text, "[abc]");
    client_send(fixture->loop, fd, STR("GET /none HTTP/1.1\r\nHost: a\r\n\r\n"));
    text = receive(fixture, fd, NULL);
    expect_text(text, "HTTP/1.1 204 No Content\r\n");
    expect_no_text(text, "Content-Length");
    client_close(fixture->loop, fd);
}

static void test_keep_alive(void **state) {
    static const struct {
        Str request;
        bool closes;
        const char *header;
    } CASES[] = {
        {TEXT("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), true, "Connection: close"},
        {TEXT("GET / HTTP/1.0\r\n\r\n"), true, "Connection: close"},
        {TEXT("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), false, "Connection: keep-alive"},
        {TEXT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), false, "HTTP/1.1 200"},
    };
    Fixture *fixture = *state;
    for (size_t i = 0; i < LENGTH(CASES); i++) {
        int fd = begin(fixture, CASES[i].request);
        bool closed;
        expect_text(receive(fixture, fd, &closed), CASES[i].header);
        assert_int_equal(closed, CASES[i].closes);
        client_close(fixture->loop, fd);
    }
}

static void test_continue(void **state) {
    Fixture *fixture = *state;
    int fd = begin(fixture, STR("POST /p HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                                "Content-Length: 3\r\n\r\n"));
    assert_string_equal(receive(fixture, fd, NULL), "HTTP/1.1 100 Continue\r\n\r\n");
    client_send(fixture->loop, fd, STR("abc"));
    expect_text(receive(fixture, fd, NULL), "\r\n\r\nabc");
    client_close(fixture->loop, fd);
}

static void test_large_body(void **state) {
    Fixture *fixture = *state;
    int fd = begin(fixture, STR("POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"));
    char *bytes = malloc(1000000);
    assert_non_null(bytes);
    memset(bytes, 'x', 1000000);
    client_send(fixture->loop, fd, (Str){bytes, 1000000});
    size_t received = 0;
    for (int i = 0; i < 1000 && received < 1000000; i++) {
        receive(fixture, fd, NULL);
        received += fixture->answer.len;
    }
    assert_true(received > 1000000);
    assert_int_equal(http_server_counters(fixture->http).open_bytes, 0);
    client_close(fixture->loop, fd);
    free(bytes);
}

/* B09: a client that sends on regardless still gets to read its 413. */
static void test_refusal_survives_sending(void **state) {
    Fixture *fixture = *state;
    int fd = begin(fixture, STR("POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n"));
    static char bytes[100000];
    for (int i = 0; i < 20; i++) {
        client_send(fixture->loop, fd, (Str){bytes, sizeof bytes});
    }
    expect_text(receive(fixture, fd, NULL), "HTTP/1.1 413 ");
    client_close(fixture->loop, fd);
}

static void test_open_bytes(void **state) {
    Fixture *fixture = *state;
    static char bytes[1500000];
    Str head = STR("POST /hold HTTP/1.1\r\nHost: a\r\nContent-Length: 1500000\r\n\r\n");
    int first = begin(fixture, head);
    client_send(fixture->loop, first, (Str){bytes, sizeof bytes});
    int second = begin(fixture, head);
    client_send(fixture->loop, second, (Str){bytes, sizeof bytes - 1});
    assert_int_equal(fixture->held_count, 1);
    int third =
        begin(fixture, STR("POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde"));
    const char *text = receive(fixture, third, NULL);
    expect_text(text, "HTTP/1.1 503 ");
    expect_text(text, "Retry-After: 1\r\n");
    expect_text(text, "\"code\":\"overloaded\"");
    http_respond(fixture->held[0], 200, NULL, 0, STR("ok"));
    client_close(fixture->loop, first);
    client_close(fixture->loop, second);
    client_close(fixture->loop, third);
    assert_int_equal(http_server_counters(fixture->http).open_bytes, 0);
}

static void test_hang_up(void **state) {
    Fixture *fixture = *state;
    for (int on_abort_answers = 0; on_abort_answers < 2; on_abort_answers++) {
        fixture->answers_on_abort = on_abort_answers;
        fixture->held_count = fixture->aborted = 0;
        int fd = begin(fixture, STR("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_int_equal(fixture->held_count, 1);
        client_close(fixture->loop, fd);
        assert_int_equal(fixture->aborted, 1);
        assert_int_equal(http_server_counters(fixture->http).connections, 0);
        if (!on_abort_answers) http_respond(fixture->held[0], 200, NULL, 0, STR("to nobody"));
    }
}

static void test_half_close_is_answered(void **state) {
    Fixture *fixture = *state;
    int fd = begin(fixture,
                   STR("GET /hold HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n"));
    shutdown(fd, SHUT_WR);
    pump(fixture->loop);
    assert_int_equal(fixture->aborted, 1);
    http_respond(fixture->held[0], 200, NULL, 0, STR("first"));
    bool closed;
    const char *text = receive(fixture, fd, &closed);
    expect_text(text, "first");
    expect_text(text, "[b]");
    assert_true(closed);
    client_close(fixture->loop, fd);
    fd = begin(fixture, STR("GET /incomplete HTTP/1.1\r\n"));
    shutdown(fd, SHUT_WR);
    assert_string_equal(receive(fixture, fd, &closed), "");
    assert_true(closed);
    client_close(fixture->loop, fd);
}

static void test_closing_with_a_request_open(void **state) {
    Fixture *fixture = *state;
    int fd = begin(fixture, STR("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n"));
    int gone = begin(fixture, STR("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n"));
    client_close(fixture->loop, gone);
    http_server_close(fixture->http);
    fixture->http = NULL;
    assert_int_equal(fixture->aborted, 2);
    http_respond(fixture->held[0], 200, NULL, 0, STR(""));
    http_stream_begin(fixture->held[1], 200, NULL, 0);
    http_stream_chunk(fixture->held[1], STR("x"));
    http_stream_end(fixture->held[1]);
    client_close(fixture->loop, fd);
}

/* B14 */
static void test_deadlines(void **state) {
    static const struct {
        Str request;
        const char *answer; /* "": closed in silence */
    } CASES[] = {
        {TEXT("GET / HT"), "HTTP/1.1 408 "},
        {TEXT(""), ""},
        {TEXT("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\nabc"), "HTTP/1.1 408 "},
        {TEXT("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r"),
         "HTTP/1.1 408 "},
    };
    Fixture *fixture = *state;
    for (size_t i = 0; i < LENGTH(CASES); i++) {
        int fd = begin(fixture, CASES[i].request);
        assert_string_equal(receive(fixture, fd, NULL), "");
        pump_for(fixture->loop, 200);
        bool closed;
        const char *text = receive(fixture, fd, &closed);
        assert_true(closed);
        expect_text(text, CASES[i].answer);
        if (CASES[i].answer[0]) expect_text(text, "\"code\":\"timeout\"");
        client_close(fixture->loop, fd);
    }
    assert_int_equal(http_server_counters(fixture->http).timeouts, 3);
}

static void test_steady_body_is_not_timed_out(void **state) {
    Fixture *fixture = *state;
    int fd = begin(fixture, STR("POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n"));
    static const char BYTES[200];
    for (int i = 0; i < 10; i++) {
        client_send(fixture->loop, fd, (Str){BYTES, sizeof BYTES});
        pump_for(fixture->loop, 20);
    }
    expect_text(receive(fixture, fd, NULL), "HTTP/1.1 200 ");
    client_close(fixture->loop, fd);
}

static void test_drip_fed_head_is_timed_out(void **state) {
    Fixture *fixture = *state;
    int fd = begin(fixture, STR("GET / HTTP/1.1\r\nHost: "));
    for (int i = 0; i < 10; i++) {
        client_send(fixture->loop, fd, STR("a"));
        pump_for(fixture->loop, 10);
    }
    expect_text(receive(fixture, fd, NULL), "HTTP/1.1 408 ");
    client_close(fixture->loop, fd);
}

/* B15 */
static void test_unread_answers(void **state) {
    Fixture *fixture = *state;
    int fd = client_connect(fixture->loop, http_server_port(fixture->http));
    Buf requests;
    buf_init(&requests, 1 << 20);
    for (int i = 0; i < 1000; i++) {
        buf_add(&requests, STR("GET /big HTTP/1.1\r\nHost: a\r\n\r\n"));
    }
    client_send(fixture->loop, fd, buf_str(&requests));
    buf_done(&requests);
    pump(fixture->loop);
    pump_for(fixture->loop, 1000);
    assert_in_range(fixture->handled, 1, 500);
    assert_int_equal(http_server_counters(fixture->http).connections, 0);
    client_close(fixture->loop, fd);
}

static void test_slowly_read_answers(void **state) {
    Fixture *fixture = *state;
    int fd = client_connect(fixture->loop, http_server_port(fixture->http));
    Buf requests;
    buf_init(&requests, 1 << 20);
    for (int i = 0; i < 300; i++) {
        buf_add(&requests, STR("GET /big HTTP/1.1\r\nHost: a\r\n\r\n"));
    }
    client_send(fixture->loop, fd, buf_str(&requests));
    buf_done(&requests);
    pump_for(fixture->loop, 300); /* longer than may be idle, shorter than a stall */
    size_t answers = 0;
    int64_t end_us = clock_mono_us() + INT64_C(20000000);
    while (fixture->handled + answers < 600 && clock_mono_us() < end_us) {
        answers += count_text(receive(fixture, fd, NULL), "HTTP/1.1 200");
    }
    assert_int_equal(fixture->handled, 300);
    client_close(fixture->loop, fd);
}

static void test_stream(void **state) {
    Fixture *fixture = *state;
    int fd = begin(fixture,
                   STR("GET /hold HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n"));
    HttpRequest *request = fixture->held[0];
    HttpPair header = {STR("Content-Type"), STR("text/event-stream")};
    http_stream_begin(request, 200, &header, 1);
    http_stream_chunk(request, STR("hello"));
    const char *text = receive(fixture, fd, NULL);
    expect_text(text, "Transfer-Encoding: chunked\r\n");
    expect_text(text, "\r\n\r\n5\r\nhello\r\n");
    http_stream_chunk(request, STR(""));
    http_stream_chunk(request, STR("0123456789abcdef"));
    assert_string_equal(receive(fixture, fd, NULL), "10\r\n0123456789abcdef\r\n");
    http_stream_end(request);
    text = receive(fixture, fd, NULL);
    assert_memory_equal(text, "0\r\n\r\nHTTP/1.1 200", 17);
    expect_text(text, "[b]");
    client_close(fixture->loop, fd);
}

static void test_stream_to_old_client(void **state) {
    Fixture *fixture = *state;
    int fd = begin(fixture, STR("GET /hold HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
    http_stream_begin(fixture->held[0], 200, NULL, 0);
    http_stream_chunk(fixture->held[0], STR("hello"));
    http_stream_end(fixture->held[0]);
    bool closed;
    const char *text = receive(fixture, fd, &closed);
    expect_text(text, "\r\n\r\nhello");
    expect_no_text(text, "chunked");
    assert_true(closed);
    client_close(fixture->loop, fd);
}

static void test_stream_backpressure_and_break(void **state) {
    Fixture *fixture = *state;
    int fd = begin(fixture, STR("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n"));
    HttpRequest *request = fixture->held[0];
    static char bytes[100000];
    http_stream_begin(request, 200, NULL, 0);
    for (int i = 0; i < 1000 && !http_stream_is_congested(request); i++) {
        http_stream_chunk(request, (Str){bytes, sizeof bytes});
        pump(fixture->loop);
    }
    assert_true(http_stream_is_congested(request));
    for (int i = 0; i < 1000 && fixture->drained == 0; i++) {
        receive(fixture, fd, NULL);
    }
    assert_int_equal(fixture->drained, 1);
    assert_false(http_stream_is_congested(request));
    http_stream_break(request);
    bool closed;
    receive(fixture, fd, &closed);
    assert_true(closed);
    client_close(fixture->loop, fd);
}

static void test_too_many_connections(void **state) {
    Fixture *fixture = *state;
    int fds[6];
    for (size_t i = 0; i < LENGTH(fds); i++) {
        fds[i] = client_connect(fixture->loop, http_server_port(fixture->http));
    }
    bool closed;
    expect_text(receive(fixture, fds[5], &closed), "HTTP/1.1 503 ");
    const char *body = strstr(buf_cstr(&fixture->answer), "\r\n\r\n");
    assert_int_equal(strlen(body + 4), 94);
    assert_true(closed);
    assert_int_equal(http_server_counters(fixture->http).refused, 1);
    for (size_t i = 0; i < LENGTH(fds); i++) {
        client_close(fixture->loop, fds[i]);
    }
    int fd = begin(fixture, STR("GET /again HTTP/1.1\r\nHost: a\r\n\r\n"));
    expect_text(receive(fixture, fd, NULL), "[again]");
    client_close(fixture->loop, fd);
}

static void test_drain(void **state) {
    Fixture *fixture = *state;
    int idle = client_connect(fixture->loop, http_server_port(fixture->http));
    int busy = begin(fixture, STR("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n"));
    http_server_drain(fixture->http);
    bool closed;
    receive(fixture, idle, &closed);
    assert_true(closed);
    receive(fixture, busy, &closed);
    assert_false(closed);
    http_respond(fixture->held[0], 200, NULL, 0, STR("last"));
    const char *text = receive(fixture, busy, &closed);
    expect_text(text, "Connection: close\r\n");
    expect_text(text, "last");
    assert_true(closed);
    client_close(fixture->loop, idle);
    client_close(fixture->loop, busy);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_fields),
        TEST(test_request_id_is_made),
        TEST(test_header_values_are_cleaned),
        TEST(test_late_answers_stay_in_order),
        TEST(test_head),
        TEST(test_keep_alive),
        TEST(test_continue),
        TEST(test_large_body),
        TEST(test_refusal_survives_sending),
        TEST(test_open_bytes),
        TEST(test_hang_up),
        TEST(test_half_close_is_answered),
        TEST(test_closing_with_a_request_open),
        TEST(test_deadlines),
        TEST(test_steady_body_is_not_timed_out),
        TEST(test_drip_fed_head_is_timed_out),
        TEST(test_unread_answers),
        TEST(test_slowly_read_answers),
        TEST(test_stream),
        TEST(test_stream_to_old_client),
        TEST(test_stream_backpressure_and_break),
        TEST(test_too_many_connections),
        TEST(test_drain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
