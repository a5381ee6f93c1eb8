/* The byte-level rules of HTTP/1.1 framing (RFC 9112), enforced on the raw input before any parser
 * sees it: lines end in CRLF and nothing else, no control characters, no folding, everything
 * bounded.
 *
 * Two scanners, both incremental: they look at each byte once, and their verdict does not depend on
 * how the input was cut. Pure. */
#pragma once

#include "net/http_request.h"

enum {
    HTTP_REQUEST_LINE_MAX = 8 * 1024, /* bytes without its CRLF */
    HTTP_HEADERS_MAX = 16 * 1024,     /* bytes of all header lines */
    HTTP_HEADER_COUNT_MAX = 100,
    HTTP_CHUNK_LINE_MAX = 256, /* bytes of a chunk's size with its extensions */
};

typedef enum HttpScan { HTTP_SCAN_MORE, HTTP_SCAN_DONE, HTTP_SCAN_FAULT } HttpScan;

typedef struct HttpRequestLine {
    Str method;
    Str target;
    bool old_version; /* HTTP/1.0 */
} HttpRequestLine;

/* "METHOD target HTTP/1.x" with single spaces: else 400 bad-request, 505 for another major version,
 * 501 for a method that is not served, 400 for CONNECT. */
bool http_request_line(Str line, HttpRequestLine *ret, HttpFault *ret_fault);

/* Zero is the start of a head. */
typedef struct HttpHeadScan {
    size_t at;         /* bytes looked at */
    size_t begin;      /* where the request line begins: 2 after an empty line in front, else 0 */
    size_t line_begin; /* of the line at hand */
    size_t headers_at; /* where the header lines begin; 0 while in the request line */
    size_t headers;    /* complete header lines */
    bool after_cr;
    bool after_method;
} HttpHeadScan;

/* `input` is all there is from the start of the head, and grows between calls. DONE when the empty
 * line is in: the head is input[begin, at). */
HttpScan http_head_scan(HttpHeadScan *scan, Str input, HttpFault *ret_fault);

/* Zero is the start of a chunked body. */
typedef struct HttpChunkScan {
    unsigned state;
    unsigned digits;    /* of the chunk size at hand */
    size_t line_len;    /* of the size line at hand */
    size_t trailer_len; /* of all trailer lines */
    uint64_t left;      /* bytes of the chunk's data still to come */
    uint64_t total;     /* of all chunks announced */
} HttpChunkScan;

/* Looks at new bytes only. *ret_used says how many belong to this body; all of them but after DONE.
 * 413 as soon as a size line takes the total above body_max. */
HttpScan http_chunk_scan(HttpChunkScan *scan, Str bytes, uint64_t body_max, size_t *ret_used,
                         HttpFault *ret_fault);

/* One or more RFC 9110 token characters. */
bool http_is_token(Str text);
