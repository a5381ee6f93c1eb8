/* A request's head: from scanned bytes to the fields of HttpRequest, with the rules that concern
 * whole headers (framing, Host, Expect). Pure. */
#pragma once

#include "net/http_parse.h"
#include "net/http_request.h"

/* `head` has passed http_head_scan(), lives in the request's arena and has `header_lines` lines
 * behind the first. false with the fault; the request then holds what was understood so far. */
bool http_head_read(HttpRequest *request, HttpParse *parse, Str head, size_t header_lines,
                    HttpFault *ret_fault);

/* For HttpParseEvents.on_header, owner = the request. */
void http_head_add(void *owner, Str name, Str value);
