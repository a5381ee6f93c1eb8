/* takt version. */
#include "cli/cli.h"
#include "server/serve.h"
#include <stdio.h>

ExitCode command_version(Cli *cli) {
    (void)cli;
    printf("takt %s\n", takt_version);
    return EXIT_DONE;
}
