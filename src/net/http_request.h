/* One HTTP request, whole: what a handler sees. Filled by http_reader.c, answered with
 * http_server.h. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/list.h"

typedef struct HttpRequest HttpRequest;

typedef enum HttpMethod {
    HTTP_METHOD_GET,
    HTTP_METHOD_HEAD,
    HTTP_METHOD_POST,
    HTTP_METHOD_PUT,
    HTTP_METHOD_PATCH,
    HTTP_METHOD_DELETE,
    HTTP_METHOD_OPTIONS,
    HTTP_METHODS,
} HttpMethod;

/* A header line or a query parameter. */
typedef struct HttpPair {
    Str name;
    Str value;
} HttpPair;

/* Why a request is refused by the HTTP layer itself; texts are static, `value` (may be absent) is
 * the offending part of the input, shown cut and escaped. */
typedef struct HttpFault {
    unsigned status;
    const char *code;
    const char *detail;
    Str value;
} HttpFault;

/* All slices live until the request is answered. */
struct HttpRequest {
    Arena arena; /* for whatever lives as long as the request */
    HttpMethod method;
    Str target;          /* as sent */
    Str path;            /* before '?', as sent, still percent-encoded; "*" for OPTIONS * */
    const Str *segments; /* "/v1/jobs/a%2Fb" -> "v1", "jobs", "a/b"; UTF-8, no control characters */
    size_t
        segment_count; /* 0 for "/", with segments not NULL; a slash at the end gives a last empty
                             segment */
    const HttpPair *parameters; /* of the query, decoded, in order, repeated ones kept */
    size_t parameter_count;
    HttpPair *headers; /* in order; names as sent, values without blanks around them */
    size_t header_count;
    Str body;         /* empty when there is none */
    bool has_body;    /* Content-Length above 0 or chunked */
    Str peer;         /* "192.0.2.1:5123" */
    Str peer_host;    /* "192.0.2.1" */
    Str id;           /* X-Request-Id: the client's valid one or a made one */
    int64_t begun_us; /* loop_now_us() at its first byte */

    /* For the handler. on_abort (may stay NULL) is called at most once, when the client has hung up
     * or at least sends nothing more, so that waits can be cancelled; the request must be answered
     * all the same, in there or later, which then frees it. on_drain: a congested stream has room.
     */
    void (*on_abort)(HttpRequest *request);
    void (*on_drain)(HttpRequest *request);
    void *owner;

    /* For http_*.c only. */
    struct HttpSession *session; /* NULL once the connection is gone */
    struct HttpServer *server;   /* NULL once the server is closed */
    ListNode detached;           /* among those whose client is gone */
    Buf body_buf;
    uint64_t content_length;
    size_t header_room;   /* elements of `headers` */
    size_t counted_bytes; /* of the server's open_bytes */
    bool old_version;     /* HTTP/1.0 */
    bool chunked;
    bool keep_alive;
    bool expects_continue;
    bool aborted;
    bool streaming;
    unsigned status;     /* once answered */
    size_t answer_bytes; /* of the answer's body */
};

/* The first header of that name (any case), or the absent Str; and how many there are. */
Str http_request_header(const HttpRequest *request, Str name);
size_t http_request_header_count(const HttpRequest *request, Str name);

/* The first query parameter of that name (exact case), or the absent Str. */
Str http_request_parameter(const HttpRequest *request, Str name);

/* "GET", …. Never NULL. */
const char *http_method_name(HttpMethod method);
/* false for a method that is not served here. */
bool http_method_parse(Str name, HttpMethod *ret);
