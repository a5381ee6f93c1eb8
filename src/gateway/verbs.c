/* The table of verbs: name, the permission it needs, what runs it. CAPS and the dispatch derive
 * from it. */
#include "gateway/call.h"

static const Verb verbs[] = {
    {"PUSH", ACTION_JOB_SUBMIT, verb_push, true, false},
    {"FETCH", ACTION_LEASE, verb_fetch, false, false},
    {"ACK", ACTION_LEASE, verb_ack, true, false},
    {"TFETCH", ACTION_LEASE, verb_take, true, false},
    {"TDONE", ACTION_LEASE, verb_done, true, false},
    {"PUSHB", ACTION_JOB_SUBMIT, verb_push_bulk, true, false},
    {"FAIL", ACTION_LEASE, verb_fail, true, false},
    {"BEAT", ACTION_LEASE, verb_beat, true, false},
    {"TEXTEND", ACTION_LEASE, verb_extend, true, false},
    {"TLOG", ACTION_LEASE, verb_log, true, false},
    {"TRACK", ACTION_LEASE, verb_track, true, true},
    {"INFO", ACTION_STATS_READ, verb_info, false, true},
    {"QUEUE", ACTION_QUEUE_OPERATE, verb_queue, true, true},
    {"MUTATE", ACTION_JOB_OPERATE, verb_mutate, true, true},
    {"BATCH", ACTION_JOB_SUBMIT, verb_batch, true, true},
    {"FLUSH", ACTION_JOB_OPERATE, verb_flush, false, true},
    {"CAPS", ACTION_PUBLIC, verb_caps, false, true},
    {"HELLO", ACTION_PUBLIC, verb_again, false, true},
    {"END", ACTION_PUBLIC, verb_end, false, true},
};

const Verb *verb_find(Str name) {
    for (size_t i = 0; i < LENGTH(verbs); i++) {
        if (str_eq(name, str_from(verbs[i].name))) return &verbs[i];
    }
    return NULL;
}

void verb_caps(Call *call) {
    static const char *const names[] = {"TFETCH", "TDONE",        "TEXTEND",
                                        "TLOG",   "BEAT.wait_ms", "fence"};
    Buf buf;
    buf_init(&buf, 1024);
    JsonWriter writer = json_writer(&buf);
    json_begin_array(&writer);
    for (size_t i = 0; i < LENGTH(names); i++) {
        json_write_string(&writer, str_from(names[i]));
    }
    json_end_array(&writer);
    call_bulk(call, &buf);
}

void verb_again(Call *call) {
    call_fail(call, "HELLO was said already");
}

void verb_end(Call *call) {
    call->peer->closing = true;
    call_done(call);
}

/* Batches need callbacks on the end of many jobs; until workflows are there, no client must
 * believe in them. */
void verb_batch(Call *call) {
    call_fail(call, "batches are not available in this version");
}
