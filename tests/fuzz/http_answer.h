/* A strict reader of HTTP answers, for checking what the server writes. */
#pragma once

#include "base/arena.h"
#include "base/json.h"
#include "net/http_request.h"

typedef struct HttpAnswer {
    unsigned status;
    Str head; /* from the status line to the empty line */
    Str body;
    Str media_type; /* without parameters; absent without a body */
    Json json;      /* of a JSON body */
} HttpAnswer;

/* Cuts one final answer off, and copies it to the arena; interim ones are skipped. false: there is no whole one. check()s that
 * it is well-formed, carries what every answer must, and that its body is of its media type. */
bool http_answer_read(Str *bytes, bool to_head, Arena *arena, HttpAnswer *ret);

/* Absent where there is none. */
Str http_answer_header(const HttpAnswer *answer, Str name);
