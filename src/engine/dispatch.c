/* Dispatch: fetches that wait, and how ready jobs find them.
 *
 * A fetch without work is parked on each of its queues and costs nothing until a job comes or its
 * time is up. It is given jobs in the order of its queues, strictly. Invariant: a fetch is
 * parked, or taking from the broker, or claiming in the store, never two of these; what was taken
 * is always settled. */
#include "engine/dispatch_internal.h"

#include "base/alloc.h"
#include <stdlib.h>

#define KNOW_AGAIN_US (US_PER_S / 100)

static void fetch_take(FetchState *state);

void fetch_unpark(FetchState *state) {
    Engine *engine = state->engine;
    heap_remove(&engine->fetch_deadlines, &state->deadline);
    for (size_t i = 0; i < state->slot_count; i++) {
        list_remove(&state->slots[i].node);
    }
    engine->fetches_parked--;
}

void fetch_park(FetchState *state) {
    Engine *engine = state->engine;
    state->where = FETCH_PARKED;
    heap_add(&engine->fetch_deadlines, &state->deadline, state->fetch->until_us);
    int64_t until_us = engine->draining ? engine_now_us(engine) : state->fetch->until_us;
    duty_wake(engine, fetch_timeout_duty, until_us);
    for (size_t i = 0; i < state->slot_count; i++) {
        list_append(&state->slots[i].queue->waiting, &state->slots[i].node);
    }
    engine->fetches_parked++;
    store_dispatch_soon(engine);
}

static void state_free(FetchState *state) {
    for (size_t i = 0; i < state->slot_count; i++) {
        state->slots[i].queue->users--;
    }
    free(state->taken);
    free(state);
}

/* The answer; the state is gone afterwards. */
static bool fetch_answer(FetchState *state, const Job *jobs, size_t count, const Error *error) {
    Fetch *fetch = state->fetch;
    state_free(state);
    if (!fetch) return false;
    fetch->state = NULL;
    return fetch->done(fetch, jobs, count, error);
}

static void on_claimed(void *context, const Job *jobs, size_t count, const Error *error) {
    FetchState *state = context;
    if (count == 0 && state->fetch && !error) {
        /* ghosts only: the fetch goes on waiting */
        state->taken_count = 0;
        fetch_take(state);
        return;
    }
    fetch_finish(state, jobs, count, error);
}

void fetch_finish(FetchState *state, const Job *jobs, size_t count, const Error *error) {
    Engine *engine = state->engine;
    size_t fits = count;
    if (state->fetch && state->fetch->max_bytes > 0) {
        size_t bytes = 0;
        for (fits = 0; fits < count; fits++) {
            bytes += job_size(&jobs[fits]);
            if (fits > 0 && bytes > state->fetch->max_bytes) break;
        }
    }
    if (!fetch_answer(state, jobs, fits, error)) fits = 0;
    if (fits < count) claim_undo(engine, jobs + fits, count - fits);
}

/* All queues were asked: claim, wait, or give up. */
static void fetch_taken(FetchState *state) {
    Engine *engine = state->engine;
    if (!state->fetch) {
        for (size_t i = 0; i < state->taken_count; i++) {
            const Taken *taken = &state->taken[i];
            broker_settle(engine->broker, taken->queue->name, &taken->hint.key, 1);
            hints_push(taken->queue, &taken->hint, 1);
            promote_at(taken->queue, engine_now_us(engine));
        }
        state_free(state);
        return;
    }
    if (state->taken_count > 0) {
        state->where = FETCH_CLAIMING;
        claim(engine, state->taken, state->taken_count, state->fetch->worker,
              state->fetch->grace_ms, on_claimed, state);
    } else {
        fetch_park(state);
    }
}

static void on_taken(void *context, const TakeReply *reply) {
    FetchState *state = context;
    EngineQueue *queue = state->slots[state->at].queue;
    for (size_t i = 0; i < reply->count; i++) {
        state->taken[state->taken_count++] = (Taken){.hint = reply->hints[i], .queue = queue};
    }
    state->answered = true;
    if (reply->low && !reply->failed) refill(queue, WINDOW_READY);
    if (state->returned) {
        state->at++;
        fetch_take(state);
    }
}

/* Asks the fetch's queues from state->at on. A broker may answer at once or later. */
static void fetch_take(FetchState *state) {
    Engine *engine = state->engine;
    if (state->where != FETCH_TAKING) {
        state->where = FETCH_TAKING;
        state->at = 0;
    }
    while (state->fetch && state->at < state->slot_count) {
        size_t want = state->fetch->max - state->taken_count;
        EngineQueue *queue = state->slots[state->at].queue;
        if (want == 0) break;
        /* a later queue must not go before one of which nobody knows yet */
        if (!queue->known && state->taken_count == 0) break;
        if (!queue->paused && may_claim(engine) && broker_ready(engine->broker, queue->name) > 0) {
            state->answered = state->returned = false;
            broker_take(engine->broker, queue->name, want, engine_now_us(engine), on_taken, state);
            if (!state->answered) {
                state->returned = true;
                return;
            }
        }
        state->at++;
    }
    fetch_taken(state);
}

void engine_fetch(Engine *engine, Fetch *fetch) {
    size_t count = fetch->queue_count;
    FetchState *state = alloc_zero(1, sizeof *state + count * sizeof(FetchSlot));
    state->engine = engine;
    state->fetch = fetch;
    state->slot_count = count;
    state->taken = alloc_zero(fetch->max, sizeof *state->taken);
    for (size_t i = 0; i < count; i++) {
        EngineQueue *queue = queue_get(engine, fetch->queues[i]);
        queue->users++;
        state->slots[i] = (FetchSlot){.state = state, .queue = queue};
    }
    fetch->state = state;
    /* It waits at least one round: an answer never comes from inside the call. */
    fetch_park(state);
    for (size_t i = 0; i < count; i++) {
        EngineQueue *queue = state->slots[i].queue;
        bool ready = !queue->paused && broker_ready(engine->broker, queue->name) > 0;
        if (ready && may_claim(engine)) {
            fetch_unpark(state);
            fetch_take(state);
            return;
        }
    }
}

void engine_fetch_cancel(Engine *engine, Fetch *fetch) {
    FetchState *state = fetch->state;
    if (!state) return;
    check(state->engine == engine);
    fetch->state = NULL;
    state->fetch = NULL;
    if (state->where == FETCH_PARKED) {
        fetch_unpark(state);
        state_free(state);
    }
}

void dispatch_queue(EngineQueue *queue) {
    Engine *engine = queue->engine;
    if (!broker_is_up(engine->broker, NULL)) {
        store_dispatch(queue);
        return;
    }
    while (!queue->paused && may_claim(engine) && !list_is_empty(&queue->waiting) &&
           broker_ready(engine->broker, queue->name) > 0) {
        FetchSlot *slot = container_of(list_first(&queue->waiting), FetchSlot, node);
        FetchState *state = slot->state;
        size_t parked = engine->fetches_parked;
        fetch_unpark(state);
        fetch_take(state);
        /* the figure is a hint: when nothing could be taken, stop instead of asking for ever */
        if (engine->fetches_parked >= parked) return;
    }
}

void dispatch_again(EngineQueue *queue) {
    size_t count = 0;
    list_each(&queue->waiting, node) {
        count++;
    }
    /* those that park again go to the end of the list */
    while (count-- > 0 && !list_is_empty(&queue->waiting)) {
        FetchSlot *slot = container_of(list_first(&queue->waiting), FetchSlot, node);
        fetch_unpark(slot->state);
        fetch_take(slot->state);
    }
}

/* Nobody knows yet whether one of its queues holds a job: 'none' would be a guess. */
static bool waits_to_know(const FetchState *state) {
    const Engine *engine = state->engine;
    bool through_broker = broker_is_up(engine->broker, NULL);
    if (!through_broker && (state->asked_store || !engine->store_up || engine->held)) return false;
    for (size_t i = 0; i < state->slot_count; i++) {
        const EngineQueue *queue = state->slots[i].queue;
        if (through_broker ? !queue->known : !queue->paused && !queue->dry) return true;
    }
    return false;
}

int64_t fetch_timeout_duty(Engine *engine, int64_t now_us) {
    HeapNode *node;
    while ((node = heap_first(&engine->fetch_deadlines)) &&
           (node->key <= now_us || engine->draining)) {
        FetchState *state = container_of(node, FetchState, deadline);
        if (!engine->draining && waits_to_know(state)) {
            heap_move(&engine->fetch_deadlines, node, now_us + KNOW_AGAIN_US);
            continue;
        }
        fetch_unpark(state);
        fetch_answer(state, NULL, 0, NULL);
    }
    return node ? node->key : INT64_MAX;
}
