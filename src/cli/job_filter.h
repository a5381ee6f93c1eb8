/* The filters that job and dead commands share: --state --queue --type --tag --since. */
#pragma once

#include "cli/remote.h"

/* Appends the filters that are given as query parameters. Prints and returns EXIT_USAGE when one is
 * malformed. */
ExitCode job_filter_query(const Cli *cli, Buf *path) must_check;

/* The same as members of a JSON object that is open. */
ExitCode job_filter_members(const Cli *cli, JsonWriter *writer) must_check;

bool job_filter_is_given(const Cli *cli);

/* Appends ?limit= where --limit is given. */
ExitCode job_filter_limit(const Cli *cli, Buf *path) must_check;
