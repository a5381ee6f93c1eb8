/* takt job logs ID [--follow].
 *
 * Following asks once a second for the whole kept text, whose front the server may have dropped,
 * and prints what is new: so it lives through restarts and proxies that cut long answers. */
#include "cli/job_wait.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SEEN_MAX = 64 * 1024 * 1024, OVERLAP = 1024 };

/* The part of `now` that isn't in `before` yet. */
static Str news(Str before, Str now) {
    if (before.len == 0) return now;
    if (str_starts_with(now, before)) return (Str){now.ptr + before.len, now.len - before.len};
    size_t len = before.len < OVERLAP ? before.len : OVERLAP;
    const char *tail = before.ptr + before.len - len;
    const char *at = now.len > 0 ? memmem(now.ptr, now.len, tail, len) : NULL;
    if (!at) return now;
    return (Str){at + len, (size_t)(now.ptr + now.len - (at + len))};
}

/* A terminal gets no control characters; a file or pipe gets the bytes. */
static bool print_text(Str text) {
    cleanup(arena_done) Arena arena = {0};
    if (isatty(STDOUT_FILENO)) text = cell_escape(&arena, text, CELL_LINES);
    fwrite(text.ptr, 1, text.len, stdout);
    return fflush(stdout) == 0;
}

static ExitCode follow(Cli *cli, HttpClient *client, const HttpCall *logs) {
    cleanup(buf_done) Buf seen;
    buf_init(&seen, SEEN_MAX);
    Str job_path = path_of(cli, "/v1/jobs/", cli->arguments[0], "");
    for (;;) {
        HttpAnswer answer;
        /* the state first: what is logged before the end is then in the text */
        ExitCode code = remote_get(client, job_path, &answer);
        if (code != EXIT_DONE) return code;
        bool finished = job_state_is_finished(cell_text(answer.json, "state", &cli->arena));
        code = remote_call(client, logs, &answer);
        if (code != EXIT_DONE) return code;
        if (!print_text(news(buf_str(&seen), answer.body))) return EXIT_FAILED;
        buf_clear(&seen);
        buf_add(&seen, answer.body);
        if (finished) return EXIT_DONE;
        sleep(1);
    }
}

ExitCode command_job_logs(Cli *cli) {
    cleanup(http_client_cleanup) HttpClient *client = NULL;
    HttpCall logs = {
        .method = "GET",
        .path = path_of(cli, "/v1/jobs/", cli->arguments[0], "/logs"),
        .plain_text = true,
    };
    ExitCode code = remote_open(cli, &client);
    if (code != EXIT_DONE) return code;
    if (cli_flag(cli, "follow")) return follow(cli, client, &logs);
    HttpAnswer answer;
    code = remote_call(client, &logs, &answer);
    if (code == EXIT_DONE && !print_text(answer.body)) return EXIT_FAILED;
    return code;
}
