/* The same act on all jobs that a filter matches: read a page, act on its jobs under the same
 * guards, go on. What matches is decided again in the batch, so a job that moved on meanwhile is
 * left alone. */
#include "engine/internal.h"

#include "base/alloc.h"
#include "base/crash.h"
#include <stdlib.h>

enum { MASS_PAGE = 500 };

typedef struct MassState MassState;

struct MassState {
    Engine *engine;
    MassRequest *request;
    Query query;
    ActRequest act;
    int64_t cursor;
    int64_t before_us; /* jobs that came later are not meant */
};

static void read_page(MassState *state);

static void finish(MassState *state, const Error *error) {
    MassRequest *request = state->request;
    if (error) request->error = *error;
    arena_done(&state->query.arena);
    free(state);
    request->state = NULL;
    request->done(request);
}

static void next_page(MassState *state) {
    arena_done(&state->query.arena);
    if (state->cursor == 0) {
        finish(state, NULL);
    } else {
        read_page(state);
    }
}

static void on_acted(Operation *operation) {
    crash_point(MASS_ACTED);
    MassState *state = operation->context;
    if (operation->error.err != OK) {
        finish(state, &operation->error);
        return;
    }
    for (size_t i = 0; i < state->act.count; i++) {
        if (state->act.acts[i].answer == ACT_APPLIED) state->request->matched++;
    }
    next_page(state);
}

static void on_page(Query *query) {
    MassState *state = query->context;
    MassRequest *request = state->request;
    if (query->outcome != OK) {
        Error error = query->error;
        finish(state, &error);
        return;
    }
    state->cursor = query->next_cursor;
    if (request->dry_run || query->count == 0) {
        request->matched += (int64_t)query->count;
        next_page(state);
        return;
    }
    Act *acts = arena_zero(&query->arena, query->count, sizeof *acts);
    for (size_t i = 0; i < query->count; i++) {
        acts[i].key = query->jobs[i].key;
        acts[i].id = query->jobs[i].id;
    }
    state->act = (ActRequest){
        .operation = {.done = on_acted, .context = state},
        .kind = request->kind,
        .reason = request->reason,
        .statuses = request->filter.statuses,
        .queue_globs = request->filter.queue_globs,
        .queue_glob_count = request->filter.queue_glob_count,
        .acts = acts,
        .count = query->count,
    };
    engine_act(state->engine, &state->act);
}

static void read_page(MassState *state) {
    state->query = (Query){
        .kind = QUERY_JOBS,
        .filter = state->request->filter,
        .cursor = state->cursor,
        .limit = MASS_PAGE,
        .until_us = engine_now_us(state->engine),
        .done = on_page,
        .context = state,
    };
    state->query.filter.created_before_us = state->before_us;
    engine_read(state->engine, &state->query);
}

void engine_act_on_all(Engine *engine, MassRequest *request) {
    MassState *state = alloc_zero(1, sizeof *state);
    state->engine = engine;
    state->request = request;
    state->before_us = request->filter.created_before_us;
    if (state->before_us == 0) state->before_us = engine_now_us(engine) + 1;
    request->state = state;
    request->matched = 0;
    request->error = (Error){0};
    read_page(state);
}
