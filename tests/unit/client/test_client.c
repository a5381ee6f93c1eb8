/* libtakt against a server that behaves, and one that doesn't. */
#include "takt/takt.h"

#include "client/address.h"
#include "fake_server.h"
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

typedef struct Pair {
    FakeServer *server;
    takt_client *client;
    char url[96];
} Pair;

static void pair_init(Pair *pair, const char *password) {
    pair->server = fake_server_new(password);
    fake_server_start(pair->server);
    snprintf(pair->url, sizeof pair->url, "tcp://:%s@127.0.0.1:%d", password ? password : "",
             fake_server_port(pair->server));
    const char *labels[] = {"a", "quoted \"b\""};
    const takt_options options = {
        .url = pair->url, .worker_id = "w1", .labels = labels, .label_count = 2};
    takt_error error = {0};
    if (takt_connect(&options, &pair->client, &error)) fail_msg("%s", error.message);
}

static void pair_done(Pair *pair) {
    takt_close(pair->client);
    fake_server_free(pair->server);
}

static void test_push(void **state) {
    (void)state;
    Pair pair;
    pair_init(&pair, "secret");
    takt_error error = {0};
    takt_new_job job = {.type = "a \"type\"",
                        .args = "[1,\n 2]",
                        .priority = 9,
                        .queue = "q",
                        .custom = "{\"track\": 1}",
                        .has_retry = 1,
                        .retry = -1};
    assert_int_equal(takt_push(pair.client, &job, &error), TAKT_OK);
    assert_int_equal(strlen(job.id), 32);
    assert_true(fake_server_saw(pair.server,
                                "\"jobtype\":\"a \\\"type\\\"\",\"args\":[1,2],\"queue\":\"q\","
                                "\"priority\":9,\"retry\":-1,\"custom\":{\"track\":1}}",
                                1000));
    assert_true(fake_server_saw(pair.server, "\"labels\":[\"a\",\"quoted \\\"b\\\"\"]", 0));
    assert_true(fake_server_saw(pair.server, "\"takt\":{}", 0));
    pair_done(&pair);
}

static void test_push_refusals(void **state) {
    (void)state;
    Pair pair;
    pair_init(&pair, NULL);
    takt_error error = {0};
    takt_new_job job = {.type = ""};
    assert_int_equal(takt_push(pair.client, &job, &error), TAKT_ERR_INVALID);
    job = (takt_new_job){.type = "t", .args = "{}"};
    assert_int_equal(takt_push(pair.client, &job, &error), TAKT_ERR_INVALID);
    job = (takt_new_job){.type = "t", .args = "[1"};
    assert_int_equal(takt_push(pair.client, &job, &error), TAKT_ERR_INVALID);
    job = (takt_new_job){.type = "t", .priority = 10};
    assert_int_equal(takt_push(pair.client, &job, NULL), TAKT_ERR_INVALID);
    assert_int_equal(fake_server_count(pair.server, "PUSH"), 0);

    job = (takt_new_job){.type = "t"};
    fake_server_answer(pair.server, "PUSH", "-NOTUNIQUE job is not unique\r\n");
    assert_int_equal(takt_push(pair.client, &job, &error), TAKT_ERR_NOT_UNIQUE);
    fake_server_answer(pair.server, "PUSH", "-ERR no such thing\r\n");
    assert_int_equal(takt_push(pair.client, &job, &error), TAKT_ERR_REFUSED);
    assert_string_equal(error.message, "no such thing");
    fake_server_answer(pair.server, "PUSH", "*1\r\n");
    assert_int_equal(takt_push(pair.client, &job, &error), TAKT_ERR_PROTOCOL);
    fake_server_break_at(pair.server, "PUSH");
    assert_int_equal(takt_push(pair.client, &job, &error), TAKT_ERR_UNCERTAIN);
    assert_int_equal(takt_push(pair.client, &job, &error), TAKT_OK);
    pair_done(&pair);
}

static void note_refused(const char *id, const char *reason, void *context) {
    assert_string_equal(id, "job-1");
    assert_string_equal(reason, "bad \"at\"");
    ++*(int *)context;
}

static void test_push_bulk(void **state) {
    (void)state;
    Pair pair;
    pair_init(&pair, NULL);
    takt_error error = {0};
    takt_new_job jobs[500];
    for (size_t i = 0; i < 500; i++)
        jobs[i] = (takt_new_job){.type = "t", .args = "[\"\\u00e9\"]"};
    size_t refused = 7;
    assert_int_equal(takt_push_bulk(pair.client, jobs, 500, NULL, NULL, &refused, &error), TAKT_OK);
    assert_int_equal(refused, 0);
    int told = 0;
    fake_server_answer(pair.server, "PUSHB", "$28\r\n{\"job-1\": \"bad \\\"at\\\"\"     }\r\n");
    assert_int_equal(takt_push_bulk(pair.client, jobs, 2, note_refused, &told, &refused, &error),
                     TAKT_OK);
    assert_int_equal(refused, 1);
    assert_int_equal(told, 1);
    pair_done(&pair);
}

static void test_work(void **state) {
    (void)state;
    Pair pair;
    pair_init(&pair, NULL);
    takt_error error = {0};
    const char *queues[] = {"high", "low"};
    takt_batch *batch;
    fake_server_offer(pair.server, "{\"jid\":\"job-00001\",\"jobtype\":\"t\",\"args\":{\"a\":1},"
                                   "\"fence\":8796093022209,\"lease_ms\":30000,\"attempt\":2}");
    assert_int_equal(takt_fetch(pair.client, queues, 2, 10, 1000, &batch, &error), TAKT_OK);
    assert_int_equal(batch->count, 1);
    const takt_job *job = &batch->jobs[0];
    assert_string_equal(job->id, "job-00001");
    assert_string_equal(job->args, "{\"a\":1}");
    assert_string_equal(job->queue, "default");
    assert_null(job->custom);
    assert_int_equal(job->fence, 8796093022209);

    int64_t lease_ms;
    const takt_lease lease = {job->id, job->fence};
    assert_int_equal(takt_extend(pair.client, &lease, 1, &lease_ms, &error), TAKT_OK);
    assert_int_equal(lease_ms, 30000);
    assert_int_equal(takt_progress(pair.client, job->id, job->fence, 50, "half", &error), TAKT_OK);
    takt_verdict verdict;
    assert_int_equal(takt_log(pair.client, job->id, job->fence, "a\xff", 2, &verdict, &error),
                     TAKT_OK);
    assert_int_equal(verdict, TAKT_SETTLED);
    assert_true(fake_server_saw(pair.server, "\"data\":\"a\xef\xbf\xbd\"", 1000));

    takt_outcome outcome = {.id = job->id, .fence = job->fence, .result = "{\"x\": [1 ]}"};
    /* the first answer is lost: it is sent again by itself */
    fake_server_break_at(pair.server, "TDONE");
    assert_int_equal(takt_settle(pair.client, &outcome, 1, &verdict, &error), TAKT_OK);
    assert_int_equal(verdict, TAKT_SETTLED);
    assert_int_equal(fake_server_count(pair.server, "\"result\":{\"x\":[1]}"), 2);

    fake_server_judge(pair.server, "STALE");
    outcome = (takt_outcome){.id = job->id,
                             .fence = job->fence,
                             .failed = 1,
                             .error_type = "E",
                             .backtrace = "one\ntwo",
                             .has_retry_after = 1,
                             .retry_after_ms = 1500};
    assert_int_equal(takt_settle(pair.client, &outcome, 1, &verdict, &error), TAKT_OK);
    assert_int_equal(verdict, TAKT_STALE);
    assert_true(fake_server_saw(pair.server, "\"backtrace\":[\"one\",\"two\"]", 1000));
    assert_int_equal(takt_extend(pair.client, &lease, 1, &lease_ms, &error), TAKT_OK);
    assert_int_equal(lease_ms, -1);
    takt_batch_free(batch);
    assert_int_equal(takt_fetch(pair.client, queues, 2, 10, 0, &batch, &error), TAKT_OK);
    assert_int_equal(batch->count, 0);
    takt_batch_free(batch);
    pair_done(&pair);
}

/* As a process of its own, which can be stopped: exits with the status. */
static _Noreturn void fetch_once(int port, int64_t wait_ms) {
    char url[64];
    const char *queues[] = {"q"};
    snprintf(url, sizeof url, "tcp://127.0.0.1:%d", port);
    const takt_options options = {.url = url, .worker_id = "w1"};
    takt_client *client;
    takt_batch *batch;
    takt_status status = takt_connect(&options, &client, NULL);
    if (status == TAKT_OK) status = takt_fetch(client, queues, 1, 1, wait_ms, &batch, NULL);
    _exit((int)status);
}

static void test_jobs_that_are_read_too_late(void **state) {
    (void)state;
    FakeServer *server = fake_server_new(NULL);
    pid_t child = fork();
    if (child == 0) fetch_once(fake_server_port(server), 400);
    fake_server_start(server);
    assert_true(fake_server_saw(server, "TFETCH", 5000));
    kill(child, SIGSTOP);
    fake_server_offer(server,
                      "{\"jid\":\"job-00001\",\"jobtype\":\"t\",\"queue\":\"q\",\"args\":[],"
                      "\"fence\":7,\"lease_ms\":500,\"attempt\":1}");
    (void)poll(NULL, 0, 1000);
    kill(child, SIGCONT);
    int ended;
    assert_int_equal(waitpid(child, &ended, 0), child);
    assert_int_equal(WEXITSTATUS(ended), TAKT_ERR_UNAVAILABLE);
    fake_server_free(server);
}

static void test_beat(void **state) {
    (void)state;
    Pair pair;
    pair_init(&pair, NULL);
    takt_error error = {0};
    takt_beat_answer *answer;
    assert_int_equal(takt_beat(pair.client, 0, &answer, &error), TAKT_OK);
    assert_int_equal(answer->state, TAKT_RUNNING);
    assert_int_equal(answer->cancel_count, 0);
    takt_beat_free(answer);
    fake_server_cancel(pair.server, "job-00001");
    fake_server_tell_state(pair.server, "quiet");
    assert_int_equal(takt_beat(pair.client, 5000, &answer, &error), TAKT_OK);
    assert_int_equal(answer->cancel_count, 1);
    assert_string_equal(answer->cancel[0], "job-00001");
    takt_beat_free(answer);
    pair_done(&pair);
}

static void test_connect_failures(void **state) {
    (void)state;
    takt_error error = {0};
    takt_client *client = NULL;
    FakeServer *server = fake_server_new("secret");
    fake_server_start(server);
    char url[96];
    snprintf(url, sizeof url, "tcp://:wrong@127.0.0.1:%d", fake_server_port(server));
    takt_options options = {.url = url};
    assert_int_equal(takt_connect(&options, &client, &error), TAKT_ERR_DENIED);
    assert_null(strstr(error.message, "wrong"));
    snprintf(url, sizeof url, "tcp://:s%%65cret@127.0.0.1:%d", fake_server_port(server));
    assert_int_equal(takt_connect(&options, &client, &error), TAKT_OK);
    takt_close(client);
    int port = fake_server_port(server);
    fake_server_free(server);
    snprintf(url, sizeof url, "tcp://127.0.0.1:%d", port);
    options.attempts = 2;
    assert_int_equal(takt_connect(&options, &client, &error), TAKT_ERR_UNAVAILABLE);
    options.url = "http://localhost";
    assert_int_equal(takt_connect(&options, &client, &error), TAKT_ERR_INVALID);
    takt_close(NULL);
}

static void test_addresses(void **state) {
    (void)state;
    static const struct {
        const char *url, *host, *port, *password;
    } rows[] = {
        {"tcp://localhost", "localhost", "7419", ""},
        {"tcp://localhost:1/", "localhost", "1", ""},
        {"tcp://:p%40ss@h:7419", "h", "7419", "p@ss"},
        {"tcp://user:p@ss@h", "h", "7419", "p@ss"},
        {"tcp+tls://[::1]:65535", "::1", "65535", ""},
        {"tcp://[::1]", "::1", "7419", ""},
        {"tcp://", NULL, NULL, NULL},
        {"tcp://h:0", NULL, NULL, NULL},
        {"tcp://h:65536", NULL, NULL, NULL},
        {"tcp://h:x", NULL, NULL, NULL},
        {"tcp://[::1", NULL, NULL, NULL},
        {"tcp://[::1]x", NULL, NULL, NULL},
        {"tcp://:%zz@h", NULL, NULL, NULL},
        {"tcp://:a%4@h", NULL, NULL, NULL},
        {"redis://h", NULL, NULL, NULL},
        {"", NULL, NULL, NULL},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        ServerAddress address;
        Error error;
        Err err = server_address_parse(str_from(rows[i].url), &address, &error);
        if ((err == OK) != (rows[i].host != NULL)) fail_msg("%s", rows[i].url);
        if (err != OK) continue;
        assert_string_equal(address.host, rows[i].host);
        assert_string_equal(address.port, rows[i].port);
        assert_string_equal(address.password, rows[i].password);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),     cmocka_unit_test(test_push),
        cmocka_unit_test(test_push_refusals), cmocka_unit_test(test_push_bulk),
        cmocka_unit_test(test_work),          cmocka_unit_test(test_jobs_that_are_read_too_late),
        cmocka_unit_test(test_beat),          cmocka_unit_test(test_connect_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
