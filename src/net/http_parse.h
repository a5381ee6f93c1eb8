/* The port to the packaged HTTP/1 parser (http-parser; llhttp fits behind the same functions).
 *
 * It slices headers and decodes bodies of one request. How strict it is depends on how it was
 * packaged, so every byte must have passed http_scan.h before it comes here; what both must agree
 * on is served. */
#pragma once

#include "base/arena.h"

typedef struct HttpParse HttpParse;

typedef struct HttpParseEvents {
    /* A header line; trailers are not reported. Slices of what was fed. */
    void (*on_header)(void *owner, Str name, Str value);
    /* A piece of the decoded body. */
    void (*on_body)(void *owner, Str piece);
} HttpParseEvents;

/* For one request, in its arena. */
HttpParse *http_parse_new(Arena *arena, const HttpParseEvents *events, void *owner);

/* The request's bytes in order: first the whole head at once, then the body in pieces, nothing
 * beyond its end. false when malformed; feed no more then. */
bool http_parse_feed(HttpParse *parse, Str bytes) must_check;

/* The message has ended. */
bool http_parse_is_done(const HttpParse *parse);

/* After the head: may another request follow on the connection? */
bool http_parse_keeps_alive(const HttpParse *parse);
