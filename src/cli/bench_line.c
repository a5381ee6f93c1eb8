/* Load over the worker protocol: each connection is a small loop of commands with one batch under
 * way. Here the scenarios that go as fast as they can; those by the clock are in bench_paced.c. */
#include "cli/bench_line.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/time.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- commands ---- */

Buf *line_command(Line *line, const char *verb) {
    Buf *output = connection_output(line->connection);
    session_begin(&line->session, output, str_from(verb));
    line->sent_us = clock_mono_us();
    return output;
}

void line_send(Line *line, Hear *heard) {
    line->heard = heard;
    session_end(connection_output(line->connection));
    connection_written(line->connection);
}

void line_over(Line *line) {
    LineBench *bench = line->bench;
    if (line->over) return;
    line->over = true;
    if (--bench->lines_open == 0) loop_stop(bench->loop);
}

static void bench_failed(LineBench *bench, Err err, const Error *error) {
    if (bench->err == OK) {
        bench->err = err;
        bench->error = *error;
    }
    loop_stop(bench->loop);
}

static void sample(Line *line) {
    samples_add(&line->bench->result->samples, clock_mono_us() - line->sent_us);
}

void line_jobs_done(Line *line, size_t count) {
    line->bench->result->jobs += (int64_t)count;
    if (count > 0) line->bench->last_us = clock_mono_us();
}

bool line_is_bad(Line *line, const Reply *reply) {
    if (reply->kind != REPLY_ERROR) return false;
    if (line->bench->result->errors++ == 0) {
        fprintf(stderr, "takt: the node said: " STR_FMT "\n", STR_ARG(reply->text));
    }
    line_over(line);
    return true;
}

static const char *new_jid(Line *line, size_t number) {
    Uuid uuid = uuid_make(&line->bench->ids, clock_real_us(), &line->bench->random);
    char *jid = line->jids + number * UUID_TEXT_SIZE;
    uuid_format(&uuid, jid);
    return jid;
}

void line_put_job(Line *line, Buf *output, size_t number, int64_t at_us) {
    buf_format(output, "{\"jid\":\"%s\",\"jobtype\":\"bench\",\"queue\":\"bench\",",
               new_jid(line, number));
    if (at_us > 0) {
        buf_add(output, STR("\"at\":\""));
        time_format_us(output, at_us);
        buf_add(output, STR("\","));
    }
    buf_add(output, STR("\"args\":"));
    bench_args(output, line->bench->plan, at_us > 0 ? at_us : clock_mono_us());
    buf_add_char(output, '}');
}

size_t line_claim(LineBench *bench) {
    int64_t left = bench->plan->jobs - bench->issued;
    int64_t count = left < bench->plan->batch ? left : bench->plan->batch;
    bench->issued += count;
    return (size_t)count;
}

static void push_batch(Line *line, size_t count, Hear *heard) {
    Buf *output = line_command(line, "PUSHB");
    buf_add_char(output, '[');
    for (size_t i = 0; i < count; i++) {
        if (i > 0) buf_add_char(output, ',');
        line_put_job(line, output, i, 0);
    }
    buf_add_char(output, ']');
    line_send(line, heard);
}

/* ---- life and drain: take and settle in batches ---- */

static Act life_begin, drain_begin;

static void on_settled(Line *line, const Reply *reply) {
    if (line_is_bad(line, reply)) return;
    sample(line);
    line_jobs_done(line, line->jid_count);
    line->begin(line);
}

void line_settle(Line *line, const Reply *reply, Hear *settled) {
    Json list;
    arena_reset(&line->arena);
    if (json_check(reply->text, &list, NULL) != OK || list.kind != JSON_ARRAY) {
        line_over(line);
        return;
    }
    JsonIter iter = json_iter(list);
    Json job;
    Buf *output = line_command(line, "TDONE");
    line->jid_count = 0;
    buf_add_char(output, '[');
    while (json_next(&iter, NULL, &job)) {
        if (line->jid_count++ > 0) buf_add_char(output, ',');
        Json fence = json_member(job, STR("fence")), jid = json_member(job, STR("jid"));
        buf_format(output, "{\"jid\":" STR_FMT ",\"fence\":" STR_FMT ",\"result\":null}",
                   STR_ARG(jid.text), STR_ARG(fence.text));
    }
    buf_add_char(output, ']');
    line_send(line, settled);
}

static void on_taken(Line *line, const Reply *reply) {
    if (line_is_bad(line, reply)) return;
    sample(line);
    if (str_eq(reply->text, STR("[]"))) {
        line_over(line);
        return;
    }
    line_settle(line, reply, on_settled);
}

static void take_batch(Line *line, int64_t wait_ms) {
    buf_format(line_command(line, "TFETCH"), "{\"queues\":[\"bench\"],\"n\":%lld,\"wait_ms\":%lld}",
               (long long)line->bench->plan->batch, (long long)wait_ms);
    line_send(line, on_taken);
}

static void on_life_pushed(Line *line, const Reply *reply) {
    if (line_is_bad(line, reply)) return;
    sample(line);
    take_batch(line, 2000);
}

static void life_begin(Line *line) {
    size_t count = line_claim(line->bench);
    if (count == 0) {
        line_over(line);
    } else {
        push_batch(line, count, on_life_pushed);
    }
}

static void drain_begin(Line *line) {
    take_batch(line, 100);
}

/* ---- push only ---- */

static Act push_begin, single_begin;

static void on_pushed(Line *line, const Reply *reply) {
    if (line_is_bad(line, reply)) return;
    sample(line);
    line_jobs_done(line, line->jid_count);
    line->begin(line);
}

static void push_begin(Line *line) {
    line->jid_count = line_claim(line->bench);
    if (line->jid_count == 0) {
        line_over(line);
    } else {
        push_batch(line, line->jid_count, on_pushed);
    }
}

static void push_one(Line *line, Hear *heard) {
    Buf *output = line_command(line, "PUSH");
    line_put_job(line, output, 0, 0);
    line->jid_count = 1;
    line_send(line, heard);
}

static void single_begin(Line *line) {
    if (line_claim(line->bench) == 0) {
        line_over(line);
    } else {
        push_one(line, on_pushed);
    }
}

/* ---- plain: the three commands of a Faktory client, one at a time ---- */

static Act plain_begin;

static void on_plain_acked(Line *line, const Reply *reply) {
    if (line_is_bad(line, reply)) return;
    sample(line);
    line_jobs_done(line, 1);
    plain_begin(line);
}

static void on_plain_fetched(Line *line, const Reply *reply) {
    if (line_is_bad(line, reply)) return;
    sample(line);
    Json job;
    if (reply->kind == REPLY_NULL || json_check(reply->text, &job, NULL) != OK) {
        line_over(line);
        return;
    }
    buf_format(line_command(line, "ACK"), "{\"jid\":" STR_FMT "}",
               STR_ARG(json_member(job, STR("jid")).text));
    line_send(line, on_plain_acked);
}

static void on_plain_pushed(Line *line, const Reply *reply) {
    if (line_is_bad(line, reply)) return;
    sample(line);
    buf_add(line_command(line, "FETCH"), STR("bench"));
    line_send(line, on_plain_fetched);
}

static void plain_begin(Line *line) {
    if (line_claim(line->bench) == 0) {
        line_over(line);
    } else {
        push_one(line, on_plain_pushed);
    }
}

/* ---- connections ---- */

static void line_step(Line *line) {
    LineBench *bench = line->bench;
    for (;;) {
        Reply reply;
        size_t used = 0;
        Error error;
        Str input = connection_input(line->connection);
        SessionEvent event = session_step(
            &line->session, input, connection_output(line->connection), &used, &reply, &error);
        connection_written(line->connection);
        if (event == SESSION_MORE) {
            connection_consume(line->connection, used);
            return;
        }
        if (event == SESSION_FAILED) {
            bench_failed(bench, error.err, &error);
            return;
        }
        if (event == SESSION_READY) {
            connection_consume(line->connection, used);
            line->begin(line);
        } else {
            line->heard(line, &reply);
            connection_consume(line->connection, used);
        }
    }
}

static void on_data(Connection *connection, void *owner) {
    (void)connection;
    line_step(owner);
}

static void on_close(Connection *connection, void *owner, ConnectionEnd why) {
    Line *line = owner;
    (void)connection, (void)why;
    Error error;
    error_set(&error, ERR_UNAVAILABLE, "the node closed the connection");
    line->connection = NULL;
    bench_failed(line->bench, ERR_UNAVAILABLE, &error);
}

static const ConnectionHandler line_handler = {.on_data = on_data, .on_close = on_close};

static Act *find_begin(const char *scenario) {
    static const struct {
        const char *name;
        Act *begin;
    } acts[] = {
        {"life", life_begin},     {"plain", plain_begin}, {"push", push_begin},
        {"single", single_begin}, {"drain", drain_begin}, {"pickup", paced_begin},
        {"delayed", paced_begin}, {"storm", storm_begin},
    };
    for (size_t i = 0; i < LENGTH(acts); i++) {
        if (strcmp(acts[i].name, scenario) == 0) return acts[i].begin;
    }
    return NULL;
}

static Err line_open(LineBench *bench, Line *line, size_t i, Error *error) {
    int fd = -1;
    TRY(bench_connect(bench->plan, &fd, error));
    ConnectionLimits limits = {.input_max = 64 * 1024 * 1024};
    line->bench = bench;
    line->begin = find_begin(bench->plan->scenario);
    line->jids = alloc((size_t)bench->plan->batch * UUID_TEXT_SIZE);
    snprintf(line->wid, sizeof line->wid, "bench-%d-%zu", (int)getpid(), i);
    line->identity = (SessionIdentity){
        .password = bench->plan->password, .hostname = STR("bench"), .wid = str_from(line->wid)};
    session_init(&line->session, &line->identity);
    loop_timer_init(&line->timer, bench->loop, line_on_pace, line);
    line->connection = connection_adopt(bench->loop, fd, &limits, &line_handler, line);
    bench->lines_open++;
    return OK;
}

static void bench_close(LineBench *bench) {
    for (size_t i = 0; i < bench->line_count; i++) {
        Line *line = &bench->lines[i];
        if (!line->bench) continue;
        loop_timer_cancel(&line->timer);
        if (line->connection) connection_free(line->connection);
        arena_done(&line->arena);
        free(line->jids);
    }
    free(bench->lines);
    loop_free(bench->loop);
}

Err bench_line_run(const BenchPlan *plan, BenchResult *ret, Error *error) {
    bool paced = find_begin(plan->scenario) == paced_begin;
    LineBench bench = {.plan = plan, .result = ret, .loop = loop_new()};
    bench.line_count = paced ? 2 : (size_t)plan->connections;
    bench.lines = alloc_zero(bench.line_count, sizeof *bench.lines);
    random_init(&bench.random, (uint64_t)clock_mono_us());
    bench.first_due_us = clock_real_us() + plan->delay_ms * US_PER_MS;
    Err err = OK;
    for (size_t i = 0; i < bench.line_count && err == OK; i++) {
        err = line_open(&bench, &bench.lines[i], i, error);
    }
    if (err == OK) {
        int64_t begun_us = clock_mono_us();
        loop_run(bench.loop);
        if (bench.last_us > begun_us) ret->elapsed_us = bench.last_us - begun_us;
        if (bench.err != OK) {
            *error = bench.error;
            err = bench.err;
        }
    }
    bench_close(&bench);
    return err;
}
