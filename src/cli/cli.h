/* The command line: one table of commands (commands.c), one file per command or noun.
 *
 * A command declares its arguments and flags; parsing, help and the checks of counts derive from
 * that. It returns an exit code: 0 done, 1 the job or operation failed, 2 usage, 3 configuration,
 * 4 not allowed, 5 not found, 6 conflict, 7 server unreachable or not a Takt server. */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "base/json.h"

typedef enum ExitCode {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_CONFIG = 3,
    EXIT_NOT_ALLOWED = 4,
    EXIT_NOT_FOUND = 5,
    EXIT_CONFLICT = 6,
    EXIT_UNREACHABLE = 7,
} ExitCode;

typedef struct Flag {
    const char *name;  /* without dashes */
    const char *value; /* what help shows for its value; NULL: a switch */
    const char *help;
    bool repeats;
} Flag;

enum { COMMAND_FLAGS_MAX = 20, CLI_VALUES_MAX = 256 };

typedef struct Cli Cli;

typedef struct CliCommand {
    const char *noun;
    const char *verb;      /* NULL: the noun alone is the command */
    const char *arguments; /* as help shows them: "ID…" */
    const char *summary;
    size_t least, most; /* how many arguments */
    ExitCode (*run)(Cli *cli);
    Flag flags[COMMAND_FLAGS_MAX]; /* ends with name NULL */
    bool hidden;
    bool server; /* talks to a server: --server, --token and -o apply */
} CliCommand;

typedef struct CliValue {
    const char *name;
    const char *value; /* "" for a switch */
} CliValue;

struct Cli {
    const CliCommand *command;
    const char *program; /* argv[0] */
    const char *arguments[CLI_VALUES_MAX];
    size_t argument_count;
    CliValue values[CLI_VALUES_MAX];
    size_t value_count;
    bool json; /* -o json */
    Arena arena;
};

extern const CliCommand cli_commands[];
extern const size_t cli_command_count;

/* Parses, runs and ends. */
ExitCode cli_main(int argc, char **argv);

/* The flag's (last) value, or NULL. */
const char *cli_flag(const Cli *cli, const char *name);
/* The i-th value of a flag that repeats, or NULL. */
const char *cli_flag_at(const Cli *cli, const char *name, size_t i);

/* "takt: …" with a hint at the command's help, on stderr; returns EXIT_USAGE. */
ExitCode cli_usage(const Cli *cli, const char *format, ...) printf_like(2, 3);
/* "takt: …" on stderr; returns the exit code of the error. */
ExitCode cli_failed(const Error *error);
ExitCode exit_code_of(Err err);

/* Help to stdout. command NULL: all of noun; noun NULL: everything. */
void cli_help(const char *noun, const CliCommand *command);

/* ---- commands ---- */
ExitCode command_serve(Cli *cli);
ExitCode command_worker(Cli *cli);
ExitCode command_migrate(Cli *cli);
ExitCode command_version(Cli *cli);
ExitCode command_config_check(Cli *cli);
ExitCode command_config_show(Cli *cli);
ExitCode command_token_create(Cli *cli);
ExitCode command_token_revoke(Cli *cli);
ExitCode command_job_submit(Cli *cli);
ExitCode command_job_get(Cli *cli);
ExitCode command_job_list(Cli *cli);
ExitCode command_job_cancel(Cli *cli);
ExitCode command_job_retry(Cli *cli);
ExitCode command_job_logs(Cli *cli);
ExitCode command_queue_list(Cli *cli);
ExitCode command_queue_pause(Cli *cli);
ExitCode command_queue_resume(Cli *cli);
ExitCode command_workers_list(Cli *cli);
ExitCode command_nodes(Cli *cli);
ExitCode command_dead_list(Cli *cli);
ExitCode command_dead_retry(Cli *cli);
ExitCode command_dead_discard(Cli *cli);
ExitCode command_bench(Cli *cli);
