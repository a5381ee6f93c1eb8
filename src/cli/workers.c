/* takt workers list. */
#include "cli/remote.h"

ExitCode command_workers_list(Cli *cli) {
    static const Column columns[] = {
        {"ID", false, true},    {"HOST", false, false},     {"PID", true, true},
        {"STATE", false, true}, {"RUNNING", true, false},   {"LABELS", false, false},
        {"NODE", false, false}, {"LAST BEAT", false, true},
    };
    static const char *const paths[] = {"id",      "hostname", "pid",  "state",
                                        "running", "labels",   "node", "last_beat_at"};
    cleanup(http_client_cleanup) HttpClient *client = NULL;
    HttpAnswer answer;
    ExitCode code = remote_open(cli, &client);
    if (code == EXIT_DONE) code = remote_get(client, STR("/v1/workers"), &answer);
    if (code != EXIT_DONE) return code;
    return remote_print_list(cli, &answer, columns, paths, LENGTH(columns),
                             "No workers are connected.");
}
