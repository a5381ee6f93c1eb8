/* The broker in Redis keeps the contract, on a real server (tests/servers/with). Each case begins with a prefix of
 * its own. */
#include "broker_contract.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/time.h"
#include "net/loop.h"
#include <stdio.h>
#include <stdlib.h>

typedef struct RedisSuite {
    Loop *loop;
    const char *url;
    unsigned opened;
} RedisSuite;

static void on_tick(void *owner) {
    (void)owner; /* only so that the loop turns */
}

static void wait_a_little(void *context) {
    RedisSuite *redis = context;
    LoopTimer tick;
    loop_timer_init(&tick, redis->loop, on_tick, NULL);
    loop_timer_after(&tick, US_PER_MS);
    loop_turn(redis->loop);
    loop_timer_cancel(&tick);
}

static Err open_redis(void *context, Broker **ret, Error *error) {
    RedisSuite *redis = context;
    char url[256];
    snprintf(url, sizeof url, "%s/1?prefix=case-%u:", redis->url, ++redis->opened);
    BrokerIo io = {.loop = redis->loop, .node = STR("test")};
    TRY(broker_open(ret, str_from(url), &io, error));
    int64_t most_us = clock_mono_us() + 10 * US_PER_S;
    while (!broker_is_up(*ret, NULL) && clock_mono_us() < most_us)
        wait_a_little(redis);
    assert_true(broker_is_up(*ret, NULL));
    return OK;
}

int main(void) {
    RedisSuite redis = {.loop = loop_new(), .url = getenv("TAKT_TEST_REDIS")};
    if (!redis.url) {
        fprintf(stderr, "TAKT_TEST_REDIS is not set: run it under tests/servers/with\n");
        return 1;
    }
    BrokerSuite suite = {.name = "broker redis",
                         .open = open_redis,
                         .wait = wait_a_little,
                         .slow = true,
                         .context = &redis};
    int failed = broker_contract(&suite);
    loop_free(redis.loop);
    return failed;
}
