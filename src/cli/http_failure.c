/* Answers judged: transport, kind of content, JSON, and the problems of RFC 9457. What comes from
 * the network is shown with its control characters escaped. */
#include "cli/http_failure.h"

#include "cli/cell.h"
#include <curl/curl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { WORDS_MAX = 64 * 1024, SENTENCE_MAX = 8 * 1024 };

static ExitCode fail(const HttpFailure *failure, HttpAnswer *ret, ExitCode code, Str words) {
    Str shown = cell_escape(failure->arena, words, CELL_LINES);
    ret->failure = arena_str(failure->arena, str_trim(shown));
    ret->body = (Str){NULL, 0};
    ret->json = (Json){0};
    return code;
}

static ExitCode unreachable(const HttpFailure *failure, HttpAnswer *ret, const char *format, ...)
    printf_like(3, 4);

static ExitCode unreachable(const HttpFailure *failure, HttpAnswer *ret, const char *format, ...) {
    char words[SENTENCE_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    return fail(failure, ret, EXIT_UNREACHABLE, str_from(words));
}

ExitCode exit_code_of_status(long status) {
    switch (status) {
    case 401:
    case 403: return EXIT_NOT_ALLOWED;
    case 404: return EXIT_NOT_FOUND;
    case 409:
    case 412:
    case 428: return EXIT_CONFLICT;
    case 408:
    case 502:
    case 503:
    case 504: return EXIT_UNREACHABLE;
    case 429: return EXIT_FAILED;
    default: return status >= 400 && status < 500 ? EXIT_USAGE : EXIT_FAILED;
    }
}

/* ---- the transport ---- */

static ExitCode judge_transport(const HttpFailure *failure, HttpAnswer *ret) {
    const char *server = failure->server;
    if (failure->too_large) {
        return unreachable(failure, ret, "%s: the answer is larger than %d MiB", server,
                           HTTP_ANSWER_MAX / (1024 * 1024));
    }
    switch ((CURLcode)failure->code) {
    case CURLE_COULDNT_CONNECT:
        return unreachable(failure, ret, "can't reach %s: %s; does 'takt serve' run there?", server,
                           failure->os_error ? strerror((int)failure->os_error) : failure->problem);
    case CURLE_COULDNT_RESOLVE_HOST:
        return unreachable(failure, ret, "can't reach %s: there is no such host", server);
    case CURLE_OPERATION_TIMEDOUT:
        return unreachable(failure, ret, "%s: no whole answer within %d s", server,
                           (int)(failure->timeout_ms / 1000));
    case CURLE_GOT_NOTHING:
        return unreachable(failure, ret, "%s: the server hung up without an answer", server);
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR: return unreachable(failure, ret, "%s: the answer was cut short", server);
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return unreachable(failure, ret, "%s: not a takt server (it does not speak HTTP)", server);
    default: {
        const char *words = failure->problem;
        if (words[0] == '\0') words = curl_easy_strerror((CURLcode)failure->code);
        return unreachable(failure, ret, "%s: %s", server, words);
    }
    }
}

/* ---- the content ---- */

/* "text/html; charset=utf-8" → "text/html" */
static Str media_type(const HttpFailure *failure) {
    Str type = str_from(failure->content_type);
    return str_trim(str_split(&type, ';'));
}

static ExitCode not_takt(const HttpFailure *failure, HttpAnswer *ret) {
    Str type = media_type(failure);
    if (type.len == 0) type = STR("no content type");
    if (ret->status >= 200 && ret->status < 300) {
        return unreachable(failure, ret, "%s: not a takt server (" STR_FMT ")", failure->server,
                           STR_ARG(type));
    }
    return unreachable(failure, ret, "%s: not a takt server (" STR_FMT "), status %ld",
                       failure->server, STR_ARG(type), ret->status);
}

static void add_fields(Buf *words, Json problem, Arena *arena) {
    Json errors = json_member(problem, STR("errors"));
    if (errors.kind != JSON_ARRAY || !errors.text.ptr) return;
    Str whole = cell_text(problem, "detail", arena);
    JsonIter iter = json_iter(errors);
    Json item;
    while (json_next(&iter, NULL, &item)) {
        if (item.kind != JSON_OBJECT) continue;
        Str pointer = cell_text(item, "pointer", arena);
        Str detail = cell_text(item, "detail", arena);
        if (json_count(errors) == 1 && str_eq(detail, whole) && pointer.len > 0) {
            buf_format(words, " (" STR_FMT ")", STR_ARG(pointer));
            continue;
        }
        if (pointer.len == 0) pointer = STR("(document)");
        buf_format(words, "\n  " STR_FMT ": " STR_FMT, STR_ARG(pointer), STR_ARG(detail));
    }
}

static ExitCode judge_problem(const HttpFailure *failure, HttpAnswer *ret) {
    if (!str_eq_ignore_case(media_type(failure), STR("application/problem+json")) ||
        ret->json.kind != JSON_OBJECT) {
        return not_takt(failure, ret);
    }
    cleanup(buf_done) Buf words;
    buf_init(&words, WORDS_MAX);
    Str said = cell_text(ret->json, "detail", failure->arena);
    if (said.len == 0) said = cell_text(ret->json, "title", failure->arena);
    if (said.len == 0) said = arena_format(failure->arena, "status %ld", ret->status);
    buf_add(&words, said);
    add_fields(&words, ret->json, failure->arena);
    if (ret->status == 401 && !failure->has_token) {
        buf_add(&words,
                STR("\nNo access token was found: give one with --token or TAKT_TOKEN, or set "
                    "TAKT_DATA to the node's data directory."));
    }
    return fail(failure, ret, exit_code_of_status(ret->status), buf_str(&words));
}

static bool is_json(Str type) {
    return str_eq_ignore_case(type, STR("application/json")) ||
           str_eq_ignore_case(type, STR("application/problem+json"));
}

ExitCode http_failure_judge(const HttpFailure *failure, HttpAnswer *ret) {
    if (failure->code != CURLE_OK) return judge_transport(failure, ret);
    if (failure->redirect) {
        return unreachable(failure, ret,
                           "%s: the server sends elsewhere, to %s; give the right address with "
                           "--server",
                           failure->server, failure->redirect);
    }
    bool good = ret->status >= 200 && ret->status < 300;
    if (good && failure->plain_text && str_eq_ignore_case(media_type(failure), STR("text/plain"))) {
        return EXIT_DONE;
    }
    if (ret->status == 204) return EXIT_DONE;
    if (!is_json(media_type(failure))) return not_takt(failure, ret);
    Error error;
    if (json_check(ret->body, &ret->json, &error) != OK) {
        return unreachable(failure, ret, "%s: the answer is broken or cut short: %s",
                           failure->server, error.message);
    }
    if (!good) return judge_problem(failure, ret);
    if (ret->json.kind != JSON_OBJECT) return not_takt(failure, ret);
    return EXIT_DONE;
}
