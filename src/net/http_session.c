/* A connection's requests, one after the other, as steps: each uses what input there is and says
 * whether another step makes sense.
 *
 * The invariant: session->request is set in READING and HANDLING only, and a request with the
 * handler points back to its session for as long as that lives. */
#include "net/http_session.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/crash.h"

typedef enum Step { STEP_MORE, STEP_WAIT } Step;

static const HttpLimits *limits_of(const HttpSession *session) {
    return &session->server->options.limits;
}

static void refuse(HttpSession *session, const HttpFault *fault) {
    HttpServer *server = session->server;
    HttpRequest *request = session->request;
    server->counters.faults++;
    server->counters.timeouts += fault->status == 408;
    request->keep_alive = false;
    HttpPair retry = {STR("Retry-After"), STR("1")};
    http_respond_problem(request, fault, &retry, fault->status == 503 ? 1 : 0);
}

static void make_id(HttpServer *server, HttpRequest *request) {
    char *text = arena_alloc(&request->arena, UUID_TEXT_SIZE);
    Uuid uuid = uuid_make(&server->ids, clock_real_us(), &server->random);
    uuid_format(&uuid, text);
    request->id = str_from(text);
}

static void begin_request(HttpSession *session) {
    HttpServer *server = session->server;
    HttpRequest *request = http_server_take_request(server);
    request->session = session;
    request->peer = arena_str(&request->arena, connection_peer(session->connection));
    request->peer_host = arena_str(&request->arena, connection_peer_host(session->connection));
    request->begun_us = loop_now_us(server->loop);
    make_id(server, request);
    session->request = request;
    session->state = HTTP_READING;
    http_reader_init(&session->reader, request, limits_of(session)->body_max);
    connection_deadline(session->connection, limits_of(session)->header_ms * 1000);
}

/* Counts what the request holds of the server's memory for bodies. */
static bool count_body(HttpSession *session) {
    HttpServer *server = session->server;
    HttpRequest *request = session->request;
    server->counters.open_bytes += request->body_buf.len - request->counted_bytes;
    request->counted_bytes = request->body_buf.len;
    return server->counters.open_bytes <= limits_of(session)->open_bytes;
}

static Step begin_body(HttpSession *session) {
    Connection *connection = session->connection;
    session->window_bytes = 0;
    connection_deadline(connection, limits_of(session)->body_window_ms * 1000);
    if (session->request->expects_continue && connection_input(connection).len == 0) {
        connection_write(connection, STR("HTTP/1.1 100 Continue\r\n\r\n"));
    }
    return STEP_MORE;
}

static Step hand_over(HttpSession *session) {
    HttpServer *server = session->server;
    session->state = HTTP_HANDLING;
    connection_deadline(session->connection, 0);
    server->counters.requests++;
    crash_point(HTTP_READ);
    server->options.handler(server->options.owner, session->request);
    return STEP_MORE;
}

static Step wait_for_input(HttpSession *session) {
    if (connection_has_ended(session->connection)) {
        session->state = HTTP_LAST;
        http_request_free(session->request);
        session->request = NULL;
        connection_finish(session->connection);
    }
    return STEP_WAIT;
}

static Step read_request(HttpSession *session) {
    static const HttpFault OVERLOADED = {
        503, "overloaded", "too many bytes of requests are open", {0}};
    bool in_body = http_reader_in_body(&session->reader);
    size_t used;
    HttpProgress progress =
        http_reader_feed(&session->reader, connection_input(session->connection), &used);
    if (progress == HTTP_IS_BAD) {
        refuse(session, &session->reader.fault);
        return STEP_WAIT;
    }
    connection_consume(session->connection, used);
    if (in_body) session->window_bytes += used;
    if (!count_body(session)) {
        refuse(session, &OVERLOADED);
        return STEP_WAIT;
    }
    if (progress == HTTP_HAS_HEAD) return begin_body(session);
    if (progress == HTTP_HAS_ALL) return hand_over(session);
    return wait_for_input(session);
}

static Step step(HttpSession *session) {
    Connection *connection = session->connection;
    if (connection_is_closed(connection) || session->state >= HTTP_HANDLING) return STEP_WAIT;
    /* A client that does not read its answers gets no further ones. */
    if (connection_is_congested(connection)) return STEP_WAIT;
    if (connection_input(connection).len == 0) return wait_for_input(session);
    if (session->state == HTTP_IDLE) begin_request(session);
    return read_request(session);
}

static void run(HttpSession *session) {
    if (session->running) return;
    session->running = true;
    while (step(session) == STEP_MORE) {}
    session->running = false;
}

static void run_resume(void *owner) {
    run(owner);
}

static void on_data(Connection *connection, void *owner) {
    (void)connection;
    run(owner);
}

static void on_drain(Connection *connection, void *owner) {
    (void)connection;
    HttpSession *session = owner;
    HttpRequest *request = session->request;
    if (session->state == HTTP_HANDLING && request->streaming) {
        if (request->on_drain) request->on_drain(request);
    } else {
        run(session);
    }
}

static void abort_request(HttpServer *server, HttpRequest *request) {
    if (request->aborted) return;
    request->aborted = true;
    server->counters.aborts++;
    if (request->on_abort) request->on_abort(request);
}

static void on_end(Connection *connection, void *owner) {
    (void)connection;
    HttpSession *session = owner;
    if (session->state == HTTP_HANDLING) {
        abort_request(session->server, session->request);
    } else {
        run(session);
    }
}

static void on_deadline(Connection *connection, void *owner) {
    static const HttpFault SLOW_HEAD = {
        408, "timeout", "the head of the request did not come in time", {0}};
    static const HttpFault SLOW_BODY = {408, "timeout", "the body came too slowly", {0}};
    HttpSession *session = owner;
    const HttpLimits *limits = limits_of(session);
    if (session->state == HTTP_IDLE) {
        /* who still takes an answer is not idle; who takes nothing of it ends by write_stall_ms */
        if (connection_queued(connection) > 0) {
            connection_deadline(connection, limits->idle_ms * 1000);
        } else {
            connection_close(connection);
        }
        return;
    }
    if (session->state != HTTP_READING) return;
    bool in_body = http_reader_in_body(&session->reader);
    if (connection_is_congested(connection)) { /* then nothing is read, so it can't be late */
        session->window_bytes = 0;
        connection_deadline(connection,
                            (in_body ? limits->body_window_ms : limits->header_ms) * 1000);
        return;
    }
    uint64_t due = limits->body_rate * (uint64_t)limits->body_window_ms / 1000;
    if (in_body && session->window_bytes >= due) {
        session->window_bytes = 0;
        connection_deadline(connection, limits->body_window_ms * 1000);
    } else {
        refuse(session, in_body ? &SLOW_BODY : &SLOW_HEAD);
    }
}

/* Lets go of the connection's side; the request lives on where the handler has it. */
static void end_session(HttpSession *session) {
    HttpServer *server = session->server;
    HttpRequest *request = session->request;
    bool handling = session->state == HTTP_HANDLING;
    loop_task_cancel(&session->resume);
    list_remove(&session->node);
    server->counters.connections--;
    free_pointer(&session);
    if (!request) return;
    request->session = NULL;
    if (handling) {
        list_append(&server->detached, &request->detached);
        abort_request(server, request);
    } else {
        http_request_free(request);
    }
}

static void on_close(Connection *connection, void *owner, ConnectionEnd why) {
    (void)connection;
    (void)why;
    end_session(owner);
}

static const ConnectionHandler HANDLER = {
    .on_data = on_data,
    .on_end = on_end,
    .on_drain = on_drain,
    .on_deadline = on_deadline,
    .on_close = on_close,
};

void http_session_accept(void *owner, Connection *connection) {
    HttpServer *server = owner;
    HttpSession *session = alloc_zero(1, sizeof *session);
    session->server = server;
    session->connection = connection;
    loop_task_init(&session->resume, run_resume, session);
    list_append(&server->sessions, &session->node);
    server->counters.connections++;
    connection_set_handler(connection, &HANDLER, session);
    connection_deadline(connection, limits_of(session)->idle_ms * 1000);
}

void http_session_answered(HttpSession *session, bool keep) {
    Connection *connection = session->connection;
    session->request = NULL;
    session->state = keep ? HTTP_IDLE : HTTP_LAST;
    if (!keep) {
        connection_finish(connection);
        return;
    }
    connection_deadline(connection, limits_of(session)->idle_ms * 1000);
    if (!session->running && connection_input(connection).len > 0) {
        loop_defer(session->server->loop, LOOP_BATCH, &session->resume);
    }
}

void http_session_free(HttpSession *session) {
    Connection *connection = session->connection;
    end_session(session);
    connection_free(connection);
}
