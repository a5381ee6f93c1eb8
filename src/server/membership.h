/* What a node does because others share its store: it takes the signing key from there, ends when its name
 * is another's or the store is not for it, and stands back while the machine's clock is far off. An embedded
 * node has none of this. */
#pragma once

#include "auth/token.h"
#include "broker/broker.h"
#include "config/config.h"
#include "engine/engine.h"
#include "net/loop.h"
#include "server/store_clock.h"
#include "store/store.h"

typedef struct Membership {
    const Config *config; /* borrowed, likewise below */
    Loop *loop;
    Store *store;
    Broker *broker;
    Engine *engine;
    TokenKeys *tokens;
    StoreClock *clock;
    /* The node is to end: words in `error`. */
    void (*end)(void *context, const Error *error);
    void *context;

    LoopTimer look; /* for the key */
    bool store_was_up, broker_was_up, told_store, told_broker;
    Error told_why; /* the store was said to be down */
    int64_t told_skew_us;
    char refusal[160]; /* "" = it may schedule */
} Membership;

/* In place: the members above `look` are filled in. */
void membership_begin(Membership *membership);
/* Once a second, with what store_clock_follow() said. */
void membership_second(Membership *membership, int64_t skew_us);
void membership_end(Membership *membership);
/* For ApiOptions.refusal. */
Str membership_refusal(void *membership);
