/* See the header. */
#include "cli/job_wait.h"

#include "base/clock.h"
#include "base/time.h"
#include <stdio.h>
#include <unistd.h>

enum { WAIT_MS = 30000, PAUSE_US = 500 * 1000 };

#define PATIENCE_US (60 * US_PER_S) /* with a server that is away */

bool job_state_is_finished(Str state) {
    return str_eq(state, STR("succeeded")) || str_eq(state, STR("dead")) ||
           str_eq(state, STR("cancelled"));
}

ExitCode job_wait(Cli *cli, HttpClient *client, const char *id, HttpAnswer *ret) {
    Str path = path_of(cli, "/v1/jobs/", id, "?wait=30s");
    HttpCall call = {.method = "GET", .path = path, .wait_ms = WAIT_MS};
    int64_t away_since_us = 0;
    for (;;) {
        int64_t begun_us = clock_mono_us();
        ExitCode code = http_call(client, &call, ret);
        if (code != EXIT_DONE) {
            if (away_since_us == 0) away_since_us = begun_us;
            bool goes_on = code == EXIT_UNREACHABLE && begun_us - away_since_us < PATIENCE_US;
            if (!goes_on) {
                fprintf(stderr, "takt: " STR_FMT "\n", STR_ARG(ret->failure));
                return code;
            }
        } else {
            away_since_us = 0;
            if (job_state_is_finished(cell_text(ret->json, "state", &cli->arena))) return EXIT_DONE;
        }
        /* a server that does not wait must not be asked in a tight loop */
        if (clock_mono_us() - begun_us < PAUSE_US) usleep(PAUSE_US);
    }
}

static void print_failure(Cli *cli, Json job) {
    Arena *arena = &cli->arena;
    Str id = cell_of(job, "id", arena);
    Str state = cell_of(job, "state", arena);
    Str reason = cell_of(job, "reason", arena);
    Json errors = json_member(job, STR("errors"));
    Json last = {0};
    Json item;
    JsonIter iter =
        errors.kind == JSON_ARRAY && errors.text.ptr ? json_iter(errors) : (JsonIter){0};
    while (errors.kind == JSON_ARRAY && errors.text.ptr && json_next(&iter, NULL, &item)) {
        last = item;
    }
    Str message = last.text.ptr ? cell_escape(arena, cell_text(last, "message", arena), CELL_LINES)
                                : (Str){NULL, 0};
    fprintf(stderr, "takt: job " STR_FMT " is " STR_FMT, STR_ARG(id), STR_ARG(state));
    if (!str_eq(reason, STR("-"))) fprintf(stderr, " (" STR_FMT ")", STR_ARG(reason));
    if (message.len > 0) fprintf(stderr, ": " STR_FMT, STR_ARG(message));
    fputc('\n', stderr);
}

ExitCode job_print_outcome(Cli *cli, const HttpAnswer *job) {
    bool succeeded = str_eq(cell_text(job->json, "state", &cli->arena), STR("succeeded"));
    Json result = json_member(job->json, STR("result"));
    if (cli->json) {
        remote_print(job);
    } else if (succeeded) {
        if (result.text.ptr) printf(STR_FMT "\n", STR_ARG(result.text));
    } else {
        print_failure(cli, job->json);
    }
    return succeeded ? EXIT_DONE : EXIT_FAILED;
}
