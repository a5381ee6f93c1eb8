/* The configuration: file text, environment and flags in; values, or every mistake with its place,
 * out. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "config/config.h"

static char directory[] = "/tmp/takt-config-XXXXXX";
static char path[200];
static ConfigReport report;
static Config *config;

static int make_directory(void **state) {
    (void)state;
    if (!mkdtemp(directory)) return -1;
    snprintf(path, sizeof(path), "%s/f.yaml", directory);
    return 0;
}

static int remove_directory(void **state) {
    (void)state;
    unlink(path);
    return rmdir(directory);
}

static int start(void **state) {
    (void)state;
    config_report_init(&report);
    return 0;
}

static int end(void **state) {
    (void)state;
    config_free(config);
    config = NULL;
    config_report_done(&report);
    return 0;
}

static void write_file(const char *at, const char *text, mode_t mode) {
    FILE *file = fopen(at, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    chmod(at, mode);
}

/* Loads the text as the file (NULL: none); the old config and report are dropped. */
static Err load(const char *text, const char *const *environment, const ConfigFlag *flags,
                size_t flag_count) {
    end(NULL);
    start(NULL);
    if (text) write_file(path, text, 0600);
    ConfigSource source = {text ? path : NULL, environment, flags, flag_count};
    Error error;
    return config_load(&source, &config, &report, &error);
}

/* The errors with the file's path shown as F. */
static char *errors(void) {
    static char text[1 << 16];
    size_t len = 0;
    const char *from = buf_cstr(&report.errors);
    while (*from) {
        if (strncmp(from, path, strlen(path)) == 0) {
            text[len++] = 'F';
            from += strlen(path);
        } else {
            text[len++] = *from++;
        }
    }
    text[len] = '\0';
    return text;
}

static void the_defaults_are_the_contracts(void **state) {
    (void)state;
    static const char *const TEXTS[] = {
        NULL, "", "# nothing\n", "---\n", "http:\nstore: ~\ntypes:\n", "http: {listen: }\n"};
    for (size_t i = 0; i < LENGTH(TEXTS); i++) {
        if (load(TEXTS[i], NULL, NULL, 0) != OK) fail_msg("%zu: %s", i, errors());
        assert_string_equal(config->http.listen.host.ptr, "127.0.0.1");
        assert_int_equal(config->http.listen.port, 7420);
        assert_string_equal(config->http.base_path.ptr, "/");
        assert_null(config->http.url.ptr);
        assert_false(config->http.metrics_auth);
        assert_int_equal(config->protocol.listen.port, 7419);
        assert_int_equal(config->protocol.password.text.len, 0);
        assert_int_equal(config->protocol.roles.count, 3);
        assert_string_equal(config->protocol.roles.items[2].ptr, "operator");
        assert_string_equal(config->data.ptr, "./takt-data");
        assert_null(config->store.url.ptr);
        assert_string_equal(config->store.path.ptr, "./takt-data/takt.db");
        assert_int_equal(config->worker.concurrency, 0);
        assert_int_equal(config->worker.queues.count, 1);
        assert_string_equal(config->worker.queues.items[0].ptr, "default");
        assert_int_equal(config->worker.labels.count, 0);
        assert_int_equal(config->auth.keys.count, 0);
        assert_int_equal(config->auth.token_ttl_ms, 86400000);
        assert_int_equal(config->retention.finished_ms, 7 * INT64_C(86400000));
        assert_int_equal(config->retention.dead_ms, 180 * INT64_C(86400000));
        assert_int_equal(config->limits.args, 1 << 20);
        assert_int_equal(config->limits.body, 16 << 20);
        assert_int_equal(config->limits.bulk, 10000);
        assert_int_equal(config->limits.connections, 16000);
        assert_string_equal(config->log.level.ptr, "info");
        assert_string_equal(config->log.format.ptr, "json");
        assert_int_equal(config->type_count, 0);
        assert_int_equal(report.warnings.len, 0);
    }
}

static const char WHOLE[] =
    "http: {listen: '[::1]:80', base_path: /takt/, url: https://t.example, metrics_auth: yes}\n"
    "protocol:\n"
    "  listen: 0.0.0.0:7419\n"
    "  password: 12345\n"
    "  allow_flush: true\n"
    "  roles: [viewer]\n"
    "data: /var/lib/takt\n"
    "store: {url: \"sqlite:/x/y.db\"}\n"
    "broker: {url: 'memory:'}\n"
    "worker:\n"
    "  concurrency: 10\n"
    "  queues:\n"
    "    - a\n"
    "    - b.c\n"
    "  url: [tcp://h:7419]\n"
    "types:\n"
    "  checksum: {exec: [sha256sum, \"{args.path}\"], timeout: 60s, env: {LANG: C}, user: '', cwd: "
    "/}\n"
    "  \"mail@2\": {exec: [/bin/mail]}\n"
    "auth: {keys: [/k1, /k2], token_ttl: 1h30m}\n"
    "retention: {finished: 1d}\n"
    "limits: {args: 64KiB, body: 1048576, bulk: 5}\n"
    "log: {level: debug, format: text}\n";

static void a_whole_file_is_read(void **state) {
    (void)state;
    if (load(WHOLE, NULL, NULL, 0) != OK) fail_msg("%s", errors());
    assert_string_equal(config->http.listen.host.ptr, "::1");
    assert_int_equal(config->http.listen.port, 80);
    assert_string_equal(config->http.base_path.ptr, "/takt");
    assert_true(config->http.metrics_auth);
    assert_string_equal(config->protocol.password.text.ptr, "12345");
    assert_true(config->protocol.allow_flush);
    assert_int_equal(config->protocol.roles.count, 1);
    assert_string_equal(config->data.ptr, "/var/lib/takt");
    assert_string_equal(config->store.path.ptr, "/x/y.db");
    assert_int_equal(config->worker.concurrency, 10);
    assert_int_equal(config->worker.queues.count, 2);
    assert_string_equal(config->worker.queues.items[1].ptr, "b.c");
    assert_int_equal(config->auth.keys.count, 2);
    assert_int_equal(config->auth.token_ttl_ms, 5400000);
    assert_int_equal(config->limits.args, 65536);
    assert_int_equal(config->limits.body, 1048576);
    assert_int_equal(config->type_count, 2);
    const ConfigType *type = &config->types[0];
    assert_string_equal(type->name.ptr, "checksum");
    assert_int_equal(type->version, 0);
    assert_int_equal(type->exec.count, 2);
    assert_string_equal(type->exec.items[1].ptr, "{args.path}");
    assert_int_equal(type->timeout_ms, 60000);
    assert_int_equal(type->env_count, 1);
    assert_string_equal(type->env[0].name.ptr, "LANG");
    assert_string_equal(type->env[0].value.ptr, "C");
    assert_null(type->user.ptr);
    assert_string_equal(type->cwd.ptr, "/");
    assert_string_equal(config->types[1].name.ptr, "mail");
    assert_int_equal(config->types[1].version, 2);
}

/* The example of the manual, with everything that is reserved at its default. */
static void reserved_keys_may_stand_at_their_defaults(void **state) {
    (void)state;
    static const char TEXT[] =
        "http: {tls_cert: \"\", tls_key: \"\"}\n"
        "protocol: {tls_cert: \"\", tls_key: \"\"}\n"
        "auth: {oidc: {issuer: \"\", audience: \"\", client_id: \"\", client_secret: \"\", "
        "roles_claim: \"\", roles: {}}}\n"
        "smtp: {url: \"\", from: \"\", tls: required, allow_to: [\"*\"]}\n"
        "webhooks: {secret: \"\", allow_hosts: [\"*\"], allow_ranges: []}\n"
        "limits: {schedule_interval: 1s}\n";
    if (load(TEXT, NULL, NULL, 0) != OK) fail_msg("%s", errors());
}

static const struct {
    const char *text;
    const char *errors;
} MISTAKES[] = {
    /* keys */
    {"htp: {}\n", "takt: F:1:1: unknown key 'htp'; did you mean 'http'?\n"},
    {"zzzzzz: 1\n", "takt: F:1:1: unknown key 'zzzzzz'\n"},
    {"http:\n  lisen: a\n", "takt: F:2:3: unknown key 'http.lisen'; did you mean 'http.listen'?\n"},
    {"protocol:\n  roles: [admin]\n", "takt: F:2:10: protocol.roles: expected some of "
                                      "viewer,producer,worker,operator, got 'admin'\n"},
    {"data: a\ndata: b\n", "takt: F:2:1: duplicate key 'data', first on line 1\n"},
    {"http: {url: \"\"}\nlog: {level: info}\nhttp: {}\n",
     "takt: F:3:1: duplicate key 'http', first on line 1\n"},
    {"log: {level: info, level: warn}\n",
     "takt: F:1:20: duplicate key 'log.level', first on line 1\n"},
    {"? [a]\n: b\n", "takt: F:1:3: a key must be a word\n"},
    {"http: &a {url: \"\"}\nlog: {<<: *a}\n", "takt: F:2:7: unknown key 'log.<<'\n"},
    /* form */
    {"- a\n", "takt: F:1:1: expected a mapping of sections\n"},
    {"hello\n", "takt: F:1:1: expected a mapping of sections\n"},
    {"http: 5\n", "takt: F:1:7: http: expected a mapping\n"},
    {"http: [a]\n", "takt: F:1:7: http: expected a mapping\n"},
    {"log: {level: info}\n---\nlog: {}\n",
     "takt: F:3:1: a second document; the configuration is one\n"},
    /* kinds */
    {"http: {listen: 7420}\n", "takt: F:1:16: http.listen: expected HOST:PORT, got '7420'\n"},
    {"http: {listen: 'a:'}\n", "takt: F:1:16: http.listen: expected HOST:PORT, got 'a:'\n"},
    {"http: {listen: ':80'}\n", "takt: F:1:16: http.listen: expected HOST:PORT, got ':80'\n"},
    {"http: {listen: 'a:0'}\n",
     "takt: F:1:16: http.listen: expected a port from 1 to 65535, got 'a:0'\n"},
    {"http: {listen: 'a:70000'}\n",
     "takt: F:1:16: http.listen: expected a port from 1 to 65535, got 'a:70000'\n"},
    {"http: {listen: '::1:80'}\n",
     "takt: F:1:16: http.listen: expected HOST:PORT, an IPv6 address in brackets, got '::1:80'\n"},
    {"http: {listen: [a]}\n", "takt: F:1:16: http.listen: expected one value, got a list\n"},
    {"http: {listen: {a: b}}\n", "takt: F:1:16: http.listen: expected one value, got a mapping\n"},
    {"http: {metrics_auth: maybe}\n",
     "takt: F:1:22: http.metrics_auth: expected true or false, got 'maybe'\n"},
    {"worker: {concurrency: many}\n",
     "takt: F:1:23: worker.concurrency: expected an integer from 0 to 10000, got 'many'\n"},
    {"worker: {concurrency: -1}\n",
     "takt: F:1:23: worker.concurrency: expected an integer from 0 to 10000, got '-1'\n"},
    {"worker: {concurrency: 1.5}\n",
     "takt: F:1:23: worker.concurrency: expected an integer from 0 to 10000, got '1.5'\n"},
    {"worker: {queues: default}\n",
     "takt: F:1:18: worker.queues: expected a list of texts, got 'default'\n"},
    {"worker: {queues: [[a]]}\n",
     "takt: F:1:18: worker.queues: expected a list of texts, got a list\n"},
    {"worker: {queues: ['']}\n",
     "takt: F:1:18: worker.queues: an item is empty or has control characters\n"},
    {"worker: {queues: [a/b]}\n",
     "takt: F:1:18: worker.queues: 'a/b' is not a queue; it has 1 to 64 of A-Z a-z 0-9 _ . : -\n"},
    {"limits: {args: 1MB}\n",
     "takt: F:1:16: limits.args: expected a size from 1KiB to 8MiB, got '1MB'\n"},
    {"limits: {args: 99999999999GiB}\n",
     "takt: F:1:16: limits.args: expected a size from 1KiB to 8MiB, got '99999999999GiB'\n"},
    {"limits: {args: MiB}\n",
     "takt: F:1:16: limits.args: expected a size from 1KiB to 8MiB, got 'MiB'\n"},
    {"retention: {dead: 5 parsecs}\n",
     "takt: F:1:19: retention.dead: expected a duration from 1s to 3650d, got '5 parsecs'\n"},
    {"retention: {dead: 0s}\n",
     "takt: F:1:19: retention.dead: expected a duration from 1s to 3650d, got '0s'\n"},
    {"log: {level: loud}\n",
     "takt: F:1:14: log.level: expected one of debug,info,warn,error, got 'loud'\n"},
    {"limits: {body: x}\n",
     "takt: F:1:16: limits.body: expected a size from 1KiB to 256MiB, got 'x'\n"},
    {"data: \"a\\0b\"\n",
     "takt: F:1:7: data: expected a text without control characters, got 'a'\n"},
    /* not available yet */
    {"http: {tls_cert: /c.pem}\n",
     "takt: F:1:18: http.tls_cert is not available yet in this version\n"},
    {"auth:\n  oidc: {issuer: https://i}\n",
     "takt: F:2:9: auth.oidc is not available yet in this version\n"},
    {"smtp: {allow_to: [a@b]}\n",
     "takt: F:1:18: smtp.allow_to is not available yet in this version\n"},
    {"limits: {schedule_interval: 2s}\n",
     "takt: F:1:29: limits.schedule_interval is not available yet in this version\n"},
    /* combinations */
    {"protocol: {listen: '0.0.0.0:7419'}\n",
     "takt: F:1:20: protocol.listen: 0.0.0.0 can be reached from other machines, so "
     "protocol.password must be set\n"},
    {"protocol: {listen: '127.0.0.1.evil:7419'}\n",
     "takt: F:1:20: protocol.listen: 127.0.0.1.evil can be reached from other machines, so "
     "protocol.password must be set\n"},
    {"protocol: {listen: '[::]:7419'}\n",
     "takt: F:1:20: protocol.listen: :: can be reached from other machines, so "
     "protocol.password must be set\n"},
    {"protocol: {listen: '127.0.0.1:7420'}\n",
     "takt: F:1:20: http.listen and protocol.listen are the same address\n"},
    {"http: {base_path: takt}\n",
     "takt: F:1:19: http.base_path: expected a path that begins with /\n"},
    {"http: {url: ftp://x}\n", "takt: F:1:13: http.url: expected http://HOST or https://HOST\n"},
    {"limits: {args: 2MiB, body: 1MiB}\n",
     "takt: F:1:16: limits.args is more than limits.body, which has to hold them\n"},
    {"worker: {concurrency: 1, queues: []}\n",
     "takt: F:1:34: worker.queues is empty, but worker.concurrency is above 0\n"},
    {"worker: {url: [http://h]}\n", "takt: F:1:15: worker.url: expected tcp://HOST:PORT\n"},
    /* types */
    {"types: [a]\n", "takt: F:1:8: types: expected a mapping\n"},
    {"types: {a: b}\n", "takt: F:1:12: types.a: expected a mapping with 'exec'\n"},
    {"types: {a: {}}\n", "takt: F:1:9: types.a: 'exec' is missing\n"},
    {"types: {a: {exec: ls}}\n",
     "takt: F:1:19: types.a.exec: expected a list of texts, the program first\n"},
    {"types: {a: {exec: []}}\n",
     "takt: F:1:19: types.a.exec: expected a list of texts, the program first\n"},
    {"types: {a: {exec: ['']}}\n", "takt: F:1:19: types.a.exec: the program's name is empty\n"},
    {"types: {a: {exec: [ls, [x]]}}\n",
     "takt: F:1:19: types.a.exec: expected a list of texts, the program first\n"},
    {"types: {a: {exec: [ls], timeuot: 1s}}\n",
     "takt: F:1:25: unknown key 'types.a.timeuot'; did you mean 'timeout'?\n"},
    {"types: {a: {exec: [ls], timeout: 0s}}\n",
     "takt: F:1:34: types.a.timeout: expected a duration like 60s or 1h30m\n"},
    {"types: {a: {exec: [ls], env: [x]}}\n",
     "takt: F:1:30: types.a.env: expected a mapping of names to texts\n"},
    {"types: {a: {exec: [ls], env: {\"x=y\": z}}}\n",
     "takt: F:1:9: types.a.env: 'x=y' can't be a variable's name\n"},
    {"types: {a: {exec: [\"l\\0s\"]}}\n", "takt: F:1:9: types.a: a text can't hold a NUL byte\n"},
    {"types: {a: {exec: [ls]}, a: {exec: [ls]}}\n",
     "takt: F:1:26: duplicate key 'types.a', first on line 1\n"},
    {"types: {'a b': {exec: [ls]}}\n",
     "takt: F:1:9: types.a b: a type has 1 to 128 of A-Z a-z 0-9 _ . : - / \\\n"},
    {"types: {'a@0': {exec: [ls]}}\n",
     "takt: F:1:9: types.a@0: expected a version from 1 behind the '@'\n"},
    {"types: {takt.x: {exec: [ls]}}\n",
     "takt: F:1:9: types.takt.x: names that begin with 'takt.' are reserved\n"},
};

static void each_mistake_is_told_with_its_place(void **state) {
    (void)state;
    for (size_t i = 0; i < LENGTH(MISTAKES); i++) {
        assert_int_equal(load(MISTAKES[i].text, NULL, NULL, 0), ERR_INVALID);
        if (strcmp(errors(), MISTAKES[i].errors) != 0) {
            fail_msg("%s gives\n%snot\n%s", MISTAKES[i].text, errors(), MISTAKES[i].errors);
        }
    }
}

/* The words are libyaml's; the place and the hint count. */
static void what_is_not_yaml_is_told_with_its_place(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *begins;
    } CASES[] = {
        {"http:\n\tlisten: a\n", "takt: F:2:1: "},
        {"http:\n  url: a\n listen: b\n", "takt: F:3:2: "},
        {"http: {url: a\n", "takt: F:2:1: "},
        {"protocol: {password: @/x}\n", "takt: F:1:22: "},
        {"log: *x\n", "takt: F:1:6: "},
        {"data: \xff\n", "takt: F:1:"},
    };
    for (size_t i = 0; i < LENGTH(CASES); i++) {
        assert_int_equal(load(CASES[i].text, NULL, NULL, 0), ERR_INVALID);
        if (strncmp(errors(), CASES[i].begins, strlen(CASES[i].begins)) != 0) {
            fail_msg("%s gives %s", CASES[i].text, errors());
        }
    }
}

static void all_mistakes_are_told_at_once(void **state) {
    (void)state;
    static const char TEXT[] = "htp: {}\nlog: {level: loud}\nworker: {concurrency: x}\n"
                               "smtp: {url: a}\n";
    const char *environment[] = {"TAKT_LIMITS_BULK=0", NULL};
    ConfigFlag flags[] = {{"http", "x"}};
    assert_int_equal(load(TEXT, environment, flags, 1), ERR_INVALID);
    assert_string_equal(
        errors(),
        "takt: F:1:1: unknown key 'htp'; did you mean 'http'?\n"
        "takt: --http: http.listen: expected HOST:PORT, got 'x'\n"
        "takt: F:3:23: worker.concurrency: expected an integer from 0 to 10000, got 'x'\n"
        "takt: F:4:13: smtp.url is not available yet in this version\n"
        "takt: TAKT_LIMITS_BULK: limits.bulk: expected an integer from 1 to 10000, got '0'\n"
        "takt: F:2:14: log.level: expected one of debug,info,warn,error, got 'loud'\n");
}

static void flags_beat_environment_beats_file(void **state) {
    (void)state;
    static const char TEXT[] = "log: {level: warn, format: text}\ndata: /f\n"
                               "worker: {queues: [f]}\n";
    const char *environment[] = {"PATH=/bin",
                                 "TAKT_LOG_LEVEL=error",
                                 "TAKT_DATA=/e",
                                 "TAKT_WORKER_QUEUES=a, b,",
                                 "TAKT_LOG_FORMAT=",
                                 "TAKT_PROTOCOL_ALLOW_FLUSH=1",
                                 NULL};
    ConfigFlag flags[] = {{"data", "/flag"}, {"concurrency", "3"}};
    if (load(TEXT, environment, flags, 2) != OK) fail_msg("%s", errors());
    assert_string_equal(config->log.level.ptr, "error");
    assert_string_equal(config->log.format.ptr, "text");
    assert_string_equal(config->data.ptr, "/flag");
    assert_true(config->protocol.allow_flush);
    assert_int_equal(config->worker.concurrency, 3);
    assert_int_equal(config->worker.queues.count, 2);
    assert_string_equal(config->worker.queues.items[1].ptr, "b");
    assert_int_equal(report.warnings.len, 0);
}

static void unknown_variables_warn(void **state) {
    (void)state;
    const char *environment[] = {"TAKT_LOG_LEVLE=x",
                                 "TAKT_SOMETHING_ELSE=y",
                                 "TAKT_SERVER=s",
                                 "TAKT_TOKEN=t",
                                 "TAKT_FENCE=1",
                                 "TAKT_\033[2J\n=1",
                                 NULL};
    assert_int_equal(load(NULL, environment, NULL, 0), OK);
    assert_string_equal(buf_cstr(&report.warnings),
                        "takt: TAKT_LOG_LEVLE: unknown variable, ignored; did you mean "
                        "TAKT_LOG_LEVEL?\n"
                        "takt: TAKT_SOMETHING_ELSE: unknown variable, ignored\n"
                        "takt: TAKT_?[2J?: unknown variable, ignored\n");
}

static void secrets_come_from_files_and_are_never_shown(void **state) {
    (void)state;
    char secret[250];
    char text[400];
    snprintf(secret, sizeof(secret), "%s/secret", directory);
    snprintf(text, sizeof(text), "protocol: {password: \"@%s\"}\nworker: {password: swordfish}\n",
             secret);
    write_file(secret, "hunter2\n", 0600);
    if (load(text, NULL, NULL, 0) != OK) fail_msg("%s", errors());
    assert_string_equal(config->protocol.password.text.ptr, "hunter2");
    cleanup(buf_done) Buf shown;
    buf_init(&shown, 1 << 16);
    config_print(config, &shown);
    assert_null(strstr(buf_cstr(&shown), "hunter2"));
    assert_null(strstr(buf_cstr(&shown), "swordfish"));
    assert_non_null(strstr(buf_cstr(&shown), "  password: \"***\"\n"));

    static const struct {
        const char *content;
        mode_t mode;
        const char *says;
    } CASES[] = {
        {"hunter2", 0644, "may be read by every user"},
        {"", 0600, "does not hold a text"},
        {"\n", 0600, "does not hold a text"},
    };
    for (size_t i = 0; i < LENGTH(CASES); i++) {
        write_file(secret, CASES[i].content, CASES[i].mode);
        assert_int_equal(load(text, NULL, NULL, 0), ERR_INVALID);
        assert_non_null(strstr(errors(), "F:1:22: protocol.password: "));
        assert_non_null(strstr(errors(), CASES[i].says));
        assert_null(strstr(errors(), "hunter2"));
    }
    unlink(secret);
    assert_int_equal(load(text, NULL, NULL, 0), ERR_INVALID);
    assert_non_null(strstr(errors(), "No such file"));
}

/* In linear time, or the test would time out. */
static void a_mapping_of_many_keys_is_read(void **state) {
    (void)state;
    cleanup(buf_done) Buf text;
    buf_init(&text, 1 << 20);
    buf_add(&text, STR("types:\n  a:\n    exec: [x]\n    env:\n"));
    for (int i = 0; i < 60000; i++)
        buf_format(&text, "      %x:\n", i);
    assert_int_equal(load(buf_cstr(&text), NULL, NULL, 0), ERR_INVALID); /* env is too large */
}

static void files_that_are_none_are_refused(void **state) {
    (void)state;
    static const char *const PATHS[] = {"/", "/nonexistent/takt.yaml", "/dev/zero"};
    for (size_t i = 0; i < LENGTH(PATHS); i++) {
        end(NULL);
        start(NULL);
        ConfigSource source = {.path = PATHS[i]};
        Error error;
        assert_int_equal(config_load(&source, &config, &report, &error), ERR_INVALID);
        assert_string_equal(error.message, "1 mistake in the configuration");
    }
    assert_string_equal(errors(), "takt: /dev/zero: has more than 1048576 bytes\n");
}

static void what_is_printed_loads_again_as_the_same(void **state) {
    (void)state;
    assert_int_equal(load(WHOLE, NULL, NULL, 0), OK);
    cleanup(buf_done) Buf first;
    cleanup(buf_done) Buf second;
    buf_init(&first, 1 << 16);
    buf_init(&second, 1 << 16);
    config_print(config, &first);
    if (load(buf_cstr(&first), NULL, NULL, 0) != OK) fail_msg("%s%s", errors(), buf_cstr(&first));
    config_print(config, &second);
    assert_string_equal(buf_cstr(&first), buf_cstr(&second));
    assert_non_null(strstr(buf_cstr(&first), "  listen: \"[::1]:80\"\n"));
    assert_non_null(strstr(buf_cstr(&first), "data: \"/var/lib/takt\"\n"));
    assert_non_null(strstr(buf_cstr(&first), "  \"mail@2\": {exec: [\"/bin/mail\"]}\n"));
}

static void a_reload_tells_what_waits_for_a_restart(void **state) {
    (void)state;
    assert_int_equal(load("log: {level: info}\n", NULL, NULL, 0), OK);
    Config *old = config;
    config = NULL;
    assert_int_equal(load("log: {level: debug}\ndata: /x\nprotocol: {password: p}\n"
                          "types: {a: {exec: [b]}}\n",
                          NULL, NULL, 0),
                     OK);
    cleanup(buf_done) Buf now;
    cleanup(buf_done) Buf restart;
    buf_init(&now, 4096);
    buf_init(&restart, 4096);
    config_compare(old, config, &now, &restart);
    assert_string_equal(buf_cstr(&now), "log.level\n");
    assert_string_equal(buf_cstr(&restart), "protocol.password\ndata\ntypes\n");
    buf_clear(&now);
    buf_clear(&restart);
    config_compare(config, config, &now, &restart);
    assert_int_equal(now.len + restart.len, 0);
    config_free(old);
}

static void check_says_all_in_one_text(void **state) {
    (void)state;
    cleanup(buf_done) Buf out;
    buf_init(&out, 1 << 16);
    Error error;
    write_file(path, "log: {level: info}\n", 0600);
    assert_int_equal(config_check(path, NULL, &out, &error), OK);
    assert_non_null(strstr(buf_cstr(&out), "f.yaml: the configuration is valid\n"));
    write_file(path, "log: {level: loud, forma: x}\n", 0600);
    buf_clear(&out);
    assert_int_equal(config_check(path, NULL, &out, &error), ERR_INVALID);
    assert_string_equal(error.message, "2 mistakes in the configuration");
    assert_non_null(strstr(buf_cstr(&out), ":1:20: unknown key 'log.forma'; did you mean"));
    assert_null(strstr(buf_cstr(&out), "valid\n"));
}

static void the_table_serves_help(void **state) {
    (void)state;
    size_t count = 0;
    for (const ConfigRow *row = config_row(0); row; row = config_row(++count)) {
        cleanup(buf_done) Buf name;
        buf_init(&name, 100);
        config_row_environment(row, &name);
        assert_true(strncmp(buf_cstr(&name), "TAKT_", 5) == 0);
        assert_true(strlen(config_row_help(row)) > 0);
        assert_non_null(config_row_default(row));
        for (size_t i = 0; i < count; i++) {
            assert_string_not_equal(config_row_key(row), config_row_key(config_row(i)));
        }
        if (strcmp(config_row_key(row), "protocol.allow_flush") != 0) continue;
        assert_string_equal(buf_cstr(&name), "TAKT_PROTOCOL_ALLOW_FLUSH");
        assert_null(config_row_flag(row));
        assert_true(config_row_available(row));
    }
    assert_int_equal(count, 41);
}

#define LOAD_TEST(test) cmocka_unit_test_setup_teardown(test, start, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        LOAD_TEST(the_defaults_are_the_contracts),
        LOAD_TEST(a_whole_file_is_read),
        LOAD_TEST(reserved_keys_may_stand_at_their_defaults),
        LOAD_TEST(each_mistake_is_told_with_its_place),
        LOAD_TEST(what_is_not_yaml_is_told_with_its_place),
        LOAD_TEST(all_mistakes_are_told_at_once),
        LOAD_TEST(flags_beat_environment_beats_file),
        LOAD_TEST(unknown_variables_warn),
        LOAD_TEST(secrets_come_from_files_and_are_never_shown),
        LOAD_TEST(a_mapping_of_many_keys_is_read),
        LOAD_TEST(files_that_are_none_are_refused),
        LOAD_TEST(what_is_printed_loads_again_as_the_same),
        LOAD_TEST(a_reload_tells_what_waits_for_a_restart),
        LOAD_TEST(check_says_all_in_one_text),
        cmocka_unit_test(the_table_serves_help),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
