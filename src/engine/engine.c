/* The engine's life: made, started from what the store knows, woken for its duties, drained,
 * freed. */
#include "engine/internal.h"

#include "base/alloc.h"
#include "base/crash.h"
#include <stdlib.h>

#define START_AGAIN_US (US_PER_S / 4)

static int64_t start_duty(Engine *engine, int64_t now_us);

const Duty engine_duties[] = {
    {"start", start_duty},
    {"promote", promote_duty},
    {"fetch-timeout", fetch_timeout_duty},
    {"session", session_duty},
    {"look", look_duty},
    {"count", count_duty},
    {"sweep", sweep_duty},
    {"store-dispatch", store_dispatch_duty},
    {"node", node_duty},
};
const size_t engine_duty_count = LENGTH(engine_duties);

Engine *engine_new(Store *store, Broker *broker, const EngineIo *io, const EngineOptions *options) {
    Engine *engine = alloc_zero(1, sizeof *engine);
    engine->store = store;
    engine->broker = broker;
    engine->io = *io;
    engine->options = *options;
    Str *texts[] = {&engine->options.node, &engine->options.instance, &engine->options.version,
                    &engine->options.node_info};
    for (size_t i = 0; i < LENGTH(texts); i++) {
        *texts[i] = arena_str(&engine->texts, *texts[i]);
    }
    random_init(&engine->random, io->seed);
    random_init(&engine->batch_random, random_next(&engine->random));
    list_init(&engine->first);
    list_init(&engine->open);
    list_init(&engine->running);
    list_init(&engine->alone);
    list_init(&engine->refused);
    map_init(&engine->queues, random_next(&engine->random), random_next(&engine->random));
    map_init(&engine->sessions, random_next(&engine->random), random_next(&engine->random));
    map_init(&engine->revoked, random_next(&engine->random), random_next(&engine->random));
    watch_init(engine);
    node_begin(engine);
    control_init(engine);
    engine->duty_at = alloc_zero(engine_duty_count, sizeof *engine->duty_at);
    for (size_t i = 0; i < engine_duty_count; i++) {
        engine->duty_at[i] = INT64_MAX;
    }
    engine->store_up = true;
    broker_listen(broker, &(BrokerEvents){.pushed = queue_pushed,
                                          .turned = broker_turned,
                                          .emptied = broker_emptied,
                                          .context = engine});
    return engine;
}

void engine_free(Engine *engine) {
    if (!engine) return;
    check(!engine->in_flight);
    sessions_done(engine);
    watch_done(engine);
    tokens_done(engine);
    queues_done(engine);
    heap_done(&engine->promotions);
    heap_done(&engine->fetch_deadlines);
    control_done(engine);
    free(engine->duty_at);
    arena_done(&engine->texts);
    free(engine);
}

int64_t engine_now_us(const Engine *engine) {
    return engine->io.now_us(engine->io.context);
}

JobKey engine_make_key(Engine *engine, char ret_text[UUID_TEXT_SIZE]) {
    Uuid uuid = uuid_make(&engine->ids, engine_now_us(engine), &engine->random);
    return job_key_from_uuid(&uuid, ret_text);
}

bool engine_ready(const Engine *engine) {
    return engine->ready;
}

bool engine_store_is_up(const Engine *engine) {
    return engine->store_up;
}

void engine_read(Engine *engine, Query *query) {
    store_read(engine->store, query);
}

EngineStats engine_stats(const Engine *engine) {
    EngineStats stats = engine->stats;
    stats.fetches_parked = engine->fetches_parked;
    stats.sessions = engine->sessions.count;
    stats.broker = broker_stats(engine->broker);
    return stats;
}

void engine_lost_touch(Engine *engine) {
    engine->store_up = false;
    engine->connected_since_us = engine_now_us(engine);
    sessions_doubt(engine);
}

void engine_on_doubt(Engine *engine, void (*doubt)(void *context), void *context) {
    engine->doubt = doubt;
    engine->doubt_context = context;
}

/* ---- duties ---- */

void engine_rearm(Engine *engine) {
    int64_t at = INT64_MAX;
    for (size_t i = 0; i < engine_duty_count; i++) {
        if (engine->duty_at[i] < at) at = engine->duty_at[i];
    }
    if (at != INT64_MAX) engine->io.wake_at(engine->io.context, at);
}

void duty_wake(Engine *engine, int64_t (*run)(Engine *, int64_t), int64_t at_us) {
    for (size_t i = 0; i < engine_duty_count; i++) {
        if (engine_duties[i].run != run || engine->duty_at[i] <= at_us) continue;
        engine->duty_at[i] = at_us;
        engine_rearm(engine);
    }
}

/* A node that was itself stopped for a while (SIGSTOP, a frozen machine) has not heard anybody
 * either: silence begins anew. */
void engine_note_absence(Engine *engine) {
    int64_t now_us = engine_now_us(engine);
    bool away = engine->ticked_us > 0 && now_us - engine->ticked_us > ENGINE_AWAY_US;
    if (away) engine->connected_since_us = now_us;
    engine->ticked_us = now_us;
}

void engine_tick(Engine *engine) {
    int64_t now_us = engine_now_us(engine);
    engine_note_absence(engine);
    for (size_t i = 0; i < engine_duty_count; i++) {
        if (engine->duty_at[i] > now_us) continue;
        /* a duty may be woken while it runs: the earlier wish counts */
        engine->duty_at[i] = INT64_MAX;
        int64_t next_us = engine_duties[i].run(engine, now_us);
        if (next_us < engine->duty_at[i]) engine->duty_at[i] = next_us;
    }
    engine_rearm(engine);
}

void engine_drain(Engine *engine) {
    if (!engine->draining) {
        engine->draining = true;
        node_write(engine);
    }
    duty_wake(engine, fetch_timeout_duty, engine_now_us(engine));
}

void engine_hold(Engine *engine, bool held) {
    if (engine->held == held) return;
    engine->held = held;
    if (held) return;
    size_t at = 0;
    EngineQueue *queue;
    while ((queue = map_next(&engine->queues, &at))) {
        promote_at(queue, engine_now_us(engine));
    }
}

bool engine_broker_is_up(const Engine *engine, Buf *why) {
    return broker_is_up(engine->broker, why);
}

/* ---- start ---- */

static void start_read(Engine *engine, QueryKind kind);
static void start_reads(Engine *engine);

static void started(Engine *engine, const Query *query) {
    switch (query->kind) {
    case QUERY_EVERY:
        control_begin(engine, query);
        start_reads(engine);
        break;
    case QUERY_QUEUES:
        for (size_t i = 0; i < query->count; i++) {
            queue_get(engine, query->queues[i].name)->paused = query->queues[i].paused;
        }
        break;
    case QUERY_SESSIONS: sessions_load(engine, query->sessions, query->count); break;
    case QUERY_REVOKED: tokens_load(engine, query->tokens, query->count); break;
    case QUERY_WAITING_QUEUES:
        for (size_t i = 0; i < query->count; i++) {
            queue_get(engine, query->queues[i].name);
        }
        break;
    default: check(false);
    }
}

static void on_started(Query *query) {
    Engine *engine = query->context;
    if (query->outcome == OK) {
        started(engine, query);
        if (--engine->starting == 0 && !engine->ready) {
            crash_point(ENGINE_LOADED);
            engine->ready = engine->store_up = true;
            engine->connected_since_us = engine_now_us(engine);
            for (size_t i = 0; i < engine_duty_count; i++) {
                engine->duty_at[i] = engine_now_us(engine);
            }
            engine_rearm(engine);
        }
    } else {
        engine->store_up = false;
        engine->start_again |= 1U << query->kind;
        duty_wake(engine, start_duty, engine_now_us(engine) + START_AGAIN_US);
    }
    arena_done(&query->arena);
    free(query);
}

static void start_read(Engine *engine, QueryKind kind) {
    engine->start_again &= ~(1U << kind);
    Query *query = alloc_zero(1, sizeof *query);
    query->kind = kind;
    query->until_us = engine_now_us(engine);
    if (kind == QUERY_EVERY) control_ask(engine, query);
    query->done = on_started;
    query->context = engine;
    store_read(engine->store, query);
}

/* Reads again what could not be read. */
static int64_t start_duty(Engine *engine, int64_t now_us) {
    (void)now_us;
    for (QueryKind kind = 0; engine->start_again != 0; kind++) {
        if (engine->start_again & (1U << kind)) start_read(engine, kind);
    }
    return INT64_MAX;
}

static void start_reads(Engine *engine) {
    static const QueryKind kinds[] = {QUERY_QUEUES, QUERY_SESSIONS, QUERY_REVOKED,
                                      QUERY_WAITING_QUEUES};
    engine->starting += LENGTH(kinds);
    for (size_t i = 0; i < LENGTH(kinds); i++) {
        start_read(engine, kinds[i]);
    }
}

/* In a cluster first from where on it hears of the others: what they do while it reads is not missed. */
void engine_load(Engine *engine) {
    engine->connected_since_us = engine_now_us(engine);
    if (!engine->options.cluster) {
        start_reads(engine);
        return;
    }
    engine->starting++;
    start_read(engine, QUERY_EVERY);
}

void engine_load_tokens(Engine *engine) {
    engine->starting++;
    start_read(engine, QUERY_REVOKED);
}

void engine_start(Engine *engine) {
    if (engine->options.cluster) {
        node_join(engine);
    } else {
        engine_load(engine);
    }
}
