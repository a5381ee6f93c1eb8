/* takt serve. */
#include "cli/settings.h"
#include "server/serve.h"

/* posix_spawn() takes no search path, and argv[0] may need one. */
#define OWN_PROGRAM "/proc/self/exe"

ExitCode command_serve(Cli *cli) {
    static const char *const flags[] = {"data",   "http",      "worker",    "store",
                                        "broker", "log-level", "log-format"};
    cleanup(settings_cleanup) Config *config = NULL;
    Settings settings;
    settings_gather(cli, flags, LENGTH(flags), &settings);
    ExitCode code = settings_load(&settings, &config);
    if (code != EXIT_DONE) return code;
    ServeOptions options = {.config = config, .source = &settings.source, .program = OWN_PROGRAM};
    Error error;
    if (serve(&options, &error) == OK) return EXIT_DONE;
    code = cli_failed(&error);
    /* a port that can't be bound is a setting that does not fit this machine */
    return error.err == ERR_UNAVAILABLE ? EXIT_CONFIG : code;
}
