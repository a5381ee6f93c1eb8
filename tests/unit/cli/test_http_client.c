/* The client against a small server in another process that answers canned bytes. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/http_client.h"

#define JSON_HEAD "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
#define PROBLEM(status) "HTTP/1.1 " status " x\r\nContent-Type: application/problem+json\r\n"
#define CLOSE "Connection: close\r\n\r\n"

typedef struct Server {
    pid_t pid;
    char url[64];
} Server;

static int listen_on_loopback(char url[64]) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)(void *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)(void *)&address, &size), 0);
    snprintf(url, 64, "http://127.0.0.1:%u", ntohs(address.sin_port));
    return fd;
}

/* Answers one request, whose head must hold `wanted`. */
static Server serve_once(const char *answer, const char *wanted) {
    Server server;
    int listener = listen_on_loopback(server.url);
    server.pid = fork();
    if (server.pid == 0) {
        char request[8192];
        size_t len = 0;
        alarm(10);
        int fd = accept(listener, NULL, NULL);
        while (len < sizeof request - 1) {
            ssize_t got = read(fd, request + len, sizeof request - 1 - len);
            if (got <= 0) break;
            len += (size_t)got;
            request[len] = '\0';
            if (strstr(request, "\r\n\r\n")) break;
        }
        request[len] = '\0';
        if (!strstr(request, wanted)) _exit(1);
        bool whole = write(fd, answer, strlen(answer)) == (ssize_t)strlen(answer);
        close(fd);
        _exit(whole ? 0 : 1);
    }
    close(listener);
    return server;
}

static void end(const Server *server) {
    int status = 1;
    waitpid(server->pid, &status, 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void answers_are_judged(void **state) {
    (void)state;
    static const struct {
        const char *name;
        const char *answer;
        ExitCode code;
        const char *words;
        bool plain_text;
    } cases[] = {
        {"json", JSON_HEAD "Content-Length: 8\r\n\r\n{\"a\":1}\n", EXIT_DONE, "", false},
        {"empty 204", "HTTP/1.1 204 x\r\n\r\n", EXIT_DONE, "", false},
        {"html", "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n" CLOSE "<html>",
         EXIT_UNREACHABLE, "not a takt server (text/html)", false},
        {"html error", "HTTP/1.1 502 x\r\nContent-Type: text/html\r\n" CLOSE "<html>",
         EXIT_UNREACHABLE, "not a takt server (text/html), status 502", false},
        {"no type", "HTTP/1.1 200 OK\r\n" CLOSE "{}", EXIT_UNREACHABLE,
         "not a takt server (no content type)", false},
        {"no object", JSON_HEAD CLOSE "[]", EXIT_UNREACHABLE, "not a takt server", false},
        {"other's problem", "HTTP/1.1 404 x\r\nContent-Type: application/json\r\n" CLOSE "{}",
         EXIT_UNREACHABLE, "not a takt server (application/json), status 404", false},
        {"short by length", JSON_HEAD "Content-Length: 50\r\n" CLOSE "{\"items\":[",
         EXIT_UNREACHABLE, "cut short", false},
        {"short by syntax", JSON_HEAD CLOSE "{\"items\":[", EXIT_UNREACHABLE, "cut short", false},
        {"nothing", "", EXIT_UNREACHABLE, "hung up", false},
        {"no http", "+HI {\"v\":2}\r\n", EXIT_UNREACHABLE, "not a takt server", false},
        {"redirect", "HTTP/1.1 301 x\r\nLocation: https://else.example/\r\n" CLOSE,
         EXIT_UNREACHABLE, "https://else.example/", false},
        {"text", "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n" CLOSE "out\n",
         EXIT_DONE, "", true},
        {"unexpected text", "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n" CLOSE "out\n",
         EXIT_UNREACHABLE, "text/plain", false},
        {"401", PROBLEM("401") CLOSE "{\"detail\":\"expired\"}", EXIT_NOT_ALLOWED, "expired",
         false},
        {"404", PROBLEM("404") CLOSE "{\"title\":\"Not found\"}", EXIT_NOT_FOUND, "Not found",
         true},
        {"409", PROBLEM("409") CLOSE "{\"detail\":\"runs\"}", EXIT_CONFLICT, "runs", false},
        {"422",
         PROBLEM("422") CLOSE "{\"detail\":\"wrong\",\"errors\":[{\"pointer\":\"/a\",\"detail\":"
                              "\"x\"},{\"pointer\":\"/b\",\"detail\":\"y\"}]}",
         EXIT_USAGE, "wrong\n  /a: x\n  /b: y", false},
        {"503", PROBLEM("503") CLOSE "{\"detail\":\"full\"}", EXIT_UNREACHABLE, "full", false},
        {"escapes", PROBLEM("500") CLOSE "{\"detail\":\"\\u001b[2J\"}", EXIT_FAILED, "\\x1b[2J",
         false},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        Server server = serve_once(cases[i].answer, "Authorization: Bearer secret\r\n");
        HttpClient *client = NULL;
        HttpAnswer answer;
        Error error;
        assert_int_equal(http_client_new(server.url, "secret\n", &client, &error), OK);
        HttpCall call = {.method = "GET", .path = STR("/v1/x"), .plain_text = cases[i].plain_text};
        ExitCode code = http_call(client, &call, &answer);
        if (code != cases[i].code || (cases[i].words[0] && !answer.failure.ptr) ||
            (cases[i].words[0] && !strstr(answer.failure.ptr, cases[i].words))) {
            fail_msg("%s: exit %d, " STR_FMT, cases[i].name, (int)code, STR_ARG(answer.failure));
        }
        http_client_free(client);
        end(&server);
    }
}

static void requests_are_sent_as_asked(void **state) {
    (void)state;
    static const struct {
        HttpCall call;
        const char *wanted;
    } cases[] = {
        {{.method = "GET", .path = {"/v1/jobs/%2E%2E", 15}},
         "GET /base/v1/jobs/%2E%2E HTTP/1.1\r\n"},
        {{.method = "POST", .path = {"/a", 2}, .body = {"{}", 2}}, "POST /base/a HTTP/1.1\r\n"},
        {{.method = "POST", .path = {"/a", 2}, .body = {"{}", 2}}, "Content-Length: 2\r\n"},
        {{.method = "DELETE", .path = {"/a", 2}}, "DELETE /base/a HTTP/1.1\r\n"},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        Server server = serve_once(JSON_HEAD CLOSE "{}", cases[i].wanted);
        char url[80];
        HttpClient *client = NULL;
        HttpAnswer answer;
        Error error;
        snprintf(url, sizeof url, "%s/base/", server.url);
        assert_int_equal(http_client_new(url, NULL, &client, &error), OK);
        assert_int_equal(http_call(client, &cases[i].call, &answer), EXIT_DONE);
        assert_true(str_eq(answer.body, STR("{}")));
        http_client_free(client);
        end(&server);
    }
}

static void nobody_listens(void **state) {
    (void)state;
    char url[64];
    HttpClient *client = NULL;
    HttpAnswer answer;
    Error error;
    close(listen_on_loopback(url));
    assert_int_equal(http_client_new(url, NULL, &client, &error), OK);
    HttpCall call = {.method = "GET", .path = STR("/")};
    assert_int_equal(http_call(client, &call, &answer), EXIT_UNREACHABLE);
    assert_non_null(strstr(answer.failure.ptr, "refused"));
    http_client_free(client);
}

static void addresses(void **state) {
    (void)state;
    static const struct {
        const char *server;
        const char *token;
        bool good, loopback;
    } cases[] = {
        {"http://127.0.0.1:7420", NULL, true, true},
        {"http://127.9.9.9", NULL, true, true},
        {"https://LOCALHOST/x", NULL, true, true},
        {"http://[::1]:7420", NULL, true, true},
        {"http://example.org", NULL, true, false},
        {"http://127.0.0.1.evil.org", NULL, true, false},
        {"http://localhost.evil.org", NULL, true, false},
        {"ftp://x", NULL, false, false},
        {"127.0.0.1:7420", NULL, false, false},
        {"http://", NULL, false, false},
        {"http://u:p@127.0.0.1", NULL, false, false},
        {"http://x?y", NULL, false, false},
        {"http://x", "a\r\nHost: y", false, false},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        HttpClient *client = NULL;
        Error error;
        Err err = http_client_new(cases[i].server, cases[i].token, &client, &error);
        assert_int_equal(err == OK, cases[i].good);
        if (err == OK) {
            assert_int_equal(http_server_is_loopback(cases[i].server), cases[i].loopback);
        }
        http_client_free(client);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_judged),
        cmocka_unit_test(requests_are_sent_as_asked),
        cmocka_unit_test(nobody_listens),
        cmocka_unit_test(addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
