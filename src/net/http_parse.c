/* http-parser 2.9 behind http_parse.h. */
#include "net/http_parse.h"

#include <http_parser.h>

struct HttpParse {
    http_parser parser;
    const HttpParseEvents *events;
    void *owner;
    Str name; /* of the header whose value comes next */
    bool head_done;
    bool done;
    bool keeps_alive;
};

static int on_header_field(http_parser *parser, const char *at, size_t len) {
    HttpParse *parse = parser->data;
    parse->name = (Str){at, len};
    return 0;
}

static int on_header_value(http_parser *parser, const char *at, size_t len) {
    HttpParse *parse = parser->data;
    if (!parse->head_done) {
        parse->events->on_header(parse->owner, parse->name, str_trim((Str){at, len}));
    }
    return 0;
}

static int on_headers_complete(http_parser *parser) {
    HttpParse *parse = parser->data;
    parse->head_done = true;
    parse->keeps_alive = http_should_keep_alive(parser) != 0;
    return 0;
}

static int on_body(http_parser *parser, const char *at, size_t len) {
    HttpParse *parse = parser->data;
    parse->events->on_body(parse->owner, (Str){at, len});
    return 0;
}

static int on_message_complete(http_parser *parser) {
    HttpParse *parse = parser->data;
    parse->done = true;
    return 0;
}

static const http_parser_settings SETTINGS = {
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

HttpParse *http_parse_new(Arena *arena, const HttpParseEvents *events, void *owner) {
    HttpParse *parse = arena_new(arena, HttpParse);
    http_parser_init(&parse->parser, HTTP_REQUEST);
    parse->parser.data = parse;
    parse->events = events;
    parse->owner = owner;
    return parse;
}

bool http_parse_feed(HttpParse *parse, Str bytes) {
    if (bytes.len == 0) return true; /* an empty feed would mean the end of the stream */
    size_t used = http_parser_execute(&parse->parser, &SETTINGS, bytes.ptr, bytes.len);
    return used == bytes.len && HTTP_PARSER_ERRNO(&parse->parser) == HPE_OK;
}

bool http_parse_is_done(const HttpParse *parse) {
    return parse->done;
}

bool http_parse_keeps_alive(const HttpParse *parse) {
    return parse->keeps_alive;
}
