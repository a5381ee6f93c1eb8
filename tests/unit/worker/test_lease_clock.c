/* The lease by a clock of the test's: each case is a story of events, and when it runs out. */
#include "worker/lease_clock.h"

#include "base/check.h"
#include "base/random.h"
#include "base/time.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

typedef enum Kind { END, RENEW, CUT, REFUSED } Kind;

/* At `at_ms` something about `about_ms` is learnt: RENEW: when the BEAT was sent, CUT: until when the
 * connections stood, REFUSED: when the attempt began. */
typedef struct Event {
    Kind kind;
    int64_t at_ms;
    int64_t about_ms;
} Event;

typedef struct Story {
    const char *name;
    int64_t lease_ms;
    int64_t over_ms; /* when it is over after the last event */
    int64_t epoch;   /* after the last event */
    bool holds;
    Event events[10];
} Story;

enum { BEGIN_MS = 1000000, LEASE = 30000 };

static const Story STORIES[] = {
    {"silence", LEASE, 24000, 0, true, {{RENEW, 500, 0}}},
    {"it counts from the sending", LEASE, 34000, 0, true, {{RENEW, 500, 0}, {RENEW, 19000, 10000}}},
    {"short lease", 1000, 800, 0, true, {{RENEW, 1, 0}}},
    {"cut off", LEASE, 14000, 0, false, {{RENEW, 1, 0}, {CUT, 10000, 10000}}},
    {"cut off, noticed late", LEASE, 13000, 0, false, {{RENEW, 1, 0}, {CUT, 10000, 9000}}},
    {"cut off, noticed too late", LEASE, 10001, 0, false, {{RENEW, 1, 0}, {CUT, 10000, 2000}}},
    {"cut off at the end of the lease",
     LEASE,
     24000,
     0,
     false,
     {{RENEW, 1, 0}, {CUT, 23000, 23000}}},
    {"cut off, short lease", 1000, 800, 0, false, {{RENEW, 1, 0}, {CUT, 500, 500}}},
    {"back in time",
     LEASE,
     36000,
     0,
     true,
     {{RENEW, 1, 0}, {CUT, 10000, 10000}, {RENEW, 13999, 12000}}},
    {"back too late",
     LEASE,
     36000,
     1,
     true,
     {{RENEW, 1, 0}, {CUT, 10000, 10000}, {RENEW, 14000, 12000}}},
    {"open again, and down again",
     LEASE,
     15500,
     0,
     false,
     {{RENEW, 1, 0}, {CUT, 10000, 10000}, {CUT, 12000, 11500}}},
    {"a close that is known later, of an earlier time",
     LEASE,
     14000,
     0,
     false,
     {{RENEW, 1, 0}, {CUT, 10000, 10000}, {CUT, 10001, 9000}}},
    {"refused",
     LEASE,
     16000,
     0,
     false,
     {{RENEW, 1, 0}, {CUT, 10000, 10000}, {REFUSED, 12500, 12000}}},
    {"an attempt that began before the last",
     LEASE,
     16000,
     0,
     false,
     {{RENEW, 1, 0}, {CUT, 10000, 10000}, {REFUSED, 12500, 12000}, {REFUSED, 13000, 11000}}},
    {"refused for longer than a lease",
     LEASE,
     29000,
     0,
     false,
     {{RENEW, 1, 0},
      {CUT, 10000, 10000},
      {REFUSED, 13000, 13000},
      {REFUSED, 16000, 16000},
      {REFUSED, 19000, 19000},
      {REFUSED, 22000, 22000},
      {REFUSED, 25000, 25000}}},
    {"refused too late",
     LEASE,
     0,
     1,
     false,
     {{RENEW, 1, 0}, {CUT, 10000, 10000}, {REFUSED, 14000, 13999}}},
    {"refused again after a gap",
     LEASE,
     0,
     1,
     false,
     {{RENEW, 1, 0}, {CUT, 10000, 10000}, {REFUSED, 12000, 12000}, {REFUSED, 16000, 16000}}},
    {"refused with a connection open",
     LEASE,
     24000,
     0,
     true,
     {{RENEW, 1, 0}, {REFUSED, 2000, 2000}}},
    {"what was refused is forgotten with the cut",
     LEASE,
     24100,
     0,
     false,
     {{RENEW, 1, 0},
      {CUT, 10000, 10000},
      {REFUSED, 13000, 13000},
      {RENEW, 14000, 13900},
      {CUT, 20100, 20100}}},
    {"over and over",
     LEASE,
     114000,
     3,
     true,
     {{RENEW, 1, 0}, {RENEW, 30000, 30000}, {RENEW, 60000, 60000}, {RENEW, 90000, 90000}}},
    {"an answer from before a long stop",
     LEASE,
     60001,
     1,
     true,
     {{RENEW, 1, 0}, {RENEW, 60000, 10000}}},
    {"never renewed", LEASE, 0, 0, false, {{CUT, 10, 10}, {REFUSED, 20, 20}}},
};

static int64_t us(int64_t ms) {
    return (BEGIN_MS + ms) * US_PER_MS;
}

static void learn(LeaseClock *clock, const Event *event) {
    lease_clock_look(clock, us(event->at_ms));
    switch (event->kind) {
    case END: break;
    case RENEW: lease_clock_renew(clock, us(event->about_ms)); break;
    case CUT: lease_clock_cut(clock, us(event->about_ms)); break;
    case REFUSED: lease_clock_refused(clock, us(event->about_ms)); break;
    }
}

static void test_stories(void **state) {
    (void)state;
    for (size_t i = 0; i < LENGTH(STORIES); i++) {
        const Story *story = &STORIES[i];
        LeaseClock clock = {.lease_ms = story->lease_ms};
        int64_t at_ms = 0;
        for (const Event *event = story->events; event->kind != END; event++) {
            learn(&clock, event);
            at_ms = event->at_ms;
        }
        if (clock.epoch != story->epoch || lease_clock_holds(&clock) != story->holds) {
            fail_msg("%s: epoch %d, holds %d", story->name, (int)clock.epoch,
                     lease_clock_holds(&clock));
        }
        int64_t over_ms = at_ms + 1;
        while (!lease_clock_look(&clock, us(over_ms)) && over_ms < 200000)
            over_ms++;
        if (over_ms == 200000) over_ms = 0;
        if (over_ms != story->over_ms) fail_msg("%s: over at %d", story->name, (int)over_ms);
        assert_false(lease_clock_holds(&clock));
    }
}

/* Whatever is learnt, in whatever order: the end is within the lease or within what a refusal is worth,
 * and while cut off never later than that. */
static void test_no_end_is_too_late(void **state) {
    (void)state;
    Random random;
    random_init(&random, 1);
    for (int round = 0; round < 20000; round++) {
        LeaseClock clock = {.lease_ms = LEASE};
        int64_t now_ms = 1;
        int64_t sent_ms = 0;
        int64_t alive_ms = 0;
        lease_clock_renew(&clock, us(0));
        for (int i = 0; i < 8; i++) {
            now_ms += (int64_t)random_below(&random, 4000);
            Kind kind = (Kind)(random_below(&random, 3) + RENEW);
            Event event = {kind, now_ms, now_ms - (int64_t)random_below(&random, 2000)};
            learn(&clock, &event);
            if (kind == RENEW) sent_ms = event.about_ms;
            if (kind != RENEW && event.about_ms > alive_ms) alive_ms = event.about_ms;
            int64_t end_ms = lease_clock_end_us(&clock, LEASE) / US_PER_MS - BEGIN_MS;
            assert_true(end_ms <= sent_ms + 24000 || end_ms <= alive_ms + 4000);
            assert_true(clock.cut_us == 0 || end_ms <= alive_ms + 4000);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stories),
        cmocka_unit_test(test_no_end_is_too_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
