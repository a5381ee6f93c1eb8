/* See the header. */
#include "cli/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SERVER_DEFAULT "http://127.0.0.1:7420"

enum { ADMIN_TOKEN_MAX = 8192 };

static const char *environment(const char *name) {
    const char *value = getenv(name);
    return value && value[0] != '\0' ? value : NULL;
}

const char *remote_data_directory(void) {
    const char *directory = environment("TAKT_DATA");
    return directory ? directory : "./takt-data";
}

/* Whoever may not read the file has no token by it: the server will say so. */
static void read_admin_token(char *token, size_t size) {
    char path[4096];
    snprintf(path, sizeof path, "%s/admin.token", remote_data_directory());
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd >= 0 ? read(fd, token, size - 1) : 0;
    if (fd >= 0) close(fd);
    token[len > 0 ? len : 0] = '\0';
}

ExitCode remote_open(const Cli *cli, HttpClient **ret) {
    char admin_token[ADMIN_TOKEN_MAX] = "";
    const char *server = cli_flag(cli, "server");
    const char *token = cli_flag(cli, "token");
    if (!server) server = environment("TAKT_SERVER");
    if (!server) server = SERVER_DEFAULT;
    if (!token) token = environment("TAKT_TOKEN");
    if (!token && http_server_is_loopback(server)) {
        read_admin_token(admin_token, sizeof admin_token);
        token = admin_token;
    }
    Error error;
    Err err = http_client_new(server, token, ret, &error);
    explicit_bzero(admin_token, sizeof admin_token);
    return err == OK ? EXIT_DONE : cli_usage(cli, "%s", error.message);
}

/* ---- calls ---- */

ExitCode remote_call(HttpClient *client, const HttpCall *call, HttpAnswer *ret) {
    ExitCode code = http_call(client, call, ret);
    if (code != EXIT_DONE) fprintf(stderr, "takt: " STR_FMT "\n", STR_ARG(ret->failure));
    return code;
}

ExitCode remote_get(HttpClient *client, Str path, HttpAnswer *ret) {
    return remote_call(client, &(HttpCall){.method = "GET", .path = path}, ret);
}

ExitCode remote_post(HttpClient *client, Str path, Str body, HttpAnswer *ret) {
    return remote_call(client, &(HttpCall){.method = "POST", .path = path, .body = body}, ret);
}

/* ---- output ---- */

void remote_print(const HttpAnswer *answer) {
    if (answer->body.len == 0) return;
    fwrite(answer->body.ptr, 1, answer->body.len, stdout);
    if (answer->body.ptr[answer->body.len - 1] != '\n') putchar('\n');
}

ExitCode remote_print_list(Cli *cli, const HttpAnswer *answer, const Column *columns,
                           const char *const *paths, size_t count, const char *empty) {
    Json items = json_member(answer->json, STR("items"));
    if (!items.text.ptr || items.kind != JSON_ARRAY) {
        fprintf(stderr, "takt: not a takt server: the answer is no list\n");
        return EXIT_UNREACHABLE;
    }
    if (cli->json) {
        remote_print(answer);
        return EXIT_DONE;
    }
    Table table;
    table_init(&table, columns, count, &cli->arena);
    JsonIter iter = json_iter(items);
    Json item;
    while (json_next(&iter, NULL, &item)) {
        Str cells[TABLE_COLUMNS_MAX];
        for (size_t i = 0; i < count; i++) {
            cells[i] = cell_of(item, paths[i], &cli->arena);
        }
        table_add(&table, cells);
    }
    if (table.row_count == 0) {
        fprintf(stderr, "%s\n", empty);
        return EXIT_DONE;
    }
    table_print(&table);
    if (cell_text(answer->json, "next", &cli->arena).len > 0) {
        fprintf(stderr, "There are more: see --limit and the filters.\n");
    }
    return EXIT_DONE;
}

/* ---- paths ---- */

void path_add(Buf *path, Str text) {
    for (size_t i = 0; i < text.len; i++) {
        char byte = text.ptr[i];
        bool plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                     (byte >= '0' && byte <= '9') || (byte != '\0' && strchr("-_~", byte));
        /* dots alone would be a step up to whoever tidies the path */
        plain = plain || (byte == '.' && text.len > 2);
        if (plain) {
            buf_add_char(path, byte);
        } else {
            buf_format(path, "%%%02X", (unsigned char)byte);
        }
    }
}

void path_query(Buf *path, const char *name, const char *value) {
    if (!value) return;
    bool is_first = path->len == 0 || !memchr(path->data, '?', path->len);
    buf_format(path, "%c%s=", is_first ? '?' : '&', name);
    path_add(path, str_from(value));
}

Str path_of(Cli *cli, const char *before, const char *id, const char *after) {
    cleanup(buf_done) Buf path;
    buf_init(&path, REMOTE_PATH_MAX);
    buf_add(&path, str_from(before));
    path_add(&path, str_from(id));
    buf_add(&path, str_from(after));
    return arena_str(&cli->arena, buf_str(&path));
}
