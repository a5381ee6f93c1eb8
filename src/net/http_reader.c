/* Head scan, head checks, then body through chunk scan and parser. */
#include "net/http_reader.h"

#include "net/http_head.h"

static void add_body(void *owner, Str piece) {
    HttpRequest *request = owner;
    buf_add(&request->body_buf, piece);
}

static const HttpParseEvents EVENTS = {.on_header = http_head_add, .on_body = add_body};

void http_reader_init(HttpReader *reader, HttpRequest *request, uint64_t body_max) {
    *reader = (HttpReader){.request = request, .body_max = body_max};
    request->body_buf.max = body_max; /* its memory may be a former request's */
}

bool http_reader_in_body(const HttpReader *reader) {
    return reader->parse != NULL;
}

static HttpProgress finish(HttpReader *reader) {
    HttpRequest *request = reader->request;
    check(http_parse_is_done(reader->parse) && !request->body_buf.overflow);
    request->body = request->body_buf.len ? buf_str(&request->body_buf) : STR("");
    return HTTP_HAS_ALL;
}

static HttpProgress read_head(HttpReader *reader, Str input, size_t *ret_used) {
    HttpRequest *request = reader->request;
    HttpScan scanned = http_head_scan(&reader->head, input, &reader->fault);
    if (scanned == HTTP_SCAN_MORE) return HTTP_NEEDS_MORE;
    if (scanned == HTTP_SCAN_FAULT) return HTTP_IS_BAD;
    const HttpHeadScan *head = &reader->head;
    Str bytes = {input.ptr + head->begin, head->at - head->begin};
    reader->parse = http_parse_new(&request->arena, &EVENTS, request);
    if (!http_head_read(request, reader->parse, arena_str(&request->arena, bytes), head->headers,
                        &reader->fault)) {
        return HTTP_IS_BAD;
    }
    if (request->content_length > reader->body_max) {
        reader->fault = (HttpFault){413, "body-too-large", "the body is larger than allowed",
                                    http_request_header(request, STR("Content-Length"))};
        return HTTP_IS_BAD;
    }
    *ret_used = head->at;
    reader->left = request->content_length;
    return request->has_body ? HTTP_HAS_HEAD : finish(reader);
}

static HttpProgress feed_body(HttpReader *reader, Str bytes, bool last) {
    if (http_parse_feed(reader->parse, bytes) && http_parse_is_done(reader->parse) == last) {
        return last ? finish(reader) : HTTP_NEEDS_MORE;
    }
    reader->fault = (HttpFault){400, "bad-framing", "the body is malformed", (Str){0}};
    return HTTP_IS_BAD;
}

HttpProgress http_reader_feed(HttpReader *reader, Str input, size_t *ret_used) {
    *ret_used = 0;
    if (!reader->parse) return read_head(reader, input, ret_used);
    if (!reader->request->chunked) {
        *ret_used = input.len < reader->left ? input.len : (size_t)reader->left;
        reader->left -= *ret_used;
        return feed_body(reader, (Str){input.ptr, *ret_used}, reader->left == 0);
    }
    HttpScan scanned =
        http_chunk_scan(&reader->chunks, input, reader->body_max, ret_used, &reader->fault);
    if (scanned == HTTP_SCAN_FAULT) return HTTP_IS_BAD;
    return feed_body(reader, (Str){input.ptr, *ret_used}, scanned == HTTP_SCAN_DONE);
}
