/* The request target: path and query, decoded strictly (RFC 3986), never normalised. Pure. */
#pragma once

#include "net/http_request.h"

/* Fills path, segments and parameters from `target` in origin form ("/a/b?c=d"). false with 400
 * "bad-path" for an empty, "." or ".." segment (encoded or not), a backslash, NUL or other control
 * character, malformed escapes and bytes that are not UTF-8; "bad-query" for the like in the query.
 */
bool http_target_read(HttpRequest *request, Str target, HttpFault *ret_fault);
