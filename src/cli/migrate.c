/* takt migrate: brings a store's schema up to date, or tells whether it is. */
#include "cli/cli.h"
#include "server/migrate.h"
#include <stdio.h>
#include <stdlib.h>

enum { REPORT_MOST = 64 * 1024 };

ExitCode command_migrate(Cli *cli) {
    const char *url = cli_flag(cli, "store");
    if (!url) url = getenv("TAKT_STORE_URL");
    if (!url) return cli_usage(cli, "--store URL is missing, or TAKT_STORE_URL in the environment");
    cleanup(buf_done) Buf report;
    buf_init(&report, REPORT_MOST);
    Error error;
    bool check_only = cli_flag(cli, "check") != NULL;
    Err err = migrate_store(str_from(url), check_only, &report, &error);
    fputs(buf_cstr(&report), stdout);
    return err == OK ? EXIT_DONE : cli_failed(&error);
}
