/* The command line: the table, parsing, help, exit codes. Nothing here reaches a server. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/http_client.h"

enum { OUTPUT_MAX = 32 * 1024, WORDS_MAX = 8 };

typedef struct Result {
    int code;
    char out[OUTPUT_MAX];
    char err[OUTPUT_MAX];
} Result;

static void read_back(FILE *file, char text[OUTPUT_MAX]) {
    rewind(file);
    text[fread(text, 1, OUTPUT_MAX - 1, file)] = '\0';
    fclose(file);
}

/* cli_main() in a process of its own, stdin empty. */
static Result run(const char *const *words) {
    static Result result;
    char *arguments[WORDS_MAX + 2] = {strdup("takt")};
    int count = 1;
    for (; words[count - 1]; count++) {
        arguments[count] = strdup(words[count - 1]);
    }
    FILE *out = tmpfile();
    FILE *err = tmpfile();
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        int null = open("/dev/null", O_RDONLY);
        dup2(null, STDIN_FILENO);
        dup2(fileno(out), STDOUT_FILENO);
        dup2(fileno(err), STDERR_FILENO);
        int code = (int)cli_main(count, arguments);
        fflush(NULL);
        _exit(code);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    result.code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    read_back(out, result.out);
    read_back(err, result.err);
    for (int i = 0; i < count; i++) {
        free(arguments[i]);
    }
    return result;
}

static void usage_errors(void **state) {
    (void)state;
    static const struct {
        const char *words[WORDS_MAX];
        const char *expected;
        int code;
    } cases[] = {
        {{"jop"}, "did you mean 'job'", 2},
        {{"--server", "x"}, "flags come behind the command", 2},
        {{"job"}, "needs a verb", 2},
        {{"job", "fly"}, "unknown command 'job fly'", 2},
        {{"job", "submit"}, "missing argument: TYPE", 2},
        {{"job", "submit", "a", "b"}, "unexpected argument 'b'", 2},
        {{"job", "submit", "a", "--nope"}, "unknown flag '--nope'", 2},
        {{"job", "submit", "a", "--queue"}, "needs a value", 2},
        {{"job", "submit", "a", "--wait=1"}, "takes no value", 2},
        {{"job", "submit", "a", "--queue", "x", "--queue=y"}, "given twice", 2},
        {{"job", "submit", "a", "--priority", "abc"}, "--priority 'abc'", 2},
        {{"job", "submit", "a", "--priority", "10"}, "from 1 to 9", 2},
        {{"job", "submit", "a", "--args", "-"}, "--args is empty", 2},
        {{"job", "submit", "a", "--args", "{\"x\":"}, "--args is not JSON", 2},
        {{"job", "submit", "a", "--args", "@/nonexistent"}, "can't open", 2},
        {{"job", "submit", "a", "--delay", "soon"}, "--delay", 2},
        {{"job", "submit", "a", "--at", "noon"}, "--at", 2},
        {{"job", "submit", "a", "--at", "2026-01-01T00:00:00Z", "--delay", "1s"}, "exclude", 2},
        {{"job", "list", "-o", "xml"}, "-o 'xml'", 2},
        {{"job", "list", "--limit", "0"}, "from 1 to 1000", 2},
        {{"job", "list", "--since", "yesterday"}, "--since", 2},
        {{"job", "list", "--server", "ftp://x"}, "http://HOST:PORT", 2},
        {{"job", "list", "--server", "http://a:b@x"}, "takes no user", 2},
        {{"dead", "discard"}, "--all", 2},
        {{"dead", "discard", "--all", "x"}, "exclude", 2},
        {{"token", "create"}, "--role is missing", 2},
        {{"token", "create", "--role", "king"}, "--role 'king'", 2},
        {{"token", "create", "--role", "viewer", "--ttl", "0s"}, "under 1s", 2},
        {{"token", "create", "--role", "viewer", "--data", "/nonexistent"}, "signing", 3},
        {{"config", "check", "/nonexistent.yaml"}, "/nonexistent.yaml", 3},
        {{"serve", "--http", "99"}, "http.listen", 3},
        {{"worker", "--parent", "x"}, "--parent 'x'", 2},
        {{"job", "list", "--server", "http://127.0.0.1:1"}, "can't reach", 7},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        Result result = run(cases[i].words);
        if (result.code != cases[i].code || !strstr(result.err, cases[i].expected)) {
            fail_msg("case %zu: exit %d, %s", i, result.code, result.err);
        }
        assert_string_equal(result.out, "");
        assert_memory_equal(result.err, "takt: ", 6);
    }
}

static void help_knows_every_command(void **state) {
    (void)state;
    static char all[OUTPUT_MAX];
    Result result = run((const char *const[]){"--help", NULL});
    assert_int_equal(result.code, 0);
    memcpy(all, result.out, sizeof all);
    for (size_t i = 0; i < cli_command_count; i++) {
        const CliCommand *command = &cli_commands[i];
        assert_non_null(command->run);
        if (!command->hidden) assert_non_null(strstr(all, command->summary));
        const char *words[] = {command->noun, command->verb ? command->verb : "--help",
                               command->verb ? "--help" : NULL, NULL};
        result = run(words);
        assert_int_equal(result.code, 0);
        assert_non_null(strstr(result.out, command->noun));
        for (size_t k = 0; k < COMMAND_FLAGS_MAX && command->flags[k].name; k++) {
            assert_non_null(strstr(result.out, command->flags[k].name));
        }
    }
}

static void version_is_printed(void **state) {
    (void)state;
    static const char *const forms[] = {"version", "--version"};
    for (size_t i = 0; i < LENGTH(forms); i++) {
        Result result = run((const char *const[]){forms[i], NULL});
        assert_int_equal(result.code, 0);
        assert_memory_equal(result.out, "takt ", 5);
    }
}

static void statuses_have_exit_codes(void **state) {
    (void)state;
    static const struct {
        long status;
        ExitCode code;
    } cases[] = {
        {400, EXIT_USAGE},       {401, EXIT_NOT_ALLOWED}, {403, EXIT_NOT_ALLOWED},
        {404, EXIT_NOT_FOUND},   {409, EXIT_CONFLICT},    {413, EXIT_USAGE},
        {422, EXIT_USAGE},       {429, EXIT_FAILED},      {500, EXIT_FAILED},
        {503, EXIT_UNREACHABLE},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        assert_int_equal(exit_code_of_status(cases[i].status), cases[i].code);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(usage_errors),
        cmocka_unit_test(help_knows_every_command),
        cmocka_unit_test(version_is_printed),
        cmocka_unit_test(statuses_have_exit_codes),
    };
    static const char *const variables[] = {"TAKT_SERVER", "TAKT_TOKEN", "TAKT_DATA",
                                            "TAKT_CONFIG"};
    for (size_t i = 0; i < LENGTH(variables); i++) {
        unsetenv(variables[i]);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
