/* takt dead list, retry, discard: the dead letter queue. What is discarded is gone, so everything
 * at once has to be asked for by --all. */
#include "cli/job_filter.h"
#include <stdio.h>

enum { PATIENCE_MS = 600 * 1000 }; /* millions of jobs take their time */

ExitCode command_dead_list(Cli *cli) {
    static const Column columns[] = {
        {"ID", false, true},      {"TYPE", false, false}, {"QUEUE", false, false},
        {"ATTEMPTS", true, true}, {"DIED", false, true},  {"REASON", false, false},
    };
    static const char *const paths[] = {"id", "type", "queue", "attempt", "finished_at", "reason"};
    cleanup(http_client_cleanup) HttpClient *client = NULL;
    cleanup(buf_done) Buf path;
    HttpAnswer answer;
    buf_init(&path, REMOTE_PATH_MAX);
    buf_add(&path, STR("/v1/jobs?state=dead"));
    ExitCode code = job_filter_query(cli, &path);
    if (code == EXIT_DONE) code = job_filter_limit(cli, &path);
    if (code == EXIT_DONE) code = remote_open(cli, &client);
    if (code == EXIT_DONE) code = remote_get(client, buf_str(&path), &answer);
    if (code != EXIT_DONE) return code;
    return remote_print_list(cli, &answer, columns, paths, LENGTH(columns), "No dead jobs.");
}

static ExitCode build(Cli *cli, Buf *body) {
    bool filters = job_filter_is_given(cli);
    bool all = cli_flag(cli, "all") != NULL;
    if (cli->argument_count > 0 && all) return cli_usage(cli, "--all and ids exclude each other");
    if (cli->argument_count == 0 && !filters && !all) {
        return cli_usage(cli, "give ids or filters, or --all for every dead job");
    }
    JsonWriter writer = json_writer(body);
    json_begin_object(&writer);
    ExitCode code = job_filter_members(cli, &writer);
    if (cli->argument_count > 0) {
        json_write_key(&writer, STR("ids"));
        json_begin_array(&writer);
        for (size_t i = 0; i < cli->argument_count; i++) {
            json_write_string(&writer, str_from(cli->arguments[i]));
        }
        json_end_array(&writer);
    }
    json_end_object(&writer);
    return code;
}

static ExitCode act(Cli *cli, Str path, const char *done) {
    cleanup(http_client_cleanup) HttpClient *client = NULL;
    cleanup(buf_done) Buf body;
    HttpAnswer answer;
    buf_init(&body, REMOTE_BODY_MAX);
    ExitCode code = build(cli, &body);
    HttpCall call = {
        .method = "POST", .path = path, .body = buf_str(&body), .wait_ms = PATIENCE_MS};
    if (code == EXIT_DONE) code = remote_open(cli, &client);
    if (code == EXIT_DONE) code = remote_call(client, &call, &answer);
    if (code != EXIT_DONE) return code;
    int64_t matched = 0;
    if (!json_int64(json_member(answer.json, STR("matched")), &matched)) {
        fprintf(stderr, "takt: not a takt server: the answer does not say how many jobs matched\n");
        return EXIT_UNREACHABLE;
    }
    if (cli->json) {
        remote_print(&answer);
    } else {
        printf("%lld dead job%s %s\n", (long long)matched, matched == 1 ? "" : "s", done);
    }
    if (matched < (int64_t)cli->argument_count) {
        fprintf(stderr, "takt: not all of the %zu ids belong to dead jobs that the filters match\n",
                cli->argument_count);
        return EXIT_NOT_FOUND;
    }
    return EXIT_DONE;
}

ExitCode command_dead_retry(Cli *cli) {
    return act(cli, STR("/v1/dead/retry"), "will run again");
}

ExitCode command_dead_discard(Cli *cli) {
    return act(cli, STR("/v1/dead/discard"), "deleted");
}
