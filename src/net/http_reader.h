/* Reads one request from a stream of bytes: head, then body. No sockets, no time: the part of the
 * server that is fuzzed. The same bytes give the same result however they are cut. */
#pragma once

#include "net/http_parse.h"
#include "net/http_request.h"
#include "net/http_scan.h"

typedef enum HttpProgress {
    HTTP_NEEDS_MORE,
    HTTP_HAS_HEAD, /* once, for a request with a body: the place to say 100 Continue */
    HTTP_HAS_ALL,
    HTTP_IS_BAD, /* reader->fault says why; nothing after is to be parsed */
} HttpProgress;

typedef struct HttpReader {
    HttpRequest *request;
    uint64_t body_max;
    HttpHeadScan head;
    HttpChunkScan chunks;
    HttpParse *parse; /* in the request's arena, once there is a head */
    uint64_t left;    /* of a body with Content-Length */
    HttpFault fault;
} HttpReader;

/* Starts on a fresh request; bodies above body_max bytes are refused. */
void http_reader_init(HttpReader *reader, HttpRequest *request, uint64_t body_max);

/* `input` is everything received and not yet used. *ret_used bytes of it are done with; the head is
 * used only when it is whole, so show its beginning again, longer. */
HttpProgress http_reader_feed(HttpReader *reader, Str input, size_t *ret_used);

/* The head is read and the body is not. */
bool http_reader_in_body(const HttpReader *reader);
