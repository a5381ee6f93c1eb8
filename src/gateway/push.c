/* PUSH and PUSHB: jobs come in over the worker protocol. */
#include "gateway/call.h"
#include "gateway/wire.h"

#include "base/crash.h"

typedef struct Push {
    EnqueueRequest request;
    Call *call;
    /* PUSHB: what was refused, in order */
    Str *refused;
    Str *reasons;
    size_t refused_count;
} Push;

static void push_done(Operation *operation) {
    Push *push = container_of(operation, Push, request.operation);
    if (operation->error.err == OK) {
        call_ok(push->call);
    } else {
        call_error(push->call, &operation->error);
    }
}

static Push *push_new(Call *call, size_t count) {
    Push *push = arena_new(&call->arena, Push);
    push->call = call;
    push->request.items = arena_zero(&call->arena, count, sizeof(EnqueueItem));
    push->request.wire = true;
    push->request.arena = &call->arena;
    return push;
}

static Err take_job(const Call *call, const WireJob *wire, Job *ret, Error *error) {
    TRY(wire_to_job(wire, call->gateway->options.max_args, ret, error));
    if (call_sees(call, ret->queue)) return OK;
    return error_set(error, ERR_DENIED, "forbidden: the token is not for queue '" STR_FMT "'",
                     STR_ARG(ret->queue));
}

void verb_push(Call *call) {
    WireJob wire;
    Error error;
    Push *push = push_new(call, 1);
    if (wire_job_parse(call->argument, &call->arena, &wire, &error) != OK ||
        take_job(call, &wire, &push->request.items[0].job, &error) != OK) {
        call_error(call, &error);
        return;
    }
    crash_point(WIRE_PUSH);
    push->request.count = 1;
    push->request.operation.done = push_done;
    engine_enqueue(call->gateway->engine, &push->request);
}

static void bulk_done(Operation *operation) {
    Push *push = container_of(operation, Push, request.operation);
    Call *call = push->call;
    if (operation->error.err != OK) {
        call_error(call, &operation->error);
        return;
    }
    const size_t *firsts = call_firsts(call, push->refused, push->refused_count);
    Buf buf;
    buf_init(&buf, 16 * 1024 * 1024);
    JsonWriter writer = json_writer(&buf);
    json_begin_object(&writer);
    for (size_t i = 0; i < push->refused_count; i++) {
        if (firsts[i] != i) continue;
        json_write_key(&writer, push->refused[i]);
        json_write_string(&writer, push->reasons[i]);
    }
    json_end_object(&writer);
    call_bulk(call, &buf);
}

static Err read_one(Call *call, Json object, WireJob *wire, Job *ret, Error *error) {
    TRY(wire_job_read(object, &call->arena, wire, error));
    TRY(wire_job_check(wire, error));
    return take_job(call, wire, ret, error);
}

/* Also of a job with members of wrong types; absent where there is none. */
static Str jid_of(Call *call, Json object) {
    Json jid = object.kind == JSON_OBJECT ? json_member(object, STR("jid")) : (Json){0};
    bool named = jid.text.ptr && jid.kind == JSON_STRING;
    return named ? json_string(jid, &call->arena) : (Str){0};
}

/* The good jobs are kept, the others are named with what is wrong: jid → error. Of jobs with one jid,
 * or without any, the first is named. */
void verb_push_bulk(Call *call) {
    Json list;
    Error error;
    if (json_check(call->argument, &list, &error) != OK || list.kind != JSON_ARRAY) {
        call_fail(call, "invalid JSON: PUSHB needs an array of jobs");
        return;
    }
    size_t count = json_count(list), most = call->gateway->options.max_bulk;
    if (count > most) {
        call_fail(call, "PUSHB takes at most %zu jobs, got %zu", most, count);
        return;
    }
    Push *push = push_new(call, count);
    push->refused = arena_zero(&call->arena, count, sizeof *push->refused);
    push->reasons = arena_zero(&call->arena, count, sizeof *push->reasons);
    JsonIter iter = json_iter(list);
    Json object;
    while (json_next(&iter, NULL, &object)) {
        WireJob wire = {0};
        EnqueueItem *item = &push->request.items[push->request.count];
        if (read_one(call, object, &wire, &item->job, &error) == OK) {
            push->request.count++;
            continue;
        }
        push->refused[push->refused_count] = jid_of(call, object);
        push->reasons[push->refused_count++] = arena_str(&call->arena, str_from(error.message));
    }
    push->request.operation.done = bulk_done;
    if (push->request.count == 0) {
        bulk_done(&push->request.operation);
    } else {
        engine_enqueue(call->gateway->engine, &push->request);
    }
}
