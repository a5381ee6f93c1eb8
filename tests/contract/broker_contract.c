/* The broker's contract, case by case and as random walks against the naive store.
 *
 * Each case ends by draining: every due job starts exactly once and in order, whatever went
 * before. A walk prints its seed first; seeds are fixed, so that a failure comes again. */
#include "broker_contract.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/time.h"
#include "core/limits.h"
#include "core/order.h"
#include <stdio.h>
#include <stdlib.h>

enum { OVERFULL = LIMIT_WINDOW + 6000 };

static const BrokerSuite *suite;

static int open_model(void **state) {
    Model *model = alloc_zero(1, sizeof *model);
    model_open(model, suite);
    *state = model;
    return 0;
}

static int close_model(void **state) {
    Model *model = *state;
    model_close(model);
    free(model);
    return 0;
}

/* As a node starts: both sets are read to the end. */
static void start(Model *model) {
    model_refill(model, WINDOW_READY);
    model_refill(model, WINDOW_DELAYED);
}

static int64_t any_priority(Random *random) {
    return 1 + (int64_t)random_below(random, 9);
}

/* Commits `count` jobs due in [from, from + span) and tells the broker in one push, or not at
 * all. */
static void add_jobs(Model *model, Random *random, size_t count, int64_t from_us, uint64_t span_us,
                     bool tell) {
    Hint *hints = alloc((count + 1) * sizeof *hints);
    for (size_t i = 0; i < count; i++) {
        int64_t due_us = from_us + (int64_t)random_below(random, span_us);
        hints[i] = model_commit(model, any_priority(random), due_us);
    }
    if (tell) model_push_many(model, hints, count);
    free(hints);
}

static void test_in_order(void **state) {
    Model *model = *state;
    start(model);
    Random random;
    random_init(&random, 1);
    for (int i = 0; i < 500; i++) {
        model_push(model, any_priority(&random),
                   model->now_us - (int64_t)random_below(&random, 40));
    }
    assert_int_equal(broker_ready(model->broker, model->queue), 500);
    model_check(model);
    assert_int_equal(model_drain(model, 7), 500);
    assert_int_equal(broker_stats(model->broker).taken, 0);
}

static void test_nothing_known(void **state) {
    Model *model = *state;
    model_push(model, 5, model->now_us);
    Hint hint;
    TakeReply reply = model_take(model, 1, &hint);
    assert_int_equal(reply.count, 0);
    assert_true(reply.low);
    assert_true(model_promote(model).low);
    assert_int_equal(model_drain(model, 1), 1);
    assert_false(model_take(model, 1, &hint).low);
}

static void test_start_up(void **state) {
    Model *model = *state;
    Random random;
    random_init(&random, 2);
    add_jobs(model, &random, OVERFULL, model->now_us - 5000000, 10000000, /* tell= */ false);
    start(model);
    model_check(model);
    model_drain(model, 1000);
    model->now_us += 10000000;
    model_drain(model, 1000);
    BrokerStats stats = broker_stats(model->broker);
    assert_int_equal(stats.ready + stats.delayed + stats.taken, 0);
}

static void test_failed_read(void **state) {
    Model *model = *state;
    Random random;
    random_init(&random, 3);
    add_jobs(model, &random, 100, model->now_us - 100, 100, /* tell= */ false);
    for (WindowSet set = WINDOW_READY; set <= WINDOW_DELAYED; set++) {
        ModelPage page = model_read(model, set);
        assert_true(page.reading);
        assert_false(model_read(model, set).reading); /* one at a time */
        add_jobs(model, &random, 10, model->now_us - 5, 10, /* tell= */ true);
        model_read_fails(model, set, &page);
        model_check(model);
    }
    model_drain(model, 10);
}

static void test_overfull(void **state) {
    Model *model = *state;
    Random random;
    start(model);
    random_init(&random, 4);
    for (int i = 0; i < OVERFULL / 1000; i++) {
        add_jobs(model, &random, 1000, model->now_us - 1000000, 1000000, /* tell= */ true);
        model_check(model);
    }
    assert_true(broker_ready(model->broker, model->queue) <= LIMIT_WINDOW);
    model_push(model, 9, model->now_us); /* a window that is full lets in what comes first */
    Hint hint;
    int64_t best = SCORE_HIGHEST;
    for (size_t i = 0; i < model->count; i++) {
        if (model->jobs[i].hint.score < best) best = model->jobs[i].hint.score;
    }
    assert_int_equal(model_take(model, 1, &hint).count, 1);
    assert_true(hint.score == best);
    assert_true(model_start(model, &hint));
    model_drain(model, 1000);
}

/* More jobs of one score than a window holds, with some in front: the ties stay or leave
 * together, and the refills come to an end. */
static void test_ties(void **state) {
    Model *model = *state;
    start(model);
    Hint *hints = alloc(OVERFULL * sizeof *hints);
    for (size_t i = 0; i < OVERFULL; i++) {
        hints[i] = model_commit(model, i < 100 ? 9 : 5, model->now_us);
    }
    model_push_many(model, hints, OVERFULL);
    model_check(model);
    model_refill(model, WINDOW_READY);
    model_check(model);
    assert_int_equal(model_drain(model, 1000), OVERFULL);
    model->now_us += 10;
    for (size_t i = 0; i < OVERFULL; i++) {
        hints[i] = model_commit(model, 5, model->now_us + (i < 100 ? 5 : 10));
    }
    model_push_many(model, hints, OVERFULL);
    model_check(model);
    model_refill(model, WINDOW_DELAYED);
    model->now_us += 10;
    model_check(model);
    assert_int_equal(model_drain(model, 1000), OVERFULL);
    free(hints);
}

static void test_push_during_read(void **state) {
    Model *model = *state;
    Random random;
    random_init(&random, 5);
    add_jobs(model, &random, 9000, model->now_us - 1000, 2000, /* tell= */ false);
    for (int round = 0; round < 6; round++) {
        for (WindowSet set = WINDOW_READY; set <= WINDOW_DELAYED; set++) {
            ModelPage page = model_read(model, set);
            add_jobs(model, &random, 50, model->now_us - 1000, 2000, /* tell= */ true);
            model->now_us += 100;
            model_promote(model);
            model_read_end(model, set, &page);
            model_check(model);
        }
    }
    model_drain(model, 100);
    model->now_us += 2000;
    model_drain(model, 100);
}

/* Between H and what is pushed above it lies what the read will bring: nothing overtakes that. */
static void test_take_during_read(void **state) {
    Model *model = *state;
    Random random;
    random_init(&random, 12);
    model->page_limit = 1000;
    add_jobs(model, &random, 3000, model->now_us - 1000, 1000, /* tell= */ false);
    ModelPage page = model_read(model, WINDOW_READY);
    model_read_end(model, WINDOW_READY, &page);
    page = model_read(model, WINDOW_READY);
    assert_true(page.reading);
    model_push(model, 1, model->now_us);
    Hint hints[2000];
    TakeReply reply = model_take(model, LENGTH(hints), hints);
    assert_true(reply.low && reply.count >= 1000 && reply.count < 1100);
    for (size_t i = 0; i < reply.count; i++) {
        assert_true(hints[i].score < page.hints[0].score);
        assert_true(model_start(model, &hints[i]));
    }
    model_read_end(model, WINDOW_READY, &page);
    model_check(model);
    model_drain(model, 100);
}

/* What is pushed while a read is out fills the window: what didn't fit must not be passed over
 * by the horizon, and a horizon that fell below the read's beginning makes its page useless. */
static void test_overflow_during_read(void **state) {
    Model *model = *state;
    Random random;
    random_init(&random, 6);
    model->page_limit = 1000;
    add_jobs(model, &random, 9000, model->now_us - 1000, 1000, /* tell= */ false);
    ModelPage page = model_read(model, WINDOW_READY);
    model_read_end(model, WINDOW_READY, &page);
    for (int round = 0; round < 2; round++) {
        model->page_limit = OVERFULL;
        page = model_read(model, WINDOW_READY);
        assert_true(page.reading);
        int64_t early_us = round == 0 ? model->now_us - 2000 : ORDER_EPOCH_US + 1;
        for (int i = 0; i < 20; i++) {
            if (round == 1) {
                Hint hints[1000];
                for (size_t k = 0; k < 1000; k++) {
                    hints[k] = model_commit(model, 9, early_us + i * 1000 + (int64_t)k);
                }
                model_push_many(model, hints, 1000);
            } else {
                add_jobs(model, &random, 1000, early_us, 2000, /* tell= */ true);
            }
        }
        model_check(model);
        model_read_end(model, WINDOW_READY, &page);
        model_check(model);
        model_drain(model, 1000);
        add_jobs(model, &random, 9000, model->now_us - 1000, 1000, /* tell= */ false);
        broker_wipe(model->broker);
        model->page_limit = 1000;
        page = model_read(model, WINDOW_READY);
        model_read_end(model, WINDOW_READY, &page);
    }
    model_drain(model, 1000);
}

static void test_far_future(void **state) {
    Model *model = *state;
    start(model);
    int64_t then_us = model->now_us + 366 * 24 * 3600 * US_PER_S;
    model_push(model, 5, then_us);
    model_push(model, 5, then_us + 7);
    PromoteReply reply = model_promote(model);
    assert_int_equal(reply.moved, 0);
    assert_true(reply.next_us == then_us);
    assert_false(reply.low);
    model->now_us = then_us - 1;
    assert_int_equal(model_promote(model).moved, 0);
    model->now_us = then_us;
    reply = model_promote(model);
    assert_int_equal(reply.moved, 1);
    assert_true(reply.next_us == then_us + 7);
    assert_int_equal(model_drain(model, 2), 1);
    /* moved by another call than promote: told all the same */
    model->now_us += 7;
    model_check(model);
    assert_int_equal(model_promote(model).moved, 1);
    assert_int_equal(model_drain(model, 2), 1);
}

static void test_many_delayed(void **state) {
    Model *model = *state;
    Random random;
    start(model);
    random_init(&random, 7);
    add_jobs(model, &random, OVERFULL, model->now_us + 1, 20000000, /* tell= */ true);
    model_check(model);
    assert_true(broker_stats(model->broker).delayed <= LIMIT_WINDOW);
    for (int i = 0; i < 9; i++) {
        model->now_us += 3000000;
        model_check(model);
        model_drain(model, 500);
        add_jobs(model, &random, 100, model->now_us - 100, 3000000, /* tell= */ true);
    }
    model->now_us += 3000000;
    model_drain(model, 500);
    assert_int_equal(broker_stats(model->broker).delayed, 0);
}

static void test_taken_expires(void **state) {
    Model *model = *state;
    start(model);
    for (int i = 0; i < 40; i++) {
        model_push(model, 5, model->now_us - 40 + i);
    }
    Hint hints[100];
    assert_int_equal(model_take(model, 10, hints).count, 10);
    assert_int_equal(broker_stats(model->broker).taken, 10);
    model_check(model); /* a sweep does not add what is taken */
    assert_true(model_start(model, &hints[0]));
    int64_t until_us = model->now_us + 10 * US_PER_S;
    assert_true(model_promote(model).next_us == until_us);
    assert_int_equal(model_take(model, 100, hints).count, 30);
    model->now_us = until_us;
    assert_int_equal(model_promote(model).moved, 39);
    assert_int_equal(broker_stats(model->broker).taken, 0);
    assert_int_equal(model_drain(model, 4), 39);
}

static void test_lost_hints(void **state) {
    Model *model = *state;
    Random random;
    start(model);
    random_init(&random, 8);
    add_jobs(model, &random, 300, model->now_us - 1000, 2000, /* tell= */ true);
    add_jobs(model, &random, 77, model->now_us - 1000, 2000, /* tell= */ false);
    assert_int_equal(model_sweep(model), 77);
    assert_int_equal(broker_stats(model->broker).repaired, 77);
    model_check(model);
    model_drain(model, 50);
    model->now_us += 1000;
    model_drain(model, 50);
}

static void test_wipe(void **state) {
    Model *model = *state;
    Random random;
    start(model);
    random_init(&random, 9);
    add_jobs(model, &random, 5000, model->now_us - 1000, 2000, /* tell= */ true);
    Hint hints[100];
    model_take(model, 100, hints);
    broker_wipe(model->broker);
    BrokerStats stats = broker_stats(model->broker);
    assert_int_equal(stats.ready + stats.delayed + stats.taken, 0);
    assert_true(model_take(model, 100, hints).low);
    assert_true(model_promote(model).low);
    model_drain(model, 300);
    model->now_us += 1000;
    model_drain(model, 300);
}

/* The page of a read that a wipe overtook says nothing about the new window. */
static void test_wipe_during_read(void **state) {
    Model *model = *state;
    Random random;
    random_init(&random, 10);
    model->page_limit = 1000;
    add_jobs(model, &random, 6000, model->now_us - 1000, 2000, /* tell= */ false);
    for (WindowSet set = WINDOW_READY; set <= WINDOW_DELAYED; set++) {
        ModelPage page = model_read(model, set);
        model_read_end(model, set, &page);
        page = model_read(model, set);
        assert_true(page.reading);
        add_jobs(model, &random, 50, model->now_us - 1000, 2000, /* tell= */ true);
        broker_wipe(model->broker);
        /* where another may begin, the first one's lock is void */
        ModelPage another = model_read(model, set);
        model_read_end(model, set, &page);
        model_check(model);
        model_read_end(model, set, &another);
        model_check(model);
    }
    model_drain(model, 300);
    model->now_us += 1000;
    model_drain(model, 300);
}

static void test_clock_back(void **state) {
    Model *model = *state;
    Random random;
    start(model);
    random_init(&random, 11);
    add_jobs(model, &random, OVERFULL, model->now_us - 1000, 4000, /* tell= */ true);
    model->now_us += 2000;
    model_promote(model);
    model->now_us -= 2000;
    model_check(model);
    add_jobs(model, &random, 1000, model->now_us - 1000, 4000, /* tell= */ true);
    model_check(model);
    Hint hints[100];
    for (int i = 0; i < 300; i++) { /* what is not due is refused by the guard, and pushed again */
        TakeReply reply = model_take(model, 100, hints);
        for (size_t k = 0; k < reply.count; k++) {
            model_start(model, &hints[k]);
        }
        if (reply.low) model_refill(model, WINDOW_READY);
        if (i % 50 == 0) model_check(model);
    }
    model->now_us += 5000;
    model_check(model);
    model_drain(model, 1000);
}

static void test_queues_apart(void **state) {
    Model *model = *state;
    start(model);
    model_push(model, 5, model->now_us);
    assert_int_equal(broker_ready(model->broker, STR("other")), 0);
    Str mail = model->queue;
    model->queue = STR("other");
    model_refill(model, WINDOW_DELAYED);
    Hint hint;
    assert_int_equal(model_take(model, 1, &hint).count, 0);
    model->queue = mail;
    assert_int_equal(model_drain(model, 1), 1);
}

/* Queue names that nobody uses any more are forgotten or not, but nothing is lost with them. */
static void test_many_queues(void **state) {
    Model *model = *state;
    start(model);
    model_push(model, 5, model->now_us + US_PER_S);
    Str mail = model->queue;
    for (int i = 0; i < 3000; i++) {
        char name[32];
        int len = snprintf(name, sizeof name, "queue-%d", i);
        model->now_us += US_PER_S;
        model->queue = (Str){name, (size_t)len};
        Hint hint;
        model_take(model, 1, &hint);
    }
    model->queue = mail;
    assert_int_equal(model_drain(model, 1), 1);
}

/* ---- walks ---- */

typedef struct Walk {
    Model *model;
    Random random;
    ModelPage pages[2];
    Hint claims[2000]; /* taken, start not yet decided */
    size_t claim_count;
    size_t bulk; /* most jobs of a push */
    bool lossy;  /* hints get lost, and sweeps find them */
} Walk;

static void walk_take(Walk *walk) {
    size_t room = LENGTH(walk->claims) - walk->claim_count;
    size_t n = 1 + (size_t)random_below(&walk->random, walk->bulk);
    if (n > room) n = room;
    if (n == 0) return;
    walk->claim_count += model_take(walk->model, n, &walk->claims[walk->claim_count]).count;
}

/* Claims end in any order; some are forgotten, as by a node that died: they come back after 10
 * s. */
static void walk_settle(Walk *walk) {
    bool forget = random_below(&walk->random, 8) == 0;
    for (size_t i = 0; i < walk->claim_count; i++) {
        if (!forget) model_start(walk->model, &walk->claims[i]);
    }
    walk->claim_count = 0;
}

static void walk_read(Walk *walk) {
    WindowSet set = random_below(&walk->random, 2) ? WINDOW_READY : WINDOW_DELAYED;
    ModelPage *page = &walk->pages[set];
    if (page->reading) {
        model_read_end(walk->model, set, page);
    } else {
        *page = model_read(walk->model, set);
    }
}

/* Jobs that run end: here, by failing, with a new due. */
static void walk_retry(Walk *walk) {
    Model *model = walk->model;
    size_t from = (size_t)random_below(&walk->random, model->count + 1);
    for (size_t i = from; i < model->count && i < from + 50; i++) {
        ModelJob *job = &model->jobs[i];
        if (job->state != MODEL_RUNNING) continue;
        job->state = MODEL_WAITING;
        job->hint.due_us = model->now_us + (int64_t)random_below(&walk->random, 5000000);
        job->hint.score = order_score(5, job->hint.due_us);
        model_push_many(model, &job->hint, 1);
    }
}

static void walk_step(Walk *walk) {
    Model *model = walk->model;
    size_t count = (size_t)random_below(&walk->random, walk->bulk);
    switch (random_below(&walk->random, 12)) {
    case 0: add_jobs(model, &walk->random, count, model->now_us - 1000, 1001, true); break;
    case 1: add_jobs(model, &walk->random, count, model->now_us - 1000000, 9000000, true); break;
    case 2: add_jobs(model, &walk->random, count, model->now_us, 3, true); break;
    case 3: walk_take(walk); break;
    case 4: walk_settle(walk); break;
    case 5: model_promote(model); break;
    case 6:
    case 7:
    case 8: walk_read(walk); break;
    case 9: walk_retry(walk); break;
    case 10: model->now_us += (int64_t)random_below(&walk->random, 2000000); break;
    default:
        if (walk->lossy) add_jobs(model, &walk->random, 20, model->now_us - 5, 1000000, false);
        if (random_below(&walk->random, 12) == 0) broker_wipe(model->broker);
        if (random_below(&walk->random, 4) == 0) {
            model->now_us -= (int64_t)random_below(&walk->random, 1000000);
        }
        break;
    }
}

static void walk_run(Model *model, uint64_t seed, size_t steps, size_t bulk, bool lossy) {
    Walk *walk = alloc_zero(1, sizeof *walk);
    walk->model = model;
    walk->bulk = bulk;
    walk->lossy = lossy;
    random_init(&walk->random, seed);
    print_message("# seed %d\n", (int)seed);
    model->page_limit = 1 + (size_t)random_below(&walk->random, 2 * bulk);
    for (size_t i = 0; i < steps; i++) {
        walk_step(walk);
        if (lossy) {
            if (i % 16 == 0) model_sweep(model);
        } else {
            model_check(model);
        }
    }
    for (WindowSet set = WINDOW_READY; set <= WINDOW_DELAYED; set++) {
        model_read_end(model, set, &walk->pages[set]);
    }
    model->now_us += 30000000; /* everything is due, nothing stays taken */
    model_promote(model);
    model_sweep(model);
    model_check(model);
    model->page_limit = 5000;
    model_drain(model, 777);
    free(walk);
}

static void test_walks(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        Model model;
        model_open(&model, suite);
        walk_run(&model, seed, 150, 40, seed % 3 == 0);
        model_close(&model);
    }
}

static void test_overfull_walks(void **state) {
    (void)state;
    for (uint64_t seed = 100; seed < 104 && !suite->slow; seed++) {
        Model model;
        model_open(&model, suite);
        walk_run(&model, seed, 90, 4000, seed % 4 == 3);
        model_close(&model);
    }
}

int broker_contract(const BrokerSuite *of) {
    suite = of;
#define CASE(function) cmocka_unit_test_setup_teardown(function, open_model, close_model)
    const struct CMUnitTest tests[] = {
        CASE(test_in_order),
        CASE(test_nothing_known),
        CASE(test_start_up),
        CASE(test_failed_read),
        CASE(test_overfull),
        CASE(test_ties),
        CASE(test_push_during_read),
        CASE(test_take_during_read),
        CASE(test_overflow_during_read),
        CASE(test_far_future),
        CASE(test_many_delayed),
        CASE(test_taken_expires),
        CASE(test_lost_hints),
        CASE(test_wipe),
        CASE(test_wipe_during_read),
        CASE(test_clock_back),
        CASE(test_queues_apart),
        CASE(test_many_queues),
        cmocka_unit_test(test_walks),
        cmocka_unit_test(test_overfull_walks),
    };
#undef CASE
    return cmocka_run_group_tests_name(of->name, tests, NULL, NULL);
}
