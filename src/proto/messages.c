/* Requests around the job object. The one invariant: a writer's output is accepted by its
 * reader. */
#include "proto/messages.h"

#include "proto/members.h"

/* Checks the document and that it is of the wanted kind. */
static Err open_document(const char *verb, Str argument, JsonKind kind, Json *ret, Error *error) {
    Error detail = {0};
    if (!argument.ptr) {
        return error_set(error, ERR_INVALID, "%s takes a JSON argument", verb);
    }
    if (json_check(argument, ret, &detail) != OK) {
        return error_set(error, ERR_INVALID, "invalid %s: %.180s", verb, detail.message);
    }
    if (ret->kind != kind) {
        return error_set(error, ERR_INVALID, "invalid %s: expected %s", verb,
                         kind == JSON_ARRAY ? "an array" : "an object");
    }
    return OK;
}

static Err read_object(const char *verb, Str argument, const Member *members, size_t count,
                       Arena *arena, Error *error) {
    Json root;
    TRY(open_document(verb, argument, JSON_OBJECT, &root, error));
    if (members_read(root, members, count, arena, error) == OK) return OK;
    return error_context(error, "invalid %s", verb);
}

/* The strings of an array, in the arena. */
static Err read_strings(Json array, Arena *arena, Str **ret, size_t *ret_count, Error *error) {
    *ret = NULL;
    *ret_count = 0;
    if (!array.text.ptr) return OK;
    Str *strings = arena_zero(arena, json_count(array) + 1, sizeof *strings);
    size_t count = 0;
    JsonIter iter = json_iter(array);
    Json value;
    while (json_next(&iter, NULL, &value)) {
        if (value.kind != JSON_STRING) {
            return error_set(error, ERR_INVALID, "expected strings, not %s",
                             json_kind_name(value.kind));
        }
        strings[count++] = json_string(value, arena);
    }
    *ret = strings;
    *ret_count = count;
    return OK;
}

static Err read_held(Json held, Arena *arena, TakeRequest *ret, Error *error) {
    if (!held.text.ptr) return OK;
    size_t count = json_count(held);
    if (count > OUTCOMES_MAX) {
        return error_set(error, ERR_INVALID, "invalid TFETCH: more than %d held", OUTCOMES_MAX);
    }
    ret->has_held = true;
    ret->held = arena_zero(arena, count + 1, sizeof *ret->held);
    JsonIter iter = json_iter(held);
    Json fence;
    while (json_next(&iter, NULL, &fence)) {
        if (!json_int64(fence, &ret->held[ret->held_count++])) {
            return error_set(error, ERR_INVALID, "invalid TFETCH: held must hold fences");
        }
    }
    return OK;
}

Err take_request_parse(Str argument, Arena *arena, TakeRequest *ret, Error *error) {
    TakeRequest request = {.n = 1};
    Json queues = {0}, held = {0};
    const Member members[] = {MEMBER_ARRAY("queues", &queues), MEMBER_INT("n", &request.n),
                              MEMBER_INT("wait_ms", &request.wait_ms), MEMBER_ARRAY("held", &held)};
    TRY(read_object("TFETCH", argument, members, LENGTH(members), arena, error));
    if (request.n < 1 || request.n > TAKE_MAX) {
        return error_set(error, ERR_INVALID, "invalid TFETCH: n must be 1 to %d", TAKE_MAX);
    }
    if (request.wait_ms < 0 || request.wait_ms > TAKE_WAIT_MAX_MS) {
        return error_set(error, ERR_INVALID, "invalid TFETCH: wait_ms must be 0 to %d",
                         TAKE_WAIT_MAX_MS);
    }
    if (queues.text.ptr && json_count(queues) > TAKE_QUEUES_MAX) {
        return error_set(error, ERR_INVALID, "invalid TFETCH: more than %d queues",
                         TAKE_QUEUES_MAX);
    }
    if (read_strings(queues, arena, &request.queues, &request.queue_count, error) != OK) {
        return error_context(error, "invalid TFETCH: queues");
    }
    if (request.queue_count == 0) {
        return error_set(error, ERR_INVALID, "must call fetch with at least one queue");
    }
    TRY(read_held(held, arena, &request, error));
    *ret = request;
    return OK;
}

void take_request_write(Buf *buf, const TakeRequest *request) {
    JsonWriter writer = json_writer(buf);
    json_begin_object(&writer);
    json_write_key(&writer, STR("queues"));
    json_begin_array(&writer);
    for (size_t i = 0; i < request->queue_count; i++) {
        json_write_string(&writer, request->queues[i]);
    }
    json_end_array(&writer);
    json_put_int(&writer, "n", request->n);
    json_put_int(&writer, "wait_ms", request->wait_ms);
    if (request->has_held) {
        json_write_key(&writer, STR("held"));
        json_begin_array(&writer);
        for (size_t i = 0; i < request->held_count; i++) {
            json_write_int(&writer, request->held[i]);
        }
        json_end_array(&writer);
    }
    json_end_object(&writer);
}

Err lease_refs_parse(Str argument, Arena *arena, LeaseRef **ret, size_t *ret_count, Error *error) {
    Json root;
    TRY(open_document("TEXTEND", argument, JSON_ARRAY, &root, error));
    size_t count = json_count(root);
    if (count > OUTCOMES_MAX) {
        return error_set(error, ERR_LIMIT, "invalid TEXTEND: more than %d entries", OUTCOMES_MAX);
    }
    LeaseRef *refs = arena_zero(arena, count + 1, sizeof *refs);
    LeaseRef *ref = refs;
    JsonIter iter = json_iter(root);
    Json entry;
    for (; json_next(&iter, NULL, &entry); ref++) {
        const Member members[] = {MEMBER_STR("jid", &ref->jid), MEMBER_INT("fence", &ref->fence)};
        if (members_read(entry, members, LENGTH(members), arena, error) != OK) {
            return error_context(error, "invalid TEXTEND");
        }
        if (ref->jid.len == 0) return error_set(error, ERR_INVALID, "invalid TEXTEND: missing JID");
    }
    *ret = refs;
    *ret_count = count;
    return OK;
}

void lease_ref_write(JsonWriter *writer, LeaseRef ref) {
    json_begin_object(writer);
    json_put_string(writer, "jid", ref.jid);
    json_put_int(writer, "fence", ref.fence);
    json_end_object(writer);
}

Err beat_request_parse(Str argument, Arena *arena, BeatRequest *ret, Error *error) {
    BeatRequest request = {0};
    const Member members[] = {MEMBER_STR("wid", &request.wid),
                              MEMBER_STR("current_state", &request.current_state),
                              MEMBER_INT("rss_kb", &request.rss_kb),
                              MEMBER_INT_SEEN("wait_ms", &request.wait_ms, &request.parked)};
    TRY(read_object("BEAT", argument, members, LENGTH(members), arena, error));
    if (request.wait_ms < 0) {
        return error_set(error, ERR_INVALID, "invalid BEAT: wait_ms must not be negative");
    }
    *ret = request;
    return OK;
}

void beat_request_write(Buf *buf, const BeatRequest *request) {
    JsonWriter writer = json_writer(buf);
    json_begin_object(&writer);
    json_put_string(&writer, "wid", request->wid);
    if (request->current_state.len > 0) {
        json_put_string(&writer, "current_state", request->current_state);
    }
    if (request->rss_kb > 0) json_put_int(&writer, "rss_kb", request->rss_kb);
    if (request->parked) json_put_int(&writer, "wait_ms", request->wait_ms);
    json_end_object(&writer);
}

static const char *const STATE_NAMES[] = {
    [WORKER_RUNNING] = "", [WORKER_QUIET] = "quiet", [WORKER_TERMINATE] = "terminate"};

Err beat_reply_parse(Str text, Arena *arena, BeatReply *ret, Error *error) {
    BeatReply reply = {0};
    Str state = {0};
    Json cancel = {0};
    const Member members[] = {MEMBER_STR("state", &state), MEMBER_ARRAY("cancel", &cancel)};
    TRY(read_object("BEAT reply", text, members, LENGTH(members), arena, error));
    TRY(read_strings(cancel, arena, &reply.cancel, &reply.cancel_count, error));
    for (size_t i = 0; i < LENGTH(STATE_NAMES); i++) {
        if (str_eq(state, str_from(STATE_NAMES[i]))) reply.state = (WorkerState)i;
    }
    *ret = reply;
    return OK;
}

void beat_reply_write(Buf *buf, const BeatReply *reply) {
    JsonWriter writer = json_writer(buf);
    json_begin_object(&writer);
    json_put_string(&writer, "state", str_from(STATE_NAMES[reply->state]));
    json_write_key(&writer, STR("cancel"));
    json_begin_array(&writer);
    for (size_t i = 0; i < reply->cancel_count; i++)
        json_write_string(&writer, reply->cancel[i]);
    json_end_array(&writer);
    json_end_object(&writer);
}

Err progress_parse(Str argument, Arena *arena, ProgressRequest *ret, Error *error) {
    ProgressRequest request = {.percent = -1};
    const Member members[] = {MEMBER_STR("jid", &request.jid), MEMBER_INT("fence", &request.fence),
                              MEMBER_INT("percent", &request.percent),
                              MEMBER_STR("desc", &request.desc),
                              MEMBER_STR("reserve_until", &request.reserve_until)};
    TRY(read_object("TRACK SET", argument, members, LENGTH(members), arena, error));
    if (request.jid.len == 0)
        return error_set(error, ERR_INVALID, "invalid TRACK SET: missing JID");
    if (request.percent < -1 || request.percent > 100) {
        return error_set(error, ERR_INVALID, "invalid TRACK SET: percent must be 0 to 100");
    }
    *ret = request;
    return OK;
}

void progress_write(Buf *buf, const ProgressRequest *request) {
    JsonWriter writer = json_writer(buf);
    json_begin_object(&writer);
    json_put_string(&writer, "jid", request->jid);
    if (request->fence > 0) json_put_int(&writer, "fence", request->fence);
    if (request->percent >= 0) json_put_int(&writer, "percent", request->percent);
    if (request->desc.ptr) json_put_string(&writer, "desc", request->desc);
    if (request->reserve_until.ptr) {
        json_put_string(&writer, "reserve_until", request->reserve_until);
    }
    json_end_object(&writer);
}

Err log_request_parse(Str argument, Arena *arena, LogRequest *ret, Error *error) {
    LogRequest request = {0};
    const Member members[] = {MEMBER_STR("jid", &request.jid), MEMBER_INT("fence", &request.fence),
                              MEMBER_STR("data", &request.data)};
    TRY(read_object("TLOG", argument, members, LENGTH(members), arena, error));
    if (request.jid.len == 0) return error_set(error, ERR_INVALID, "invalid TLOG: missing JID");
    if (request.data.len > LOG_TEXT_MAX) {
        return error_set(error, ERR_LIMIT, "invalid TLOG: data is over %d bytes", LOG_TEXT_MAX);
    }
    *ret = request;
    return OK;
}

void log_request_write(Buf *buf, const LogRequest *request) {
    JsonWriter writer = json_writer(buf);
    json_begin_object(&writer);
    json_put_string(&writer, "jid", request->jid);
    json_put_int(&writer, "fence", request->fence);
    json_put_string(&writer, "data", request->data);
    json_end_object(&writer);
}
