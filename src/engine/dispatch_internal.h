/* A fetch under way, for the two ways in which it finds jobs: through the broker's window
 * (dispatch.c) and straight from the store (store_dispatch.c). */
#pragma once

#include "engine/internal.h"

typedef struct FetchSlot { /* a fetch's place on one queue */
    ListNode node;
    FetchState *state;
    EngineQueue *queue;
} FetchSlot;

typedef enum FetchWhere { FETCH_PARKED, FETCH_TAKING, FETCH_CLAIMING } FetchWhere;

struct FetchState {
    Engine *engine;
    Fetch *fetch; /* NULL: the fetcher hung up */
    FetchWhere where;
    HeapNode deadline;
    size_t at;        /* the queue being asked */
    bool answered;    /* by the broker, while asking */
    bool returned;    /* the asking call has returned: go on from the callback */
    bool asked_store; /* straight, since the broker is away: what it has not is not there */
    Taken *taken;
    size_t taken_count;
    size_t slot_count;
    FetchSlot slots[];
};

void fetch_park(FetchState *state);
void fetch_unpark(FetchState *state);
/* Jobs of a claim, or none, or an error: answered, and what did not fit or was not delivered is undone.
 * The state is gone afterwards. */
void fetch_finish(FetchState *state, const Job *jobs, size_t count, const Error *error);
