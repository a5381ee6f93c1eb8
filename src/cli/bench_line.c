/* Load over the worker protocol: each connection is a small loop of commands with one batch under
 * way; the paced scenarios have one connection that pushes and one that waits. */
#include "cli/bench.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/time.h"
#include "client/session.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct Line Line;
typedef struct Bench Bench;

typedef void Act(Line *line);
typedef void Hear(Line *line, const Reply *reply);

struct Line { /* one connection */
    Bench *bench;
    Connection *connection;
    Session session;
    SessionIdentity identity;
    char wid[64];
    Act *begin;  /* the handshake is done */
    Hear *heard; /* what the next reply is for */
    int64_t sent_us;
    char *jids; /* of the batch under way: UUID_TEXT_SIZE each */
    size_t jid_count;
    Arena arena;
    LoopTimer timer;
    bool over;
};

struct Bench {
    const BenchPlan *plan;
    BenchResult *result;
    Loop *loop;
    Line *lines;
    size_t line_count, lines_open;
    int64_t last_us; /* when the last job was done: what comes after is waiting for nothing */
    int64_t issued;  /* jobs begun */
    UuidMaker ids;
    Random random;
    Error error;
    Err err;
};

/* ---- commands ---- */

static Buf *command(Line *line, const char *verb) {
    Buf *output = connection_output(line->connection);
    session_begin(&line->session, output, str_from(verb));
    line->sent_us = clock_mono_us();
    return output;
}

static void send_off(Line *line, Hear *heard) {
    line->heard = heard;
    session_end(connection_output(line->connection));
    connection_written(line->connection);
}

static void line_over(Line *line) {
    Bench *bench = line->bench;
    if (line->over) return;
    line->over = true;
    if (--bench->lines_open == 0) loop_stop(bench->loop);
}

static void bench_failed(Bench *bench, Err err, const Error *error) {
    if (bench->err == OK) {
        bench->err = err;
        bench->error = *error;
    }
    loop_stop(bench->loop);
}

static void sample(Line *line) {
    samples_add(&line->bench->result->samples, clock_mono_us() - line->sent_us);
}

static void jobs_done(Line *line, size_t count) {
    line->bench->result->jobs += (int64_t)count;
    if (count > 0) line->bench->last_us = clock_mono_us();
}

static bool is_bad(Line *line, const Reply *reply) {
    if (reply->kind != REPLY_ERROR) return false;
    if (line->bench->result->errors++ == 0) {
        fprintf(stderr, "takt: the node said: " STR_FMT "\n", STR_ARG(reply->text));
    }
    line_over(line);
    return true;
}

static void put_job(Line *line, Buf *output, const char *jid, int64_t at_us) {
    Bench *bench = line->bench;
    buf_format(output, "{\"jid\":\"%s\",\"jobtype\":\"bench\",\"queue\":\"bench\",", jid);
    if (at_us > 0) {
        buf_add(output, STR("\"at\":\""));
        time_format_us(output, at_us);
        buf_add(output, STR("\","));
    }
    buf_add(output, STR("\"args\":"));
    bench_args(output, bench->plan, at_us > 0 ? at_us : clock_mono_us());
    buf_add_char(output, '}');
}

static char *new_jid(Line *line, size_t i) {
    Uuid uuid = uuid_make(&line->bench->ids, clock_real_us(), &line->bench->random);
    char *jid = line->jids + i * UUID_TEXT_SIZE;
    uuid_format(&uuid, jid);
    return jid;
}

/* How many jobs the next batch may have. */
static size_t claim_batch(Bench *bench) {
    int64_t left = bench->plan->jobs - bench->issued;
    int64_t count = left < bench->plan->batch ? left : bench->plan->batch;
    bench->issued += count;
    return (size_t)count;
}

static void push_batch(Line *line, size_t count, Hear *heard) {
    Buf *output = command(line, "PUSHB");
    buf_add_char(output, '[');
    for (size_t i = 0; i < count; i++) {
        if (i > 0) buf_add_char(output, ',');
        put_job(line, output, new_jid(line, i), 0);
    }
    buf_add_char(output, ']');
    send_off(line, heard);
}

/* ---- life and drain: take and settle in batches ---- */

static Act life_begin, drain_begin;

static void on_settled(Line *line, const Reply *reply) {
    if (is_bad(line, reply)) return;
    sample(line);
    jobs_done(line, line->jid_count);
    line->begin(line);
}

static void settle(Line *line, const Reply *reply) {
    Json list;
    arena_reset(&line->arena);
    if (json_check(reply->text, &list, NULL) != OK || list.kind != JSON_ARRAY) {
        line_over(line);
        return;
    }
    JsonIter iter = json_iter(list);
    Json job;
    Buf *output = command(line, "TDONE");
    line->jid_count = 0;
    buf_add_char(output, '[');
    while (json_next(&iter, NULL, &job)) {
        if (line->jid_count++ > 0) buf_add_char(output, ',');
        Json fence = json_member(job, STR("fence")), jid = json_member(job, STR("jid"));
        buf_format(output, "{\"jid\":" STR_FMT ",\"fence\":" STR_FMT ",\"result\":null}",
                   STR_ARG(jid.text), STR_ARG(fence.text));
    }
    buf_add_char(output, ']');
    send_off(line, on_settled);
}

static void on_taken(Line *line, const Reply *reply) {
    if (is_bad(line, reply)) return;
    sample(line);
    if (str_eq(reply->text, STR("[]"))) {
        line_over(line);
        return;
    }
    settle(line, reply);
}

static void take_batch(Line *line, int64_t wait_ms) {
    buf_format(command(line, "TFETCH"), "{\"queues\":[\"bench\"],\"n\":%lld,\"wait_ms\":%lld}",
               (long long)line->bench->plan->batch, (long long)wait_ms);
    send_off(line, on_taken);
}

static void on_life_pushed(Line *line, const Reply *reply) {
    if (is_bad(line, reply)) return;
    sample(line);
    take_batch(line, 2000);
}

static void life_begin(Line *line) {
    size_t count = claim_batch(line->bench);
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
    if (is_bad(line, reply)) return;
    sample(line);
    jobs_done(line, line->jid_count);
    line->begin(line);
}

static void push_begin(Line *line) {
    line->jid_count = claim_batch(line->bench);
    if (line->jid_count == 0) {
        line_over(line);
    } else {
        push_batch(line, line->jid_count, on_pushed);
    }
}

static void push_one(Line *line, Hear *heard) {
    Buf *output = command(line, "PUSH");
    put_job(line, output, new_jid(line, 0), 0);
    line->jid_count = 1;
    send_off(line, heard);
}

static void single_begin(Line *line) {
    if (claim_batch(line->bench) == 0) {
        line_over(line);
    } else {
        push_one(line, on_pushed);
    }
}

/* ---- plain: the three commands of a Faktory client, one at a time ---- */

static Act plain_begin;

static void on_plain_acked(Line *line, const Reply *reply) {
    if (is_bad(line, reply)) return;
    sample(line);
    jobs_done(line, 1);
    plain_begin(line);
}

static void on_plain_fetched(Line *line, const Reply *reply) {
    if (is_bad(line, reply)) return;
    sample(line);
    Json job;
    if (reply->kind == REPLY_NULL || json_check(reply->text, &job, NULL) != OK) {
        line_over(line);
        return;
    }
    buf_format(command(line, "ACK"), "{\"jid\":" STR_FMT "}",
               STR_ARG(json_member(job, STR("jid")).text));
    send_off(line, on_plain_acked);
}

static void on_plain_pushed(Line *line, const Reply *reply) {
    if (is_bad(line, reply)) return;
    sample(line);
    buf_add(command(line, "FETCH"), STR("bench"));
    send_off(line, on_plain_fetched);
}

static void plain_begin(Line *line) {
    if (claim_batch(line->bench) == 0) {
        line_over(line);
    } else {
        push_one(line, on_plain_pushed);
    }
}

/* ---- paced: line 0 pushes, line 1 waits with a parked TFETCH ---- */

static void paced_take(Line *line);

static void on_paced_settled(Line *line, const Reply *reply) {
    if (is_bad(line, reply)) return;
    if (line->bench->result->jobs >= line->bench->plan->jobs) {
        line_over(line);
    } else {
        paced_take(line);
    }
}

/* args[0] is when it was pushed (monotonic), or when it was due (time of day). */
static void on_paced_taken(Line *line, const Reply *reply) {
    if (is_bad(line, reply)) return;
    Json list, job;
    bool delayed = strcmp(line->bench->plan->scenario, "delayed") == 0;
    int64_t now_us = delayed ? clock_real_us() : clock_mono_us();
    if (json_check(reply->text, &list, NULL) != OK) {
        line_over(line);
        return;
    }
    JsonIter iter = json_iter(list);
    while (json_next(&iter, NULL, &job)) {
        JsonIter args = json_iter(json_member(job, STR("args")));
        Json first;
        int64_t then_us = 0;
        if (json_next(&args, NULL, &first) && json_int64(first, &then_us)) {
            if (now_us < then_us) line->bench->result->errors++; /* early */
            samples_add(&line->bench->result->samples, now_us - then_us);
            jobs_done(line, 1);
        }
    }
    if (json_count(list) == 0) {
        paced_take(line);
        return;
    }
    settle(line, reply);
    line->heard = on_paced_settled;
}

static void paced_take(Line *line) {
    buf_add(command(line, "TFETCH"), STR("{\"queues\":[\"bench\"],\"n\":1,\"wait_ms\":10000}"));
    send_off(line, on_paced_taken);
}

static void on_paced_pushed(Line *line, const Reply *reply) {
    if (is_bad(line, reply)) return;
    if (line->bench->issued >= line->bench->plan->jobs) line_over(line);
}

static void on_pace(void *owner) {
    Line *line = owner;
    Bench *bench = line->bench;
    if (claim_batch(bench) == 0) return;
    int64_t at_us = 0;
    if (strcmp(bench->plan->scenario, "delayed") == 0) {
        at_us = clock_real_us() + bench->plan->delay_ms * US_PER_MS;
    }
    Buf *output = command(line, "PUSH");
    put_job(line, output, new_jid(line, 0), at_us);
    send_off(line, on_paced_pushed);
    loop_timer_after(&line->timer, US_PER_S / bench->plan->rate);
}

static void paced_begin(Line *line) {
    if (line == &line->bench->lines[0]) {
        loop_timer_after(&line->timer, US_PER_S / 5);
    } else {
        paced_take(line);
    }
}

/* ---- connections ---- */

static void line_step(Line *line) {
    Bench *bench = line->bench;
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
        {"delayed", paced_begin},
    };
    for (size_t i = 0; i < LENGTH(acts); i++) {
        if (strcmp(acts[i].name, scenario) == 0) return acts[i].begin;
    }
    return NULL;
}

static Err line_open(Bench *bench, Line *line, size_t i, Error *error) {
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
    loop_timer_init(&line->timer, bench->loop, on_pace, line);
    line->connection = connection_adopt(bench->loop, fd, &limits, &line_handler, line);
    bench->lines_open++;
    return OK;
}

static void bench_close(Bench *bench) {
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
    Bench bench = {.plan = plan, .result = ret, .loop = loop_new()};
    bench.line_count = paced ? 2 : (size_t)plan->connections;
    bench.lines = alloc_zero(bench.line_count, sizeof *bench.lines);
    random_init(&bench.random, (uint64_t)clock_mono_us());
    Err err = OK;
    for (size_t i = 0; i < bench.line_count && err == OK; i++) {
        err = line_open(&bench, &bench.lines[i], i, error);
    }
    if (err == OK) {
        int64_t begun_us = clock_mono_us();
        loop_run(bench.loop);
        ret->elapsed_us = bench.last_us - begun_us;
        if (bench.err != OK) {
            *error = bench.error;
            err = bench.err;
        }
    }
    bench_close(&bench);
    return err;
}
