/* The framing rows of bad input (B01 to B13) against a real server: each request whole, then cut at
 * every byte, then byte by byte; the answer must be the same. */
#include "fixture.h"

#include "net/http_server.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
/* cmocka.h needs the ones above. */
#include <cmocka.h>

enum { BODY_MAX = 1000, LONG_MAX = 600 };

typedef struct Row {
    const char *name;
    Str request;
    unsigned status;
    const char *code; /* of the problem; for a 200, the start of the body */
} Row;

/* R: a request line and a Host; the rest of the head and the empty line follow. */
#define GET(target) "GET " target " HTTP/1.1\r\nHost: a\r\n"
#define POST "POST /p HTTP/1.1\r\nHost: a\r\n"
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"
#define ROW(name, request, status, code)                                                           \
    { name, {"" request, sizeof(request) - 1}, status, code }

static const Row ROWS[] = {
    ROW("plain", GET("/a") "\r\n", 200, "GET /a "),
    ROW("empty line in front", "\r\n" GET("/a") "\r\n", 200, "GET /a "),
    ROW("body", POST "Content-Length: 3\r\n\r\nabc", 200, "POST /p abc"),
    ROW("empty body", POST "Content-Length: 0\r\n\r\n", 200, "POST /p "),
    ROW("chunks", CHUNKED "3\r\nabc\r\n0a;x=\"y\"\r\n0123456789\r\n0\r\n\r\n", 200,
        "POST /p abc0123456789"),
    ROW("1.0 without host", "GET /a HTTP/1.0\r\n\r\n", 200, "GET /a "),
    ROW("absolute form", GET("http://a/b?c") "\r\n", 200, "GET /b "),
    ROW("absolute form, no path", GET("http://a") "\r\n", 200, "GET / "),
    ROW("options *", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 200, "OPTIONS * "),
    ROW("encoded slash", GET("/a%2Fb/%C3%A9") "\r\n", 200, "GET /a%2Fb/%C3%A9 "),
    ROW("empty header", GET("/a") "X-A:\r\nX-B: \t\r\n\r\n", 200, "GET /a "),
    ROW("ipv6 host", "GET /a HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", 200, "GET /a "),
    ROW("upgrade ignored", GET("/a") "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", 200, "GET /a "),
    ROW("upgrade with body", POST "Connection: Upgrade\r\nUpgrade: x\r\nContent-Length: 1\r\n\r\nz",
        200, "POST /p z"),

    ROW("B01", POST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400,
        "bad-framing"),
    ROW("B01 te first", POST "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        400, "bad-framing"),
    ROW("B02 two", POST "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400, "bad-framing"),
    ROW("B02 same", POST "Content-Length: 3\r\ncontent-length: 3\r\n\r\nabc", 400, "bad-framing"),
    ROW("B02 list", POST "Content-Length: 5, 5\r\n\r\nabcde", 400, "bad-framing"),
    ROW("B02 plus", POST "Content-Length: +5\r\n\r\nabcde", 400, "bad-framing"),
    ROW("B02 minus", POST "Content-Length: -0\r\n\r\n", 400, "bad-framing"),
    ROW("B02 hex", POST "Content-Length: 0x5\r\n\r\nabcde", 400, "bad-framing"),
    ROW("B02 blank", POST "Content-Length: 5 5\r\n\r\nabcde", 400, "bad-framing"),
    ROW("B02 zeros", POST "Content-Length: 007\r\n\r\nabcdefg", 400, "bad-framing"),
    ROW("B02 2^64", POST "Content-Length: 18446744073709551616\r\n\r\n", 400, "bad-framing"),
    ROW("B02 2^63", POST "Content-Length: 9223372036854775808\r\n\r\n", 400, "bad-framing"),
    ROW("B02 empty", POST "Content-Length:\r\n\r\n", 400, "bad-framing"),
    ROW("B03 unknown", POST "Transfer-Encoding: xchunked\r\n\r\n", 501, "unsupported-coding"),
    ROW("B03 gzip", POST "Transfer-Encoding: gzip\r\n\r\n", 501, "unsupported-coding"),
    ROW("B03 chunked, gzip", POST "Transfer-Encoding: chunked, gzip\r\n\r\n", 400, "bad-framing"),
    ROW("B03 gzip, chunked", POST "Transfer-Encoding: gzip, chunked\r\n\r\n", 400, "bad-framing"),
    ROW("B03 twice", POST "Transfer-Encoding: chunked, chunked\r\n\r\n", 400, "bad-framing"),
    ROW("B03 two lines", POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        400, "bad-framing"),
    ROW("B03 control",
        POST "Transfer-Encoding: \x0b"
             "chunked\r\n\r\n",
        400, "bad-framing"),
    ROW("B03 empty", POST "Transfer-Encoding:\r\n\r\n", 400, "bad-framing"),
    ROW("B03 1.0", "POST /p HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400,
        "bad-framing"),
    ROW("B04 blank before colon", POST "Content-Length : 5\r\n\r\nabcde", 400, "bad-framing"),
    ROW("B04 blank in name", GET("/a") "X A: b\r\n\r\n", 400, "bad-framing"),
    ROW("B04 no colon", GET("/a") "nonsense\r\n\r\n", 400, "bad-framing"),
    ROW("B04 empty name", GET("/a") ": b\r\n\r\n", 400, "bad-framing"),
    ROW("B04 fold", GET("/a") "X-A: b\r\n c\r\n\r\n", 400, "bad-framing"),
    ROW("B04 fold by tab", GET("/a") "X-A: b\r\n\tc\r\n\r\n", 400, "bad-framing"),
    ROW("B04 bare LF", "GET /a HTTP/1.1\nHost: a\n\n", 400, "bad-framing"),
    ROW("B04 one bare LF", GET("/a") "X-A: b\nX-B: c\r\n\r\n", 400, "bad-framing"),
    ROW("B04 bare CR", GET("/a") "X-A: b\rX-B: c\r\n\r\n", 400, "bad-framing"),
    ROW("B04 CR at the end", GET("/a") "X-A: b\r\r\n\r\n", 400, "bad-framing"),
    ROW("B04 NUL", GET("/a") "X-A: b\0c\r\n\r\n", 400, "bad-framing"),
    ROW("B05 minus", CHUNKED "-1\r\n\r\n", 400, "bad-framing"),
    ROW("B05 hex prefix", CHUNKED "0x5\r\nabcde\r\n0\r\n\r\n", 400, "bad-framing"),
    ROW("B05 underscore", CHUNKED "5_0\r\n", 400, "bad-framing"),
    ROW("B05 17 digits", CHUNKED "00000000000000001\r\n", 400, "bad-framing"),
    ROW("B05 bare LF", CHUNKED "3\nabc\r\n0\r\n\r\n", 400, "bad-framing"),
    ROW("B05 CR and no LF", CHUNKED "3\rXabc\r\n0\r\n\r\n", 400, "bad-framing"),
    ROW("B05 missing CRLF", CHUNKED "3\r\nabcZZ0\r\n\r\n", 400, "bad-framing"),
    ROW("B05 blank", CHUNKED "3 \r\nabc\r\n0\r\n\r\n", 400, "bad-framing"),
    ROW("B05 empty size", CHUNKED "\r\n", 400, "bad-framing"),
    ROW("B05 bare LF at the end", CHUNKED "0\r\n\n", 400, "bad-framing"),
    ROW("B06 trailers", CHUNKED "1\r\nz\r\n0\r\nContent-Length: 9\r\nAuthorization: x\r\n\r\n", 200,
        "POST /p z"),
    ROW("B06 bad trailer", CHUNKED "0\r\nA B: 9\r\n\r\n", 400, "bad-framing"),
    ROW("B06 folded trailer", CHUNKED "0\r\nA: 9\r\n b\r\n\r\n", 400, "bad-framing"),
    ROW("B07 none", "GET /a HTTP/1.1\r\n\r\n", 400, "bad-host"),
    ROW("B07 two", GET("/a") "Host: a\r\n\r\n", 400, "bad-host"),
    ROW("B07 list", "GET /a HTTP/1.1\r\nHost: a, b\r\n\r\n", 400, "bad-host"),
    ROW("B07 empty", "GET /a HTTP/1.1\r\nHost:\r\n\r\n", 400, "bad-host"),
    ROW("B07 port", "GET /a HTTP/1.1\r\nHost: a:65536\r\n\r\n", 400, "bad-host"),
    ROW("B07 userinfo", "GET /a HTTP/1.1\r\nHost: u@a\r\n\r\n", 400, "bad-host"),
    ROW("B07 1.0 two", "GET /a HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400, "bad-host"),
    ROW("B09 declared", POST "Content-Length: 1001\r\n\r\n", 413, "body-too-large"),
    ROW("B09 chunked", CHUNKED "3\r\nabc\r\n3E6\r\n", 413, "body-too-large"),
    ROW("B09 huge chunk", CHUNKED "fffffffffffffff\r\n", 413, "body-too-large"),
    ROW("B10 too large", POST "Expect: 100-continue\r\nContent-Length: 1001\r\n\r\n", 413,
        "body-too-large"),
    ROW("B10 unknown", POST "Expect: 200-ok\r\nContent-Length: 1\r\n\r\n", 417,
        "expectation-failed"),
    ROW("B11 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "unsupported-version"),
    ROW("B11 2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "unsupported-version"),
    ROW("B11 0.9", "GET /\r\n", 400, "bad-request"),
    ROW("B11 tls", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "bad-framing"),
    ROW("B11 noise", "\xf3\x9a\x10\x80", 400, "bad-request"),
    ROW("B11 version", "GET / HTTP/1.1x\r\nHost: a\r\n\r\n", 400, "bad-request"),
    ROW("B11 case", "GET / http/1.1\r\nHost: a\r\n\r\n", 400, "bad-request"),
    ROW("B11 two blanks", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad-request"),
    ROW("B12 NUL", GET("/jobs/%00") "\r\n", 400, "bad-path"),
    ROW("B12 dots", GET("/a/../b") "\r\n", 400, "bad-path"),
    ROW("B12 encoded dots", GET("/%2e%2E/b") "\r\n", 400, "bad-path"),
    ROW("B12 dot", GET("/a/.") "\r\n", 400, "bad-path"),
    ROW("B12 overlong", GET("/%c0%af") "\r\n", 400, "bad-path"),
    ROW("B12 surrogate", GET("/%ed%a0%80") "\r\n", 400, "bad-path"),
    ROW("B12 two slashes", GET("/a//b") "\r\n", 400, "bad-path"),
    ROW("B12 two slashes first", GET("//a") "\r\n", 400, "bad-path"),
    ROW("B12 backslash", GET("/a\\b") "\r\n", 400, "bad-path"),
    ROW("B12 encoded backslash", GET("/a%5Cb") "\r\n", 400, "bad-path"),
    ROW("B12 raw byte", GET("/\xc3\xa9") "\r\n", 400, "bad-path"),
    ROW("B12 half escape", GET("/a%2") "\r\n", 400, "bad-path"),
    ROW("B12 fragment", GET("/a#b") "\r\n", 400, "bad-path"),
    ROW("B12 relative", GET("a") "\r\n", 400, "bad-path"),
    ROW("B12 query", GET("/a?b=%zz") "\r\n", 400, "bad-query"),
    ROW("B13 TRACE", "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 501, "unknown-method"),
    ROW("B13 unknown", "BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 501, "unknown-method"),
    ROW("B13 CONNECT", "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad-request"),
    ROW("B13 other host", GET("http://b/c") "\r\n", 400, "bad-host"),
};

typedef struct Server {
    Loop *loop;
    HttpServer *http;
    size_t answers;
} Server;

static void handle(void *owner, HttpRequest *request) {
    (void)owner;
    Str text =
        arena_format(&request->arena, "%s " STR_FMT " " STR_FMT, http_method_name(request->method),
                     STR_ARG(request->path), STR_ARG(request->body));
    http_respond(request, 200, NULL, 0, text);
}

static void count_answer(void *owner, const HttpRequest *request) {
    Server *server = owner;
    assert_true(request->status >= 200);
    server->answers++;
}

static int set_up(void **state) {
    static Server server;
    server = (Server){.loop = loop_new()};
    HttpServerOptions options = {
        .address = "127.0.0.1:0",
        .limits = {.body_max = BODY_MAX},
        .handler = handle,
        .on_answer = count_answer,
        .owner = &server,
    };
    Error error;
    assert_int_equal(http_server_open(server.loop, &options, &server.http, &error), OK);
    *state = &server;
    return 0;
}

static int tear_down(void **state) {
    Server *server = *state;
    http_server_close(server->http);
    loop_free(server->loop);
    return 0;
}

static const char *body_of(Buf *answer) {
    const char *blank = strstr(buf_cstr(answer), "\r\n\r\n");
    return blank ? blank + 4 : "";
}

static void check_answer(const Row *row, size_t cut, Buf *answer, bool closed) {
    const char *text = buf_cstr(answer);
    char line[32];
    snprintf(line, sizeof line, "HTTP/1.1 %u ", row->status);
    char code[64];
    snprintf(code, sizeof code, "\"code\":\"%s\"", row->code);
    bool good = strncmp(text, line, strlen(line)) == 0 && strstr(text, "X-Request-Id: ") != NULL;
    if (row->status == 200) {
        good = good && strcmp(body_of(answer), row->code) == 0;
    } else {
        good = good && closed && strstr(text, "application/problem+json") &&
               strstr(text, "Connection: close\r\n") && strstr(body_of(answer), code);
    }
    if (!good) fail_msg("%s, cut at %zu: closed %d, got: %s", row->name, cut, closed, text);
}

/* Sends `request` in pieces of `first` and then `step` bytes. */
static void try_row(Server *server, const Row *row, size_t first, size_t step) {
    int fd = client_connect(server->loop, http_server_port(server->http));
    Buf answer;
    buf_init(&answer, 65536);
    size_t answers = server->answers;
    Str rest = row->request;
    for (size_t len = first; rest.len > 0; len = step) {
        size_t now = len < rest.len ? len : rest.len;
        client_send(server->loop, fd, (Str){rest.ptr, now});
        rest = (Str){rest.ptr + now, rest.len - now};
    }
    pump(server->loop);
    bool closed = client_receive(fd, &answer);
    check_answer(row, first, &answer, closed);
    assert_int_equal(server->answers, answers + 1);
    client_close(server->loop, fd);
    buf_done(&answer);
}

static void test_rows(void **state) {
    for (size_t i = 0; i < LENGTH(ROWS); i++) {
        const Row *row = &ROWS[i];
        size_t len = row->request.len;
        try_row(*state, row, len, len);
        for (size_t cut = 1; cut < len; cut++) {
            try_row(*state, row, cut, len);
        }
        try_row(*state, row, 1, 1);
    }
}

typedef struct Sizes {
    const char *name;
    size_t target;  /* bytes of the target */
    size_t headers; /* further header lines */
    size_t value;   /* bytes of each one's value */
    unsigned status;
    const char *code;
} Sizes;

static void test_sizes(void **state) {
    /* "GET " + target + " HTTP/1.1" is 13 bytes longer than the target; "Host: a" is the first
     * line. */
    static const Sizes SIZES[] = {
        {"line of 8192", 8192 - 13, 0, 0, 200, NULL},
        {"B08 line of 8193", 8193 - 13, 0, 0, 414, "uri-too-long"},
        {"100 headers", 1, 99, 1, 200, NULL},
        {"B08 101 headers", 1, 100, 1, 431, "headers-too-large"},
        {"15 KiB of headers", 1, 15, 1000, 200, NULL},
        {"B08 17 KiB of headers", 1, 17, 1000, 431, "headers-too-large"},
        {"B08 one header of 60 KiB", 1, 1, 60000, 431, "headers-too-large"},
    };
    for (size_t i = 0; i < LENGTH(SIZES); i++) {
        const Sizes *sizes = &SIZES[i];
        Buf request;
        buf_init(&request, 1 << 20);
        buf_add(&request, STR("GET /"));
        for (size_t n = 1; n < sizes->target; n++) {
            buf_add_char(&request, 'a');
        }
        buf_add(&request, STR(" HTTP/1.1\r\nHost: a\r\n"));
        for (size_t n = 0; n < sizes->headers; n++) {
            buf_format(&request, "X-%zu: %0*d\r\n", n, (int)sizes->value, 0);
        }
        buf_add(&request, STR("\r\n"));
        char expected[10000] = "GET /";
        size_t len = 5;
        for (size_t n = 1; n < sizes->target && len < sizeof expected - 2; n++) {
            expected[len++] = 'a';
        }
        expected[len] = ' ';
        Row row = {sizes->name, buf_str(&request), sizes->status,
                   sizes->code ? sizes->code : expected};
        try_row(*state, &row, request.len, request.len);
        try_row(*state, &row, LONG_MAX, LONG_MAX);
        try_row(*state, &row, 1, 7);
        buf_done(&request);
    }
}

static void test_chunk_extension(void **state) {
    Buf request;
    buf_init(&request, 1 << 20);
    buf_add(&request, STR(CHUNKED "3;"));
    for (int i = 0; i < 10240; i++) {
        buf_add_char(&request, 'x');
    }
    Row row = {"B05 extension of 10 KB", buf_str(&request), 400, "bad-framing"};
    try_row(*state, &row, request.len, request.len);
    try_row(*state, &row, 101, 101);
    buf_done(&request);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_sizes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_chunk_extension, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
