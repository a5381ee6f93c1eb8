/* takt job submit TYPE: what can be judged here is judged before anything is sent. */
#include "base/time.h"
#include "cli/job_wait.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { ARGS_MAX = 16 * 1024 * 1024 };

/* ---- --args ---- */

static ExitCode read_all(const Cli *cli, int fd, const char *name, Buf *text) {
    char chunk[65536];
    for (;;) {
        ssize_t len = read(fd, chunk, sizeof chunk);
        if (len == 0) return EXIT_DONE;
        if (len < 0 && errno == EINTR) continue;
        if (len < 0) return cli_usage(cli, "--args: can't read %s: %s", name, strerror(errno));
        buf_add_bytes(text, chunk, (size_t)len);
        if (text->overflow) return cli_usage(cli, "--args: %s is over 16 MiB", name);
    }
}

static ExitCode read_args(const Cli *cli, const char *value, Buf *text) {
    if (strcmp(value, "-") == 0) return read_all(cli, STDIN_FILENO, "standard input", text);
    if (value[0] != '@') {
        buf_add(text, str_from(value));
        return EXIT_DONE;
    }
    const char *path = value + 1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return cli_usage(cli, "--args: can't open '%s': %s", path, strerror(errno));
    ExitCode code = read_all(cli, fd, path, text);
    close(fd);
    return code;
}

static ExitCode put_args(Cli *cli, JsonWriter *writer) {
    const char *value = cli_flag(cli, "args");
    if (!value) return EXIT_DONE;
    cleanup(buf_done) Buf text;
    buf_init(&text, ARGS_MAX);
    ExitCode code = read_args(cli, value, &text);
    if (code != EXIT_DONE) return code;
    Json args;
    Error error;
    if (str_trim(buf_str(&text)).len == 0) {
        return cli_usage(cli, "--args is empty: give JSON, [] for none");
    }
    if (json_check(buf_str(&text), &args, &error) != OK) {
        return cli_usage(cli, "--args is not JSON: %s", error.message);
    }
    json_put_raw(writer, "args", args.text);
    return EXIT_DONE;
}

/* ---- the rest ---- */

static ExitCode put_number(const Cli *cli, JsonWriter *writer, const char *flag, const char *member,
                           int64_t most) {
    const char *value = cli_flag(cli, flag);
    int64_t number = 0;
    if (!value) return EXIT_DONE;
    if (!str_to_int64(str_from(value), &number) || number < 1 || number > most) {
        return cli_usage(cli, "--%s '%s' is not a whole number from 1 to %lld", flag, value,
                         (long long)most);
    }
    json_put_int(writer, member, number);
    return EXIT_DONE;
}

static ExitCode put_times(const Cli *cli, JsonWriter *writer) {
    static const char *const durations[] = {"delay", "timeout"};
    const char *at = cli_flag(cli, "at");
    int64_t ignored = 0;
    Error error;
    if (at && cli_flag(cli, "delay")) return cli_usage(cli, "--delay and --at exclude each other");
    for (size_t i = 0; i < LENGTH(durations); i++) {
        const char *value = cli_flag(cli, durations[i]);
        if (!value) continue;
        if (duration_parse(str_from(value), &ignored, &error) != OK) {
            return cli_usage(cli, "--%s: %s", durations[i], error.message);
        }
        json_put_string(writer, durations[i], str_from(value));
    }
    if (at && time_parse(str_from(at), &ignored, &error) != OK) {
        return cli_usage(cli, "--at: %s", error.message);
    }
    if (at) json_put_string(writer, "run_at", str_from(at));
    return EXIT_DONE;
}

static ExitCode put_retry(const Cli *cli, JsonWriter *writer) {
    if (!cli_flag(cli, "max-attempts")) return EXIT_DONE;
    json_write_key(writer, STR("retry"));
    json_begin_object(writer);
    ExitCode code = put_number(cli, writer, "max-attempts", "max_attempts", 1000);
    json_end_object(writer);
    return code;
}

static void put_names(const Cli *cli, JsonWriter *writer) {
    static const char *const names[] = {"id", "queue"};
    json_put_string(writer, "type", str_from(cli->arguments[0]));
    for (size_t i = 0; i < LENGTH(names); i++) {
        const char *value = cli_flag(cli, names[i]);
        if (value) json_put_string(writer, names[i], str_from(value));
    }
    if (!cli_flag(cli, "tag")) return;
    json_write_key(writer, STR("tags"));
    json_begin_array(writer);
    for (size_t i = 0; cli_flag_at(cli, "tag", i); i++) {
        json_write_string(writer, str_from(cli_flag_at(cli, "tag", i)));
    }
    json_end_array(writer);
}

static ExitCode build(Cli *cli, Buf *body) {
    JsonWriter writer = json_writer(body);
    json_begin_object(&writer);
    put_names(cli, &writer);
    ExitCode code = put_number(cli, &writer, "priority", "priority", 9);
    if (code == EXIT_DONE) code = put_times(cli, &writer);
    if (code == EXIT_DONE) code = put_retry(cli, &writer);
    if (code == EXIT_DONE) code = put_args(cli, &writer);
    json_end_object(&writer);
    return code;
}

ExitCode command_job_submit(Cli *cli) {
    cleanup(buf_done) Buf body;
    cleanup(http_client_cleanup) HttpClient *client = NULL;
    buf_init(&body, REMOTE_BODY_MAX);
    ExitCode code = build(cli, &body);
    if (code == EXIT_DONE) code = remote_open(cli, &client);
    HttpAnswer job;
    if (code == EXIT_DONE) code = remote_post(client, STR("/v1/jobs"), buf_str(&body), &job);
    if (code != EXIT_DONE) return code;
    Str id = arena_str(&cli->arena, cell_text(job.json, "id", &cli->arena));
    if (id.len == 0) {
        fprintf(stderr, "takt: not a takt server: the answer is no job\n");
        return EXIT_UNREACHABLE;
    }
    if (str_eq(cell_text(job.json, "duplicate", &cli->arena), STR("yes"))) {
        fprintf(stderr, "takt: a job with this id is there already; nothing new was made\n");
    }
    if (!cli_flag(cli, "wait")) {
        Str shown = cell_escape(&cli->arena, id, CELL_ONE_LINE);
        if (cli->json) {
            remote_print(&job);
        } else {
            printf(STR_FMT "\n", STR_ARG(shown));
        }
        return EXIT_DONE;
    }
    code = job_wait(cli, client, id.ptr, &job);
    return code == EXIT_DONE ? job_print_outcome(cli, &job) : code;
}
