/* takt job cancel ID… and takt job retry ID…: one call per job; a failure does not keep the others
 * from being done. */
#include "cli/remote.h"
#include <stdio.h>

static ExitCode act(Cli *cli, HttpClient *client, const char *id, const char *verb) {
    HttpAnswer answer;
    ExitCode code = remote_post(client, path_of(cli, "/v1/jobs/", id, verb), STR("{}"), &answer);
    if (code != EXIT_DONE) {
        if (cli->argument_count > 1) fprintf(stderr, "takt: that was about job %s\n", id);
        return code;
    }
    if (cli->json) {
        remote_print(&answer);
        return EXIT_DONE;
    }
    Str state = cell_of(answer.json, "state", &cli->arena);
    if (answer.status == 202) {
        printf("%s runs; it is told to stop\n", id);
    } else {
        printf("%s is " STR_FMT "\n", id, STR_ARG(state));
    }
    return EXIT_DONE;
}

static ExitCode act_on_each(Cli *cli, const char *verb) {
    cleanup(http_client_cleanup) HttpClient *client = NULL;
    ExitCode first = remote_open(cli, &client);
    if (first != EXIT_DONE) return first;
    for (size_t i = 0; i < cli->argument_count; i++) {
        ExitCode code = act(cli, client, cli->arguments[i], verb);
        if (first == EXIT_DONE) first = code;
        if (code == EXIT_UNREACHABLE) break;
    }
    return first;
}

ExitCode command_job_cancel(Cli *cli) {
    return act_on_each(cli, "/cancel");
}

ExitCode command_job_retry(Cli *cli) {
    return act_on_each(cli, "/retry");
}
