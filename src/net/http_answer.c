/* Answers: from a handler's words to bytes in the connection's output, and the end of a request. */
#include "net/http_session.h"

#include "base/clock.h"
#include "base/crash.h"
#include "base/time.h"

static Str date_now(HttpServer *server) {
    int64_t now_us = clock_real_us();
    if (now_us / US_PER_S != server->date_s) {
        server->date_s = now_us / US_PER_S;
        http_date(now_us, server->date);
    }
    return str_from(server->date);
}

/* May the connection live on after this answer? */
static bool keeps(const HttpRequest *request) {
    const Connection *connection = request->session->connection;
    if (!request->keep_alive || request->server->draining) return false;
    return !connection_has_ended(connection) || connection_input(connection).len > 0;
}

static bool has_no_body(unsigned status) {
    return status == 204 || status == 304 || status < 200;
}

static void write_head(HttpRequest *request, unsigned status, HttpBodyKind kind, size_t body_len,
                       const HttpPair *headers, size_t header_count) {
    Connection *connection = request->session->connection;
    HttpResponseHead head = {
        .status = status,
        .request_id = request->id,
        .date = date_now(request->server),
        .kind = kind,
        .body_len = body_len,
        .headers = headers,
        .header_count = header_count,
    };
    if (!request->keep_alive) head.connection = "close";
    if (request->keep_alive && request->old_version) head.connection = "keep-alive";
    http_response_head(connection_output(connection), &head);
}

static void finish(HttpRequest *request) {
    HttpSession *session = request->session;
    HttpServer *server = request->server;
    bool keep = request->keep_alive;
    if (server && server->options.on_answer) {
        server->options.on_answer(server->options.owner, request);
    }
    http_request_free(request);
    if (session) http_session_answered(session, keep);
}

void http_respond(HttpRequest *request, unsigned status, const HttpPair *headers,
                  size_t header_count, Str body) {
    check(!request->status && status >= 200 && status < 600);
    crash_point(HTTP_ANSWER);
    request->status = status;
    if (request->session) {
        Connection *connection = request->session->connection;
        bool bodiless = has_no_body(status);
        request->keep_alive = keeps(request);
        write_head(request, status, bodiless ? HTTP_BODY_NONE : HTTP_BODY_LENGTH, body.len, headers,
                   header_count);
        if (!bodiless && request->method != HTTP_METHOD_HEAD) {
            buf_add(connection_output(connection), body);
            request->answer_bytes = body.len;
        }
        connection_written(connection);
    }
    finish(request);
}

enum { PROBLEM_MAX = 64 * 1024, PROBLEM_HEADERS_MAX = 8 };

void http_respond_problem(HttpRequest *request, const HttpFault *fault, const HttpPair *headers,
                          size_t header_count) {
    check(header_count < PROBLEM_HEADERS_MAX);
    HttpPair all[PROBLEM_HEADERS_MAX] = {
        {STR("Content-Type"), STR("application/problem+json")},
    };
    for (size_t i = 0; i < header_count; i++) {
        all[i + 1] = headers[i];
    }
    cleanup(buf_done) Buf body;
    buf_init(&body, PROBLEM_MAX);
    http_problem(&body, fault, request->path, request->id);
    http_respond(request, fault->status, all, header_count + 1, buf_str(&body));
}

void http_stream_begin(HttpRequest *request, unsigned status, const HttpPair *headers,
                       size_t header_count) {
    check(!request->status && status >= 200 && status < 600 && !has_no_body(status));
    request->status = status;
    request->streaming = true;
    if (!request->session) return;
    request->keep_alive = keeps(request) && !request->old_version;
    write_head(request, status, request->old_version ? HTTP_BODY_TO_END : HTTP_BODY_CHUNKED, 0,
               headers, header_count);
    connection_written(request->session->connection);
}

void http_stream_chunk(HttpRequest *request, Str piece) {
    check(request->streaming);
    bool wanted = request->session && request->method != HTTP_METHOD_HEAD && piece.len > 0;
    if (!wanted) return;
    Connection *connection = request->session->connection;
    Buf *output = connection_output(connection);
    request->answer_bytes += piece.len;
    if (!request->old_version) buf_format(output, "%zx\r\n", piece.len);
    buf_add(output, piece);
    if (!request->old_version) buf_add(output, STR("\r\n"));
    connection_written(connection);
}

void http_stream_end(HttpRequest *request) {
    check(request->streaming);
    bool chunked = !request->old_version && request->method != HTTP_METHOD_HEAD;
    if (request->session && chunked) {
        connection_write(request->session->connection, STR("0\r\n\r\n"));
    }
    finish(request);
}

void http_stream_break(HttpRequest *request) {
    check(request->streaming);
    request->keep_alive = false;
    if (request->session) connection_close(request->session->connection);
    finish(request);
}

bool http_stream_is_congested(const HttpRequest *request) {
    return request->session && connection_is_congested(request->session->connection);
}
