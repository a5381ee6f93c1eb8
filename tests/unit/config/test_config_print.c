/* Printing: what is shown of a configuration loads again, whatever its characters, but for secrets. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "config/config.h"

static Config *load(const char *text) {
    char path[] = "/tmp/takt-config-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    Config *config = NULL;
    ConfigReport report;
    Error error;
    config_report_init(&report);
    Err err = config_load(&(ConfigSource){.path = path}, &config, &report, &error);
    unlink(path);
    if (err != OK) fail_msg("%s: %s", text, buf_cstr(&report.errors));
    config_report_done(&report);
    return config;
}

/* What YAML takes for line breaks, or not at all, is escaped. */
static const struct {
    const char *data;
    const char *printed;
} TEXTS[] = {
    {"/\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "/\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
    {"/a\\u0085b", "/a\\u0085b"},
    {"/\\x80\\x9f\\xa0", "/\\u0080\\u009f\xc2\xa0"},
    {"/\\L\\P", "/\\u2028\\u2029"},
    {"/\\ufeff\\uffff\\ufffd", "/\\ufeff\\uffff\xef\xbf\xbd"},
    {"/a\\\\b\\\"c", "/a\\\\b\\\"c"},
};

static void a_text_is_printed_so_that_it_loads(void **state) {
    (void)state;
    for (size_t i = 0; i < LENGTH(TEXTS); i++) {
        char line[100];
        cleanup(buf_done) Buf printed;
        buf_init(&printed, 1 << 16);
        snprintf(line, sizeof(line), "data: \"%s\"\n", TEXTS[i].data);
        Config *config = load(line);
        config_print(config, &printed);
        snprintf(line, sizeof(line), "\ndata: \"%s\"\n", TEXTS[i].printed);
        if (!strstr(buf_cstr(&printed), line)) fail_msg("%zu: %s", i, buf_cstr(&printed));
        Config *again = load(buf_cstr(&printed));
        assert_string_equal(again->data.ptr, config->data.ptr);
        config_free(config);
        config_free(again);
    }
}

static void a_type_is_printed_with_all_its_members(void **state) {
    (void)state;
    cleanup(buf_done) Buf printed;
    buf_init(&printed, 1 << 16);
    Config *config = load("types:\n  'a\\b@2': {exec: [x, y], timeout: 60s, env: {A: b, C: d}, "
                          "user: u, cwd: /c}\n");
    config_print(config, &printed);
    assert_non_null(strstr(buf_cstr(&printed),
                           "  \"a\\\\b@2\": {exec: [\"x\", \"y\"], timeout: 1m, env: {\"A\": "
                           "\"***\", \"C\": \"***\"}, user: \"u\", cwd: \"/c\"}\n"));
    Config *again = load(buf_cstr(&printed));
    assert_int_equal(again->type_count, 1);
    assert_string_equal(again->types[0].name.ptr, "a\\b");
    assert_int_equal(again->types[0].version, 2);
    assert_int_equal(again->types[0].env_count, 2);
    assert_string_equal(again->types[0].user.ptr, "u");
    assert_string_equal(again->types[0].cwd.ptr, "/c");
    config_free(config);
    config_free(again);
}

static void urls_are_shown_without_their_password(void **state) {
    (void)state;
    static const struct {
        const char *url;
        const char *masked;
    } CASES[] = {
        {"postgres://u:p@h:5432/d?x=y", "postgres://u:***@h:5432/d?x=y"},
        {"postgres://u:p@q@h/d", "postgres://u:***@h/d"},
        {"redis://:p@h", "redis://:***@h"},
        {"redis://h:6379/0", "redis://h:6379/0"},
        {"postgres://u@h/a:b@c", "postgres://u@h/a:b@c"},
        {"postgresql://h/d?user=u&password=p&a=b", "postgresql://h/d?user=u&password=***&a=b"},
        {"sqlite:/x:y@z", "sqlite:/x:y@z"},
        {"memory:", "memory:"},
        {"", ""},
    };
    for (size_t i = 0; i < LENGTH(CASES); i++) {
        cleanup(buf_done) Buf masked;
        buf_init(&masked, 200);
        config_mask_url(&masked, str_from(CASES[i].url));
        assert_string_equal(buf_cstr(&masked), CASES[i].masked);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_are_shown_without_their_password),
        cmocka_unit_test(a_text_is_printed_so_that_it_loads),
        cmocka_unit_test(a_type_is_printed_with_all_its_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
