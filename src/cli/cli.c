/* Parsing and help, from the table; what no command is concerned with. */
#include "cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const Flag server_flags[] = {
    {"server", "URL", "the node's HTTP address (TAKT_SERVER; default http://127.0.0.1:7420)",
     false},
    {"token", "TOKEN", "access token (TAKT_TOKEN; default: admin.token in ./takt-data)", false},
    {"o", "FORMAT", "json: the API's answer as it is", false},
};

ExitCode exit_code_of(Err err) {
    switch (err) {
    case OK: return EXIT_DONE;
    case ERR_INVALID: return EXIT_CONFIG;
    case ERR_NOT_FOUND: return EXIT_NOT_FOUND;
    case ERR_CONFLICT: return EXIT_CONFLICT;
    case ERR_DENIED: return EXIT_NOT_ALLOWED;
    case ERR_LIMIT: return EXIT_FAILED;
    case ERR_UNAVAILABLE: return EXIT_UNREACHABLE;
    case ERR_TIMEOUT: return EXIT_UNREACHABLE;
    case ERR_INTERNAL: return EXIT_FAILED;
    }
    return EXIT_FAILED;
}

ExitCode cli_failed(const Error *error) {
    fprintf(stderr, "takt: %s\n", error->message);
    return exit_code_of(error->err);
}

static void print_hint(const CliCommand *command) {
    if (!command) {
        fprintf(stderr, "Try 'takt --help'.\n");
    } else {
        fprintf(stderr, "Try 'takt %s%s%s --help'.\n", command->noun, command->verb ? " " : "",
                command->verb ? command->verb : "");
    }
}

ExitCode cli_usage(const Cli *cli, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "takt: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    print_hint(cli->command);
    return EXIT_USAGE;
}

const char *cli_flag(const Cli *cli, const char *name) {
    for (size_t i = cli->value_count; i-- > 0;) {
        if (strcmp(cli->values[i].name, name) == 0) return cli->values[i].value;
    }
    return NULL;
}

const char *cli_flag_at(const Cli *cli, const char *name, size_t i) {
    for (size_t k = 0; k < cli->value_count; k++) {
        if (strcmp(cli->values[k].name, name) == 0 && i-- == 0) return cli->values[k].value;
    }
    return NULL;
}

/* ---- help ---- */

static void print_flags(const Flag *flags, size_t most) {
    for (size_t i = 0; i < most && flags[i].name; i++) {
        char left[64];
        const char *dashes = flags[i].name[1] ? "--" : "-";
        snprintf(left, sizeof left, "%s%s %s", dashes, flags[i].name,
                 flags[i].value ? flags[i].value : "");
        printf("  %-24s %s\n", left, flags[i].help);
    }
}

static void print_name(const CliCommand *command) {
    char name[80];
    snprintf(name, sizeof name, "%s%s%s %s", command->noun, command->verb ? " " : "",
             command->verb ? command->verb : "", command->arguments);
    printf("  %-24s %s\n", name, command->summary);
}

void cli_help(const char *noun, const CliCommand *command) {
    if (command) {
        printf("Usage: takt %s%s%s [FLAGS] %s\n\n%s.\n\nFlags:\n", command->noun,
               command->verb ? " " : "", command->verb ? command->verb : "", command->arguments,
               command->summary);
        print_flags(command->flags, COMMAND_FLAGS_MAX);
        if (command->server) print_flags(server_flags, LENGTH(server_flags));
        return;
    }
    printf("Usage: takt %s [FLAGS] [ARGUMENTS]\n\n", noun ? noun : "NOUN [VERB]");
    for (size_t i = 0; i < cli_command_count; i++) {
        const CliCommand *row = &cli_commands[i];
        if (!row->hidden && (!noun || strcmp(row->noun, noun) == 0)) print_name(row);
    }
    printf("\n'takt NOUN VERB --help' tells more.\n");
}

/* ---- parsing ---- */

static bool is_help(const char *word) {
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0;
}

static const Flag *find_flag(const CliCommand *command, Str name) {
    for (size_t i = 0; i < COMMAND_FLAGS_MAX && command->flags[i].name; i++) {
        if (str_eq(name, str_from(command->flags[i].name))) return &command->flags[i];
    }
    for (size_t i = 0; command->server && i < LENGTH(server_flags); i++) {
        if (str_eq(name, str_from(server_flags[i].name))) return &server_flags[i];
    }
    return NULL;
}

/* The command that the first words name; *ret_words how many they are. */
static const CliCommand *find_command(int argc, char **argv, int *ret_words) {
    for (size_t i = 0; i < cli_command_count; i++) {
        const CliCommand *row = &cli_commands[i];
        if (strcmp(row->noun, argv[1]) != 0) continue;
        *ret_words = row->verb ? 2 : 1;
        if (!row->verb || (argc > 2 && strcmp(row->verb, argv[2]) == 0)) return row;
    }
    return NULL;
}

static bool is_noun(const char *word) {
    for (size_t i = 0; i < cli_command_count; i++) {
        if (strcmp(cli_commands[i].noun, word) == 0) return true;
    }
    return false;
}

static ExitCode add_flag(Cli *cli, char **argv, int argc, int *at) {
    const char *word = argv[*at];
    Str rest = str_from(word[1] == '-' ? word + 2 : word + 1);
    Str name = str_split(&rest, '=');
    const Flag *flag = find_flag(cli->command, name);
    if (!flag) return cli_usage(cli, "unknown flag '%s'", word);
    const char *value = rest.ptr;
    if (!flag->value && value) return cli_usage(cli, "--%s takes no value", flag->name);
    if (flag->value && !value) {
        if (*at + 1 >= argc) return cli_usage(cli, "%s needs a value (%s)", word, flag->value);
        value = argv[++*at];
    }
    if (!flag->repeats && cli_flag(cli, flag->name)) {
        return cli_usage(cli, "%s is given twice", word);
    }
    if (cli->value_count == CLI_VALUES_MAX) return cli_usage(cli, "too many flags");
    cli->values[cli->value_count++] = (CliValue){flag->name, value ? value : ""};
    return EXIT_DONE;
}

static ExitCode parse(Cli *cli, int argc, char **argv, int at) {
    bool flags = true;
    for (; at < argc; at++) {
        const char *word = argv[at];
        if (flags && strcmp(word, "--") == 0) {
            flags = false;
        } else if (flags && word[0] == '-' && word[1] != '\0') {
            ExitCode code = add_flag(cli, argv, argc, &at);
            if (code != EXIT_DONE) return code;
        } else if (cli->argument_count == CLI_VALUES_MAX) {
            return cli_usage(cli, "too many arguments");
        } else {
            cli->arguments[cli->argument_count++] = word;
        }
    }
    const CliCommand *command = cli->command;
    if (cli->argument_count < command->least) {
        return cli_usage(cli, "missing argument: %s", command->arguments);
    }
    if (cli->argument_count > command->most) {
        return cli_usage(cli, "unexpected argument '%s'", cli->arguments[command->most]);
    }
    const char *output = command->server ? cli_flag(cli, "o") : NULL;
    if (output && strcmp(output, "json") != 0) {
        return cli_usage(cli, "-o '%s' is unknown; there is json", output);
    }
    cli->json = output != NULL;
    return EXIT_DONE;
}

static ExitCode unknown(int argc, char **argv) {
    Cli cli = {0};
    if (argv[1][0] == '-') return cli_usage(&cli, "flags come behind the command: '%s'", argv[1]);
    if (!is_noun(argv[1])) {
        Str nouns[64];
        size_t count = 0;
        for (size_t i = 0; i < cli_command_count && count < LENGTH(nouns); i++) {
            nouns[count++] = str_from(cli_commands[i].noun);
        }
        Str near = str_nearest(str_from(argv[1]), nouns, count);
        if (near.ptr) {
            return cli_usage(&cli, "unknown command '%s'; did you mean '" STR_FMT "'?", argv[1],
                             STR_ARG(near));
        }
        return cli_usage(&cli, "unknown command '%s'", argv[1]);
    }
    if (argc == 2) return cli_usage(&cli, "'takt %s' needs a verb", argv[1]);
    return cli_usage(&cli, "unknown command '%s %s'", argv[1], argv[2]);
}

/* A reader that has gone, as `head` goes, is nothing to complain about. */
static ExitCode end_output(ExitCode code) {
    bool failed = fflush(stdout) != 0;
    if (failed && errno != EPIPE) fprintf(stderr, "takt: can't write: %s\n", strerror(errno));
    failed |= ferror(stdout) != 0;
    return failed && code == EXIT_DONE ? EXIT_FAILED : code;
}

ExitCode cli_main(int argc, char **argv) {
    if (argc < 2) {
        cli_help(NULL, NULL);
        return EXIT_USAGE;
    }
    if (is_help(argv[1])) {
        cli_help(NULL, NULL);
        return EXIT_DONE;
    }
    static char version[] = "version";
    if (strcmp(argv[1], "--version") == 0) argv[1] = version;
    int words = 0;
    const CliCommand *command = find_command(argc, argv, &words);
    for (int i = 2; i < argc && strcmp(argv[i], "--") != 0; i++) {
        bool help = strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0;
        if (help && (command || is_noun(argv[1]))) {
            cli_help(argv[1], command);
            return EXIT_DONE;
        }
    }
    if (!command) return unknown(argc, argv);
    Cli cli = {.command = command, .program = argv[0]};
    ExitCode code = parse(&cli, argc, argv, words + 1);
    if (code == EXIT_DONE) code = command->run(&cli);
    arena_done(&cli.arena);
    return end_output(code);
}
