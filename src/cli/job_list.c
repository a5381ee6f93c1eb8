/* takt job list. */
#include "cli/job_filter.h"

ExitCode command_job_list(Cli *cli) {
    static const Column columns[] = {
        {"ID", false, true},      {"TYPE", false, false},   {"QUEUE", false, false},
        {"STATE", false, true},   {"PRIORITY", true, true}, {"ATTEMPT", true, true},
        {"CREATED", false, true},
    };
    static const char *const paths[] = {"id",       "type",    "queue",     "state",
                                        "priority", "attempt", "created_at"};
    cleanup(http_client_cleanup) HttpClient *client = NULL;
    cleanup(buf_done) Buf path;
    HttpAnswer answer;
    buf_init(&path, REMOTE_PATH_MAX);
    buf_add(&path, STR("/v1/jobs"));
    ExitCode code = job_filter_query(cli, &path);
    if (code == EXIT_DONE) code = job_filter_limit(cli, &path);
    if (code == EXIT_DONE) code = remote_open(cli, &client);
    if (code == EXIT_DONE) code = remote_get(client, buf_str(&path), &answer);
    if (code != EXIT_DONE) return code;
    return remote_print_list(cli, &answer, columns, paths, LENGTH(columns), "No jobs.");
}
