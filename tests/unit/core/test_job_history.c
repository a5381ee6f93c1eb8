/* Random lives of jobs against a naive model that knows only words and counters.
 *
 * The model below is written from the promises (what a job may do), not from core/job_change.c. A
 * failing history is run again with TAKT_TEST_SEED set to the seed that was printed. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/job_change.h"

enum { HISTORIES = 10000, EVENTS_MAX = 60, WORKERS = 3, HASHES = 3, ACCEPTED_MAX = EVENTS_MAX };

/* ---- the model ---- */

typedef struct Report { /* an accepted outcome */
    int64_t fence, hash;
    int64_t ended; /* the number of this ended attempt */
    bool success;
} Report;

typedef struct Model {
    const char *state;                   /* "waiting", "running", "done", "dead", "cancelled" */
    int64_t due, expires, fence, worker; /* worker -1 = none */
    int64_t started, grace;              /* grace in ms; 0: a plain worker */
    int64_t stopped; /* when a cancelled attempt is over for certain; 0: it is */
    int64_t attempt, failures, lost, run;
    int64_t starts_of_run; /* less those returned */
    int64_t outcomes_of_run;
    int64_t ended; /* attempts that failed or were lost */
    Report accepted[ACCEPTED_MAX];
    size_t accepted_count;
} Model;

typedef struct World {
    Job job;
    Model model;
    int64_t now, minted;
    Random random;
    Arena arena;
} World;

static bool is(const Model *model, const char *state) {
    return strcmp(model->state, state) == 0;
}

static bool has_ended(const Model *model) {
    return is(model, "done") || is(model, "dead") || is(model, "cancelled");
}

static void model_end(Model *model, const char *state) {
    model->state = state;
    model->outcomes_of_run++;
}

static bool model_expired(const Model *model, int64_t now) {
    return model->expires != 0 && now >= model->expires;
}

static bool model_holds(const Model *model, int64_t fence, int64_t worker) {
    if (!is(model, "running")) return false;
    if (fence != 0 && fence != model->fence) return false;
    return worker < 0 || model->worker < 0 || worker == model->worker;
}

/* A failure is remembered as long as it is among the last ATTEMPTS_KEPT ended attempts. */
static bool model_was_accepted(const Model *model, int64_t fence, int64_t hash, bool success) {
    for (size_t i = 0; i < model->accepted_count; i++) {
        const Report *report = &model->accepted[i];
        if (report->fence != fence || report->hash != hash || report->success != success) continue;
        return success || model->ended - report->ended < ATTEMPTS_KEPT;
    }
    return false;
}

static void model_accept(Model *model, int64_t hash, bool success) {
    model->accepted[model->accepted_count++] = (Report){
        .fence = model->fence, .hash = hash, .ended = model->ended + 1, .success = success};
}

/* ---- chance ---- */

static int64_t pick(World *world, int64_t count) {
    return (int64_t)random_below(&world->random, (uint64_t)count);
}

static Str worker_name(int64_t worker) {
    static const char *const names[WORKERS] = {"w0", "w1", "w2"};
    return worker < 0 ? (Str){NULL, 0} : str_from(names[worker]);
}

static Str hash_name(int64_t hash) {
    static const char *const names[HASHES] = {"a0", "a1", "a2"};
    return str_from(names[hash]);
}

static int64_t pick_worker(World *world) {
    return pick(world, WORKERS + 1) - 1;
}

/* Most reports come from the holder; the others are late, foreign or without a fence. */
static int64_t pick_fence(World *world) {
    int64_t choice = pick(world, 10);
    if (choice == 0) return 0;
    if (choice <= 2) return world->model.fence - pick(world, 3);
    if (choice == 3) return world->model.fence + 1;
    return world->model.fence;
}

static ChangeContext context_of(World *world) {
    return (ChangeContext){world->now, &world->random, &world->arena};
}

/* ---- events: each is done to both, and the answers are compared ---- */

static void do_start(World *world) {
    Model *model = &world->model;
    ChangeContext context = context_of(world);
    int64_t worker = pick_worker(world), grace = pick(world, 2) ? 0 : 15000;
    world->minted += 1 + pick(world, 3);
    ChangeResult expected = CHANGE_APPLIED;
    if (!is(model, "waiting")) {
        expected = CHANGE_WRONG_STATE;
    } else if (model_expired(model, world->now)) {
        expected = CHANGE_EXPIRED;
    } else if (world->now < model->due) {
        expected = CHANGE_NOT_DUE;
    } else {
        model->state = "running";
        model->fence = world->minted;
        model->worker = worker;
        model->attempt++;
        model->starts_of_run++;
        model->started = world->now;
        model->stopped = 0;
        model->grace = grace;
    }
    assert_int_equal(job_start(&world->job, world->minted, worker_name(worker), grace, &context),
                     expected);
}

static void do_succeed(World *world) {
    Model *model = &world->model;
    ChangeContext context = context_of(world);
    Lease lease = {pick_fence(world), {0}};
    int64_t worker = pick(world, 2) ? model->worker : pick_worker(world);
    int64_t hash = pick(world, HASHES);
    lease.worker = worker_name(worker);
    ChangeResult expected = CHANGE_STALE;
    if (model_holds(model, lease.fence, worker)) {
        expected = CHANGE_APPLIED;
        model_accept(model, hash, /* success= */ true);
        model_end(model, "done");
    } else if (model_was_accepted(model, lease.fence, hash, /* success= */ true)) {
        expected = CHANGE_REPEATED;
    }
    assert_int_equal(job_succeed(&world->job, &lease, STR("1"), hash_name(hash), &context),
                     expected);
}

static void model_fail(World *world, bool final) {
    Model *model = &world->model;
    model->failures++;
    model->ended++;
    if (world->job.retry.discard) {
        model_end(model, "cancelled");
    } else if (final || model->failures == world->job.retry.max_attempts) {
        model_end(model, "dead");
    } else {
        model->state = "waiting";
        model->due = -1; /* by the formula, which has its own test: taken from the job */
    }
}

static void do_fail(World *world) {
    Model *model = &world->model;
    ChangeContext context = context_of(world);
    Lease lease = {pick_fence(world), {0}};
    int64_t worker = pick(world, 2) ? model->worker : pick_worker(world);
    int64_t hash = pick(world, HASHES);
    Failure failure = {.hash = hash_name(hash),
                       .final = pick(world, 8) == 0,
                       .retry_after_ms = pick(world, 3) - 1};
    lease.worker = worker_name(worker);
    ChangeResult expected = CHANGE_STALE;
    if (model_holds(model, lease.fence, worker)) {
        expected = CHANGE_APPLIED;
        model_accept(model, hash, /* success= */ false);
        model_fail(world, failure.final);
    } else if (model_was_accepted(model, lease.fence, hash, /* success= */ false)) {
        expected = CHANGE_REPEATED;
    }
    assert_int_equal(job_fail(&world->job, &lease, &failure, &context), expected);
}

static void do_lose(World *world) {
    Model *model = &world->model;
    ChangeContext context = context_of(world);
    ChangeResult expected = CHANGE_WRONG_STATE;
    if (is(model, "running")) {
        expected = CHANGE_APPLIED;
        model->lost++;
        model->ended++;
        if (model->lost == world->job.max_lost + 1) {
            model_end(model, "dead");
        } else {
            model->state = "waiting";
            model->due = world->now;
        }
    }
    assert_int_equal(job_lose(&world->job, "connection closed", &context), expected);
}

static void do_time_out(World *world) {
    Model *model = &world->model;
    ChangeContext context = context_of(world);
    ChangeResult expected = CHANGE_WRONG_STATE;
    if (is(model, "running")) {
        expected = CHANGE_NOT_DUE;
        if (world->now >= model->started + 1000 * (world->job.timeout_ms + model->grace)) {
            expected = CHANGE_APPLIED;
            model_fail(world, /* final= */ false);
        }
    }
    assert_int_equal(job_time_out(&world->job, &context), expected);
}

static void do_return(World *world) {
    Model *model = &world->model;
    ChangeContext context = context_of(world);
    Lease lease = {pick_fence(world), {0}};
    int64_t worker = pick_worker(world);
    lease.worker = worker_name(worker);
    ChangeResult expected = CHANGE_STALE;
    if (model_holds(model, lease.fence, worker)) {
        expected = CHANGE_APPLIED;
        model->state = "waiting";
        model->worker = -1;
        model->attempt--;
        model->starts_of_run--;
    }
    assert_int_equal(job_return(&world->job, &lease, &context), expected);
}

static void do_cancel(World *world) {
    Model *model = &world->model;
    ChangeContext context = context_of(world);
    ChangeResult expected = CHANGE_WRONG_STATE;
    if (!has_ended(model)) {
        expected = CHANGE_APPLIED;
        if (is(model, "running") && model->grace > 0) {
            int64_t deadline = model->started + 1000 * (world->job.timeout_ms + model->grace);
            int64_t lease = world->now + 30000000;
            model->stopped = lease < deadline ? lease : deadline;
        }
        model_end(model, "cancelled");
    }
    assert_int_equal(job_cancel(&world->job, REASON_CANCELLED, &context), expected);
}

static void do_expire(World *world) {
    Model *model = &world->model;
    ChangeContext context = context_of(world);
    ChangeResult expected = CHANGE_WRONG_STATE;
    if (is(model, "waiting")) {
        expected = CHANGE_NOT_DUE;
        if (model_expired(model, world->now)) {
            expected = CHANGE_APPLIED;
            model_end(model, "cancelled");
        }
    }
    assert_int_equal(job_expire(&world->job, &context), expected);
}

static void do_kill(World *world) {
    Model *model = &world->model;
    ChangeContext context = context_of(world);
    ChangeResult expected = CHANGE_WRONG_STATE;
    if (is(model, "waiting")) {
        expected = CHANGE_APPLIED;
        model_end(model, "dead");
    }
    assert_int_equal(job_kill(&world->job, &context), expected);
}

static void do_retry(World *world) {
    Model *model = &world->model;
    ChangeContext context = context_of(world);
    ChangeResult expected = CHANGE_WRONG_STATE;
    if (is(model, "waiting")) {
        expected = CHANGE_APPLIED;
        model->due = model->stopped > world->now ? model->stopped : world->now;
    } else if (is(model, "dead") || is(model, "cancelled")) {
        expected = CHANGE_APPLIED;
        model->due = model->stopped > world->now ? model->stopped : world->now;
        model->state = "waiting";
        model->run++;
        model->failures = model->lost = model->starts_of_run = model->outcomes_of_run = 0;
        if (model_expired(model, world->now)) model->expires = 0;
    }
    assert_int_equal(job_retry(&world->job, world->now, &context), expected);
}

static void do_wait(World *world) {
    static const int64_t steps[] = {1, 1000, 100000, 5000000};
    world->now += steps[pick(world, LENGTH(steps))];
}

typedef struct EventKind {
    void (*run)(World *world);
    int64_t weight;
} EventKind;

static const EventKind KINDS[] = {
    {do_start, 14}, {do_succeed, 3}, {do_fail, 6}, {do_lose, 3},  {do_time_out, 2}, {do_return, 2},
    {do_cancel, 1}, {do_expire, 2},  {do_kill, 1}, {do_retry, 3}, {do_wait, 8},
};

/* ---- what must hold after every event ---- */

static JobState state_of(const Model *model) {
    if (is(model, "waiting")) return JOB_WAITING;
    if (is(model, "running")) return JOB_RUNNING;
    if (is(model, "done")) return JOB_SUCCEEDED;
    return is(model, "dead") ? JOB_DEAD : JOB_CANCELLED;
}

static void check_agreement(World *world) {
    Model *model = &world->model;
    const Job *job = &world->job;
    assert_int_equal(job->state, state_of(model));
    assert_int_equal(job->fence, model->fence);
    assert_int_equal(job->attempt, model->attempt);
    assert_int_equal(job->failures, model->failures);
    assert_int_equal(job->lost, model->lost);
    assert_int_equal(job->run, model->run);
    assert_int_equal(job->expires_us, model->expires);
    assert_true(str_eq(job->worker, worker_name(model->worker)));
    if (model->due < 0) {
        assert_true(job->due_us >= world->now);
        model->due = job->due_us;
    }
    assert_int_equal(job->due_us, model->due);
}

static void check_promises(const World *world, const Job *before, bool retried) {
    const Job *job = &world->job;
    const Model *model = &world->model;
    if (job_is_finished(before) && !retried) assert_memory_equal(job, before, sizeof *job);
    if (before->state == JOB_SUCCEEDED) assert_memory_equal(job, before, sizeof *job);
    if (before->state != job->state) {
        assert_true(job_state_allows((JobState)before->state, (JobState)job->state));
    }
    assert_true(job->fence >= before->fence);
    if (job->state == JOB_RUNNING && before->state != JOB_RUNNING) {
        assert_true(job->fence > before->fence);
    }
    assert_true(model->starts_of_run <= job->retry.max_attempts + job->max_lost);
    assert_true(model->outcomes_of_run <= 1);
    assert_int_equal(model->outcomes_of_run == 1, job_is_finished(job));
    assert_int_equal(job->finished_us != 0, job_is_finished(job));
    assert_true(job->state == JOB_RUNNING ? job->deadline_us > 0
                                          : job->deadline_us == world->model.stopped);
    assert_int_equal(job->reason != REASON_NONE,
                     job->state == JOB_DEAD || job->state == JOB_CANCELLED);
}

/* ---- histories ---- */

static const EventKind *pick_event(World *world) {
    int64_t sum = 0;
    for (size_t i = 0; i < LENGTH(KINDS); i++) {
        sum += KINDS[i].weight;
    }
    int64_t at = pick(world, sum);
    size_t i = 0;
    while (at >= KINDS[i].weight) {
        at -= KINDS[i++].weight;
    }
    return &KINDS[i];
}

static void begin(World *world, uint64_t seed) {
    random_init(&world->random, seed);
    world->now = INT64_C(1795428000000000);
    Job job = job_default();
    job.retry.max_attempts = 1 + pick(world, 4);
    job.retry.base_ms = pick(world, 200);
    job.retry.discard = pick(world, 20) == 0;
    job.max_lost = pick(world, 4);
    job.timeout_ms = 1 + pick(world, 3000);
    if (pick(world, 4) == 0) job.expires_us = world->now + pick(world, 10000000);
    int64_t due = world->now + (pick(world, 2) ? pick(world, 200000) : 0);
    ChangeContext context = context_of(world);
    job_enter(&job, due, &context);
    world->job = job;
    world->model =
        (Model){.state = "waiting", .due = due, .expires = job.expires_us, .worker = -1, .run = 1};
}

/* Kept outside of the test, because a failed assertion leaves that at once. */
static World the_world;
static uint64_t current_seed;

/* reached: how often jobs came into each state, so that lives that lead nowhere are noticed. */
static void run_history(uint64_t seed, size_t reached[JOB_STATES]) {
    arena_done(&the_world.arena);
    the_world = (World){.minted = 0};
    begin(&the_world, seed);
    int64_t events = pick(&the_world, EVENTS_MAX);
    for (int64_t i = 0; i < events; i++) {
        Job before = the_world.job;
        const EventKind *kind = pick_event(&the_world);
        kind->run(&the_world);
        check_agreement(&the_world);
        check_promises(&the_world, &before, kind->run == do_retry);
        if (the_world.job.state != before.state) reached[the_world.job.state]++;
    }
}

static void histories_agree_with_the_model(void **state) {
    (void)state;
    const char *given = getenv("TAKT_TEST_SEED");
    uint64_t first = 1;
    if (given) assert_true(str_to_uint64(str_from(given), &first));
    size_t reached[JOB_STATES] = {0};
    for (uint64_t i = 0; i < (given ? 1 : HISTORIES); i++) {
        current_seed = first + i;
        run_history(current_seed, reached);
    }
    for (JobState at = JOB_WAITING; at < JOB_STATES && !given; at++) {
        print_message("state %d was reached %zu times\n", (int)at, reached[at]);
        if (at != JOB_PARKED) assert_true(reached[at] > HISTORIES / 10);
    }
}

static int print_seed(void **state) {
    (void)state;
    arena_done(&the_world.arena);
    print_message("the last history was that of TAKT_TEST_SEED=%llu\n",
                  (unsigned long long)current_seed);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(histories_agree_with_the_model, print_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
