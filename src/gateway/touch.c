/* TEXTEND, TLOG and TRACK: what a worker says of a job while it runs. */
#include "gateway/call.h"

#include "base/time.h"
#include "proto/messages.h"

typedef struct TouchCall {
    TouchRequest request;
    Call *call;
    const LeaseRef *leases; /* TEXTEND */
} TouchCall;

static TouchCall *touch_new(Call *call, size_t count, void (*done)(Operation *)) {
    TouchCall *state = arena_new(&call->arena, TouchCall);
    state->call = call;
    state->request.touches = arena_zero(&call->arena, count, sizeof(Touch));
    state->request.count = count;
    state->request.operation.done = done;
    if (call->peer->session && call->peer->opted_in) {
        engine_session_beat(call->gateway->engine, call->peer->session, -1);
    }
    return state;
}

/* ---- TEXTEND ---- */

static void extend_done(Operation *operation) {
    TouchCall *state = container_of(operation, TouchCall, request.operation);
    Call *call = state->call;
    if (operation->error.err != OK) {
        call_error(call, &operation->error);
        return;
    }
    size_t count = state->request.count;
    Touch *touches = state->request.touches;
    Str *jids = arena_zero(&call->arena, count, sizeof *jids);
    for (size_t i = 0; i < count; i++) {
        jids[i] = state->leases[i].jid;
    }
    const size_t *firsts = call_firsts(call, jids, count);
    for (size_t i = 0; i < count; i++) {
        if (touches[i].answer == OUTCOME_OK) touches[firsts[i]].answer = OUTCOME_OK;
    }
    Buf buf;
    buf_init(&buf, 16 * 1024 * 1024);
    JsonWriter writer = json_writer(&buf);
    json_begin_object(&writer);
    for (size_t i = 0; i < count; i++) {
        if (firsts[i] != i) continue;
        json_write_key(&writer, jids[i]);
        if (touches[i].answer == OUTCOME_OK) {
            json_write_int(&writer, LEASE_QUICK_MS);
        } else {
            json_write_string(&writer, STR("STALE"));
        }
    }
    json_end_object(&writer);
    call_bulk(call, &buf);
}

void verb_extend(Call *call) {
    LeaseRef *leases;
    size_t count;
    Error error;
    if (!call->peer->opted_in || !call->peer->worker.ptr) {
        call_fail(call, "TEXTEND needs a wid and \"takt\" in HELLO");
        return;
    }
    if (lease_refs_parse(call->argument, &call->arena, &leases, &count, &error) != OK) {
        call_error(call, &error);
        return;
    }
    TouchCall *state = touch_new(call, count, extend_done);
    state->leases = leases;
    for (size_t i = 0; i < count; i++) {
        state->request.touches[i] = (Touch){
            .kind = TOUCH_EXTEND,
            .key = job_key_from_id(leases[i].jid),
            .lease = call_lease(call, leases[i].fence > 0 ? leases[i].fence : -1),
        };
    }
    engine_touch(call->gateway->engine, &state->request);
}

/* ---- TLOG ---- */

static void one_done(Operation *operation) {
    TouchCall *state = container_of(operation, TouchCall, request.operation);
    Call *call = state->call;
    if (operation->error.err != OK) {
        call_error(call, &operation->error);
    } else if (state->request.touches[0].answer != OUTCOME_OK && call->verb->run == verb_log) {
        reply_simple(call_reply(call), STR("STALE"));
        call_done(call);
    } else {
        call_ok(call);
    }
}

void verb_log(Call *call) {
    LogRequest log;
    Error error;
    if (!call->peer->opted_in || !call->peer->worker.ptr) {
        call_fail(call, "TLOG needs a wid and \"takt\" in HELLO");
        return;
    }
    if (log_request_parse(call->argument, &call->arena, &log, &error) != OK) {
        call_error(call, &error);
        return;
    }
    TouchCall *state = touch_new(call, 1, one_done);
    state->request.touches[0] = (Touch){
        .kind = TOUCH_LOG,
        .key = job_key_from_id(log.jid),
        .lease = call_lease(call, log.fence > 0 ? log.fence : -1),
        .text = log.data,
    };
    engine_touch(call->gateway->engine, &state->request);
}

/* ---- TRACK ---- */

static Err track_touch(Call *call, Str argument, Touch *ret, Error *error) {
    ProgressRequest progress;
    TRY(progress_parse(argument, &call->arena, &progress, error));
    *ret = (Touch){.kind = TOUCH_PROGRESS,
                   .key = job_key_from_id(progress.jid),
                   .lease = call_lease(call, progress.fence)};
    if (progress.reserve_until.len > 0) {
        TRY(time_parse(progress.reserve_until, &ret->until_us, error));
        int64_t most_us = engine_now_us(call->gateway->engine) + WIRE_RESERVE_MAX_S * US_PER_S;
        if (ret->until_us > most_us) ret->until_us = most_us;
    }
    if (progress.percent < 0 && !progress.desc.ptr) {
        ret->kind = TOUCH_EXTEND;
        return OK;
    }
    char now[TIME_TEXT_SIZE];
    time_format(engine_now_us(call->gateway->engine), now);
    Buf buf;
    buf_init(&buf, 64 * 1024);
    JsonWriter writer = json_writer(&buf);
    json_begin_object(&writer);
    json_put_int(&writer, "percent", progress.percent < 0 ? 0 : progress.percent);
    json_put_string(&writer, "message", progress.desc);
    json_put_string(&writer, "updated_at", str_from(now));
    json_end_object(&writer);
    ret->text = arena_str(&call->arena, buf_str(&buf));
    bool fits = !buf.overflow;
    buf_done(&buf);
    return fits ? OK : error_set(error, ERR_LIMIT, "desc is longer than 64 KiB");
}

static const char *track_state(const Query *query) {
    static const char *const words[STATUS_COUNT] = {
        [STATUS_BLOCKED] = "enqueued", [STATUS_SCHEDULED] = "enqueued",
        [STATUS_PENDING] = "enqueued", [STATUS_RUNNING] = "working",
        [STATUS_RETRYING] = "failed",  [STATUS_SUCCEEDED] = "success",
        [STATUS_DEAD] = "dead",        [STATUS_CANCELLED] = "dead"};
    if (query->count == 0) return "unknown";
    return words[job_status_at(&query->jobs[0], query->now_us)];
}

typedef struct TrackRead {
    Query query;
    Call *call;
    Str jid;
} TrackRead;

static void track_read(Query *query) {
    TrackRead *read = container_of(query, TrackRead, query);
    Call *call = read->call;
    if (query->outcome != OK) {
        Error error = query->error;
        arena_done(&query->arena);
        call_error(call, &error);
        return;
    }
    bool hidden = query->count > 0 && !call_sees(call, query->jobs[0].queue);
    if (hidden) query->count = 0;
    Json progress = {0};
    if (query->count > 0 && query->jobs[0].progress.ptr &&
        json_check(query->jobs[0].progress, &progress, NULL) != OK) {
        progress = (Json){0};
    }
    Buf buf;
    buf_init(&buf, 128 * 1024);
    JsonWriter writer = json_writer(&buf);
    json_begin_object(&writer);
    json_put_string(&writer, "jid", read->jid);
    json_put_string(&writer, "state", str_from(track_state(query)));
    Json percent = json_member(progress, STR("percent"));
    json_put_raw(&writer, "percent", percent.text.ptr ? percent.text : STR("0"));
    Json message = json_member(progress, STR("message"));
    json_put_raw(&writer, "desc", message.text.ptr ? message.text : STR("\"\""));
    Json updated = json_member(progress, STR("updated_at"));
    json_put_raw(&writer, "updated_at", updated.text.ptr ? updated.text : STR("\"\""));
    json_end_object(&writer);
    arena_done(&query->arena);
    call_bulk(call, &buf);
}

static void track_get(Call *call, Str jid) {
    if (jid.len == 0) {
        call_fail(call, "TRACK GET needs a jid");
        return;
    }
    TrackRead *read = arena_new(&call->arena, TrackRead);
    read->call = call;
    read->jid = jid;
    read->query.kind = QUERY_JOB;
    read->query.key = job_key_from_id(jid);
    read->query.done = track_read;
    engine_read(call->gateway->engine, &read->query);
}

void verb_track(Call *call) {
    Str rest = call->argument;
    Str word = str_split(&rest, ' ');
    if (str_eq(word, STR("GET"))) {
        track_get(call, str_trim(rest));
        return;
    }
    if (!str_eq(word, STR("SET")) || !rest.ptr) {
        call_fail(call, "TRACK knows GET jid and SET {…}");
        return;
    }
    TouchCall *state = touch_new(call, 1, one_done);
    Error error;
    if (track_touch(call, rest, &state->request.touches[0], &error) != OK) {
        call_error(call, &error);
        return;
    }
    engine_touch(call->gateway->engine, &state->request);
}
