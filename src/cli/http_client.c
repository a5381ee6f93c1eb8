/* The transport: one curl handle, one answer buffer. What a failure means in words is
 * http_failure.c. */
#include "cli/http_client.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "cli/http_failure.h"
#include <arpa/inet.h>
#include <curl/curl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { SERVER_MAX = 2048, TOKEN_MAX = 16384 };

struct HttpClient {
    CURL *curl;
    struct curl_slist *headers;
    char *server; /* without '/' at its end */
    bool loopback;
    bool has_token;
    Buf body;
    Arena arena; /* of the answer */
    char problem[CURL_ERROR_SIZE];
};

/* ---- addresses ---- */

static Str after_scheme(Str server) {
    if (str_starts_with(server, STR("http://"))) return (Str){server.ptr + 7, server.len - 7};
    if (str_starts_with(server, STR("https://"))) return (Str){server.ptr + 8, server.len - 8};
    return (Str){NULL, 0};
}

bool http_server_is_loopback(const char *server) {
    Str rest = after_scheme(str_from(server));
    if (!rest.ptr) return false;
    Str host = str_split(&rest, '/');
    if (host.len > 0 && host.ptr[0] == '[') {
        host = (Str){host.ptr + 1, host.len - 1};
        return str_eq(str_split(&host, ']'), STR("::1"));
    }
    host = str_split(&host, ':');
    char text[INET_ADDRSTRLEN];
    struct in_addr address;
    if (str_eq_ignore_case(host, STR("localhost"))) return true;
    if (host.len >= sizeof text) return false;
    memcpy(text, host.ptr, host.len);
    text[host.len] = '\0';
    return inet_pton(AF_INET, text, &address) == 1 && ntohl(address.s_addr) >> 24 == 127;
}

static bool has_control(Str text) {
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] <= ' ' || text.ptr[i] == 0x7f) return true;
    }
    return false;
}

static Err check_server(Str server, Error *error) {
    Str rest = after_scheme(server);
    if (!rest.ptr || rest.len == 0 || rest.ptr[0] == '/' || server.len > SERVER_MAX) {
        return error_set(error, ERR_INVALID, "the server must be http://HOST:PORT or https://…");
    }
    if (has_control(server) || memchr(rest.ptr, '@', rest.len) || memchr(rest.ptr, '?', rest.len) ||
        memchr(rest.ptr, '#', rest.len)) {
        return error_set(error, ERR_INVALID,
                         "the server's address takes no user, query, fragment or blank");
    }
    return OK;
}

/* ---- set-up ---- */

static size_t on_body(char *bytes, size_t size, size_t count, void *context) {
    Buf *body = context;
    buf_add_bytes(body, bytes, size * count);
    return body->overflow ? 0 : size * count;
}

static void set_options(HttpClient *client) {
    CURL *curl = client->curl;
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)HTTP_CONNECT_TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &client->body);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, client->problem);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, client->headers);
    /* a proxy of the environment can't reach this machine's own loopback */
    if (client->loopback) curl_easy_setopt(curl, CURLOPT_PROXY, "");
}

static void add_token(HttpClient *client, Str token) {
    Buf header;
    buf_init(&header, TOKEN_MAX + 64);
    buf_format(&header, "Authorization: Bearer " STR_FMT, STR_ARG(token));
    client->headers = curl_slist_append(client->headers, buf_cstr(&header));
    check(client->headers);
    client->has_token = true;
    explicit_bzero(header.data, header.len);
    buf_done(&header);
}

Err http_client_new(const char *server, const char *token, HttpClient **ret, Error *error) {
    Str bearer = str_trim(str_from(token));
    TRY(check_server(str_from(server), error));
    if (has_control(bearer) || bearer.len > TOKEN_MAX) {
        return error_set(error, ERR_INVALID,
                         "the access token is not one: it holds a blank or is "
                         "too long");
    }
    /* OpenSSL writes without MSG_NOSIGNAL, and a reader of our output may leave early */
    signal(SIGPIPE, SIG_IGN);
    check(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    HttpClient *client = alloc_zero(1, sizeof *client);
    client->server = alloc_string(server);
    client->loopback = http_server_is_loopback(server);
    for (size_t len = strlen(server); len > 0 && client->server[len - 1] == '/'; len--) {
        client->server[len - 1] = '\0';
    }
    buf_init(&client->body, HTTP_ANSWER_MAX);
    static const char *const headers[] = {"Accept: application/json, text/plain;q=0.9",
                                          "Content-Type: application/json", "Expect:"};
    for (size_t i = 0; i < LENGTH(headers); i++) {
        client->headers = curl_slist_append(client->headers, headers[i]);
        check(client->headers);
    }
    if (bearer.len > 0) add_token(client, bearer);
    client->curl = curl_easy_init();
    check(client->curl);
    set_options(client);
    *ret = client;
    return OK;
}

void http_client_free(HttpClient *client) {
    if (!client) return;
    curl_easy_cleanup(client->curl);
    for (struct curl_slist *header = client->headers; header; header = header->next) {
        explicit_bzero(header->data, strlen(header->data));
    }
    curl_slist_free_all(client->headers);
    curl_global_cleanup();
    buf_done(&client->body);
    arena_done(&client->arena);
    free(client->server);
    free(client);
}

void http_client_cleanup(HttpClient **client) {
    http_client_free(*client);
    *client = NULL;
}

/* ---- calls ---- */

static CURLcode perform(HttpClient *client, const HttpCall *call) {
    CURL *curl = client->curl;
    Str url = arena_format(&client->arena, "%s" STR_FMT, client->server, STR_ARG(call->path));
    int64_t timeout_ms = HTTP_TIMEOUT_MS + call->wait_ms;
    bool has_body = call->body.ptr != NULL;
    bool is_get = strcmp(call->method, "GET") == 0;
    client->problem[0] = '\0';
    curl_easy_setopt(curl, CURLOPT_URL, url.ptr);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.len);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, has_body ? call->body.ptr : "");
    if (is_get) curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, is_get ? NULL : call->method);
    return curl_easy_perform(curl);
}

ExitCode http_call(HttpClient *client, const HttpCall *call, HttpAnswer *ret) {
    arena_reset(&client->arena);
    buf_clear(&client->body);
    *ret = (HttpAnswer){0};
    CURLcode code = perform(client, call);
    HttpFailure failure = {
        .server = client->server,
        .code = code,
        .problem = client->problem,
        .too_large = client->body.overflow,
        .has_token = client->has_token,
        .timeout_ms = HTTP_TIMEOUT_MS + call->wait_ms,
        .plain_text = call->plain_text,
        .arena = &client->arena,
    };
    curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &ret->status);
    curl_easy_getinfo(client->curl, CURLINFO_CONTENT_TYPE, &failure.content_type);
    curl_easy_getinfo(client->curl, CURLINFO_REDIRECT_URL, &failure.redirect);
    curl_easy_getinfo(client->curl, CURLINFO_OS_ERRNO, &failure.os_error);
    ret->body = (Str){buf_cstr(&client->body), client->body.len};
    return http_failure_judge(&failure, ret);
}
