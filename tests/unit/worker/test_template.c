/* Templates and environments: what is replaced, what stays, and what is refused. */
#include "worker/template.h"

#include "worker/environment.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct Row {
    const char *name;
    const char *template;
    const char *args;
    const char *expected; /* NULL: bad-template */
} Row;

static const Row ROWS[] = {
    {"no placeholder", "--fast", "{}", "--fast"},
    {"whole argument", "{args.path}", "{\"path\":\"/a\"}", "/a"},
    {"inside", "--in={args.path}!", "{\"path\":\"/a\"}", "--in=/a!"},
    {"twice", "{args.a}{args.a}-{args.b}", "{\"a\":\"x\",\"b\":\"y\"}", "xx-y"},
    {"depth", "{args.a.b.c}", "{\"a\":{\"b\":{\"c\":\"deep\"}}}", "deep"},
    {"index", "{args.1}", "[\"a\",\"b\"]", "b"},
    {"index in depth", "{args.list.0.name}", "{\"list\":[{\"name\":\"n\"}]}", "n"},
    {"object in an array of one", "{args.path}", "[{\"path\":\"/a\"}]", "/a"},
    {"number keeps its digits", "{args.n}", "{\"n\":12345678901234567890.10}",
     "12345678901234567890.10"},
    {"booleans", "{args.t}{args.f}", "{\"t\":true,\"f\":false}", "truefalse"},
    {"empty string", "<{args.e}>", "{\"e\":\"\"}", "<>"},
    {"escapes", "{args.e}", "{\"e\":\"a\\\"\\n\\u00e9\"}", "a\"\n\xc3\xa9"},
    {"no shell", "{args.e}", "{\"e\":\"; rm -rf / $(x) `y` | > *\"}", "; rm -rf / $(x) `y` | > *"},
    {"blanks don't split", "{args.e}", "{\"e\":\"a b\\tc\"}", "a b\tc"},
    {"leading dash", "{args.e}", "{\"e\":\"--help\"}", "--help"},
    {"values are not expanded again", "{args.e}", "{\"e\":\"{args.x}\"}", "{args.x}"},
    {"other braces", "{} {x} {args} {args.} {{args.a}} ${HOME}", "{\"a\":1}",
     "{} {x} {args} {args.} {1} ${HOME}"},
    {"no end", "{args.a", "{\"a\":1}", "{args.a"},
    {"brace inside", "{args.{args.a}", "{\"a\":1}", "{args.1"},
    {"other roots", "{env.PATH}{job.id}", "{}", "{env.PATH}{job.id}"},
    {"missing", "{args.a}", "{}", NULL},
    {"missing in depth", "{args.a.b}", "{\"a\":1}", NULL},
    {"null", "{args.a}", "{\"a\":null}", NULL},
    {"object", "{args.a}", "{\"a\":{}}", NULL},
    {"array", "{args.a}", "{\"a\":[1]}", NULL},
    {"index beyond", "{args.2}", "[1,2]", NULL},
    {"name in an array", "{args.a}", "[1]", NULL},
    {"empty part", "{args.a..b}", "{\"a\":{\"b\":1}}", NULL},
    {"scalar args", "{args.a}", "5", NULL},
    {"nul", "{args.a}", "{\"a\":\"x\\u0000y\"}", NULL},
};

static void test_templates(void **state) {
    (void)state;
    for (size_t i = 0; i < LENGTH(ROWS); i++) {
        const Row *row = &ROWS[i];
        Arena arena = {0};
        Json args;
        Error error = {0};
        Str text = {0};
        assert_int_equal(json_check(str_from(row->args), &args, &error), OK);
        Err err = template_expand(str_from(row->template), args, &arena, &text, &error);
        bool right = row->expected ? err == OK && str_eq(text, str_from(row->expected))
                                   : err == ERR_INVALID && !strcmp(error.code, "bad-template");
        if (!right) fail_msg("%s: " STR_FMT "%s", row->name, STR_ARG(text), error.message);
        arena_done(&arena);
    }
}

static void test_program_is_no_template(void **state) {
    (void)state;
    Arena arena = {0};
    Json args;
    Error error;
    const Str templates[] = {STR("{args.a}"), STR("{args.a}")};
    char **argv;
    assert_int_equal(json_check(STR("{\"a\":\"x\"}"), &args, &error), OK);
    assert_int_equal(template_command(templates, 2, args, &arena, &argv, &error), OK);
    assert_string_equal(argv[0], "{args.a}");
    assert_string_equal(argv[1], "x");
    assert_null(argv[2]);
    arena_done(&arena);
}

static void test_environment(void **state) {
    (void)state;
    setenv("TAKT_PROTOCOL_PASSWORD", "s3cret", 1);
    Arena arena = {0};
    const ConfigPair pairs[] = {{STR("LANG"), STR("de_DE.UTF-8")},
                                {STR("X"), STR("() { :;}; echo")},
                                {STR("TAKT_FENCE"), STR("0")}};
    const ConfigType type = {.name = STR("t"), .env = pairs, .env_count = 3};
    const WireJob job = {.jid = STR("j"),
                         .jobtype = STR("t"),
                         .fence = 9,
                         .attempt = 3,
                         .correlation_id = {"a\0b", 3}};
    char **environment = environment_build(&type, &job, (Str){0}, STR("me"), STR("C"), &arena);
    assert_string_equal(environment_get(environment, STR("PATH")), ENVIRONMENT_PATH);
    assert_string_equal(environment_get(environment, STR("HOME")), "/");
    assert_string_equal(environment_get(environment, STR("USER")), "me");
    assert_string_equal(environment_get(environment, STR("LANG")), "de_DE.UTF-8");
    assert_string_equal(environment_get(environment, STR("X")), "() { :;}; echo");
    assert_string_equal(environment_get(environment, STR("TAKT_FENCE")), "9");
    assert_string_equal(environment_get(environment, STR("TAKT_QUEUE")), "default");
    assert_string_equal(environment_get(environment, STR("TAKT_JOB_VERSION")), "1");
    assert_null(environment_get(environment, STR("TAKT_CORRELATION_ID")));
    assert_null(environment_get(environment, STR("TAKT_PROTOCOL_PASSWORD")));
    size_t count = 0;
    while (environment[count])
        count++;
    assert_int_equal(count, 13);
    arena_done(&arena);
}

static void test_candidates(void **state) {
    (void)state;
    Arena arena = {0};
    char path[] = "PATH=/a:/b::/c";
    char *environment[] = {path, NULL};
    char **candidates = environment_candidates(STR("x"), environment, &arena);
    assert_string_equal(candidates[0], "/a/x");
    assert_string_equal(candidates[2], "./x");
    assert_string_equal(candidates[3], "/c/x");
    assert_null(candidates[4]);
    candidates = environment_candidates(STR("./x"), environment, &arena);
    assert_string_equal(candidates[0], "./x");
    assert_null(candidates[1]);
    arena_done(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_templates),
        cmocka_unit_test(test_program_is_no_template),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_candidates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
