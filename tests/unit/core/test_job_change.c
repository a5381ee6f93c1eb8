/* A job's life: every state meets every event, and each event's changes and guards one by one. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "base/time.h"
#include "core/job_change.h"
#include "core/limits.h"

#define NOW INT64_C(1795428000123000)
#define FENCE 70

static Arena arena;
static Random random_numbers;
static const ChangeContext context = {NOW, &random_numbers, &arena};
static const Lease lease = {FENCE, {"w1", 2}};

static int reset(void **state) {
    (void)state;
    arena_reset(&arena);
    random_init(&random_numbers, 1);
    return 0;
}

static int forget(void **state) {
    (void)state;
    arena_done(&arena);
    return 0;
}

/* A job as it looks in a state, after one start under FENCE where there was one. */
static Job job_in(JobState state) {
    Job job = job_default();
    job.id = STR("j1");
    job.type = STR("t");
    job.due_us = NOW - 10;
    job.retry.jitter = JITTER_NONE;
    job.state = state;
    if (state == JOB_BLOCKED || state == JOB_WAITING || state == JOB_PARKED) return job;
    job.fence = FENCE;
    job.attempt = 1;
    job.worker = STR("w1");
    job.started_us = NOW - 1000;
    if (state == JOB_RUNNING) {
        job.deadline_us = NOW;
        job.progress = STR("{}");
    } else {
        job.finished_us = NOW - 5;
        job.outcome = STR("aa");
    }
    return job;
}

typedef ChangeResult Event(Job *job);

static ChangeResult start(Job *job) {
    return job_start(job, FENCE + 1, STR("w2"), 0, &context);
}
static ChangeResult succeed(Job *job) {
    return job_succeed(job, &lease, STR("1"), STR("bb"), &context);
}
static ChangeResult report_failure(Job *job) {
    Failure failure = {.hash = STR("cc"), .retry_after_ms = -1};
    return job_fail(job, &lease, &failure, &context);
}
static ChangeResult lose(Job *job) {
    return job_lose(job, "gone", &context);
}
static ChangeResult time_out(Job *job) {
    return job_time_out(job, &context);
}
static ChangeResult give_back(Job *job) {
    return job_return(job, &lease, &context);
}
static ChangeResult cancel(Job *job) {
    return job_cancel(job, REASON_CANCELLED, &context);
}
static ChangeResult expire(Job *job) {
    job->expires_us = NOW;
    ChangeResult result = job_expire(job, &context);
    job->expires_us = 0;
    return result;
}
static ChangeResult retry(Job *job) {
    return job_retry(job, NOW + 3, &context);
}
static ChangeResult kill(Job *job) {
    return job_kill(job, &context);
}

enum { NO = -1, LATE = -2 }; /* refused as wrong state, or as stale; else the state it leads to */

static const struct {
    const char *name;
    Event *event;
    int leads_to
        [JOB_STATES]; /* from blocked, waiting, parked, running, succeeded, dead, cancelled */
} EVENTS[] = {
    {"start", start, {NO, JOB_RUNNING, NO, NO, NO, NO, NO}},
    {"succeed", succeed, {LATE, LATE, LATE, JOB_SUCCEEDED, LATE, LATE, LATE}},
    {"fail", report_failure, {LATE, LATE, LATE, JOB_WAITING, LATE, LATE, LATE}},
    {"lose", lose, {NO, NO, NO, JOB_WAITING, NO, NO, NO}},
    {"time out", time_out, {NO, NO, NO, JOB_WAITING, NO, NO, NO}},
    {"return", give_back, {LATE, LATE, LATE, JOB_WAITING, LATE, LATE, LATE}},
    {"cancel", cancel, {JOB_CANCELLED, JOB_CANCELLED, JOB_CANCELLED, JOB_CANCELLED, NO, NO, NO}},
    {"expire", expire, {NO, JOB_CANCELLED, JOB_CANCELLED, NO, NO, NO, NO}},
    {"retry", retry, {NO, JOB_WAITING, NO, NO, NO, JOB_WAITING, JOB_WAITING}},
    {"kill", kill, {NO, JOB_DEAD, NO, NO, NO, NO, NO}},
};

static void every_state_meets_every_event(void **unused) {
    (void)unused;
    for (size_t i = 0; i < LENGTH(EVENTS); i++) {
        for (JobState state = 0; state < JOB_STATES; state++) {
            Job before = job_in(state);
            Job job = before;
            ChangeResult result = EVENTS[i].event(&job);
            int expected = EVENTS[i].leads_to[state];
            print_message("%s in state %d: %d, state %d\n", EVENTS[i].name, (int)state, (int)result,
                          (int)job.state);
            if (expected < 0) {
                assert_int_equal(result, expected == NO ? CHANGE_WRONG_STATE : CHANGE_STALE);
                assert_memory_equal(&job, &before, sizeof job);
                continue;
            }
            assert_int_equal(result, CHANGE_APPLIED);
            assert_int_equal(job.state, expected);
            assert_true(job_state_allows(state, (JobState)job.state));
            assert_int_equal(job.deadline_us > 0, job.state == JOB_RUNNING);
            assert_int_equal(job.finished_us > 0, job_is_finished(&job));
        }
    }
}

static void the_table_of_moves(void **unused) {
    (void)unused;
    /* rows: from; columns: to, in the order of JobState */
    static const char *const allowed[JOB_STATES] = {
        [JOB_BLOCKED] = ".w....c",   [JOB_WAITING] = ".wpr.dc",   [JOB_PARKED] = ".w....c",
        [JOB_RUNNING] = ".w..sdc",   [JOB_SUCCEEDED] = ".......", [JOB_DEAD] = ".w.....",
        [JOB_CANCELLED] = ".w.....",
    };
    for (JobState from = 0; from < JOB_STATES; from++) {
        for (JobState to = 0; to < JOB_STATES; to++) {
            assert_int_equal(job_state_allows(from, to), allowed[from][to] != '.');
        }
    }
}

static void a_new_job_enters(void **unused) {
    (void)unused;
    Job job = job_default();
    job.run_at_us = NOW + 7;
    job_enter(&job, NOW + 9, &context);
    assert_int_equal(job.state, JOB_WAITING);
    assert_int_equal(job.due_us, NOW + 9);
    assert_int_equal(job.run_at_us, NOW + 7);
    assert_int_equal(job.created_us, NOW);
    assert_int_equal(job.enqueued_us, NOW);
    assert_int_equal(job.run, 1);
}

static void a_start_takes_the_job(void **unused) {
    (void)unused;
    Job job = job_in(JOB_WAITING);
    job.timeout_ms = 5000;
    job.attempt = 4;
    job.result = job.progress = job.outcome = STR("old");
    assert_int_equal(job_start(&job, FENCE, STR("w9"), 250, &context), CHANGE_APPLIED);
    assert_int_equal(job.fence, FENCE);
    assert_int_equal(job.attempt, 5);
    assert_int_equal(job.started_us, NOW);
    assert_int_equal(job.deadline_us, NOW + 5250000);
    assert_true(str_eq(job.worker, STR("w9")));
    assert_null(job.result.ptr);
    assert_null(job.progress.ptr);
    assert_null(job.outcome.ptr);
    assert_int_equal(job.failures, 0);
}

static void starts_are_guarded(void **unused) {
    (void)unused;
    static const struct {
        int64_t due_us, expires_us, had_fence;
        ChangeResult result;
    } rows[] = {
        {NOW, 0, 0, CHANGE_APPLIED},           {NOW + 1, 0, 0, CHANGE_NOT_DUE},
        {NOW, NOW + 1, 0, CHANGE_APPLIED},     {NOW, NOW, 0, CHANGE_EXPIRED},
        {NOW + 1, NOW - 1, 0, CHANGE_EXPIRED}, {NOW, 0, FENCE - 1, CHANGE_APPLIED},
        {NOW, 0, FENCE, CHANGE_STALE},         {NOW, 0, FENCE + 1, CHANGE_STALE},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        Job job = job_in(JOB_WAITING);
        job.due_us = rows[i].due_us;
        job.expires_us = rows[i].expires_us;
        job.fence = rows[i].had_fence;
        Job before = job;
        assert_int_equal(job_start(&job, FENCE, STR("w1"), 0, &context), rows[i].result);
        if (rows[i].result != CHANGE_APPLIED) assert_memory_equal(&job, &before, sizeof job);
    }
}

static void a_lease_counts_from_its_holder(void **unused) {
    (void)unused;
    static const struct {
        int64_t fence;
        const char *worker, *holder;
        bool held;
    } rows[] = {
        {FENCE, "w1", "w1", true},      {FENCE, "w2", "w1", false}, {FENCE, NULL, "w1", true},
        {FENCE, "w1", NULL, true},      {FENCE, NULL, NULL, true},  {FENCE - 1, "w1", "w1", false},
        {FENCE + 1, "w1", "w1", false}, {0, "w1", "w1", true},      {0, "w2", "w1", false},
        {0, NULL, "w1", true},          {0, "w2", NULL, true},      {FENCE, "", "w1", true},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        Lease who = {rows[i].fence, str_from(rows[i].worker)};
        Failure failure = {.hash = STR("cc"), .retry_after_ms = -1};
        Job job = job_in(JOB_RUNNING);
        job.worker = str_from(rows[i].holder);
        Job copies[3] = {job, job, job};
        ChangeResult expected = rows[i].held ? CHANGE_APPLIED : CHANGE_STALE;
        assert_int_equal(job_is_held(&job, &who), rows[i].held);
        assert_int_equal(job_succeed(&copies[0], &who, STR("1"), STR("aa"), &context), expected);
        assert_int_equal(job_fail(&copies[1], &who, &failure, &context), expected);
        assert_int_equal(job_return(&copies[2], &who, &context), expected);
        for (size_t at = 0; at < 3 && !rows[i].held; at++) {
            assert_memory_equal(&copies[at], &job, sizeof job);
        }
    }
}

static void a_success_is_recorded_once(void **unused) {
    (void)unused;
    Job job = job_in(JOB_RUNNING);
    assert_int_equal(job_succeed(&job, &lease, STR("{\"n\":1}"), STR("aa"), &context),
                     CHANGE_APPLIED);
    assert_int_equal(job.finished_us, NOW);
    assert_true(str_eq(job.result, STR("{\"n\":1}")));
    static const struct {
        int64_t fence;
        const char *hash;
        ChangeResult result;
    } rows[] = {
        {FENCE, "aa", CHANGE_REPEATED},  {FENCE, "bb", CHANGE_STALE}, {FENCE, NULL, CHANGE_STALE},
        {FENCE + 1, "aa", CHANGE_STALE}, {0, "aa", CHANGE_STALE},
    };
    Job before = job;
    for (size_t i = 0; i < LENGTH(rows); i++) {
        Lease who = {rows[i].fence, STR("w1")};
        assert_int_equal(job_succeed(&job, &who, STR("2"), str_from(rows[i].hash), &context),
                         rows[i].result);
        assert_memory_equal(&job, &before, sizeof job);
    }
    assert_int_equal(report_failure(&job), CHANGE_STALE);
}

static void failures_lead_on_by_the_policy(void **unused) {
    (void)unused;
    static const struct {
        const char *name;
        int64_t max_attempts, failures;
        bool discard, final;
        JobState state;
        JobReason reason;
    } rows[] = {
        {"another try", 3, 0, false, false, JOB_WAITING, REASON_NONE},
        {"the last but one", 3, 1, false, false, JOB_WAITING, REASON_NONE},
        {"the last", 3, 2, false, false, JOB_DEAD, REASON_ATTEMPTS_EXHAUSTED},
        {"the only one", 1, 0, false, false, JOB_DEAD, REASON_ATTEMPTS_EXHAUSTED},
        {"useless to go on", 3, 0, false, true, JOB_DEAD, REASON_NOT_RETRYABLE},
        {"useless and the last", 1, 0, false, true, JOB_DEAD, REASON_NOT_RETRYABLE},
        {"discarded", 1, 0, true, false, JOB_CANCELLED, REASON_DISCARDED},
        {"discarded, useless", 3, 0, true, true, JOB_CANCELLED, REASON_DISCARDED},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        print_message("%s\n", rows[i].name);
        Job job = job_in(JOB_RUNNING);
        job.retry.max_attempts = rows[i].max_attempts;
        job.retry.discard = rows[i].discard;
        job.failures = rows[i].failures;
        Failure failure = {.hash = STR("cc"), .final = rows[i].final, .retry_after_ms = -1};
        assert_int_equal(job_fail(&job, &lease, &failure, &context), CHANGE_APPLIED);
        assert_int_equal(job.state, rows[i].state);
        assert_int_equal(job.reason, rows[i].reason);
        assert_int_equal(job.failures, rows[i].failures + 1);
        assert_int_equal(job.lost, 0);
        bool waits = rows[i].state == JOB_WAITING;
        assert_int_equal(job.due_us, waits ? NOW + 10000000 * job.failures : NOW - 10);
        assert_int_equal(job.finished_us, waits ? 0 : NOW);
        /* reported again, whatever became of it */
        Job before = job;
        assert_int_equal(job_fail(&job, &lease, &failure, &context), CHANGE_REPEATED);
        failure.hash = STR("dd");
        assert_int_equal(job_fail(&job, &lease, &failure, &context), CHANGE_STALE);
        assert_memory_equal(&job, &before, sizeof job);
    }
}

static void a_failure_repeats_even_under_the_next_lease(void **unused) {
    (void)unused;
    Job job = job_in(JOB_RUNNING);
    assert_int_equal(report_failure(&job), CHANGE_APPLIED);
    job.due_us = NOW;
    assert_int_equal(start(&job), CHANGE_APPLIED);
    Job before = job;
    assert_int_equal(report_failure(&job), CHANGE_REPEATED);
    assert_int_equal(succeed(&job), CHANGE_STALE);
    assert_memory_equal(&job, &before, sizeof job);
}

static void a_worker_may_say_when(void **unused) {
    (void)unused;
    static const struct {
        int64_t after_ms, delay_us;
    } rows[] = {
        {0, 0}, {1, 1000}, {60000, 60000000}, {INT64_MAX, LIMIT_AHEAD_US}, {-1, 10000000},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        Job job = job_in(JOB_RUNNING);
        Failure failure = {.retry_after_ms = rows[i].after_ms};
        assert_int_equal(job_fail(&job, &lease, &failure, &context), CHANGE_APPLIED);
        assert_int_equal(job.due_us, NOW + rows[i].delay_us);
        assert_int_equal(job.enqueued_us, NOW);
    }
}

static void the_first_failure_of_a_run_is_noted(void **unused) {
    (void)unused;
    Job job = job_in(JOB_RUNNING);
    assert_int_equal(report_failure(&job), CHANGE_APPLIED);
    assert_true(str_eq(job.failure_first, STR("2026-11-23T10:00:00.123Z")));
    job.due_us = NOW;
    ChangeContext later = {NOW + 5000000, &random_numbers, &arena};
    assert_int_equal(job_start(&job, FENCE + 1, STR("w1"), 0, &later), CHANGE_APPLIED);
    Lease second = {FENCE + 1, STR("w1")};
    Failure failure = {.final = true, .retry_after_ms = -1};
    assert_int_equal(job_fail(&job, &second, &failure, &later), CHANGE_APPLIED);
    assert_true(str_eq(job.failure_first, STR("2026-11-23T10:00:00.123Z")));
    assert_int_equal(job_retry(&job, NOW, &later), CHANGE_APPLIED);
    assert_null(job.failure_first.ptr);
}

/* Its two runs must not overlap where the first one's worker has not heard of the cancel yet. */
static void a_retry_waits_for_a_cancelled_attempt(void **unused) {
    (void)unused;
    static const struct {
        int64_t timeout_ms, grace_ms, due_us;
    } rows[] = {
        {60000, 15000, NOW + 30000000}, /* a lease, counted from the cancel */
        {1000, 15000, NOW + 16000000},  /* its own deadline comes first */
        {60000, 0, NOW + 3}, /* a plain worker: nothing to wait for that could be known */
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        Job job = job_in(JOB_WAITING);
        job.timeout_ms = rows[i].timeout_ms;
        assert_int_equal(job_start(&job, FENCE, STR("w1"), rows[i].grace_ms, &context),
                         CHANGE_APPLIED);
        assert_int_equal(cancel(&job), CHANGE_APPLIED);
        assert_int_equal(retry(&job), CHANGE_APPLIED);
        assert_int_equal(job.due_us, rows[i].due_us);
        /* nor does saying it again, whatever has happened to the job meanwhile */
        assert_int_equal(retry(&job), CHANGE_APPLIED);
        assert_int_equal(kill(&job), CHANGE_APPLIED);
        assert_int_equal(retry(&job), CHANGE_APPLIED);
        assert_int_equal(cancel(&job), CHANGE_APPLIED);
        assert_int_equal(retry(&job), CHANGE_APPLIED);
        assert_int_equal(job.due_us, rows[i].due_us);
    }
    Job waiting = job_in(JOB_WAITING);
    waiting.due_us = NOW + 99;
    assert_int_equal(cancel(&waiting), CHANGE_APPLIED);
    assert_int_equal(retry(&waiting), CHANGE_APPLIED);
    assert_int_equal(waiting.due_us, NOW + 3);
    Job expired = job_in(JOB_WAITING);
    expired.due_us = NOW + 99;
    assert_int_equal(expire(&expired), CHANGE_APPLIED);
    assert_int_equal(retry(&expired), CHANGE_APPLIED);
    assert_int_equal(expired.due_us, NOW + 3);
}

static void lost_workers_are_counted_apart(void **unused) {
    (void)unused;
    for (int64_t max_lost = 0; max_lost <= 2; max_lost++) {
        Job job = job_in(JOB_RUNNING);
        job.max_lost = max_lost;
        job.retry.max_attempts = 1;
        for (int64_t lost = 1; lost <= max_lost; lost++) {
            assert_int_equal(lose(&job), CHANGE_APPLIED);
            assert_int_equal(job.state, JOB_WAITING);
            assert_int_equal(job.due_us, NOW);
            assert_int_equal(job.lost, lost);
            assert_int_equal(job_start(&job, FENCE + lost, STR("w1"), 0, &context), CHANGE_APPLIED);
        }
        assert_int_equal(lose(&job), CHANGE_APPLIED);
        assert_int_equal(job.state, JOB_DEAD);
        assert_int_equal(job.reason, REASON_WORKER_LOST);
        assert_int_equal(job.attempt, max_lost + 1);
        assert_int_equal(job.failures, 0);
        assert_null(job.failure_first.ptr);
        Json attempts;
        assert_int_equal(json_check(job.attempts, &attempts, NULL), OK);
        assert_int_equal(json_count(attempts), max_lost + 1);
        assert_non_null(strstr(job.attempts.ptr, "\"outcome\":\"lost\",\"hash\":null,\"error\":{"
                                                 "\"type\":\"worker_lost\",\"message\":\"gone\"}"));
    }
}

static void a_timeout_is_a_failure(void **unused) {
    (void)unused;
    Job job = job_in(JOB_RUNNING);
    job.timeout_ms = 90000;
    job.deadline_us = NOW + 1;
    assert_int_equal(time_out(&job), CHANGE_NOT_DUE);
    job.deadline_us = 0;
    assert_int_equal(time_out(&job), CHANGE_NOT_DUE);
    job.deadline_us = NOW;
    assert_int_equal(time_out(&job), CHANGE_APPLIED);
    assert_int_equal(job.failures, 1);
    assert_int_equal(job.due_us, NOW + 10000000);
    assert_non_null(strstr(job.attempts.ptr, "{\"type\":\"timeout\",\"message\":"
                                             "\"ran longer than its timeout of 1m30s\"}"));
    assert_int_equal(report_failure(&job), CHANGE_STALE);
}

static void a_return_undoes_the_claim(void **unused) {
    (void)unused;
    Job job = job_in(JOB_WAITING);
    job.enqueued_us = NOW - 20;
    Job before = job;
    assert_int_equal(job_start(&job, FENCE, STR("w1"), 0, &context), CHANGE_APPLIED);
    assert_int_equal(give_back(&job), CHANGE_APPLIED);
    before.fence = FENCE;
    assert_memory_equal(&job, &before, sizeof job);
    assert_int_equal(succeed(&job), CHANGE_STALE);
    assert_int_equal(report_failure(&job), CHANGE_STALE);
    assert_int_equal(start(&job), CHANGE_APPLIED);
}

static void a_cancellation_says_why(void **unused) {
    (void)unused;
    static const JobReason reasons[] = {REASON_CANCELLED, REASON_PURGED};
    for (size_t i = 0; i < LENGTH(reasons); i++) {
        Job job = job_in(JOB_RUNNING);
        assert_int_equal(job_cancel(&job, reasons[i], &context), CHANGE_APPLIED);
        assert_int_equal(job.reason, reasons[i]);
        assert_int_equal(job.finished_us, NOW);
        assert_int_equal(succeed(&job), CHANGE_STALE);
    }
    Job job = job_in(JOB_WAITING);
    assert_int_equal(kill(&job), CHANGE_APPLIED);
    assert_int_equal(job.reason, REASON_KILLED);
}

static void only_what_has_expired_expires(void **unused) {
    (void)unused;
    static const struct {
        int64_t expires_us;
        ChangeResult result;
    } rows[] = {{0, CHANGE_NOT_DUE}, {NOW + 1, CHANGE_NOT_DUE}, {NOW, CHANGE_APPLIED}};
    for (size_t i = 0; i < LENGTH(rows); i++) {
        Job job = job_in(JOB_WAITING);
        job.expires_us = rows[i].expires_us;
        assert_int_equal(job_expire(&job, &context), rows[i].result);
        if (rows[i].result == CHANGE_APPLIED) assert_int_equal(job.reason, REASON_EXPIRED);
    }
}

static void a_retry_begins_the_next_run(void **unused) {
    (void)unused;
    static const JobState from[] = {JOB_DEAD, JOB_CANCELLED};
    for (size_t i = 0; i < LENGTH(from); i++) {
        Job job = job_in(from[i]);
        job.reason = REASON_KILLED;
        job.failures = job.lost = 3;
        job.attempts = STR("[]");
        job.expires_us = i == 0 ? NOW : NOW + 1;
        assert_int_equal(retry(&job), CHANGE_APPLIED);
        assert_int_equal(job.state, JOB_WAITING);
        assert_int_equal(job.reason, REASON_NONE);
        assert_int_equal(job.due_us, NOW + 3);
        assert_int_equal(job.run, 2);
        assert_int_equal(job.failures, 0);
        assert_int_equal(job.lost, 0);
        assert_int_equal(job.finished_us, 0);
        assert_int_equal(job.enqueued_us, NOW);
        /* these go on */
        assert_int_equal(job.attempt, 1);
        assert_int_equal(job.fence, FENCE);
        assert_true(str_eq(job.attempts, STR("[]")));
        /* an expiry that has passed would end the new run at once */
        assert_int_equal(job.expires_us, i == 0 ? 0 : NOW + 1);
    }
    Job job = job_in(JOB_WAITING);
    job.failures = 2;
    job.due_us = NOW + 1000;
    assert_int_equal(retry(&job), CHANGE_APPLIED);
    assert_int_equal(job.due_us, NOW + 3);
    assert_int_equal(job.run, 1);
    assert_int_equal(job.failures, 2);
}

#define TEST(function) cmocka_unit_test_setup(function, reset)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(every_state_meets_every_event),
        TEST(the_table_of_moves),
        TEST(a_new_job_enters),
        TEST(a_start_takes_the_job),
        TEST(starts_are_guarded),
        TEST(a_lease_counts_from_its_holder),
        TEST(a_success_is_recorded_once),
        TEST(failures_lead_on_by_the_policy),
        TEST(a_failure_repeats_even_under_the_next_lease),
        TEST(a_worker_may_say_when),
        TEST(the_first_failure_of_a_run_is_noted),
        TEST(lost_workers_are_counted_apart),
        TEST(a_timeout_is_a_failure),
        TEST(a_return_undoes_the_claim),
        TEST(a_cancellation_says_why),
        TEST(only_what_has_expired_expires),
        TEST(a_retry_begins_the_next_run),
        TEST(a_retry_waits_for_a_cancelled_attempt),
    };
    return cmocka_run_group_tests(tests, NULL, forget);
}
