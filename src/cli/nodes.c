/* takt nodes. */
#include "cli/remote.h"

ExitCode command_nodes(Cli *cli) {
    static const Column columns[] = {
        {"NAME", false, true},    {"VERSION", false, true},   {"STATE", false, true},
        {"STARTED", false, true}, {"SEEN", false, true},      {"CLOCK MS", true, false},
        {"HTTP", false, false},   {"PROTOCOL", false, false},
    };
    static const char *const paths[] = {"name",    "version",         "state", "started_at",
                                        "seen_at", "clock_offset_ms", "http",  "protocol"};
    cleanup(http_client_cleanup) HttpClient *client = NULL;
    HttpAnswer answer;
    ExitCode code = remote_open(cli, &client);
    if (code == EXIT_DONE) code = remote_get(client, STR("/v1/nodes"), &answer);
    if (code != EXIT_DONE) return code;
    return remote_print_list(cli, &answer, columns, paths, LENGTH(columns), "There are no nodes.");
}
