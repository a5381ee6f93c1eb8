/* Configuration for the commands that need it: file, environment and the flags of the command
 * line. */
#pragma once

#include "cli/cli.h"
#include "config/config.h"

enum { SETTINGS_FLAGS_MAX = 16 };

/* Where a command's configuration comes from; borrowed by what is loaded from it. */
typedef struct Settings {
    ConfigSource source;
    ConfigFlag flags[SETTINGS_FLAGS_MAX];
} Settings;

/* --config (or TAKT_CONFIG), the environment, and those of `names` that are given. A flag that
 * repeats becomes one value with commas, in the cli's arena. */
void settings_gather(Cli *cli, const char *const *names, size_t count, Settings *ret);

/* Loads and checks. Problems and warnings go to stderr; EXIT_CONFIG when there are problems. Free
 * *ret with cleanup(settings_cleanup). */
ExitCode settings_load(const Settings *settings, Config **ret) must_check;
void settings_cleanup(Config **config);
