/* The broker's front door: finds the adapter, checks what every adapter may rely on, and counts.
 *
 * Adapters are rows of one table and are never included from outside their folder. No decision
 * about the window is made here: those are in window.c. */
#include "broker/broker.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "broker/memory.h"
#include "broker/none.h"
#include "broker/redis/redis.h"
#include "core/limits.h"
#include "telemetry/metric.h"
#include <stdlib.h>

static const BrokerKind *const kinds[] = {&broker_memory, &broker_none, &broker_redis};

Err broker_open(Broker **ret, Str url, const BrokerIo *io, Error *error) {
    Str location = url;
    Str scheme = str_split(&location, ':');
    for (size_t i = 0; location.ptr && i < LENGTH(kinds); i++) {
        if (!str_eq(scheme, str_from(kinds[i]->scheme))) continue;
        Broker *broker = NULL;
        TRY(kinds[i]->open(&broker, url, location, io, error));
        check(broker->kind == kinds[i]);
        *ret = broker;
        return OK;
    }
    return error_set(error, ERR_INVALID,
                     "this broker is not known: use memory:, none: or redis://HOST");
}

static void check_queue(Str queue) {
    check(queue.len >= 1 && queue.len <= LIMIT_QUEUE);
}

static void check_hints(const Hint *hints, size_t count) {
    check(hints || count == 0);
}

static void observe(int64_t begun_us) {
    metric_observe(METRIC_BROKER_OP, NULL, (double)(clock_mono_us() - begun_us) / 1e6);
}

void broker_listen(Broker *broker, const BrokerEvents *events) {
    broker->events = *events;
}

bool broker_is_up(Broker *broker, Buf *why) {
    return !broker->kind->is_up || broker->kind->is_up(broker, why);
}

void broker_push(Broker *broker, Str queue, const Hint *hints, size_t count, int64_t now_us) {
    check_queue(queue);
    check_hints(hints, count);
    if (count == 0) return;
    int64_t begun_us = clock_mono_us();
    broker->kind->push(broker, queue, hints, count, now_us);
    observe(begun_us);
}

void broker_take(Broker *broker, Str queue, size_t n, int64_t now_us, TakeDone done,
                 void *context) {
    check_queue(queue);
    check(n >= 1 && done);
    int64_t begun_us = clock_mono_us();
    (broker->kind->take)(broker, queue, n, now_us, done, context); /* not check.h's macro */
    observe(begun_us);
}

void broker_settle(Broker *broker, Str queue, const JobKey *keys, size_t count) {
    check_queue(queue);
    if (count == 0) return;
    check(keys);
    broker->kind->settle(broker, queue, keys, count);
}

void broker_promote(Broker *broker, Str queue, int64_t now_us, PromoteDone done, void *context) {
    check_queue(queue);
    check(done);
    broker->kind->promote(broker, queue, now_us, done, context);
}

void broker_refill_begin(Broker *broker, Str queue, WindowSet set, int64_t now_us, RefillDone done,
                         void *context) {
    check_queue(queue);
    check(done);
    broker->kind->refill_begin(broker, queue, set, now_us, done, context);
}

/* A page that isn't sorted would let the horizon rise over jobs that it leaves out. */
static void check_page(WindowSet set, const Hint *page, size_t count) {
    check_hints(page, count);
    for (size_t i = 1; i < count; i++) {
        check(set == WINDOW_READY ? page[i - 1].score <= page[i].score
                                  : page[i - 1].due_us <= page[i].due_us);
    }
}

static void ignore(void *context) {
    (void)context;
}

void broker_refill_end(Broker *broker, Str queue, WindowSet set, int64_t lock, const Hint *page,
                       size_t count, bool complete, int64_t now_us, BrokerDone done,
                       void *context) {
    check_queue(queue);
    if (!page) count = 0;
    check_page(set, page, count);
    if (!done) done = ignore;
    broker->kind->refill_end(broker, queue, set, lock, page, count, complete, now_us, done,
                             context);
}

typedef struct Sweep { /* under way: what it adds is counted here for all adapters */
    Broker *broker;
    SweepDone done;
    void *context;
} Sweep;

static void on_swept(void *context, size_t added, bool failed) {
    Sweep sweep = *(Sweep *)context;
    free(context);
    sweep.broker->repaired += added;
    sweep.done(sweep.context, added, failed);
}

void broker_sweep(Broker *broker, Str queue, WindowSet set, const Hint *page, size_t count,
                  int64_t now_us, SweepDone done, void *context) {
    check_queue(queue);
    check_page(set, page, count);
    check(done);
    if (count == 0) {
        done(context, 0, /* failed= */ false);
        return;
    }
    Sweep *sweep = alloc(sizeof *sweep);
    *sweep = (Sweep){broker, done, context};
    broker->kind->sweep(broker, queue, set, page, count, now_us, on_swept, sweep);
}

void broker_wipe(Broker *broker) {
    broker->kind->wipe(broker);
}

size_t broker_ready(Broker *broker, Str queue) {
    check_queue(queue);
    return broker->kind->ready(broker, queue);
}

BrokerStats broker_stats(Broker *broker) {
    BrokerStats stats = broker->kind->stats(broker);
    stats.repaired = broker->repaired;
    return stats;
}

void broker_close(Broker *broker) {
    if (broker) broker->kind->close(broker);
}
