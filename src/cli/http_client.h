/* A blocking client of the HTTP API, on libcurl.
 *
 * Whatever answers is not trusted to be Takt: what isn't JSON, is cut short, or sends elsewhere is
 * said so in words (exit code 7). Redirects are never followed, so the token reaches no one else.
 * Knows nothing of commands; one call at a time. */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "base/json.h"
#include "cli/cli.h"

enum {
    HTTP_CONNECT_TIMEOUT_MS = 5000,
    HTTP_TIMEOUT_MS = 30000,
    HTTP_ANSWER_MAX = 64 * 1024 * 1024,
};

typedef struct HttpClient HttpClient;

typedef struct HttpCall {
    const char *method; /* "GET" */
    Str path;           /* "/v1/jobs/a?wait=30s": begins with '/', encoded */
    Str body;           /* JSON, or absent */
    bool plain_text;    /* a success is text/plain, not JSON */
    int64_t wait_ms;    /* how long the server was asked to wait, on top of HTTP_TIMEOUT_MS */
} HttpCall;

typedef struct HttpAnswer {
    long status; /* 0: there was none */
    Str body;    /* of a success or a problem; valid until the next call */
    Json json;   /* the same, checked; absent for plain text and for an empty body */
    Str failure; /* sentences for a person, without a newline at the end, when the call failed */
} HttpAnswer;

/* server: "http://host:port" or https, a path in front of /v1 allowed. token may be NULL.
 * ERR_INVALID tells what is wrong with either, without showing the token. Free *ret with
 * http_client_free(). */
Err http_client_new(const char *server, const char *token, HttpClient **ret, Error *error)
    must_check;
void http_client_free(HttpClient *client);     /* accepts NULL; wipes the token */
void http_client_cleanup(HttpClient **client); /* for cleanup() */

/* True for http and https addresses that never leave this machine. */
bool http_server_is_loopback(const char *server);

/* EXIT_DONE for a 2xx answer; otherwise the exit code that fits, and words in ret->failure. */
ExitCode http_call(HttpClient *client, const HttpCall *call, HttpAnswer *ret) must_check;

/* 401 and 403 → 4, 404 → 5, 409 → 6, other mistakes of the caller → 2, 503 and the like → 7, else
 * 1. */
ExitCode exit_code_of_status(long status);
