/* QUEUE PAUSE, RESUME, REMOVE and LATENCY. Names that are unknown are skipped, and so are those that
 * no queue can have; * means all. */
#include "gateway/call.h"

#include "base/time.h"

enum { QUEUE_NAMES_MAX = 1000 };

typedef enum QueueVerb { QUEUE_PAUSE, QUEUE_RESUME, QUEUE_REMOVE, QUEUE_LATENCY } QueueVerb;

typedef struct QueueCall {
    Query query;
    Call *call;
    QueueVerb verb;
    Str *names; /* what was asked for, then what of it exists */
    size_t count, at;
    bool all;
    QueueRequest pause;
    MassRequest mass;
} QueueCall;

static void queue_next(QueueCall *state);

static void queue_paused(Operation *operation) {
    QueueCall *state = container_of(operation, QueueCall, pause.operation);
    if (operation->error.err != OK) {
        call_error(state->call, &operation->error);
        return;
    }
    state->at++;
    queue_next(state);
}

static void queue_resume(QueueCall *state, bool paused) {
    state->pause = (QueueRequest){
        .operation = {.done = queue_paused}, .queue = state->names[state->at], .paused = paused};
    engine_queue_set_paused(state->call->gateway->engine, &state->pause);
}

static void queue_removed(MassRequest *mass) {
    QueueCall *state = container_of(mass, QueueCall, mass);
    if (mass->error.err != OK) {
        call_error(state->call, &mass->error);
        return;
    }
    queue_resume(state, /* paused= */ false);
}

static void queue_next(QueueCall *state) {
    if (state->at == state->count) {
        call_ok(state->call);
    } else if (state->verb == QUEUE_REMOVE) {
        state->mass = (MassRequest){
            .kind = ACT_CANCEL,
            .reason = REASON_PURGED,
            .filter = {.queue = state->names[state->at], .statuses = 1U << STATUS_PENDING},
            .done = queue_removed,
        };
        engine_act_on_all(state->call->gateway->engine, &state->mass);
    } else {
        queue_resume(state, state->verb == QUEUE_PAUSE);
    }
}

static void write_latency(QueueCall *state) {
    const Query *query = &state->query;
    const size_t *firsts = call_firsts(state->call, state->names, state->count);
    Buf buf;
    buf_init(&buf, 16 * 1024 * 1024);
    JsonWriter writer = json_writer(&buf);
    json_begin_object(&writer);
    for (size_t i = 0; i < state->count; i++) {
        if (firsts[i] != i) continue;
        double seconds = 0;
        for (size_t k = 0; k < query->count; k++) {
            const QueueInfo *queue = &query->queues[k];
            bool meant =
                str_eq(queue->name, state->names[i]) && call_sees(state->call, queue->name);
            if (!meant || queue->oldest_pending_us == 0) continue;
            seconds = (double)(query->now_us - queue->oldest_pending_us) / (double)US_PER_S;
        }
        json_write_key(&writer, state->names[i]);
        json_write_double(&writer, seconds > 0 ? seconds : 0);
    }
    json_end_object(&writer);
    call_bulk(state->call, &buf);
}

/* Only queues that exist; their names outlive the query. */
static void keep_known(QueueCall *state) {
    const Query *query = &state->query;
    Arena *arena = &state->call->arena;
    Str *known = arena_zero(arena, query->count, sizeof *known);
    size_t count = 0;
    for (size_t i = 0; i < query->count; i++) {
        bool wanted = state->all;
        for (size_t k = 0; k < state->count && !wanted; k++) {
            wanted = str_eq(state->names[k], query->queues[i].name);
        }
        wanted = wanted && call_sees(state->call, query->queues[i].name);
        if (wanted) known[count++] = arena_str(arena, query->queues[i].name);
    }
    state->names = known;
    state->count = count;
}

static void queues_read(Query *query) {
    QueueCall *state = container_of(query, QueueCall, query);
    if (query->outcome != OK) {
        Error error = query->error;
        arena_done(&query->arena);
        call_error(state->call, &error);
        return;
    }
    if (state->verb == QUEUE_LATENCY) {
        Arena read = query->arena;
        write_latency(state);
        arena_done(&read);
        return;
    }
    keep_known(state);
    arena_done(&query->arena);
    queue_next(state);
}

void verb_queue(Call *call) {
    static const char *const words[] = {"PAUSE", "RESUME", "REMOVE", "LATENCY"};
    Str rest = call->argument;
    Str word = str_split(&rest, ' ');
    size_t verb = 0;
    while (verb < LENGTH(words) && !str_eq_ignore_case(word, str_from(words[verb]))) {
        verb++;
    }
    if (verb == LENGTH(words)) {
        call_fail(call, "no such QUEUE subcommand: " STR_FMT, (int)(word.len < 64 ? word.len : 64),
                  word.ptr);
        return;
    }
    QueueCall *state = arena_new(&call->arena, QueueCall);
    state->call = call;
    state->verb = (QueueVerb)verb;
    state->names = arena_zero(&call->arena, QUEUE_NAMES_MAX, sizeof(Str));
    while (rest.ptr && state->count < QUEUE_NAMES_MAX) {
        Str name = str_split(&rest, ' ');
        if (name.len == 0 || !str_is_utf8(name)) continue;
        state->all |= str_eq(name, STR("*"));
        state->names[state->count++] = name;
    }
    if (rest.ptr) {
        call_fail(call, "QUEUE takes at most %d names", QUEUE_NAMES_MAX);
        return;
    }
    if (state->count == 0 || (state->all && verb == QUEUE_LATENCY)) {
        call_fail(call, state->all ? "QUEUE LATENCY does not support wildcards"
                                   : "QUEUE needs at least one queue name");
        return;
    }
    state->query.kind = QUERY_QUEUES;
    state->query.until_us = engine_now_us(call->gateway->engine);
    state->query.done = queues_read;
    engine_read(call->gateway->engine, &state->query);
}
