/* The window's decisions one by one: where H, F and P stand after each, which the contract suite
 * can't see. */
#include "broker/window.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/time.h"
#include <string.h>

#define NOW (ORDER_EPOCH_US + INT64_C(1000000000))

static Hint hint(uint64_t key, int64_t score, int64_t due_us) {
    Hint made = {.score = score, .due_us = due_us};
    memcpy(made.key.bytes, &key, sizeof key);
    return made;
}

static int open_window(void **state) {
    Window *window = alloc_zero(1, sizeof *window);
    window_init(window, LIMIT_WINDOW, (const uint64_t[2]){1, 2});
    *state = window;
    return 0;
}

static int close_window(void **state) {
    window_done(*state);
    free(*state);
    return 0;
}

static bool begin(Window *window, WindowSet set) {
    int64_t after, until_us;
    return window_refill_begin(window, set, NOW, &after, &until_us);
}

static void complete(Window *window) {
    for (WindowSet set = WINDOW_READY; set <= WINDOW_DELAYED; set++) {
        assert_true(begin(window, set));
        window_refill_end(window, set, NULL, 0, /* complete= */ true, NOW);
    }
}

/* `count` hints that are due, of rising score. */
static void push_rising(Window *window, uint64_t key, size_t count, int64_t score) {
    for (size_t i = 0; i < count; i++) {
        Hint one = hint(key + i, score + (int64_t)i, NOW);
        window_push(window, &one, 1, NOW);
    }
}

static void test_begins_at_now(void **state) {
    Window *window = *state;
    int64_t after = 0, until_us = 0;
    assert_true(window_refill_begin(window, WINDOW_READY, NOW, &after, &until_us));
    assert_true(after == SCORE_LOWEST && until_us == NOW);
    assert_true(window_refill_begin(window, WINDOW_DELAYED, NOW, &after, &until_us));
    assert_true(after == NOW);
    assert_false(begin(window, WINDOW_READY));
}

static void test_page_raises(void **state) {
    Window *window = *state;
    Hint page[] = {hint(1, 10, NOW), hint(2, 20, NOW)};
    begin(window, WINDOW_READY);
    window_refill_end(window, WINDOW_READY, page, 2, /* complete= */ false, NOW);
    assert_true(window->ready.horizon == 20);
    begin(window, WINDOW_READY);
    window_refill_end(window, WINDOW_READY, NULL, 0, /* complete= */ false, NOW); /* failed */
    assert_true(window->ready.horizon == 20);
    begin(window, WINDOW_READY);
    window_refill_end(window, WINDOW_READY, NULL, 0, /* complete= */ true, NOW);
    assert_true(window->ready.horizon == SCORE_HIGHEST);
    assert_false(begin(window, WINDOW_READY));
    assert_int_equal(window->ready.members.count, 2);
}

/* Above H: nowhere, but for as long as a read is out it is kept, since the read may be older. */
static void test_push_above(void **state) {
    Window *window = *state;
    Hint page[] = {hint(1, 10, NOW)}, above = hint(2, 15, NOW), far = hint(3, 99, NOW);
    begin(window, WINDOW_READY);
    window_refill_end(window, WINDOW_READY, page, 1, /* complete= */ false, NOW);
    window_push(window, &above, 1, NOW);
    assert_int_equal(window->ready.members.count, 1);
    begin(window, WINDOW_READY);
    window_push(window, &above, 1, NOW);
    window_push(window, &far, 1, NOW);
    Hint taken[4];
    bool low;
    assert_int_equal(window_take(window, 4, NOW, taken, &low), 1); /* stops at H */
    Hint next[] = {hint(4, 50, NOW)};
    window_refill_end(window, WINDOW_READY, next, 1, /* complete= */ false, NOW);
    assert_true(window->ready.horizon == 50);
    assert_int_equal(window->ready.members.count, 2); /* 15 and 50; 99 is the store's to tell */
}

static void test_overflow(void **state) {
    Window *window = *state;
    complete(window);
    push_rising(window, 1, LIMIT_WINDOW, 1000);
    assert_true(window->ready.horizon == SCORE_HIGHEST);
    Hint first = hint(900000, 1, NOW), last = hint(900001, 1000000, NOW);
    window_push(window, &last, 1, NOW);
    assert_true(window->ready.horizon == 999999);
    window_push(window, &first, 1, NOW);
    assert_true(window->ready.horizon == 1000 + LIMIT_WINDOW - 2);
    assert_int_equal(window->ready.members.count, LIMIT_WINDOW);
    assert_true(sorted_set_at(&window->ready.members, 0)->rank == 1);
}

static void test_overflow_spares_ties(void **state) {
    Window *window = *state;
    complete(window);
    push_rising(window, 1, LIMIT_WINDOW - 1, 1000);
    Hint ties[] = {hint(900000, 5000000, NOW), hint(900001, 5000000, NOW)};
    window_push(window, ties, 2, NOW);
    assert_int_equal(window->ready.members.count, LIMIT_WINDOW - 1); /* both leave */
    assert_true(window->ready.horizon == 4999999);
}

/* What a read may raise H to ends below what was skipped while it was out. */
static void test_ceiling(void **state) {
    Window *window = *state;
    begin(window, WINDOW_READY);
    push_rising(window, 1, LIMIT_WINDOW + 100, 1000);
    int64_t kept = 1000 + LIMIT_WINDOW - 1;
    assert_true(window->ready.ceiling == kept);
    window_refill_end(window, WINDOW_READY, NULL, 0, /* complete= */ true, NOW);
    assert_true(window->ready.horizon == kept);
    assert_int_equal(window->ready.members.count, LIMIT_WINDOW);
}

/* H falls below where the read began: between the two nobody has looked. */
static void test_void_read(void **state) {
    Window *window = *state;
    Hint page[] = {hint(1, 90000000, NOW)}, next[] = {hint(2, 90000001, NOW)};
    begin(window, WINDOW_READY);
    window_refill_end(window, WINDOW_READY, page, 1, /* complete= */ false, NOW);
    begin(window, WINDOW_READY);
    push_rising(window, 100, LIMIT_WINDOW + 1, 1000);
    assert_true(window->ready.horizon < 90000000);
    window_refill_end(window, WINDOW_READY, next, 1, /* complete= */ true, NOW);
    assert_true(window->ready.horizon == 1000 + LIMIT_WINDOW - 1);
}

/* P stops at F, and says so; what the refill of D brings is ready at once. */
static void test_frontier_waits(void **state) {
    Window *window = *state;
    Hint page[] = {hint(1, 10, NOW + 5)}, rest[] = {hint(2, 20, NOW + 7), hint(3, 30, NOW + 90)};
    complete(window);
    window_wipe(window);
    begin(window, WINDOW_READY);
    window_refill_end(window, WINDOW_READY, NULL, 0, /* complete= */ true, NOW);
    begin(window, WINDOW_DELAYED);
    window_refill_end(window, WINDOW_DELAYED, page, 1, /* complete= */ false, NOW);
    assert_true(window->delayed.horizon == NOW + 5);
    PromoteReply reply = window_promote(window, NOW + 50);
    assert_true(reply.low && reply.moved == 1);
    assert_true(window->frontier_us == NOW + 5);
    int64_t after, until_us;
    assert_true(window_refill_begin(window, WINDOW_DELAYED, NOW + 50, &after, &until_us));
    assert_true(after == NOW + 5); /* from F, not from now */
    window_refill_end(window, WINDOW_DELAYED, rest, 2, /* complete= */ true, NOW + 50);
    reply = window_promote(window, NOW + 50);
    assert_true(!reply.low && reply.moved == 1 && reply.next_us == NOW + 90);
    assert_true(window->frontier_us == NOW + 50);
}

/* The clock went back and D overflows below P: P may not stand above F. */
static void test_frontier_falls(void **state) {
    Window *window = *state;
    complete(window);
    window_promote(window, NOW + 1000000);
    assert_true(window->frontier_us == NOW + 1000000);
    for (uint64_t i = 0; i <= LIMIT_WINDOW; i++) {
        Hint one = hint(i, 10, NOW + 1 + (int64_t)i);
        window_push(window, &one, 1, NOW);
    }
    assert_true(window->delayed.horizon == NOW + LIMIT_WINDOW);
    assert_true(window->frontier_us == NOW + LIMIT_WINDOW);
}

static void test_due_moved(void **state) {
    Window *window = *state;
    complete(window);
    Hint early = hint(1, 10, NOW + 5), late = hint(1, 30, NOW + 30);
    window_push(window, &early, 1, NOW);
    window_push(window, &late, 1, NOW);
    assert_int_equal(window->delayed.members.count, 2); /* one is a ghost; the guard decides */
    assert_int_equal(window_promote(window, NOW + 5).moved, 1);
    assert_true(window_promote(window, NOW + 5).next_us == NOW + 30);
}

static void test_sweep(void **state) {
    Window *window = *state;
    complete(window);
    Hint page[] = {hint(1, 10, NOW), hint(2, 20, NOW), hint(3, 30, NOW), hint(4, 40, NOW + 9)};
    window_push(window, page, 2, NOW);
    Hint taken;
    bool low;
    assert_int_equal(window_take(window, 1, NOW, &taken, &low), 1);
    assert_int_equal(window_sweep(window, page, 4, NOW), 2); /* not 1: taken; not 2: in R */
    assert_int_equal(window_sweep(window, page, 4, NOW), 0);
    window_wipe(window);
    assert_int_equal(window_sweep(window, page, 4, NOW), 0); /* no horizon: the refill's to bring */
}

static void test_taken(void **state) {
    Window *window = *state;
    complete(window);
    Hint one = hint(1, 10, NOW), taken;
    bool low;
    window_push(window, &one, 1, NOW);
    assert_int_equal(window_take(window, 1, NOW, &taken, &low), 1);
    assert_false(window_is_empty(window));
    /* pushed again while taken: kept, since the settle may be of an older claim */
    window_push(window, &one, 1, NOW);
    assert_int_equal(window->ready.members.count, 1);
    assert_int_equal(window_take(window, 1, NOW + 5, &taken, &low), 1);
    assert_int_equal(window->taken.count, 1);
    assert_int_equal(window_promote(window, NOW + WINDOW_TAKEN_US).moved, 0);
    assert_int_equal(window_promote(window, NOW + 5 + WINDOW_TAKEN_US).moved, 1);
    assert_int_equal(window_take(window, 1, NOW, &taken, &low), 1);
    window_settle(window, &taken.key, 1);
    assert_true(window_is_empty(window));
}

int main(void) {
#define CASE(function) cmocka_unit_test_setup_teardown(function, open_window, close_window)
    const struct CMUnitTest tests[] = {
        CASE(test_begins_at_now),
        CASE(test_page_raises),
        CASE(test_push_above),
        CASE(test_overflow),
        CASE(test_overflow_spares_ties),
        CASE(test_ceiling),
        CASE(test_void_read),
        CASE(test_frontier_waits),
        CASE(test_due_moved),
        CASE(test_sweep),
        CASE(test_taken),
        CASE(test_frontier_falls),
    };
#undef CASE
    return cmocka_run_group_tests_name("window", tests, NULL, NULL);
}
