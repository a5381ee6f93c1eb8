/* No broker at all: every command fails at once, hints go nowhere. */
#include "broker/none.h"

#include "base/alloc.h"
#include <stdlib.h>

static Err none_open(Broker **ret, Str url, Str location, const BrokerIo *io, Error *error) {
    (void)url, (void)io;
    if (location.len > 0) {
        return error_set(error, ERR_INVALID, "broker 'none:' takes nothing behind the colon");
    }
    *ret = alloc_zero(1, sizeof **ret);
    (*ret)->kind = &broker_none;
    return OK;
}

static void none_push(Broker *broker, Str queue, const Hint *hints, size_t count, int64_t now_us) {
    (void)broker, (void)queue, (void)hints, (void)count, (void)now_us;
}

static void none_take(Broker *broker, Str queue, size_t n, int64_t now_us, TakeDone done,
                      void *context) {
    (void)broker, (void)queue, (void)n, (void)now_us;
    done(context, &(TakeReply){.failed = true});
}

static void none_settle(Broker *broker, Str queue, const JobKey *keys, size_t count) {
    (void)broker, (void)queue, (void)keys, (void)count;
}

static void none_promote(Broker *broker, Str queue, int64_t now_us, PromoteDone done,
                         void *context) {
    (void)broker, (void)queue, (void)now_us;
    done(context, &(PromoteReply){.failed = true});
}

static void none_refill_begin(Broker *broker, Str queue, WindowSet set, int64_t now_us,
                              RefillDone done, void *context) {
    (void)broker, (void)queue, (void)set, (void)now_us;
    done(context, &(RefillReply){.failed = true});
}

static void none_refill_end(Broker *broker, Str queue, WindowSet set, int64_t lock,
                            const Hint *page, size_t count, bool complete, int64_t now_us,
                            BrokerDone done, void *context) {
    (void)broker, (void)queue, (void)set, (void)lock, (void)page, (void)count, (void)complete;
    (void)now_us;
    done(context);
}

static void none_sweep(Broker *broker, Str queue, WindowSet set, const Hint *page, size_t count,
                       int64_t now_us, SweepDone done, void *context) {
    (void)broker, (void)queue, (void)set, (void)page, (void)count, (void)now_us;
    done(context, 0, /* failed= */ true);
}

static void none_wipe(Broker *broker) {
    (void)broker;
}

static size_t none_ready(Broker *broker, Str queue) {
    (void)broker, (void)queue;
    return 0;
}

static BrokerStats none_stats(Broker *broker) {
    (void)broker;
    return (BrokerStats){0};
}

static bool none_is_up(Broker *broker, Buf *why) {
    (void)broker;
    if (why) buf_add(why, STR("there is no broker: jobs are dispatched straight from the store"));
    return false;
}

static void none_close(Broker *broker) {
    free(broker);
}

const BrokerKind broker_none = {
    .scheme = "none",
    .open = none_open,
    .push = none_push,
    .take = none_take,
    .settle = none_settle,
    .promote = none_promote,
    .refill_begin = none_refill_begin,
    .refill_end = none_refill_end,
    .sweep = none_sweep,
    .wipe = none_wipe,
    .ready = none_ready,
    .stats = none_stats,
    .is_up = none_is_up,
    .close = none_close,
};
