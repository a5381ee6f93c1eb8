/* Reads answers of the server and checks each against the contract: see http_answer.h. */
#include "fuzz/http_answer.h"

#include <string.h>

enum { ERRORS_MAX = 50 };

static size_t find(Str text, const char *what) {
    const char *at = text.len > 0 ? memmem(text.ptr, text.len, what, strlen(what)) : NULL;
    return at ? (size_t)(at - text.ptr) : SIZE_MAX;
}

static void cut(Str *text, size_t len) {
    *text = (Str){text->ptr + len, text->len - len};
}

static bool next_line(Str *rest, Str *ret) {
    size_t end = find(*rest, "\r\n");
    if (end == SIZE_MAX) return false;
    *ret = (Str){rest->ptr, end};
    cut(rest, end + 2);
    return true;
}

Str http_answer_header(const HttpAnswer *answer, Str name) {
    Str rest = answer->head;
    Str line;
    while (next_line(&rest, &line)) {
        Str value = line;
        if (str_eq_ignore_case(str_split(&value, ':'), name) && value.ptr) return str_trim(value);
    }
    return (Str){0};
}

static void check_head(const HttpAnswer *answer) {
    Str rest = answer->head;
    Str line;
    check(next_line(&rest, &line));
    while (next_line(&rest, &line)) {
        size_t colon = find(line, ": ");
        check(colon != SIZE_MAX && colon > 0);
        for (size_t i = 0; i < line.len; i++) {
            check((unsigned char)line.ptr[i] >= ' ' && line.ptr[i] != 0x7f);
        }
    }
    check(http_answer_header(answer, STR("X-Request-Id")).len > 0);
    check(http_answer_header(answer, STR("Date")).len == strlen("Mon, 23 Nov 2026 10:00:00 GMT"));
}

static bool read_chunks(Str *rest, Arena *arena, Str *ret) {
    Buf body;
    buf_init(&body, 1 << 26);
    Str line;
    size_t size = 1;
    while (size > 0 && next_line(rest, &line)) {
        size = 0;
        check(line.len > 0);
        for (size_t i = 0; i < line.len; i++) {
            char byte = line.ptr[i];
            bool is_digit = byte >= '0' && byte <= '9';
            check(is_digit || (byte >= 'a' && byte <= 'f'));
            size = size * 16 + (size_t)(is_digit ? byte - '0' : byte - 'a' + 10);
        }
        if (rest->len < size + 2) break;
        buf_add(&body, (Str){rest->ptr, size});
        check(rest->ptr[size] == '\r' && rest->ptr[size + 1] == '\n');
        cut(rest, size + 2);
        if (size == 0) {
            *ret = arena_str(arena, buf_str(&body));
            buf_done(&body);
            return true;
        }
    }
    buf_done(&body);
    return false;
}

/* No answer to HEAD has a body, nor have 204 and 304. */
static bool read_body(Str *rest, bool to_head, Arena *arena, HttpAnswer *answer) {
    Str length = http_answer_header(answer, STR("Content-Length"));
    Str coding = http_answer_header(answer, STR("Transfer-Encoding"));
    if (answer->status == 204 || answer->status == 304) {
        check(!length.ptr && !coding.ptr);
        return true;
    }
    check(!length.ptr != !coding.ptr);
    if (to_head) return true;
    if (coding.ptr) return read_chunks(rest, arena, &answer->body);
    uint64_t len;
    check(str_to_uint64(length, &len));
    if (rest->len < len) return false;
    answer->body = arena_str(arena, (Str){rest->ptr, (size_t)len});
    cut(rest, (size_t)len);
    return true;
}

static bool is_text(Json object, const char *name) {
    Json value = json_member(object, str_from(name));
    return value.text.ptr && value.kind == JSON_STRING && value.text.len > 2;
}

static void check_problem(const HttpAnswer *answer) {
    int64_t status;
    Json root = answer->json;
    check(answer->status >= 400 && root.kind == JSON_OBJECT);
    check(json_int64(json_member(root, STR("status")), &status) && status == answer->status);
    check(is_text(root, "type") && is_text(root, "title") && is_text(root, "code"));
    check(is_text(root, "detail") && is_text(root, "request_id"));
    Json errors = json_member(root, STR("errors"));
    check(!errors.text.ptr || (errors.kind == JSON_ARRAY && json_count(errors) <= ERRORS_MAX));
    JsonIter iter = json_iter(errors.text.ptr ? errors : (Json){JSON_ARRAY, STR("[]")});
    Json error;
    while (json_next(&iter, NULL, &error)) {
        Json pointer = json_member(error, STR("pointer"));
        check(pointer.kind == JSON_STRING && is_text(error, "detail"));
    }
}

static void check_refusal(const HttpAnswer *answer) {
    Str name = {0};
    switch (answer->status) {
    case 401: name = STR("WWW-Authenticate"); break;
    case 405: name = STR("Allow"); break;
    case 429:
    case 503: name = STR("Retry-After"); break;
    default: return;
    }
    check(http_answer_header(answer, name).len > 0);
}

static void check_body(HttpAnswer *answer) {
    Error error;
    Str type = http_answer_header(answer, STR("Content-Type"));
    if (!answer->body.ptr) return;
    answer->media_type = str_trim(str_split(&type, ';'));
    check(answer->media_type.len > 0);
    if (str_eq(answer->media_type, STR("application/x-ndjson"))) {
        Str rest = answer->body;
        while (rest.len > 0) {
            Json ignored;
            check(json_check(str_split(&rest, '\n'), &ignored, &error) == OK);
        }
        return;
    }
    bool is_problem = str_eq(answer->media_type, STR("application/problem+json"));
    check(is_problem == (answer->status >= 400));
    if (!is_problem && !str_eq(answer->media_type, STR("application/json"))) return;
    check(json_check(answer->body, &answer->json, &error) == OK);
    if (is_problem) check_problem(answer);
}

/* What may be answered at all: no 500, and no 503 of a node that nothing has failed. */
static bool is_expected(unsigned status) {
    static const unsigned ALL[] = {200, 201, 202, 204, 400, 401, 403, 404, 405, 406,
                                   408, 409, 413, 414, 415, 417, 422, 431, 501, 505};
    for (size_t i = 0; i < LENGTH(ALL); i++) {
        if (status == ALL[i]) return true;
    }
    return false;
}

bool http_answer_read(Str *bytes, bool to_head, Arena *arena, HttpAnswer *ret) {
    static const Str INTERIM = {"HTTP/1.1 100 Continue\r\n\r\n", 25};
    Str rest = *bytes;
    while (str_starts_with(rest, INTERIM)) {
        cut(&rest, INTERIM.len);
    }
    size_t end = find(rest, "\r\n\r\n");
    if (end == SIZE_MAX) return false;
    *ret = (HttpAnswer){.head = arena_str(arena, (Str){rest.ptr, end + 2})};
    cut(&rest, end + 4);
    int64_t status;
    check(str_starts_with(ret->head, STR("HTTP/1.1 ")) && ret->head.len > 13);
    check(str_to_int64((Str){ret->head.ptr + 9, 3}, &status) && ret->head.ptr[12] == ' ');
    ret->status = (unsigned)status;
    check(is_expected(ret->status));
    check_head(ret);
    check_refusal(ret);
    if (!read_body(&rest, to_head, arena, ret)) return false;
    check_body(ret);
    *bytes = rest;
    return true;
}
