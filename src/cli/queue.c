/* takt queue list, pause, resume. */
#include "cli/remote.h"
#include <stdio.h>

ExitCode command_queue_list(Cli *cli) {
    static const Column columns[] = {
        {"QUEUE", false, false},         {"PENDING", true, true},  {"SCHEDULED", true, true},
        {"RUNNING", true, true},         {"RETRYING", true, true}, {"DEAD", true, true},
        {"OLDEST PENDING", false, true}, {"PAUSED", false, true},
    };
    static const char *const paths[] = {
        "name",        "counts.pending",    "counts.scheduled", "counts.running", "counts.retrying",
        "counts.dead", "oldest_pending_at", "paused",
    };
    cleanup(http_client_cleanup) HttpClient *client = NULL;
    HttpAnswer answer;
    ExitCode code = remote_open(cli, &client);
    if (code == EXIT_DONE) code = remote_get(client, STR("/v1/queues"), &answer);
    if (code != EXIT_DONE) return code;
    return remote_print_list(cli, &answer, columns, paths, LENGTH(columns), "No queues.");
}

static ExitCode set_paused(Cli *cli, const char *verb, const char *done) {
    cleanup(http_client_cleanup) HttpClient *client = NULL;
    const char *queue = cli->arguments[0];
    HttpAnswer answer;
    ExitCode code = remote_open(cli, &client);
    if (code == EXIT_DONE) {
        code = remote_post(client, path_of(cli, "/v1/queues/", queue, verb), STR("{}"), &answer);
    }
    if (code != EXIT_DONE) return code;
    if (cli->json) {
        remote_print(&answer);
    } else {
        printf("queue %s %s\n", queue, done);
    }
    return EXIT_DONE;
}

ExitCode command_queue_pause(Cli *cli) {
    return set_paused(cli, "/pause", "is paused");
}

ExitCode command_queue_resume(Cli *cli) {
    return set_paused(cli, "/resume", "is not paused any more");
}
