/* Waiting for a job's outcome. */
#pragma once

#include "cli/remote.h"

bool job_state_is_finished(Str state);

/* Asks until the job is finished, through restarts of the server that take less than a minute. The
 * answer is the job. A state on stderr is the caller's. */
ExitCode job_wait(Cli *cli, HttpClient *client, const char *id, HttpAnswer *ret) must_check;

/* Prints the finished job's result to stdout, or why there is none to stderr: EXIT_DONE when it has
 * succeeded, EXIT_FAILED otherwise. With -o json: the job as it is. */
ExitCode job_print_outcome(Cli *cli, const HttpAnswer *job) must_check;
