/* takt config check FILE and takt config show. */
#include "cli/settings.h"
#include <stdio.h>
#include <unistd.h>

enum { PRINTED_MAX = 4 * 1024 * 1024 };

extern char **environ;

ExitCode command_config_check(Cli *cli) {
    cleanup(buf_done) Buf out;
    Error error;
    buf_init(&out, PRINTED_MAX);
    Err err = config_check(cli->arguments[0], (const char *const *)environ, &out, &error);
    fputs(buf_cstr(&out), err == OK ? stdout : stderr);
    return err == OK ? EXIT_DONE : EXIT_CONFIG;
}

ExitCode command_config_show(Cli *cli) {
    cleanup(settings_cleanup) Config *config = NULL;
    cleanup(buf_done) Buf out;
    Settings settings;
    buf_init(&out, PRINTED_MAX);
    settings_gather(cli, NULL, 0, &settings);
    ExitCode code = settings_load(&settings, &config);
    if (code != EXIT_DONE) return code;
    config_print(config, &out);
    fputs(buf_cstr(&out), stdout);
    return EXIT_DONE;
}
