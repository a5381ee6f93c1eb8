/* Checks of a head, in the order in which they are told to the client. */
#include "net/http_head.h"

#include "net/http_scan.h"
#include "net/http_target.h"
#include <string.h>

enum { ID_MAX = 64 };

static bool fail(HttpFault *ret_fault, unsigned status, const char *code, const char *detail,
                 Str value) {
    *ret_fault = (HttpFault){status, code, detail, value};
    return false;
}

void http_head_add(void *owner, Str name, Str value) {
    HttpRequest *request = owner;
    check(request->header_count < request->header_room);
    request->headers[request->header_count++] = (HttpPair){name, value};
}

static bool check_names(const HttpRequest *request, HttpFault *ret_fault) {
    for (size_t i = 0; i < request->header_count; i++) {
        if (!http_is_token(request->headers[i].name)) {
            return fail(ret_fault, 400, "bad-framing", "a header's name is malformed",
                        request->headers[i].name);
        }
    }
    return true;
}

static bool check_coding(HttpRequest *request, size_t count, HttpFault *ret_fault) {
    Str coding = http_request_header(request, STR("Transfer-Encoding"));
    if (request->old_version || count > 1) {
        return fail(ret_fault, 400, "bad-framing", "Transfer-Encoding can't stand here", coding);
    }
    if (str_eq_ignore_case(coding, STR("chunked"))) {
        request->chunked = true;
        return true;
    }
    bool plain = http_is_token(coding);
    return fail(ret_fault, plain ? 501 : 400, plain ? "unsupported-coding" : "bad-framing",
                "the only transfer coding is chunked", coding);
}

/* RFC 9112 section 6.1 to 6.3, refusing everything that two readers could understand differently.
 */
static bool check_framing(HttpRequest *request, HttpFault *ret_fault) {
    size_t lengths = http_request_header_count(request, STR("Content-Length"));
    size_t codings = http_request_header_count(request, STR("Transfer-Encoding"));
    Str length = http_request_header(request, STR("Content-Length"));
    if (lengths > 1) {
        return fail(ret_fault, 400, "bad-framing", "Content-Length stands there twice", length);
    }
    if (lengths && codings) {
        return fail(ret_fault, 400, "bad-framing",
                    "Content-Length and Transfer-Encoding exclude each other", (Str){0});
    }
    if (codings) return check_coding(request, codings, ret_fault);
    if (!lengths) return true;
    bool leading_zero = length.len > 1 && length.ptr[0] == '0';
    if (leading_zero || !str_to_uint64(length, &request->content_length) ||
        request->content_length > INT64_MAX) {
        return fail(ret_fault, 400, "bad-framing", "Content-Length is not a plain number", length);
    }
    return true;
}

static bool is_port(Str text) {
    uint64_t port;
    return text.len == 0 || (str_to_uint64(text, &port) && port <= UINT16_MAX);
}

static bool is_host(Str host) {
    static const char ALLOWED[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~%";
    Str name = host;
    Str port = STR("");
    const char *bracket = host.len ? memchr(host.ptr, ']', host.len) : NULL;
    if (host.len && host.ptr[0] == '[' && bracket) {
        name = (Str){host.ptr + 1, (size_t)(bracket - host.ptr) - 1};
        port = (Str){bracket + 1, host.len - name.len - 2};
        if (port.len > 0 && port.ptr[0] != ':') return false;
        if (port.len > 0) port = (Str){port.ptr + 1, port.len - 1};
    } else {
        port = name;
        name = str_split(&port, ':');
    }
    for (size_t i = 0; i < name.len; i++) {
        bool colon = bracket && name.ptr[i] == ':';
        if (!colon && !memchr(ALLOWED, name.ptr[i], sizeof ALLOWED - 1)) return false;
    }
    return name.len > 0 && is_port(port);
}

static bool check_host(const HttpRequest *request, HttpFault *ret_fault) {
    size_t count = http_request_header_count(request, STR("Host"));
    Str host = http_request_header(request, STR("Host"));
    if (count == 0 && request->old_version) return true;
    if (count != 1) {
        return fail(ret_fault, 400, "bad-host", "exactly one Host header is required", (Str){0});
    }
    if (is_host(host)) return true;
    return fail(ret_fault, 400, "bad-host", "Host is not a host with an optional port", host);
}

static bool check_expectation(HttpRequest *request, HttpFault *ret_fault) {
    Str expectation = http_request_header(request, STR("Expect"));
    if (!expectation.ptr || request->old_version) return true;
    if (!str_eq_ignore_case(expectation, STR("100-continue"))) {
        return fail(ret_fault, 417, "expectation-failed", "the only expectation is 100-continue",
                    expectation);
    }
    request->expects_continue = true;
    return true;
}

static size_t scheme_len(Str target) {
    const Str schemes[] = {STR("http://"), STR("https://")};
    for (size_t i = 0; i < LENGTH(schemes); i++) {
        Str begin = {target.ptr, target.len < schemes[i].len ? target.len : schemes[i].len};
        if (str_eq_ignore_case(begin, schemes[i])) return begin.len;
    }
    return 0;
}

/* Told before the parser sees it, which would only call it malformed. */
static bool check_target_form(Str target, HttpFault *ret_fault) {
    if (target.ptr[0] == '/' || str_eq(target, STR("*")) || scheme_len(target) > 0) return true;
    return fail(ret_fault, 400, "bad-path", "the target is no path", target);
}

/* The absolute form is taken to the origin form when it names the same host. */
static bool read_target(HttpRequest *request, HttpFault *ret_fault) {
    Str target = request->target;
    size_t scheme = scheme_len(target);
    if (scheme == 0) return http_target_read(request, target, ret_fault);
    Str rest = {target.ptr + scheme, target.len - scheme};
    size_t authority = 0;
    while (authority < rest.len && rest.ptr[authority] != '/' && rest.ptr[authority] != '?') {
        authority++;
    }
    Str host = {rest.ptr, authority};
    if (!str_eq_ignore_case(host, http_request_header(request, STR("Host")))) {
        return fail(ret_fault, 400, "bad-host", "the target names another host than Host does",
                    host);
    }
    rest = (Str){rest.ptr + authority, rest.len - authority};
    if (rest.len == 0 || rest.ptr[0] == '?') {
        char *path = arena_alloc(&request->arena, rest.len + 1);
        path[0] = '/';
        memcpy(path + 1, rest.ptr, rest.len);
        rest = (Str){path, rest.len + 1};
    }
    return http_target_read(request, rest, ret_fault);
}

static void take_id(HttpRequest *request) {
    static const char ALLOWED[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    Str id = http_request_header(request, STR("X-Request-Id"));
    if (http_request_header_count(request, STR("X-Request-Id")) != 1) return;
    if (id.len == 0 || id.len > ID_MAX) return;
    for (size_t i = 0; i < id.len; i++) {
        if (!memchr(ALLOWED, id.ptr[i], sizeof ALLOWED - 1)) return;
    }
    request->id = id;
}

bool http_head_read(HttpRequest *request, HttpParse *parse, Str head, size_t header_lines,
                    HttpFault *ret_fault) {
    Str line = head;
    line = str_split(&line, '\r');
    HttpRequestLine parts;
    if (!http_request_line(line, &parts, ret_fault)) return false;
    check(http_method_parse(parts.method, &request->method));
    request->target = parts.target;
    request->old_version = parts.old_version;
    if (!check_target_form(parts.target, ret_fault)) return false;
    request->headers = arena_zero(&request->arena, header_lines + 1, sizeof *request->headers);
    request->header_room = header_lines;
    bool parsed = http_parse_feed(parse, head);
    take_id(request);
    if (!check_names(request, ret_fault) || !check_framing(request, ret_fault)) return false;
    if (!parsed || request->header_count != header_lines) {
        return fail(ret_fault, 400, "bad-framing", "the head is malformed", (Str){0});
    }
    request->keep_alive = http_parse_keeps_alive(parse);
    request->has_body = request->chunked || request->content_length > 0;
    return check_host(request, ret_fault) && check_expectation(request, ret_fault) &&
           read_target(request, ret_fault);
}
