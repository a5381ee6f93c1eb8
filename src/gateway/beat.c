/* BEAT: the worker is alive, and hears what it should do. With wait_ms it is parked and answered
 * at once when there is something to say. */
#include "gateway/call.h"

#include "proto/messages.h"

enum { BEAT_WAIT_MAX_MS = 10000 }; /* so that a parked beat still renews the lease in time */

typedef struct BeatCall {
    Call *call;
    Session *session; /* outlives the call: its connection is closed after its calls */
    BeatRequest request;
    SessionSync sync;
    LoopTimer timer;
    bool over;
} BeatCall;

static WorkerState wire_state(SessionState state) {
    switch (state) {
    case SESSION_RUNNING: return WORKER_RUNNING;
    case SESSION_QUIET: return WORKER_QUIET;
    case SESSION_TERMINATE: return WORKER_TERMINATE;
    }
    return WORKER_RUNNING;
}

static void answer_parked(Call *call) {
    Peer *peer = call->peer;
    BeatReply reply = {.state = wire_state(engine_session_state(peer->session))};
    reply.cancel_count = engine_session_take_cancels(call->gateway->engine, peer->session,
                                                     &call->arena, &reply.cancel);
    Buf buf;
    buf_init(&buf, 16 * 1024 * 1024);
    beat_reply_write(&buf, &reply);
    call_bulk(call, &buf);
}

static void beat_over(BeatCall *beat) {
    if (beat->over) return;
    beat->over = true;
    loop_timer_cancel(&beat->timer);
    answer_parked(beat->call);
}

static void on_wake(void *context) {
    beat_over(context);
}

static void on_timer(void *owner) {
    BeatCall *beat = owner;
    /* takes itself out, which wakes and answers it: the beat is gone then */
    engine_session_park(beat->call->gateway->engine, beat->call->peer->session, NULL, NULL);
}

static void beat_cancel(Call *call) {
    BeatCall *beat = call->state;
    loop_timer_cancel(&beat->timer);
    engine_session_unpark(beat->session, beat);
    beat->over = true;
    call_done(call);
}

static void answer_plain(Call *call, const BeatRequest *request) {
    static const char *const words[] = {
        [SESSION_RUNNING] = "", [SESSION_QUIET] = "quiet", [SESSION_TERMINATE] = "terminate"};
    SessionState state = engine_session_state(call->peer->session);
    Str word = str_from(words[state]);
    if (state == SESSION_RUNNING || str_eq(word, request->current_state)) {
        call_ok(call);
        return;
    }
    reply_bulk(call_reply(call),
               arena_format(&call->arena, "{\"state\":\"" STR_FMT "\"}", STR_ARG(word)));
    call_done(call);
}

static void note_state(Call *call, const BeatRequest *request) {
    Engine *engine = call->gateway->engine;
    if (str_eq(request->current_state, STR("quiet"))) {
        engine_session_set_state(engine, call->peer->session, SESSION_QUIET);
    } else if (str_eq(request->current_state, STR("terminate"))) {
        engine_session_set_state(engine, call->peer->session, SESSION_TERMINATE);
    }
}

/* The worker is heard, and every node can know it. */
static void beat_go_on(BeatCall *beat) {
    Call *call = beat->call;
    const BeatRequest *request = &beat->request;
    call->cancel = NULL;
    if (beat->session != call->peer->session) {
        call_ok(call); /* over a connection of its own */
        return;
    }
    note_state(call, request);
    if (!request->parked || !call->peer->opted_in) {
        answer_plain(call, request);
        return;
    }
    int64_t wait_ms = request->wait_ms < BEAT_WAIT_MAX_MS ? request->wait_ms : BEAT_WAIT_MAX_MS;
    loop_timer_init(&beat->timer, call->gateway->loop, on_timer, beat);
    loop_timer_after(&beat->timer, wait_ms * 1000);
    call->cancel = beat_cancel;
    engine_session_park(call->gateway->engine, beat->session, on_wake, beat);
}

static void on_synced(SessionSync *sync, const Error *error) {
    BeatCall *beat = sync->context;
    if (error) {
        beat->call->cancel = NULL;
        call_error(beat->call, error);
    } else {
        beat_go_on(beat);
    }
}

static void sync_cancel(Call *call) {
    BeatCall *beat = call->state;
    engine_session_sync_cancel(&beat->sync);
    call_done(call);
}

void verb_beat(Call *call) {
    Engine *engine = call->gateway->engine;
    Peer *peer = call->peer;
    BeatCall *beat = arena_new(&call->arena, BeatCall);
    BeatRequest *request = &beat->request;
    Error error;
    if (beat_request_parse(call->argument, &call->arena, request, &error) != OK) {
        call_error(call, &error);
        return;
    }
    beat->call = call;
    beat->session = peer->session;
    if (!peer->session || !str_eq(request->wid, peer->worker)) {
        /* a beat may come over any connection; some clients use one of its own */
        beat->session = request->wid.len > 0 ? engine_session_find(engine, request->wid) : NULL;
        if (!beat->session || request->parked) {
            call_fail(call, "Unknown worker " STR_FMT,
                      (int)(request->wid.len < 64 ? request->wid.len : 64),
                      request->wid.ptr ? request->wid.ptr : "");
            return;
        }
    }
    engine_session_beat(engine, beat->session, request->rss_kb > 0 ? request->rss_kb : -1);
    call->state = beat;
    beat->sync = (SessionSync){.done = on_synced, .context = beat};
    if (engine_session_sync(engine, beat->session, &beat->sync)) {
        call->cancel = sync_cancel;
    } else {
        beat_go_on(beat);
    }
}
