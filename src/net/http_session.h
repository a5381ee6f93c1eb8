/* Inside the HTTP server: one session per connection. Included by http_*.c only. */
#pragma once

#include "base/id.h"
#include "net/http_reader.h"
#include "net/http_response.h"
#include "net/http_server.h"
#include "net/listener.h"

enum { HTTP_SPARE_REQUESTS = 64 };

struct HttpServer {
    Loop *loop;
    HttpServerOptions options;
    Listener *listener;
    List sessions;
    List detached; /* requests with the handler whose client is gone */
    HttpCounters counters;
    bool draining;
    UuidMaker ids;
    Random random;
    int64_t date_s; /* second for which `date` was written */
    char date[HTTP_DATE_SIZE];
    HttpRequest *spare[HTTP_SPARE_REQUESTS]; /* answered ones, their arenas warm */
    size_t spares;
};

typedef enum HttpSessionState {
    HTTP_IDLE,     /* no byte of a request yet */
    HTTP_READING,  /* a part of a request is here */
    HTTP_HANDLING, /* the request is with the handler */
    HTTP_LAST,     /* the last answer is given; nothing is parsed any more */
} HttpSessionState;

typedef struct HttpSession {
    ListNode node; /* in server->sessions */
    HttpServer *server;
    Connection *connection;
    HttpSessionState state;
    bool running;          /* inside its step loop */
    uint64_t window_bytes; /* of the body, in the window at hand */
    HttpRequest *request;  /* being read or handled; NULL when idle */
    HttpReader reader;
    LoopTask resume;
} HttpSession;

/* listener.h's on_accept, owner = the server. */
void http_session_accept(void *owner, Connection *connection);

/* After an answer: goes on with what was pipelined, or closes. `keep` = the connection may live on.
 */
void http_session_answered(HttpSession *session, bool keep);

/* For http_server_close(): detaches its request, frees it and its connection. */
void http_session_free(HttpSession *session);

HttpRequest *http_server_take_request(HttpServer *server);
/* Frees it or keeps it for the next; after on_answer. */
void http_request_free(HttpRequest *request);
