/* See the header. */
#include "server/membership.h"

#include "base/time.h"
#include "server/data_directory.h"
#include "telemetry/log.h"
#include "telemetry/metric.h"
#include <stdio.h>
#include <string.h>

#define LOOK_EVERY_US (US_PER_S / 20)
#define SKEW_WARN_US US_PER_S
#define SKEW_MOST_US (30 * US_PER_S)

/* ---- the key ---- */

static void on_look(void *owner) {
    Membership *membership = owner;
    Error error;
    Err health = store_health(membership->store, &error);
    if (health == ERR_CONFLICT) {
        membership->end(membership->context, &error);
        return;
    }
    Str secret = store_secret(membership->store);
    if (health != OK || !secret.ptr) {
        loop_timer_after(&membership->look, LOOK_EVERY_US);
        return;
    }
    Err err = OK;
    if (!token_keys_are_there(membership->tokens)) {
        err = token_keys_add(membership->tokens, secret, &error);
    }
    if (err == OK) {
        err = admin_token_write(membership->config->data.ptr, membership->tokens, &error);
    }
    if (err != OK) membership->end(membership->context, &error);
}

/* ---- the name ---- */

static void on_node(void *context, NodeState state) {
    Membership *membership = context;
    if (state == NODE_JOINING) {
        log_warn("node.name-taken",
                 kv_text("what", "another node of this name was heard of lately: waiting for it"));
    } else if (state == NODE_TAKEN) {
        Error error;
        error_set(&error, ERR_CONFLICT,
                  "another process has taken this node's name over: each node needs its own");
        membership->end(membership->context, &error);
    }
}

/* ---- every second ---- */

static void tell_store(Membership *membership) {
    Error error = {0};
    Err health = store_health(membership->store, &error);
    bool up = health == OK;
    if (health == ERR_CONFLICT) membership->end(membership->context, &error);
    /* what it fails of now is not what it fell of */
    bool same = up || strcmp(error.message, membership->told_why.message) == 0;
    if (membership->told_store && up == membership->store_was_up && same) return;
    membership->told_store = true;
    membership->store_was_up = up;
    membership->told_why = error;
    if (up) {
        log_info("store.up");
    } else {
        log_warn("store.down", kv_text("why", error.message));
    }
}

static void tell_broker(Membership *membership) {
    cleanup(buf_done) Buf why;
    buf_init(&why, 512);
    bool up = broker_is_up(membership->broker, &why);
    if (membership->told_broker && up == membership->broker_was_up) return;
    membership->told_broker = true;
    membership->broker_was_up = up;
    if (up) {
        log_info("broker.up");
    } else {
        log_warn("broker.down", kv_str("why", buf_str(&why)));
    }
}

/* The store's clock counts; a machine whose own is far off is likely to be wrong in other ways too. */
static void judge_skew(Membership *membership, int64_t skew_us) {
    if (!membership->clock->learned) return;
    engine_set_clock_offset(membership->engine, skew_us);
    int64_t size_us = skew_us < 0 ? -skew_us : skew_us;
    int64_t change_us = skew_us - membership->told_skew_us;
    if (change_us < 0) change_us = -change_us;
    if (size_us > SKEW_WARN_US && change_us > SKEW_WARN_US) {
        log_warn("clock.skew", kv_int("ahead_ms", skew_us / US_PER_MS));
        membership->told_skew_us = skew_us;
    }
    if (size_us <= SKEW_WARN_US) membership->told_skew_us = 0;
    bool refuses = size_us > SKEW_MOST_US;
    membership->refusal[0] = '\0';
    if (refuses) {
        snprintf(membership->refusal, sizeof membership->refusal,
                 "this machine's clock is %lld s %s the store's: more than 30 s; nothing is "
                 "scheduled here until it is right",
                 (long long)(size_us / US_PER_S), skew_us > 0 ? "ahead of" : "behind");
    }
    engine_hold(membership->engine, refuses);
}

void membership_second(Membership *membership, int64_t skew_us) {
    if (!membership->config->store.cluster) return;
    tell_store(membership);
    if (membership->config->broker.url.ptr && membership->broker) tell_broker(membership);
    judge_skew(membership, skew_us);
}

Str membership_refusal(void *context) {
    const Membership *membership = context;
    return membership->refusal[0] ? str_from(membership->refusal) : (Str){0};
}

void membership_begin(Membership *membership) {
    loop_timer_init(&membership->look, membership->loop, on_look, membership);
    if (!membership->config->store.cluster) return;
    engine_on_node(membership->engine, on_node, membership);
    loop_timer_after(&membership->look, 0);
}

void membership_end(Membership *membership) {
    if (membership->loop) loop_timer_cancel(&membership->look);
}
