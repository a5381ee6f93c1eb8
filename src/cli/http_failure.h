/* Whether an answer is one of Takt's, and what to say when it isn't or when it refuses. Only for
 * http_client.c. */
#pragma once

#include "cli/http_client.h"

/* All that is known after a call. */
typedef struct HttpFailure {
    const char *server;
    unsigned code;       /* CURLcode */
    const char *problem; /* curl's words, may be "" */
    bool too_large;
    bool has_token;
    bool plain_text; /* a success is text/plain */
    int64_t timeout_ms;
    const char *content_type; /* may be NULL */
    const char *redirect;     /* may be NULL */
    long os_error;
    Arena *arena; /* for the words */
} HttpFailure;

/* Checks ret->status and ret->body, fills ret->json or ret->failure in; returns what http_call()
 * shall. */
ExitCode http_failure_judge(const HttpFailure *failure, HttpAnswer *ret);
