/* takt job get ID: a job as a block to read. */
#include "cli/remote.h"
#include <stdio.h>

/* In this order; those without a value are left out. */
static const char *const MEMBERS[] = {
    "id",
    "type",
    "version",
    "queue",
    "state",
    "reason",
    "priority",
    "attempt",
    "failures",
    "lost",
    "run",
    "retry.max_attempts",
    "timeout",
    "created_at",
    "run_at",
    "started_at",
    "finished_at",
    "expires_at",
    "worker",
    "fence",
    "tags",
    "meta",
    "correlation_id",
    "workflow",
    "schedule",
    "progress.percent",
    "progress.message",
};

static void print_member(Cli *cli, Json job, const char *path) {
    Str value = cell_of(job, path, &cli->arena);
    if (str_eq(value, STR("-")) || str_eq(value, STR("{}"))) return;
    printf("%-18s  " STR_FMT "\n", path, STR_ARG(value));
}

static void print_error(Cli *cli, Json item) {
    Arena *arena = &cli->arena;
    Str attempt = cell_of(item, "attempt", arena);
    Str at = cell_of(item, "finished_at", arena);
    Str type = cell_of(item, "type", arena);
    Str message = cell_escape(arena, cell_text(item, "message", arena), CELL_LINES);
    printf("  attempt " STR_FMT ", " STR_FMT ", " STR_FMT ": ", STR_ARG(attempt), STR_ARG(at),
           STR_ARG(type));
    for (Str rest = message; rest.ptr;) {
        Str line = str_split(&rest, '\n');
        printf(STR_FMT "\n%s", STR_ARG(line), rest.ptr ? "    " : "");
    }
}

static void print_errors(Cli *cli, Json job) {
    Json errors = json_member(job, STR("errors"));
    if (!errors.text.ptr || errors.kind != JSON_ARRAY || json_count(errors) == 0) return;
    printf("errors\n");
    JsonIter iter = json_iter(errors);
    Json item;
    while (json_next(&iter, NULL, &item)) {
        print_error(cli, item);
    }
}

/* args and result keep their JSON form, so that "1" and 1 can be told apart. */
static void print_json(Cli *cli, Json job, const char *name) {
    Json value = json_member(job, str_from(name));
    if (!value.text.ptr || value.kind == JSON_NULL) return;
    cleanup(buf_done) Buf text;
    buf_init(&text, REMOTE_BODY_MAX);
    json_compact(&text, value);
    Str shown = cell_escape(&cli->arena, buf_str(&text), CELL_ONE_LINE);
    printf("%-18s  " STR_FMT "\n", name, STR_ARG(shown));
}

ExitCode command_job_get(Cli *cli) {
    cleanup(http_client_cleanup) HttpClient *client = NULL;
    HttpAnswer job;
    ExitCode code = remote_open(cli, &client);
    if (code == EXIT_DONE) {
        code = remote_get(client, path_of(cli, "/v1/jobs/", cli->arguments[0], ""), &job);
    }
    if (code != EXIT_DONE) return code;
    if (cli->json) {
        remote_print(&job);
        return EXIT_DONE;
    }
    for (size_t i = 0; i < LENGTH(MEMBERS); i++) {
        print_member(cli, job.json, MEMBERS[i]);
    }
    print_json(cli, job.json, "args");
    print_json(cli, job.json, "result");
    print_errors(cli, job.json);
    return EXIT_DONE;
}
