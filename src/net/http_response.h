/* The bytes of a response: status line, headers, problem bodies (RFC 9457). Pure but for the date
 * given. */
#pragma once

#include "net/http_request.h"

/* "Not Found", …; "Status" for one without a name. */
const char *http_status_title(unsigned status);

typedef enum HttpBodyKind {
    HTTP_BODY_LENGTH,  /* Content-Length: body_len */
    HTTP_BODY_CHUNKED, /* Transfer-Encoding: chunked */
    HTTP_BODY_TO_END,  /* up to the end of the connection, for HTTP/1.0 */
    HTTP_BODY_NONE,    /* 204, 304 */
} HttpBodyKind;

typedef struct HttpResponseHead {
    unsigned status;
    Str request_id;
    Str date; /* an HTTP date */
    HttpBodyKind kind;
    size_t body_len;
    const char *connection;  /* "close", "keep-alive" or NULL */
    const HttpPair *headers; /* more; control characters in them are written as blanks */
    size_t header_count;
} HttpResponseHead;

void http_response_head(Buf *buf, const HttpResponseHead *head);

/* "Mon, 23 Nov 2026 10:00:00 GMT" (RFC 9110 section 5.6.7). */
enum { HTTP_DATE_SIZE = 30 };
void http_date(int64_t time_us, char ret_text[HTTP_DATE_SIZE]);

/* application/problem+json: type, title, status, detail, instance, code, request_id. The fault's
 * value is appended to the detail, cut to 80 characters. `instance` may be absent. */
void http_problem(Buf *buf, const HttpFault *fault, Str instance, Str request_id);
