/* What the commands share when they talk to a server: who it is and by which token, paths and
 * queries, failures on stderr, -o json on stdout. */
#pragma once

#include "base/buf.h"
#include "cli/cell.h"
#include "cli/cli.h"
#include "cli/http_client.h"
#include "cli/table.h"

enum { REMOTE_PATH_MAX = 16 * 1024, REMOTE_BODY_MAX = 32 * 1024 * 1024 };

/* The server and token of flags, environment, or (on loopback) the data directory. Prints what is
 * wrong and returns its exit code. Free with cleanup(http_client_cleanup). */
ExitCode remote_open(const Cli *cli, HttpClient **ret) must_check;

/* The data directory as the environment names it: TAKT_DATA or ./takt-data. */
const char *remote_data_directory(void);

/* Calls; prints a failure to stderr and returns its exit code. */
ExitCode remote_call(HttpClient *client, const HttpCall *call, HttpAnswer *ret) must_check;
ExitCode remote_get(HttpClient *client, Str path, HttpAnswer *ret) must_check;
/* body may be absent. */
ExitCode remote_post(HttpClient *client, Str path, Str body, HttpAnswer *ret) must_check;

/* The answer's bytes, and a line end where there is none. */
void remote_print(const HttpAnswer *answer);

/* A row for each of the list's items by `columns[i]` and the member `paths[i]`, printed, or
 * `empty` on stderr when there are none. With -o json: the answer as it is. EXIT_UNREACHABLE when
 * the answer is no list. */
ExitCode remote_print_list(Cli *cli, const HttpAnswer *answer, const Column *columns,
                           const char *const *paths, size_t count, const char *empty) must_check;

/* Appends one segment or value, percent-encoded (RFC 3986). */
void path_add(Buf *path, Str text);
/* Appends "?name=value", or "&name=value" where there is a query already. Nothing for NULL. */
void path_query(Buf *path, const char *name, const char *value);

/* "/v1/jobs/ID", "/v1/jobs/ID/cancel": in the cli's arena. after may be "". */
Str path_of(Cli *cli, const char *before, const char *id, const char *after);
