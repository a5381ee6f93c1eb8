/* The broker in Redis: each operation is a script on the keys of one queue; what is decided there is decided
 * as in broker/window.c.
 *
 * What this file keeps is only what it has heard: how many jobs each queue had ready, the generation that
 * counts, the highest epoch seen. The epoch rises every second; one that is missing or lower than before
 * means that Redis has lost or forgotten something, and a new generation makes every window begin anew. */
#include "broker/redis/redis.h"

#include "base/alloc.h"
#include "base/map.h"
#include "base/time.h"
#include "broker/redis/address.h"
#include "broker/window.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    KEYS = 6,
    PART = 500, /* hints of one script: others must not wait long */
};
#define LOCK_US (10 * US_PER_S)

typedef struct RedisQueue { /* as last heard */
    size_t ready, delayed, taken;
    size_t name_len;
    char name[];
} RedisQueue;

typedef struct RedisBroker {
    Broker broker;
    RedisAddress address;
    RedisLink *link;
    char *channel;
    char id[17]; /* of this handle: its own words are not for it */
    Map queues;
    uint64_t epoch;
    char generation[33]; /* "" = none heard of yet */
    int64_t locks;
    int64_t now_us; /* of the last call */
} RedisBroker;

static RedisBroker *redis_of(Broker *broker) {
    return container_of(broker, RedisBroker, broker);
}

static RedisQueue *queue_of(RedisBroker *redis, Str name) {
    RedisQueue *queue = map_get(&redis->queues, name);
    if (queue) return queue;
    queue = alloc_zero(1, sizeof *queue + name.len);
    memcpy(queue->name, name.ptr, name.len);
    queue->name_len = name.len;
    map_put(&redis->queues, (Str){queue->name, name.len}, queue);
    return queue;
}

/* ---- commands ---- */

static void add_key(RedisBroker *redis, RedisArguments *arguments, Str queue, const char *suffix) {
    buf_format(&arguments->bytes, "%s{" STR_FMT "}:%s", redis->address.prefix, STR_ARG(queue),
               suffix);
    arguments_add(arguments, STR(""));
}

/* The keys of the queue, then what every script is told. */
static void begin(RedisBroker *redis, RedisArguments *arguments, Str queue, int64_t now_us) {
    static const char *const suffixes[] = {"r", "d", "t", "h", "m"};
    arguments_init(arguments);
    for (size_t i = 0; i < LENGTH(suffixes); i++) {
        add_key(redis, arguments, queue, suffixes[i]);
    }
    buf_format(&arguments->bytes, "%sgeneration", redis->address.prefix);
    arguments_add(arguments, STR(""));
    arguments_add_int(arguments, now_us);
    arguments_add_int(arguments, LIMIT_WINDOW);
    redis->now_us = now_us;
}

static void add_hint(RedisArguments *arguments, const Hint *hint) {
    arguments_add(arguments, job_key_str(&hint->key));
    arguments_add_int(arguments, hint->score);
    arguments_add_int(arguments, hint->due_us);
}

static void add_word(RedisBroker *redis, RedisArguments *arguments, Str queue) {
    arguments_add(arguments, str_from(redis->channel));
    buf_format(&arguments->bytes, "%s " STR_FMT, redis->id, STR_ARG(queue));
    arguments_add(arguments, STR(""));
}

typedef struct Call { /* what a reply is for */
    RedisBroker *redis;
    RedisQueue *queue;
    union {
        TakeDone take;
        PromoteDone promote;
        RefillDone refill;
        BrokerDone end;
        SweepDone sweep;
    } done;
    void *context;
    int64_t lock;
    size_t parts; /* still out */
    size_t added;
    bool failed;
} Call;

static Call *call_new(RedisBroker *redis, Str queue, void *context) {
    Call *call = alloc_zero(1, sizeof *call);
    call->redis = redis;
    call->queue = queue_of(redis, queue);
    call->context = context;
    return call;
}

/* Element `i` of a reply as a number; replies hold integers or decimal texts. */
static int64_t number_at(const redisReply *reply, size_t i) {
    if (i >= reply->elements) return 0;
    const redisReply *element = reply->element[i];
    if (element->type == REDIS_REPLY_INTEGER) return element->integer;
    int64_t number = 0;
    if (element->type != REDIS_REPLY_STRING) return 0;
    Str text = {element->str, (size_t)element->len};
    if (str_eq(text, STR("+inf"))) return SCORE_HIGHEST;
    if (str_eq(text, STR("-inf"))) return SCORE_LOWEST;
    (void)str_to_int64(text, &number);
    return number;
}

static bool is_array(const redisReply *reply) {
    return reply && reply->type == REDIS_REPLY_ARRAY;
}

/* ---- push, take, settle, promote ---- */

static void on_sized(void *context, const redisReply *reply) {
    RedisQueue *queue = context;
    if (is_array(reply) && reply->elements > 0) queue->ready = (size_t)number_at(reply, 0);
}

static void redis_push(Broker *broker, Str queue, const Hint *hints, size_t count, int64_t now_us) {
    RedisBroker *redis = redis_of(broker);
    RedisQueue *state = queue_of(redis, queue);
    for (size_t i = 0; i < count; i++) {
        if (hints[i].due_us <= now_us) state->ready++; /* until the answer tells exactly */
    }
    for (size_t i = 0; i < count; i += PART) {
        RedisArguments arguments;
        begin(redis, &arguments, queue, now_us);
        add_word(redis, &arguments, queue);
        for (size_t k = i; k < count && k < i + PART; k++) {
            add_hint(&arguments, &hints[k]);
        }
        redis_link_run(redis->link, SCRIPT_PUSH, KEYS, &arguments, on_sized, state);
    }
}

static void on_taken(void *context, const redisReply *reply) {
    Call *call = context;
    TakeReply take = {.failed = !is_array(reply) || reply->elements < 2};
    Hint *hints = NULL;
    if (!take.failed) {
        take.low = number_at(reply, 0) != 0;
        call->queue->ready = (size_t)number_at(reply, 1);
        hints = alloc_zero(reply->elements, sizeof *hints);
    }
    for (size_t i = 2; !take.failed && i + 1 < reply->elements; i += 2) {
        const redisReply *key = reply->element[i];
        Hint *hint = &hints[take.count];
        if (key->type != REDIS_REPLY_STRING || (size_t)key->len != sizeof hint->key.bytes) continue;
        memcpy(hint->key.bytes, key->str, sizeof hint->key.bytes);
        hint->score = number_at(reply, i + 1);
        hint->due_us = order_due_us(hint->score);
        take.count++;
    }
    if (take.failed) call->queue->ready = 0;
    call->queue->taken += take.count;
    take.hints = hints;
    (call->done.take)(call->context, &take); /* not check.h's macro */
    free(hints);
    free(call);
}

static void redis_take(Broker *broker, Str queue, size_t n, int64_t now_us, TakeDone done,
                       void *context) {
    RedisBroker *redis = redis_of(broker);
    Call *call = call_new(redis, queue, context);
    call->done.take = done;
    RedisArguments arguments;
    begin(redis, &arguments, queue, now_us);
    arguments_add_int(&arguments, (int64_t)n);
    arguments_add_int(&arguments, now_us + WINDOW_TAKEN_US);
    /* others that look meanwhile are not to ask for the same */
    call->queue->ready = call->queue->ready > n ? call->queue->ready - n : 0;
    redis_link_run(redis->link, SCRIPT_TAKE, KEYS, &arguments, on_taken, call);
}

static void redis_settle(Broker *broker, Str queue, const JobKey *keys, size_t count) {
    RedisBroker *redis = redis_of(broker);
    RedisQueue *state = queue_of(redis, queue);
    state->taken = state->taken > count ? state->taken - count : 0;
    for (size_t i = 0; i < count; i += PART) {
        RedisArguments arguments;
        begin(redis, &arguments, queue, redis->now_us);
        for (size_t k = i; k < count && k < i + PART; k++) {
            arguments_add(&arguments, job_key_str(&keys[k]));
        }
        redis_link_run(redis->link, SCRIPT_SETTLE, KEYS, &arguments, NULL, NULL);
    }
}

static void on_promoted(void *context, const redisReply *reply) {
    Call *call = context;
    PromoteReply promote = {.failed = !is_array(reply) || reply->elements < 6};
    if (!promote.failed) {
        promote.moved = (size_t)number_at(reply, 0);
        promote.next_us = number_at(reply, 1);
        promote.low = number_at(reply, 2) != 0;
        call->queue->ready = (size_t)number_at(reply, 3);
        call->queue->delayed = (size_t)number_at(reply, 4);
        call->queue->taken = (size_t)number_at(reply, 5);
    }
    call->done.promote(call->context, &promote);
    free(call);
}

static void redis_promote(Broker *broker, Str queue, int64_t now_us, PromoteDone done,
                          void *context) {
    RedisBroker *redis = redis_of(broker);
    Call *call = call_new(redis, queue, context);
    call->done.promote = done;
    RedisArguments arguments;
    begin(redis, &arguments, queue, now_us);
    redis_link_run(redis->link, SCRIPT_PROMOTE, KEYS, &arguments, on_promoted, call);
}

/* ---- refill and sweep ---- */

static Str set_name(WindowSet set) {
    return set == WINDOW_READY ? STR("R") : STR("D");
}

/* The lock's name in Redis: no other handle's is the same. */
static void add_lock(RedisBroker *redis, RedisArguments *arguments, int64_t lock) {
    buf_format(&arguments->bytes, "%s-%lld", redis->id, (long long)lock);
    arguments_add(arguments, STR(""));
}

static void on_begun(void *context, const redisReply *reply) {
    Call *call = context;
    RefillReply refill = {.failed = !is_array(reply) || reply->elements < 3, .lock = call->lock};
    if (!refill.failed) {
        refill.wanted = number_at(reply, 0) != 0;
        refill.after = number_at(reply, 1);
        refill.until_us = number_at(reply, 2);
    }
    call->done.refill(call->context, &refill);
    free(call);
}

static void redis_refill_begin(Broker *broker, Str queue, WindowSet set, int64_t now_us,
                               RefillDone done, void *context) {
    RedisBroker *redis = redis_of(broker);
    Call *call = call_new(redis, queue, context);
    call->done.refill = done;
    call->lock = ++redis->locks;
    RedisArguments arguments;
    begin(redis, &arguments, queue, now_us);
    arguments_add(&arguments, set_name(set));
    add_lock(redis, &arguments, call->lock);
    arguments_add_int(&arguments, now_us + LOCK_US);
    redis_link_run(redis->link, SCRIPT_REFILL_BEGIN, KEYS, &arguments, on_begun, call);
}

static void on_ended(void *context, const redisReply *reply) {
    Call *call = context;
    if (is_array(reply) && reply->elements == 2) call->queue->ready = (size_t)number_at(reply, 1);
    call->done.end(call->context);
    free(call);
}

static void send_part(RedisBroker *redis, Str queue, WindowSet set, int64_t lock, const Hint *page,
                      size_t count, int64_t now_us) {
    RedisArguments arguments;
    begin(redis, &arguments, queue, now_us);
    arguments_add(&arguments, set_name(set));
    add_lock(redis, &arguments, lock);
    for (size_t i = 0; i < count; i++) {
        add_hint(&arguments, &page[i]);
    }
    redis_link_run(redis->link, SCRIPT_REFILL_PART, KEYS, &arguments, NULL, NULL);
}

/* How far the page tells everything: to its last, or to the end. */
static Str covered_by(WindowSet set, const Hint *page, size_t count, bool complete, char text[32]) {
    if (complete) return STR("+inf");
    if (!page || count == 0) return STR("-inf");
    const Hint *last = &page[count - 1];
    int len =
        snprintf(text, 32, "%lld", (long long)(set == WINDOW_READY ? last->score : last->due_us));
    return (Str){text, (size_t)len};
}

static void redis_refill_end(Broker *broker, Str queue, WindowSet set, int64_t lock,
                             const Hint *page, size_t count, bool complete, int64_t now_us,
                             BrokerDone done, void *context) {
    RedisBroker *redis = redis_of(broker);
    Call *call = call_new(redis, queue, context);
    call->done.end = done;
    for (size_t i = 0; i < count; i += PART) {
        size_t n = count - i < PART ? count - i : PART;
        send_part(redis, queue, set, lock, page + i, n, now_us);
    }
    char covered[32];
    RedisArguments arguments;
    begin(redis, &arguments, queue, now_us);
    arguments_add(&arguments, set_name(set));
    add_lock(redis, &arguments, lock);
    arguments_add(&arguments, covered_by(set, page, count, complete, covered));
    if (count > 0) {
        add_word(redis, &arguments, queue);
    } else {
        arguments_add(&arguments, STR(""));
        arguments_add(&arguments, STR(""));
    }
    arguments_add_int(&arguments, (int64_t)((count + PART - 1) / PART));
    redis_link_run(redis->link, SCRIPT_REFILL_END, KEYS, &arguments, on_ended, call);
}

static void on_swept(void *context, const redisReply *reply) {
    Call *call = context;
    if (is_array(reply) && reply->elements == 2) {
        call->added += (size_t)number_at(reply, 0);
        call->queue->ready = (size_t)number_at(reply, 1);
    } else {
        call->failed = true;
    }
    if (--call->parts > 0) return;
    call->done.sweep(call->context, call->added, call->failed);
    free(call);
}

static void redis_sweep(Broker *broker, Str queue, WindowSet set, const Hint *page, size_t count,
                        int64_t now_us, SweepDone done, void *context) {
    (void)set; /* a hint's due tells which set it belongs to now */
    RedisBroker *redis = redis_of(broker);
    Call *call = call_new(redis, queue, context);
    call->done.sweep = done;
    call->parts = (count + PART - 1) / PART;
    for (size_t i = 0; i < count; i += PART) {
        RedisArguments arguments;
        begin(redis, &arguments, queue, now_us);
        for (size_t k = i; k < count && k < i + PART; k++) {
            add_hint(&arguments, &page[k]);
        }
        redis_link_run(redis->link, SCRIPT_SWEEP, KEYS, &arguments, on_swept, call);
    }
}

/* ---- epoch and generation ---- */

static void new_generation(char text[33]) {
    uint64_t random[2];
    check(getentropy(random, sizeof random) == 0);
    snprintf(text, 33, "%016llx%016llx", (unsigned long long)random[0],
             (unsigned long long)random[1]);
}

static void forget_sizes(RedisBroker *redis) {
    size_t at = 0;
    RedisQueue *queue;
    while ((queue = map_next(&redis->queues, &at))) {
        queue->ready = queue->delayed = queue->taken = 0;
    }
}

static void on_ticked(void *context, const redisReply *reply) {
    RedisBroker *redis = context;
    bool well = is_array(reply) && reply->elements == 2 && reply->element[1]->str;
    if (!well) {
        redis_link_ticked(redis->link, false);
        return;
    }
    redis->epoch = (uint64_t)number_at(reply, 0);
    const char *generation = reply->element[1]->str;
    bool changed = redis->generation[0] && strcmp(redis->generation, generation) != 0;
    snprintf(redis->generation, sizeof redis->generation, "%s", generation);
    if (changed) forget_sizes(redis);
    redis_link_ticked(redis->link, true);
    const BrokerEvents *events = &redis->broker.events;
    if (changed && events->emptied) events->emptied(events->context);
}

static void tick(void *context) {
    RedisBroker *redis = context;
    RedisArguments arguments;
    char generation[33];
    new_generation(generation);
    arguments_init(&arguments);
    buf_format(&arguments.bytes, "%sepoch", redis->address.prefix);
    arguments_add(&arguments, STR(""));
    buf_format(&arguments.bytes, "%sgeneration", redis->address.prefix);
    arguments_add(&arguments, STR(""));
    arguments_add_int(&arguments, (int64_t)redis->epoch);
    arguments_add(&arguments, str_from(generation));
    redis_link_run(redis->link, SCRIPT_TICK, 2, &arguments, on_ticked, redis);
}

/* Behind what was sent before, and before what is sent after. */
static void redis_wipe(Broker *broker) {
    RedisBroker *redis = redis_of(broker);
    RedisArguments arguments;
    new_generation(redis->generation);
    arguments_init(&arguments);
    arguments_add(&arguments, STR("SET"));
    buf_format(&arguments.bytes, "%sgeneration", redis->address.prefix);
    arguments_add(&arguments, STR(""));
    arguments_add(&arguments, str_from(redis->generation));
    forget_sizes(redis);
    redis_link_command(redis->link, &arguments);
}

/* ---- the rest ---- */

static void turned(void *context) {
    RedisBroker *redis = context;
    const BrokerEvents *events = &redis->broker.events;
    if (!redis_link_is_up(redis->link, NULL)) forget_sizes(redis);
    if (events->turned) events->turned(events->context);
}

static void heard(void *context, Str word) {
    RedisBroker *redis = context;
    const BrokerEvents *events = &redis->broker.events;
    Str queue = word;
    Str id = str_split(&queue, ' ');
    if (!queue.ptr || str_eq(id, str_from(redis->id)) || !events->pushed) return;
    events->pushed(events->context, queue);
}

static size_t redis_ready(Broker *broker, Str name) {
    const RedisQueue *queue = map_get(&redis_of(broker)->queues, name);
    return queue ? queue->ready : 0;
}

static BrokerStats redis_stats(Broker *broker) {
    RedisBroker *redis = redis_of(broker);
    BrokerStats stats = {0};
    size_t at = 0;
    const RedisQueue *queue;
    while ((queue = map_next(&redis->queues, &at))) {
        stats.ready += queue->ready;
        stats.delayed += queue->delayed;
        stats.taken += queue->taken;
    }
    return stats;
}

static bool redis_is_up(Broker *broker, Buf *why) {
    return redis_link_is_up(redis_of(broker)->link, why);
}

static void redis_close(Broker *broker) {
    RedisBroker *redis = redis_of(broker);
    broker->events = (BrokerEvents){0};
    redis_link_free(redis->link);
    size_t at = 0;
    RedisQueue *queue;
    while ((queue = map_next(&redis->queues, &at))) {
        free(queue);
    }
    map_done(&redis->queues);
    redis_address_done(&redis->address);
    free(redis->channel);
    free(redis);
}

static Err redis_open(Broker **ret, Str url, Str location, const BrokerIo *io, Error *error) {
    (void)location;
    check(io && io->loop);
    RedisAddress address;
    Err err = redis_address_parse(url, &address, error);
    if (err != OK) {
        redis_address_done(&address);
        return err;
    }
    RedisBroker *redis = alloc_zero(1, sizeof *redis);
    uint64_t random[3];
    check(getentropy(random, sizeof random) == 0);
    redis->broker.kind = &broker_redis;
    redis->address = address;
    map_init(&redis->queues, random[0], random[1]);
    snprintf(redis->id, sizeof redis->id, "%016llx", (unsigned long long)random[2]);
    size_t size = strlen(address.prefix) + 8;
    redis->channel = alloc(size);
    snprintf(redis->channel, size, "%swords", address.prefix);
    RedisLinkOptions options = {.loop = io->loop,
                                .address = &redis->address,
                                .channel = redis->channel,
                                .turned = turned,
                                .tick = tick,
                                .heard = heard,
                                .context = redis};
    redis->link = redis_link_new(&options);
    *ret = &redis->broker;
    return OK;
}

const BrokerKind broker_redis = {
    .scheme = "redis",
    .open = redis_open,
    .push = redis_push,
    .take = redis_take,
    .settle = redis_settle,
    .promote = redis_promote,
    .refill_begin = redis_refill_begin,
    .refill_end = redis_refill_end,
    .sweep = redis_sweep,
    .wipe = redis_wipe,
    .ready = redis_ready,
    .stats = redis_stats,
    .is_up = redis_is_up,
    .close = redis_close,
};
