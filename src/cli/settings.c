/* See the header. */
#include "cli/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { FLAG_MAX = 64 * 1024 };

extern char **environ;

static const char *joined_flag(Cli *cli, const char *name) {
    if (!cli_flag_at(cli, name, 0)) return NULL;
    cleanup(buf_done) Buf value;
    buf_init(&value, FLAG_MAX);
    for (size_t i = 0; cli_flag_at(cli, name, i); i++) {
        if (i > 0) buf_add_char(&value, ',');
        buf_add(&value, str_from(cli_flag_at(cli, name, i)));
    }
    return arena_cstr(&cli->arena, buf_str(&value));
}

void settings_gather(Cli *cli, const char *const *names, size_t count, Settings *ret) {
    check(count <= SETTINGS_FLAGS_MAX);
    const char *path = cli_flag(cli, "config");
    if (!path) path = getenv("TAKT_CONFIG");
    if (path && path[0] == '\0') path = NULL;
    *ret = (Settings){.source = {.path = path, .environment = (const char *const *)environ}};
    for (size_t i = 0; i < count; i++) {
        const char *value = joined_flag(cli, names[i]);
        if (value) ret->flags[ret->source.flag_count++] = (ConfigFlag){names[i], value};
    }
    ret->source.flags = ret->flags;
}

ExitCode settings_load(const Settings *settings, Config **ret) {
    ConfigReport report;
    Error error;
    config_report_init(&report);
    Err err = config_load(&settings->source, ret, &report, &error);
    if (report.errors.len > 0) fputs(buf_cstr(&report.errors), stderr);
    if (report.warnings.len > 0) fputs(buf_cstr(&report.warnings), stderr);
    config_report_done(&report);
    return err == OK ? EXIT_DONE : EXIT_CONFIG;
}

void settings_cleanup(Config **config) {
    config_free(*config);
    *config = NULL;
}
