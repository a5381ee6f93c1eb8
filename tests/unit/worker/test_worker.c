/* The worker as a process of its own against a server in a thread: what it sends, obeys and
 * survives. */
#include "worker/worker.h"

#include "base/clock.h"
#include "base/time.h"
#include "fake_server.h"
#include "telemetry/log.h"
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Present under the address sanitizer only. */
extern int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

enum { PATIENCE_MS = 5000, LEAKED = 99 };

#define TEXT(literal)                                                                              \
    { "" literal, sizeof(literal) - 1 }

typedef struct Bench {
    FakeServer *server;
    pid_t worker;
} Bench;

static const Str QUEUES[] = {TEXT("q")};
static const Str ECHO[] = {TEXT("/bin/sh"), TEXT("-c"), TEXT("echo out; echo {}; echo err >&2")};
static const Str RESULT[] = {TEXT("cat")};
static const Str SLEEP[] = {TEXT("sleep"), TEXT("{args.mark}")};
static const Str STUBBORN[] = {TEXT("/bin/sh"), TEXT("-c"),
                               TEXT("trap '' TERM; echo 20 started >&3; sleep 8882; sleep 8882")};
static const ConfigType TYPES[] = {
    {.name = TEXT("echo"), .exec = {ECHO, 3}},
    {.name = TEXT("result"), .exec = {RESULT, 1}},
    {.name = TEXT("sleep"), .exec = {SLEEP, 2}},
    {.name = TEXT("stubborn"), .exec = {STUBBORN, 3}},
};

static _Noreturn void be_worker(int port, const char *password, int64_t drain_ms) {
    char url[64];
    snprintf(url, sizeof url, "tcp://127.0.0.1:%d", port);
    Str urls[] = {str_from(url)};
    const WorkerConfig config = {.urls = urls,
                                 .url_count = 1,
                                 .password = {str_from(password)},
                                 .queues = QUEUES,
                                 .queue_count = 1,
                                 .concurrency = 3,
                                 .id = STR("wid-1"),
                                 .types = TYPES,
                                 .type_count = LENGTH(TYPES),
                                 .drain_timeout_ms = drain_ms};
    Error error = {0};
    log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
    Err err = worker_run(&config, &error);
    bool leaked = __lsan_do_recoverable_leak_check && __lsan_do_recoverable_leak_check();
    _exit(leaked ? LEAKED : (int)err);
}

static void start_with(Bench *bench, const char *password, int64_t drain_ms) {
    bench->server = fake_server_new("secret");
    bench->worker = fork();
    if (bench->worker == 0) be_worker(fake_server_port(bench->server), password, drain_ms);
    fake_server_start(bench->server);
}

static void start(Bench *bench) {
    start_with(bench, "secret", 5000);
}

/* The worker's exit code, or -signal. */
static int await_end(const Bench *bench, int64_t patience_ms) {
    int status;
    int64_t limit_us = clock_mono_us() + patience_ms * US_PER_MS;
    while (waitpid(bench->worker, &status, WNOHANG) == 0) {
        if (clock_mono_us() > limit_us) {
            kill(bench->worker, SIGKILL);
            waitpid(bench->worker, &status, 0);
            fake_server_free(bench->server);
            fail_msg("the worker did not end");
        }
        usleep(10000);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void finish(Bench *bench) {
    kill(bench->worker, SIGTERM);
    assert_int_equal(await_end(bench, PATIENCE_MS), 0);
    fake_server_free(bench->server);
}

static void offer(Bench *bench, const char *jid, const char *type, const char *args,
                  int64_t lease_ms) {
    char job[512];
    snprintf(job, sizeof job,
             "{\"jid\":\"%s\",\"jobtype\":\"%s\",\"queue\":\"q\",\"args\":%s,\"fence\":7,"
             "\"lease_ms\":%lld,\"attempt\":1,\"timeout_ms\":60000,\"version\":1}",
             jid, type, args, (long long)lease_ms);
    fake_server_offer(bench->server, job);
}

#define assert_saw(bench, text) assert_true(fake_server_saw((bench)->server, (text), PATIENCE_MS))

static int count_sleeps(const char *mark) {
    char command[128];
    snprintf(command, sizeof command, "pgrep -c -x -f 'sleep %s' || true", mark);
    FILE *pipe = popen(command, "r");
    int count = -1;
    assert_int_equal(fscanf(pipe, "%d", &count), 1);
    pclose(pipe);
    return count;
}

static void await_sleeps(const char *mark, int count, int64_t patience_ms) {
    int64_t limit_us = clock_mono_us() + patience_ms * US_PER_MS;
    while (count_sleeps(mark) != count && clock_mono_us() < limit_us)
        usleep(20000);
    assert_int_equal(count_sleeps(mark), count);
}

static void test_jobs(void **state) {
    (void)state;
    Bench bench;
    start(&bench);
    offer(&bench, "job-0001", "echo", "[]", 30000);
    offer(&bench, "job-0002", "result", "{\"n\":12345678901234567890}", 30000);
    offer(&bench, "job-0003", "unheard-of", "[]", 30000);
    assert_saw(&bench,
               "\"jid\":\"job-0001\",\"fence\":7,\"result\":null,\"meta\":{\"exit_code\":0");
    assert_saw(&bench, "\"jid\":\"job-0002\",\"fence\":7,\"result\":{\"n\":12345678901234567890}");
    assert_saw(&bench, "\"jid\":\"job-0003\",\"fence\":7,\"error\":{\"type\":\"unknown-type\"");
    assert_saw(&bench, "TLOG {\"jid\":\"job-0001\",\"fence\":7,\"data\":\"");
    assert_saw(&bench, "\"wid\":\"wid-1\"");
    assert_saw(&bench, "TFETCH {\"queues\":[\"q\"],\"n\":3,");
    finish(&bench);
}

static void test_cancel(void **state) {
    (void)state;
    Bench bench;
    start(&bench);
    offer(&bench, "job-0001", "sleep", "{\"mark\":8881}", 30000);
    await_sleeps("8881", 1, PATIENCE_MS);
    fake_server_cancel(bench.server, "job-0001");
    await_sleeps("8881", 0, 1000);
    assert_saw(&bench, "\"error\":{\"type\":\"cancelled\"");
    assert_saw(&bench, "\"retryable\":false");
    finish(&bench);
}

static void await_more(const Bench *bench, const char *text, int before) {
    int64_t limit_us = clock_mono_us() + PATIENCE_MS * US_PER_MS;
    int count;
    while ((count = fake_server_count(bench->server, text)) <= before && clock_mono_us() < limit_us)
        usleep(10000);
    assert_true(count > before);
}

/* Told while the answer to the TFETCH is still on its way; a lease of a later TFETCH is another one. */
static void test_cancel_before_job(void **state) {
    (void)state;
    Bench bench;
    start(&bench);
    offer(&bench, "job-0001", "result", "1", 30000);
    assert_saw(&bench, "\"result\":1");
    await_more(&bench, "TFETCH", 1);
    await_more(&bench, "BEAT", 1);
    int beats = fake_server_count(bench.server, "BEAT");
    fake_server_cancel(bench.server, "job-0002");
    await_more(&bench, "BEAT", beats);
    int named = fake_server_count(bench.server, "\"held\":[");
    offer(&bench, "job-0002", "result", "2", 30000);
    offer(&bench, "job-0003", "result", "3", 30000);
    await_more(&bench, "\"held\":[", named);
    assert_saw(&bench, "\"result\":3");
    assert_int_equal(fake_server_count(bench.server, "job-0002"), 0);
    offer(&bench, "job-0002", "result", "22", 30000);
    assert_saw(&bench, "\"jid\":\"job-0002\",\"fence\":7,\"result\":22");
    finish(&bench);
}

static void test_progress_and_drain(void **state) {
    (void)state;
    Bench bench;
    start_with(&bench, "secret", 300);
    offer(&bench, "job-0001", "stubborn", "[]", 30000);
    assert_saw(&bench, "TRACK SET {\"jid\":\"job-0001\",\"fence\":7,\"percent\":20,"
                       "\"desc\":\"started\"}");
    kill(bench.worker, SIGTERM);
    usleep(200000);
    kill(bench.worker, SIGTERM); /* the second ends what ignores TERM */
    assert_int_equal(await_end(&bench, PATIENCE_MS), 0);
    assert_saw(&bench, "\"error\":{\"type\":\"shutdown\"");
    assert_int_equal(count_sleeps("8882"), 0);
    fake_server_free(bench.server);
}

static void test_drain_lets_jobs_end(void **state) {
    (void)state;
    Bench bench;
    start(&bench);
    offer(&bench, "job-0001", "sleep", "{\"mark\":\"1.111\"}", 30000);
    await_sleeps("1.111", 1, PATIENCE_MS);
    kill(bench.worker, SIGTERM);
    assert_int_equal(await_end(&bench, PATIENCE_MS), 0);
    assert_saw(&bench, "\"jid\":\"job-0001\",\"fence\":7,\"result\":null");
    fake_server_free(bench.server);
}

static void test_told_to_terminate(void **state) {
    (void)state;
    Bench bench;
    start(&bench);
    assert_saw(&bench, "TFETCH");
    fake_server_tell_state(bench.server, "terminate");
    assert_int_equal(await_end(&bench, PATIENCE_MS), 0);
    fake_server_free(bench.server);
}

static void test_reconnects_and_sends_again(void **state) {
    (void)state;
    Bench bench;
    start(&bench);
    offer(&bench, "job-0001", "sleep", "{\"mark\":\"1.222\"}", 30000);
    await_sleeps("1.222", 1, PATIENCE_MS);
    fake_server_break(bench.server);
    fake_server_break_at(bench.server, "TDONE");
    int64_t limit_us = clock_mono_us() + PATIENCE_MS * US_PER_MS;
    while (fake_server_count(bench.server, "\"result\":null") < 2 && clock_mono_us() < limit_us) {
        usleep(10000);
    }
    assert_int_equal(fake_server_count(bench.server, "\"result\":null"), 2);
    finish(&bench);
}

static void test_outcome_put_off(void **state) {
    (void)state;
    Bench bench;
    start(&bench);
    fake_server_answer(bench.server, "TDONE", "-ERR store unavailable\r\n");
    offer(&bench, "job-0001", "result", "1", 30000);
    int64_t limit_us = clock_mono_us() + PATIENCE_MS * US_PER_MS;
    while (fake_server_count(bench.server, "\"result\":1") < 2 && clock_mono_us() < limit_us) {
        usleep(10000);
    }
    assert_int_equal(fake_server_count(bench.server, "\"result\":1"), 2);
    finish(&bench);
}

static void test_silent_server_ends_jobs_in_time(void **state) {
    (void)state;
    Bench bench;
    start(&bench);
    offer(&bench, "job-0001", "sleep", "{\"mark\":8883}", 2000);
    await_sleeps("8883", 1, PATIENCE_MS);
    fake_server_mute(bench.server, true);
    await_sleeps("8883", 0, 2000);
    fake_server_mute(bench.server, false);
    fake_server_break(bench.server);
    assert_saw(&bench, "\"error\":{\"type\":\"lease-lost\"");
    finish(&bench);
}

static void test_lease_is_kept(void **state) {
    (void)state;
    Bench bench;
    start(&bench);
    offer(&bench, "job-0001", "sleep", "{\"mark\":3.333}", 1000);
    assert_saw(&bench, "\"jid\":\"job-0001\",\"fence\":7,\"result\":null");
    assert_true(fake_server_count(bench.server, "BEAT") > 5);
    finish(&bench);
}

static void test_killed(void **state) {
    (void)state;
    Bench bench;
    start(&bench);
    offer(&bench, "job-0001", "sleep", "{\"mark\":8884}", 30000);
    await_sleeps("8884", 1, PATIENCE_MS);
    kill(bench.worker, SIGKILL);
    await_sleeps("8884", 0, 2000);
    assert_int_equal(await_end(&bench, PATIENCE_MS), -SIGKILL);
    fake_server_free(bench.server);
}

static void test_stopped_past_its_lease(void **state) {
    (void)state;
    Bench bench;
    start(&bench);
    offer(&bench, "job-0001", "sleep", "{\"mark\":8885}", 1500);
    await_sleeps("8885", 1, PATIENCE_MS);
    kill(bench.worker, SIGSTOP);
    await_sleeps("8885", 0, 2000); /* its command is ended while it is stopped */
    fake_server_judge(bench.server, "STALE");
    kill(bench.worker, SIGCONT);
    assert_saw(&bench, "\"error\":{\"type\":\"lease-lost\"");
    finish(&bench);
}

/* The server still has the jobs of this session for 5 s; it is not down, so that is all there is. */
static void test_cut_off(void **state) {
    (void)state;
    Bench bench;
    start(&bench);
    offer(&bench, "job-0001", "sleep", "{\"mark\":8886}", 30000);
    await_sleeps("8886", 1, PATIENCE_MS);
    fake_server_shun(bench.server, true);
    (void)poll(NULL, 0, 2500);
    assert_int_equal(count_sleeps("8886"), 1);
    await_sleeps("8886", 0, 1900);
    fake_server_shun(bench.server, false);
    assert_saw(&bench, "\"error\":{\"type\":\"lease-lost\"");
    finish(&bench);
}

/* The server's side is closed and the worker's was not told: 4 s all the same. */
static void test_cut_off_unheard(void **state) {
    (void)state;
    Bench bench;
    start(&bench);
    offer(&bench, "job-0001", "sleep", "{\"mark\":8888}", 30000);
    await_sleeps("8888", 1, PATIENCE_MS);
    usleep(300000); /* nothing is under way */
    int64_t begin_us = clock_mono_us();
    bool vanished = fake_server_vanish(bench.server);
    if (vanished) {
        await_sleeps("8888", 0, 6000);
        assert_in_range((clock_mono_us() - begin_us) / US_PER_MS, 2500, 4400);
        fake_server_shun(bench.server, false);
    }
    finish(&bench);
    if (!vanished) skip();
}

static void test_cut_off_and_back_in_time(void **state) {
    (void)state;
    Bench bench;
    start(&bench);
    offer(&bench, "job-0001", "sleep", "{\"mark\":\"5.111\"}", 30000);
    await_sleeps("5.111", 1, PATIENCE_MS);
    fake_server_shun(bench.server, true);
    (void)poll(NULL, 0, 1000);
    fake_server_shun(bench.server, false);
    assert_true(
        fake_server_saw(bench.server, "\"jid\":\"job-0001\",\"fence\":7,\"result\":null", 9000));
    finish(&bench);
}

/* Where nothing listens there is nobody who could give the job away: not even a whole lease ends it. */
static void test_server_is_down(void **state) {
    (void)state;
    Bench bench;
    start(&bench);
    offer(&bench, "job-0001", "sleep", "{\"mark\":\"6.222\"}", 4000);
    await_sleeps("6.222", 1, PATIENCE_MS);
    fake_server_leave(bench.server, true);
    (void)poll(NULL, 0, 4500);
    assert_int_equal(count_sleeps("6.222"), 1);
    fake_server_leave(bench.server, false);
    assert_true(
        fake_server_saw(bench.server, "\"jid\":\"job-0001\",\"fence\":7,\"result\":null", 9000));
    finish(&bench);
}

/* Refusals end with a listener that does not answer: the lease then goes on for what the last of them
 * was worth. */
static void test_server_is_down_then_mute(void **state) {
    (void)state;
    Bench bench;
    start(&bench);
    offer(&bench, "job-0001", "sleep", "{\"mark\":8887}", 1500);
    await_sleeps("8887", 1, PATIENCE_MS);
    fake_server_leave(bench.server, true);
    usleep(500000);
    fake_server_mute(bench.server, true);
    fake_server_leave(bench.server, false);
    await_sleeps("8887", 0, 1500);
    fake_server_mute(bench.server, false);
    fake_server_break(bench.server);
    assert_saw(&bench, "\"error\":{\"type\":\"lease-lost\"");
    finish(&bench);
}

/* The answer to a TFETCH waits in the socket of a stopped worker until its lease is over. */
static void test_late_jobs_are_not_run(void **state) {
    (void)state;
    Bench bench;
    start(&bench);
    offer(&bench, "job-0001", "result", "1", 1000);
    assert_saw(&bench, "\"jid\":\"job-0001\",\"fence\":7,\"result\":1");
    usleep(300000); /* the next TFETCH is parked, and the next BEAT */
    kill(bench.worker, SIGSTOP);
    offer(&bench, "job-0002", "result", "2", 1000);
    (void)poll(NULL, 0, 1200);
    int named = fake_server_count(bench.server, "\"held\":[]");
    kill(bench.worker, SIGCONT);
    int64_t limit_us = clock_mono_us() + PATIENCE_MS * US_PER_MS;
    while (fake_server_count(bench.server, "\"held\":[]") == named && clock_mono_us() < limit_us)
        usleep(10000);
    assert_int_equal(fake_server_count(bench.server, "\"held\":[]"), named + 1);
    assert_int_equal(fake_server_count(bench.server, "job-0002"), 0);
    offer(&bench, "job-0003", "result", "3", 1000);
    assert_saw(&bench, "\"jid\":\"job-0003\",\"fence\":7,\"result\":3");
    finish(&bench);
}

static void test_stale_log_ends_job(void **state) {
    (void)state;
    Bench bench;
    start(&bench);
    fake_server_judge(bench.server, "STALE");
    offer(&bench, "job-0001", "echo", "[]", 30000);
    assert_saw(&bench, "\"jid\":\"job-0001\",\"fence\":7,");
    finish(&bench);
}

static void test_refused(void **state) {
    (void)state;
    Bench bench;
    start_with(&bench, "wrong", 5000);
    assert_int_equal(await_end(&bench, PATIENCE_MS), ERR_DENIED);
    fake_server_free(bench.server);
}

static void test_bad_configurations(void **state) {
    (void)state;
    static const Str url[] = {TEXT("tcp://localhost")};
    const WorkerConfig good = {
        .urls = url, .url_count = 1, .queues = QUEUES, .queue_count = 1, .concurrency = 1};
    static const Str program[] = {TEXT("true")};
    static const Str nul[] = {TEXT("true"), TEXT("a\0b")};
    static const ConfigPair equals[] = {{TEXT("A=B"), TEXT("c")}};
    static char big[WORKER_EXEC_BYTES_MAX];
    memset(big, 'a', sizeof big);
    const Str huge[] = {TEXT("true"), {big, sizeof big}};
    const ConfigType bad[] = {
        {.name = TEXT("t"), .exec = {program, 0}},
        {.name = TEXT("t"), .exec = {program, WORKER_ARGV_MAX + 1}},
        {.name = TEXT("t"), .exec = {nul, 2}},
        {.name = TEXT("t"), .exec = {huge, 2}},
        {.name = TEXT("t"), .exec = {program, 1}, .env = equals, .env_count = 1},
        {.name = TEXT("t"), .exec = {program, 1}, .cwd = TEXT("/no/such/folder")},
        {.name = TEXT("t"), .exec = {program, 1}, .user = TEXT("no-such-user")},
    };
    Error error;
    assert_int_equal(worker_config_check(&good, &error), OK);
    for (size_t i = 0; i < LENGTH(bad); i++) {
        WorkerConfig config = good;
        config.types = &bad[i];
        config.type_count = 1;
        assert_int_equal(worker_config_check(&config, &error), ERR_INVALID);
        assert_non_null(strstr(error.message, "type 't'"));
    }
    WorkerConfig config = good;
    config.concurrency = 0;
    assert_int_equal(worker_config_check(&config, &error), ERR_INVALID);
    config = good;
    config.url_count = 0;
    assert_int_equal(worker_config_check(&config, &error), ERR_INVALID);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_configurations),
        cmocka_unit_test(test_jobs),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_cancel_before_job),
        cmocka_unit_test(test_progress_and_drain),
        cmocka_unit_test(test_drain_lets_jobs_end),
        cmocka_unit_test(test_told_to_terminate),
        cmocka_unit_test(test_reconnects_and_sends_again),
        cmocka_unit_test(test_outcome_put_off),
        cmocka_unit_test(test_silent_server_ends_jobs_in_time),
        cmocka_unit_test(test_lease_is_kept),
        cmocka_unit_test(test_killed),
        cmocka_unit_test(test_stopped_past_its_lease),
        cmocka_unit_test(test_cut_off),
        cmocka_unit_test(test_cut_off_unheard),
        cmocka_unit_test(test_cut_off_and_back_in_time),
        cmocka_unit_test(test_server_is_down),
        cmocka_unit_test(test_server_is_down_then_mute),
        cmocka_unit_test(test_late_jobs_are_not_run),
        cmocka_unit_test(test_stale_log_ends_job),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
