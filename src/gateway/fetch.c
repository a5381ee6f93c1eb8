/* FETCH and TFETCH: jobs go out. A fetch without work is parked by the engine; FETCH is answered
 * within 2 s, since clients read with short deadlines. */
#include "gateway/call.h"

#include "core/name.h"
#include "gateway/wire.h"

#include "base/crash.h"
#include "proto/messages.h"

#define FETCH_WAIT_US (2 * INT64_C(1000000))
enum {
    FETCH_QUEUES_MAX = TAKE_QUEUES_MAX,
    GRACE_MS = 15000, /* behind the timeout of an opted-in worker: its grace of 10 s and 5 s */
    TAKE_BYTES_MAX = 8 * 1024 * 1024,
    TAKE_AT_ONCE = 256, /* how large the jobs are is known only once they are claimed */
};

typedef struct FetchCall {
    Fetch fetch;
    Call *call;
    bool many;
} FetchCall;

static void write_many(Call *call, const Job *jobs, size_t count) {
    Buf buf;
    buf_init(&buf, 64 * 1024 * 1024);
    buf_add_char(&buf, '[');
    for (size_t i = 0; i < count; i++) {
        WireJob wire;
        wire_from_job(&jobs[i], LEASE_QUICK_MS, &call->arena, &wire);
        if (i > 0) buf_add_char(&buf, ',');
        wire_job_write(&buf, &wire);
    }
    buf_add_char(&buf, ']');
    reply_bulk(call_reply(call), buf_str(&buf));
    buf_done(&buf);
}

static void write_one(Call *call, const Job *job) {
    WireJob wire;
    Buf buf;
    buf_init(&buf, 32 * 1024 * 1024);
    wire_from_job(job, 0, &call->arena, &wire);
    wire_job_write(&buf, &wire);
    reply_bulk(call_reply(call), buf_str(&buf));
    buf_done(&buf);
}

static bool fetch_done(Fetch *fetch, const Job *jobs, size_t count, const Error *error) {
    FetchCall *state = container_of(fetch, FetchCall, fetch);
    Call *call = state->call;
    call->cancel = NULL;
    if (error) {
        call_error(call, error);
        return false;
    }
    if (state->many) {
        write_many(call, jobs, count);
    } else if (count > 0) {
        write_one(call, &jobs[0]);
    } else {
        reply_null(call_reply(call));
    }
    if (call->peer) call->peer->alone_us = engine_now_us(call->gateway->engine);
    if (count > 0) crash_point(WIRE_JOBS);
    call_done(call);
    return true;
}

static void fetch_cancel(Call *call) {
    FetchCall *state = call->state;
    engine_fetch_cancel(call->gateway->engine, &state->fetch);
    call->cancel = NULL;
    call_done(call);
}

/* Other names count as empty queues. */
static bool is_served(const Call *call, Str queue) {
    return name_check_queue(queue, NULL) == OK && call_sees(call, queue);
}

static void fetch_begin(Call *call, const Str *queues, size_t count, size_t max, int64_t wait_us,
                        bool many) {
    Peer *peer = call->peer;
    Engine *engine = call->gateway->engine;
    FetchCall *state = arena_new(&call->arena, FetchCall);
    bool working = !peer->session || engine_session_state(peer->session) == SESSION_RUNNING;
    state->call = call;
    state->many = many;
    state->fetch = (Fetch){
        .queues = queues,
        .queue_count = working ? count : 0, /* a quiet worker waits its time and gets nothing */
        .max = max,
        .worker = peer->worker,
        .until_us = engine_now_us(engine) + wait_us,
        .grace_ms = many ? GRACE_MS : 0,
        .max_bytes = many ? TAKE_BYTES_MAX : 0,
        .done = fetch_done,
    };
    call->state = state;
    call->cancel = fetch_cancel;
    engine_fetch(engine, &state->fetch);
}

void verb_fetch(Call *call) {
    Str rest = str_trim(call->argument);
    size_t count = 0, max = 1;
    for (size_t i = 0; i < rest.len; i++) {
        max += rest.ptr[i] == ' ';
    }
    if (rest.len == 0) {
        call_fail(call, "must call fetch with at least one queue");
        return;
    }
    if (max > FETCH_QUEUES_MAX) {
        call_fail(call, "FETCH takes at most %d queues", FETCH_QUEUES_MAX);
        return;
    }
    Str *queues = arena_zero(&call->arena, max, sizeof *queues);
    while (rest.ptr) {
        Str name = str_split(&rest, ' ');
        if (name.len > 0 && is_served(call, name)) {
            queues[count++] = name;
        }
    }
    fetch_begin(call, queues, count, 1, FETCH_WAIT_US, /* many= */ false);
}

typedef struct TakeCall {
    TakeRequest request;
    KeepRequest keep;
    Call *call;
} TakeCall;

/* Its jobs would reach nobody. Who names what it holds fetches over one connection at a time. */
static bool take_is_late(const TakeCall *state) {
    const Peer *peer = state->call->peer;
    return peer->replaced || (peer->passed && state->request.has_held);
}

static void take_begin(const TakeCall *state) {
    const TakeRequest *request = &state->request;
    size_t n = request->n < TAKE_AT_ONCE ? (size_t)request->n : TAKE_AT_ONCE;
    size_t count = take_is_late(state) ? 0 : request->queue_count; /* it waits its time */
    fetch_begin(state->call, request->queues, count, n, request->wait_ms * 1000,
                /* many= */ true);
}

/* ---- a worker that has come back over another connection ---- */

static Call *waiting_take(const Peer *peer) {
    list_each(&peer->calls, node) {
        Call *call = container_of(node, Call, node);
        const FetchCall *state = call->state;
        if (call->cancel == fetch_cancel && state->many && state->fetch.queue_count > 0)
            return call;
    }
    return NULL;
}

/* Looks anew each time: an answer lets others go, and may have the next request read. */
static void end_takes(Peer *peer) {
    Call *call;
    while ((call = waiting_take(peer))) {
        FetchCall *state = call->state;
        engine_fetch_cancel(call->gateway->engine, &state->fetch);
        reply_bulk(call_reply(call), STR("[]"));
        call_done(call);
    }
}

/* A connection that the worker gave up may look alive here for long, and what it sent may come as
 * late. */
static void pass_older(Peer *peer, bool names_held) {
    if (peer->takes && !names_held) return;
    peer->takes = true;
    list_each(engine_session_peers(peer->session), node) {
        Peer *older = container_of(node, Peer, sibling);
        if (older == peer) return;
        older->passed = true;
        if (!names_held) continue;
        older->replaced = true;
        end_takes(older);
    }
}

/* What never arrived is on its way to somebody else; only now may new claims begin, which the worker
 * could not have named. */
static void take_kept(Operation *operation) {
    TakeCall *state = container_of(operation, TakeCall, keep.operation);
    if (operation->error.err != OK) {
        call_error(state->call, &operation->error);
    } else if (!state->call->peer) {
        call_done(state->call);
    } else {
        take_begin(state);
    }
}

void verb_take(Call *call) {
    TakeRequest request;
    Error error;
    if (!call->peer->opted_in || !call->peer->worker.ptr) {
        call_fail(call, "TFETCH needs a wid and \"takt\" in HELLO");
        return;
    }
    if (take_request_parse(call->argument, &call->arena, &request, &error) != OK) {
        call_error(call, &error);
        return;
    }
    size_t count = 0;
    for (size_t i = 0; i < request.queue_count; i++) {
        Str name = request.queues[i];
        if (is_served(call, name)) {
            request.queues[count++] = name;
        }
    }
    engine_session_beat(call->gateway->engine, call->peer->session, -1);
    request.queue_count = count;
    crash_point(WIRE_TAKE);
    TakeCall *state = arena_new(&call->arena, TakeCall);
    state->call = call;
    state->request = request;
    pass_older(call->peer, request.has_held);
    if (!request.has_held || take_is_late(state)) {
        take_begin(state);
        return;
    }
    state->keep = (KeepRequest){
        .operation = {.done = take_kept},
        .held = request.held,
        .held_count = request.held_count,
        .since_us = call->peer->alone_us,
    };
    state->keep.worker = arena_str(&call->arena, call->peer->worker);
    engine_keep_only(call->gateway->engine, &state->keep);
}
