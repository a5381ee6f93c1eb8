/* Load by the clock over the worker protocol: how late is what was due?
 *
 * pickup and delayed have one connection that pushes at a rate and one that waits. storm has every
 * connection push its share of jobs that fall due later, `rate` of them a second, and then take and
 * settle until all have come; what was early counts as an error. */
#include "cli/bench_line.h"

#include "base/clock.h"
#include "base/time.h"
#include <stdio.h>
#include <string.h>

#define STORM_SILENCE_US (60 * US_PER_S) /* nothing came for so long: the rest is lost */

/* What a job's first argument says of it: when it was pushed or due. Early: an error. */
static void sample_lateness(Line *line, Json job, int64_t now_us) {
    LineBench *bench = line->bench;
    JsonIter args = json_iter(json_member(job, STR("args")));
    Json first;
    int64_t then_us = 0;
    if (!json_next(&args, NULL, &first) || !json_int64(first, &then_us)) return;
    if (now_us < then_us) bench->result->errors++;
    samples_add(&bench->result->samples, now_us - then_us);
}

/* ---- paced: line 0 pushes, line 1 waits with a parked TFETCH ---- */

static void paced_take(Line *line);

static void on_paced_settled(Line *line, const Reply *reply) {
    if (line_is_bad(line, reply)) return;
    if (line->bench->result->jobs >= line->bench->plan->jobs) {
        line_over(line);
    } else {
        paced_take(line);
    }
}

static void on_paced_taken(Line *line, const Reply *reply) {
    if (line_is_bad(line, reply)) return;
    Json list, job;
    bool delayed = strcmp(line->bench->plan->scenario, "delayed") == 0;
    int64_t now_us = delayed ? clock_real_us() : clock_mono_us();
    if (json_check(reply->text, &list, NULL) != OK) {
        line_over(line);
        return;
    }
    JsonIter iter = json_iter(list);
    while (json_next(&iter, NULL, &job)) {
        sample_lateness(line, job, now_us);
        line_jobs_done(line, 1);
    }
    if (json_count(list) == 0) {
        paced_take(line);
    } else {
        line_settle(line, reply, on_paced_settled);
    }
}

static void paced_take(Line *line) {
    buf_add(line_command(line, "TFETCH"),
            STR("{\"queues\":[\"bench\"],\"n\":1,\"wait_ms\":10000}"));
    line_send(line, on_paced_taken);
}

static void on_paced_pushed(Line *line, const Reply *reply) {
    if (line_is_bad(line, reply)) return;
    if (line->bench->issued >= line->bench->plan->jobs) line_over(line);
}

void line_on_pace(void *owner) {
    Line *line = owner;
    LineBench *bench = line->bench;
    if (line_claim(bench) == 0) return;
    int64_t at_us = 0;
    if (strcmp(bench->plan->scenario, "delayed") == 0) {
        at_us = clock_real_us() + bench->plan->delay_ms * US_PER_MS;
    }
    Buf *output = line_command(line, "PUSH");
    line_put_job(line, output, 0, at_us);
    line_send(line, on_paced_pushed);
    loop_timer_after(&line->timer, US_PER_S / bench->plan->rate);
}

void paced_begin(Line *line) {
    if (line == &line->bench->lines[0]) {
        loop_timer_after(&line->timer, US_PER_S / 5);
    } else {
        paced_take(line);
    }
}

/* ---- storm ---- */

static void storm_take(Line *line);

static void on_storm_settled(Line *line, const Reply *reply) {
    if (line_is_bad(line, reply)) return;
    storm_take(line);
}

static void on_storm_taken(Line *line, const Reply *reply) {
    if (line_is_bad(line, reply)) return;
    LineBench *bench = line->bench;
    int64_t now_us = clock_real_us();
    Json list, job;
    if (json_check(reply->text, &list, NULL) != OK) {
        line_over(line);
        return;
    }
    JsonIter iter = json_iter(list);
    while (json_next(&iter, NULL, &job)) {
        sample_lateness(line, job, now_us);
    }
    size_t count = json_count(list);
    line_jobs_done(line, count);
    int64_t silent_us = clock_mono_us() - bench->last_us;
    if (count > 0) {
        line_settle(line, reply, on_storm_settled);
    } else if (bench->last_us > 0 && silent_us > STORM_SILENCE_US) {
        bench->result->errors += bench->plan->jobs - bench->result->jobs;
        bench->result->jobs = bench->plan->jobs;
        line_over(line);
    } else {
        storm_take(line);
    }
}

static void storm_take(Line *line) {
    const BenchPlan *plan = line->bench->plan;
    if (line->bench->result->jobs >= plan->jobs) {
        line_over(line);
        return;
    }
    buf_format(line_command(line, "TFETCH"), "{\"queues\":[\"bench\"],\"n\":%lld,\"wait_ms\":1000}",
               (long long)plan->batch);
    line_send(line, on_storm_taken);
}

static void on_storm_pushed(Line *line, const Reply *reply) {
    if (line_is_bad(line, reply)) return;
    storm_begin(line);
}

void storm_begin(Line *line) {
    LineBench *bench = line->bench;
    int64_t first = bench->issued;
    size_t count = line_claim(bench);
    if (count == 0) {
        storm_take(line);
        return;
    }
    if (clock_real_us() > bench->first_due_us && bench->result->errors++ == 0) {
        fprintf(stderr, "takt: pushing takes longer than --delay: the first are due already\n");
    }
    Buf *output = line_command(line, "PUSHB");
    buf_add_char(output, '[');
    for (size_t i = 0; i < count; i++) {
        if (i > 0) buf_add_char(output, ',');
        int64_t at_us = bench->first_due_us + (first + (int64_t)i) * US_PER_S / bench->plan->rate;
        line_put_job(line, output, i, at_us);
    }
    buf_add_char(output, ']');
    line_send(line, on_storm_pushed);
}
