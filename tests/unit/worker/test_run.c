/* Attempts with real processes: outcomes, limits, output, and that nothing is ever left behind. */
#include "worker/run.h"

#include "base/clock.h"
#include "base/time.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { PATIENCE_MS = 20000 };

/* STR() for static tables */
#define TEXT(literal)                                                                              \
    { "" literal, sizeof(literal) - 1 }

/* Makes the folder's types; `script` is run by /bin/sh -c, as a configuration that asks for one. */
typedef struct Bench {
    Str command[3];
    ConfigType types[3];
    WorkerConfig config;
} Bench;

static void bench_init(Bench *bench, const char *script) {
    static const Str missing[] = {TEXT("takt-no-such-program")};
    static const Str templated[] = {TEXT("/bin/echo"), TEXT("{args.path}")};
    *bench = (Bench){.command = {STR("/bin/sh"), STR("-c"), str_from(script)}};
    bench->types[0] = (ConfigType){.name = STR("script"), .exec = {bench->command, 3}};
    bench->types[1] = (ConfigType){.name = STR("missing"), .exec = {missing, 1}};
    bench->types[2] = (ConfigType){.name = STR("templated"), .exec = {templated, 2}};
    bench->config = (WorkerConfig){.types = bench->types, .type_count = 3};
}

static WireJob make_job(Str type, Str args) {
    Json root = {0};
    Error error;
    assert_int_equal(json_check(args, &root, &error), OK);
    return (WireJob){.jid = STR("job-00000001"),
                     .jobtype = type,
                     .queue = STR("q"),
                     .args = root,
                     .fence = 42,
                     .attempt = 1,
                     .lease_ms = 30000};
}

static int64_t in_ms(int64_t ms) {
    return clock_mono_us() + ms * US_PER_MS;
}

/* Reads until the run has ended, or `until_us` when that is not 0. */
static void pump(Run *run, int64_t until_us) {
    static char scratch[65536];
    int64_t limit_us = until_us ? until_us : in_ms(PATIENCE_MS);
    while (!run_has_ended(run) && clock_mono_us() < limit_us) {
        struct pollfd pollers[RUN_STREAMS];
        for (int i = 0; i < RUN_STREAMS; i++) {
            pollers[i] = (struct pollfd){.fd = run_fd(run, (RunStream)i), .events = POLLIN};
        }
        poll(pollers, RUN_STREAMS, 20);
        for (int i = 0; i < RUN_STREAMS; i++) {
            if (pollers[i].revents) run_read(run, (RunStream)i, scratch, sizeof scratch);
        }
    }
    if (!until_us) assert_true(run_has_ended(run));
}

static Run *start_script(Bench *bench, const char *script) {
    bench_init(bench, script);
    WireJob job = make_job(STR("script"), STR("{\"n\":12345678901234567890}"));
    return run_new(&job, &bench->config, in_ms(30000));
}

typedef struct Case {
    const char *name;
    const char *script;
    const char *error_type; /* NULL: succeeds */
    const char *text;       /* the result, or what the message holds */
    const char *meta;       /* what the meta holds */
} Case;

static const Case CASES[] = {
    {"nothing printed", "true", NULL, NULL, "\"exit_code\":0"},
    {"json object", "echo '{\"a\": [1, 2]}'", NULL, "{\"a\":[1,2]}", "\"max_rss_kb\""},
    {"json number", "echo 12345678901234567890", NULL, "12345678901234567890", ""},
    {"text is no result", "echo done", NULL, NULL, ""},
    {"half json", "echo '{\"a\":'", NULL, NULL, ""},
    {"two documents", "echo 1; echo 2", NULL, NULL, ""},
    {"args on stdin", "cat", NULL, "{\"n\":12345678901234567890}", ""},
    {"stderr is no result", "echo 1 >&2", NULL, NULL, ""},
    {"too deep", "printf '[%.0s' $(seq 70); printf ']%.0s' $(seq 70)", NULL, NULL, ""},
    {"exit code", "echo oh no >&2; exit 3", "exit-code", "exit code 3: oh no", "\"exit_code\":3"},
    {"exit 137", "exit 137", "exit-code", "exit code 137", "\"exit_code\":137"},
    {"exit 300", "exit 300", "exit-code", "exit code 44", "\"exit_code\":44"},
    {"signal 11", "kill -SEGV $$", "signal", "signal 11 SIGSEGV", "\"signal\":11"},
    {"signal 9", "kill -KILL $$", "signal", "signal 9 SIGKILL", "\"signal\":9"},
    {"result of a failure", "echo 1; exit 1", "exit-code", "exit code 1", ""},
    {"bytes that are no text", "printf 'a\\000\\377\\033[31m' >&2; exit 1", "exit-code", "a", ""},
    {"no terminal", "tty -s", "exit-code", "exit code 1", ""},
    {"own session", "test $(ps -o sid= -p $$) -eq $$", NULL, NULL, ""},
    {"no other descriptors", "test -e /proc/$$/fd/3 -a ! -e /proc/$$/fd/4 -a ! -e /proc/$$/fd/5",
     NULL, NULL, ""},
    {"no blocked signals", "grep -q 'SigBlk:.0*$' /proc/self/status", NULL, NULL, ""},
    {"fence in the environment", "echo $TAKT_FENCE", NULL, "42", ""},
    {"environment from nothing", "test -z \"$TAKT_SECRET_OF_THE_NODE\"", NULL, NULL, ""},
};

static void check_case(const Case *row) {
    Bench bench;
    Run *run = start_script(&bench, row->script);
    pump(run, 0);
    Outcome outcome = run_outcome(run);
    bool failed = row->error_type != NULL;
    if (outcome.failed != failed) {
        print_error("%s: " STR_FMT "\n", row->name, STR_ARG(outcome.error_message));
    }
    assert_int_equal(outcome.failed, failed);
    assert_non_null(strstr(outcome.meta.text.ptr, row->meta));
    assert_true(str_eq(outcome.jid, STR("job-00000001")));
    assert_int_equal(outcome.fence, 42);
    if (failed) {
        assert_true(str_eq(outcome.error_type, str_from(row->error_type)));
        assert_non_null(strstr(outcome.error_message.ptr, row->text));
        assert_null(outcome.result.text.ptr);
    } else {
        if (!str_eq(outcome.result.text, str_from(row->text))) print_error("%s\n", row->name);
        assert_true(str_eq(outcome.result.text, str_from(row->text)));
        assert_int_equal(outcome.result.text.ptr == NULL, row->text == NULL);
    }
    run_free(run);
}

static void test_outcomes(void **state) {
    (void)state;
    setenv("TAKT_SECRET_OF_THE_NODE", "s3cret", 1);
    for (size_t i = 0; i < LENGTH(CASES); i++)
        check_case(&CASES[i]);
}

static void check_failed_start(Str type, Str args, const char *error_type, bool retryable) {
    Bench bench;
    bench_init(&bench, "true");
    WireJob job = make_job(type, args);
    Run *run = run_new(&job, &bench.config, in_ms(30000));
    pump(run, 0);
    Outcome outcome = run_outcome(run);
    assert_true(outcome.failed);
    assert_string_equal(outcome.error_type.ptr, error_type);
    assert_int_equal(outcome.not_retryable, !retryable);
    run_free(run);
}

static void test_no_command(void **state) {
    (void)state;
    check_failed_start(STR("missing"), STR("[]"), "exec-failed: ENOENT", /* retryable= */ true);
    check_failed_start(STR("nobody-knows"), STR("[]"), "unknown-type", /* retryable= */ true);
    check_failed_start(STR("templated"), STR("{}"), "bad-template", /* retryable= */ false);
    check_failed_start(STR("templated"), STR("{\"path\":{}}"), "bad-template",
                       /* retryable= */ false);
}

static void check_set_up(ConfigType type, const char *error_type) {
    WorkerConfig config = {.types = &type, .type_count = 1};
    WireJob job = make_job(type.name, STR("[]"));
    Run *run = run_new(&job, &config, in_ms(30000));
    pump(run, 0);
    Outcome outcome = run_outcome(run);
    assert_true(outcome.failed);
    assert_string_equal(outcome.error_type.ptr, error_type);
    run_free(run);
}

static void test_set_up_failures(void **state) {
    (void)state;
    static const Str folder[] = {TEXT("/tmp")};
    static const Str plain[] = {TEXT("/bin/true")};
    char script[] = "/tmp/takt-test-script-XXXXXX";
    int fd = mkstemp(script);
    assert_true(write(fd, "exit 0\n", 7) == 7);
    check_set_up((ConfigType){.name = STR("t"), .exec = {folder, 1}}, "exec-failed: EACCES");
    Str program = str_from(script);
    check_set_up((ConfigType){.name = STR("t"), .exec = {&program, 1}}, "exec-failed: EACCES");
    fchmod(fd, 0755);
    close(fd);
    check_set_up((ConfigType){.name = STR("t"), .exec = {&program, 1}}, "exec-failed: ENOEXEC");
    unlink(script);
    check_set_up((ConfigType){.name = STR("t"), .exec = {plain, 1}, .cwd = STR("/no/such")},
                 "setup-failed");
    check_set_up((ConfigType){.name = STR("t"), .exec = {plain, 1}, .user = STR("no-such-user")},
                 "setup-failed");
}

static void test_other_user(void **state) {
    (void)state;
    if (geteuid() != 0) skip();
    static const Str command[] = {TEXT("/bin/sh"), TEXT("-c"),
                                  TEXT("echo \\\"$(id -u):$(id -G):$HOME\\\"")};
    ConfigType type = {.name = STR("t"), .exec = {command, 3}, .user = STR("nobody")};
    WorkerConfig config = {.types = &type, .type_count = 1};
    WireJob job = make_job(STR("t"), STR("[]"));
    Run *run = run_new(&job, &config, in_ms(30000));
    pump(run, 0);
    Outcome outcome = run_outcome(run);
    assert_true(str_eq(outcome.result.text, STR("\"65534:65534:/nonexistent\"")));
    run_free(run);
}

/* ---- ends ---- */

/* The processes that are `sleep MARK`. */
static int count_marked(const char *mark) {
    char command[256];
    snprintf(command, sizeof command, "pgrep -c -x -f 'sleep %s' || true", mark);
    FILE *pipe = popen(command, "r");
    int count = -1;
    assert_int_equal(fscanf(pipe, "%d", &count), 1);
    pclose(pipe);
    return count;
}

static void await_none_marked(const char *mark, int64_t patience_ms) {
    int64_t limit_us = in_ms(patience_ms);
    while (count_marked(mark) > 0 && clock_mono_us() < limit_us)
        usleep(20000);
    assert_int_equal(count_marked(mark), 0);
}

static void await_marked(const char *mark, int count) {
    int64_t limit_us = in_ms(PATIENCE_MS);
    while (count_marked(mark) < count && clock_mono_us() < limit_us)
        usleep(20000);
    assert_int_equal(count_marked(mark), count);
}

static void test_daemon_is_ended(void **state) {
    (void)state;
    Bench bench;
    Run *run = start_script(&bench, "setsid sh -c 'setsid sleep 7771 & setsid sleep 7771 &' ; "
                                    "while [ $(pgrep -c -x -f 'sleep 7771') -lt 2 ]; do :; done");
    pump(run, 0);
    assert_false(run_outcome(run).failed);
    assert_int_equal(count_marked("7771"), 0);
    run_free(run);
}

static void check_stop(const char *script, StopReason reason, int64_t grace_ms,
                       const char *error_type, int64_t least_ms, int64_t most_ms) {
    Bench bench;
    Run *run = start_script(&bench, script);
    pump(run, in_ms(300));
    assert_false(run_has_ended(run));
    int64_t begin_us = clock_mono_us();
    run_stop(run, reason, grace_ms);
    pump(run, 0);
    int64_t took_ms = (clock_mono_us() - begin_us) / US_PER_MS;
    assert_in_range(took_ms, least_ms, most_ms);
    assert_string_equal(run_outcome(run).error_type.ptr, error_type);
    run_free(run);
}

static void test_stops(void **state) {
    (void)state;
    check_stop("sleep 7772", STOP_CANCEL, 5000, "cancelled", 0, 1000);
    check_stop("trap '' TERM; sleep 7772 & while :; do wait; done", STOP_CANCEL, 600, "cancelled",
               500, 3000);
    check_stop("trap '' TERM; while :; do sleep 7772; done", STOP_SHUTDOWN, 0, "shutdown", 0, 1000);
    await_none_marked("7772", 1000);
}

static void test_timeout(void **state) {
    (void)state;
    Bench bench;
    bench_init(&bench, "trap 'echo late >&2; exit 0' TERM; while :; do sleep 0.1; done");
    bench.types[0].timeout_ms = 400;
    WireJob job = make_job(STR("script"), STR("[]"));
    job.timeout_ms = 60000;
    Run *run = run_new(&job, &bench.config, in_ms(30000));
    int64_t begin_us = clock_mono_us();
    pump(run, 0);
    assert_in_range((clock_mono_us() - begin_us) / US_PER_MS, 400, 3000);
    Outcome outcome = run_outcome(run);
    assert_string_equal(outcome.error_type.ptr, "timeout");
    assert_non_null(strstr(outcome.backtrace.text.ptr, "\"late\""));
    run_free(run);
}

static void test_lease_runs_out(void **state) {
    (void)state;
    Bench bench;
    bench_init(&bench, "setsid sleep 7773 & sleep 7773");
    WireJob job = make_job(STR("script"), STR("[]"));
    Run *run = run_new(&job, &bench.config, in_ms(500));
    await_marked("7773", 2);
    run_set_lease(run, in_ms(1500));
    pump(run, in_ms(800));
    assert_false(run_has_ended(run));
    /* nobody reads, extends or asks: as under SIGSTOP */
    await_none_marked("7773", 2500);
    pump(run, 0);
    assert_string_equal(run_outcome(run).error_type.ptr, "lease-lost");
    run_free(run);
}

/* Worker and reaper stopped together, as with their machine: the worker may renew the lease before the
 * reaper has seen that it was over. */
static void test_lease_that_ran_out_stays_over(void **state) {
    (void)state;
    Bench bench;
    bench_init(&bench, "sleep 7776");
    WireJob job = make_job(STR("script"), STR("[]"));
    Run *run = run_new(&job, &bench.config, in_ms(700));
    await_marked("7776", 1);
    kill(run->reaper.pid, SIGSTOP);
    usleep(900000);
    run_set_lease(run, in_ms(20000));
    kill(run->reaper.pid, SIGCONT);
    await_none_marked("7776", 1000);
    pump(run, 0);
    assert_string_equal(run_outcome(run).error_type.ptr, "lease-lost");
    run_free(run);
}

static void test_lease_is_cut(void **state) {
    (void)state;
    Bench bench;
    bench_init(&bench, "sleep 7777");
    WireJob job = make_job(STR("script"), STR("[]"));
    Run *run = run_new(&job, &bench.config, in_ms(30000));
    await_marked("7777", 1);
    run_set_lease(run, in_ms(200));
    await_none_marked("7777", 1000);
    pump(run, 0);
    assert_string_equal(run_outcome(run).error_type.ptr, "lease-lost");
    run_free(run);
}

static void test_killed_worker(void **state) {
    (void)state;
    pid_t worker = fork();
    if (worker == 0) {
        Bench bench;
        start_script(&bench, "setsid sh -c 'trap \"\" TERM HUP; sleep 7774; sleep 7774' & "
                             "setsid setsid sleep 7774 & trap '' TERM; sleep 7774");
        pause();
        _exit(0);
    }
    await_marked("7774", 3);
    kill(worker, SIGKILL);
    waitpid(worker, NULL, 0);
    await_none_marked("7774", 3000);
}

static void test_killed_reaper(void **state) {
    (void)state;
    Bench bench;
    Run *run = start_script(&bench, "sleep 7775");
    await_marked("7775", 1);
    kill(run->reaper.pid, SIGKILL);
    pump(run, 0);
    assert_string_equal(run_outcome(run).error_type.ptr, "reaper-killed");
    run_free(run);
    await_none_marked("7775", 2000);
}

/* ---- output ---- */

static void test_flood(void **state) {
    (void)state;
    Bench bench;
    Run *run = start_script(&bench, "yes 0123456789abcde | head -c 200000000; echo last");
    pump(run, 0);
    assert_false(run_outcome(run).failed);
    Str log = tail_str(&run->log);
    assert_int_equal(log.len, WORKER_OUTPUT_KEPT);
    assert_true(run->log.lost > 199000000);
    assert_memory_equal(log.ptr + log.len - 5, "last\n", 5);
    assert_true(run->log.bytes.capacity <= 2 * WORKER_OUTPUT_KEPT + 1);
    assert_null(run->result.bytes.data);
    run_free(run);
}

static void test_progress(void **state) {
    (void)state;
    Bench bench;
    Run *run = start_script(&bench, "echo 10 begun >&$TAKT_PROGRESS_FD; echo nonsense >&3; "
                                    "echo 101 >&3; printf '55 half ' >&3; echo done >&3");
    pump(run, 0);
    assert_int_equal(run->percent, 55);
    assert_true(str_eq(run->progress_message, STR("half done")));
    run_free(run);
}

static void test_environment_of_reaper_is_hidden(void **state) {
    (void)state;
    if (geteuid() != 0) skip();
    Bench bench;
    bench_init(&bench, "! cat /proc/$PPID/environ >/dev/null 2>&1");
    bench.types[0].user = STR("nobody");
    WireJob job = make_job(STR("script"), STR("[]"));
    Run *run = run_new(&job, &bench.config, in_ms(30000));
    pump(run, 0);
    assert_false(run_outcome(run).failed);
    run_free(run);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outcomes),
        cmocka_unit_test(test_no_command),
        cmocka_unit_test(test_set_up_failures),
        cmocka_unit_test(test_other_user),
        cmocka_unit_test(test_daemon_is_ended),
        cmocka_unit_test(test_stops),
        cmocka_unit_test(test_timeout),
        cmocka_unit_test(test_lease_runs_out),
        cmocka_unit_test(test_lease_that_ran_out_stays_over),
        cmocka_unit_test(test_lease_is_cut),
        cmocka_unit_test(test_killed_worker),
        cmocka_unit_test(test_killed_reaper),
        cmocka_unit_test(test_flood),
        cmocka_unit_test(test_progress),
        cmocka_unit_test(test_environment_of_reaper_is_hidden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
