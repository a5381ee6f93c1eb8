/* The messages that carry JSON beside the job object: what a worker says and what it is told.
 * Reader and writer of each stand together, for both ends.
 *
 * Readers take the argument of the verb, check types and bounds and hand out slices of it; their
 * error message is what stands behind "-ERR ". Writers append JSON only; verb and line end are
 * the caller's. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "proto/wire_job.h"
#include <stdint.h>

enum {
    TAKE_MAX = 1000, /* jobs of one TFETCH */
    TAKE_WAIT_MAX_MS = 60000,
    TAKE_QUEUES_MAX = 1000,
    OUTCOMES_MAX = 10000,       /* entries of one TDONE or TEXTEND */
    LOG_TEXT_MAX = 1024 * 1024, /* bytes of one TLOG */
};

/* TFETCH {"queues":[…],"n":1,"wait_ms":0,"held":[…]} */
typedef struct TakeRequest {
    Str *queues; /* in the arena (reader) or the caller's (writer) */
    size_t queue_count;
    int64_t n;
    int64_t wait_ms;
    /* Every fence that the worker holds: what else is leased to it never reached it, and runs again.
     * For a worker that fetches over one connection, in its first TFETCH there. */
    bool has_held;
    int64_t *held; /* in the arena (reader) or the caller's (writer) */
    size_t held_count;
} TakeRequest;

/* At least one queue; n 1..TAKE_MAX (default 1), wait_ms 0..TAKE_WAIT_MAX_MS (default 0). */
Err take_request_parse(Str argument, Arena *arena, TakeRequest *ret, Error *error) must_check;
void take_request_write(Buf *buf, const TakeRequest *request);

/* The reply of TFETCH: an array of job objects. The jobs lie in the arena. */
Err take_reply_parse(Str text, Arena *arena, WireJob **ret_jobs, size_t *ret_count, Error *error)
    must_check;

/* One entry of TDONE. */
typedef struct Outcome {
    Str jid;
    int64_t fence;
    Json result; /* any JSON; absent counts as null */
    bool failed; /* "error" was there */
    Str error_type;
    Str error_message;
    Json backtrace;     /* array of strings or absent */
    bool not_retryable; /* "retryable": false */
    /* -1: not said; a duration ("90s") or a number of seconds on the wire */
    int64_t retry_after_ms;
    Json meta; /* {"exit_code","signal","max_rss_kb"}, or absent */
} Outcome;

/* TDONE [{…},…]: outcomes lie in the arena. An entry with a wrong type or without jid is an
 * error of the whole call. A fence is an integer ≥ 0; one that no claim ever had is simply
 * stale. */
Err outcomes_parse(Str argument, Arena *arena, Outcome **ret, size_t *ret_count, Error *error)
    must_check;
void outcome_write(JsonWriter *writer, const Outcome *outcome);

/* TEXTEND [{"jid","fence"}] */
typedef struct LeaseRef {
    Str jid;
    int64_t fence;
} LeaseRef;

Err lease_refs_parse(Str argument, Arena *arena, LeaseRef **ret, size_t *ret_count, Error *error)
    must_check;
void lease_ref_write(JsonWriter *writer, LeaseRef ref);

/* BEAT {"wid","current_state","rss_kb","wait_ms"} */
typedef struct BeatRequest {
    Str wid;
    Str current_state; /* "", "quiet" or "terminate" */
    int64_t rss_kb;    /* 0: not said */
    bool parked;       /* wait_ms was there: answer with the object below */
    int64_t wait_ms;
} BeatRequest;

Err beat_request_parse(Str argument, Arena *arena, BeatRequest *ret, Error *error) must_check;
void beat_request_write(Buf *buf, const BeatRequest *request);

typedef enum WorkerState { WORKER_RUNNING, WORKER_QUIET, WORKER_TERMINATE } WorkerState;

/* {"state":…,"cancel":[jid…]} as the answer of a parked BEAT. */
typedef struct BeatReply {
    WorkerState state;
    Str *cancel; /* jids, in the arena (reader) or the caller's (writer) */
    size_t cancel_count;
} BeatReply;

Err beat_reply_parse(Str text, Arena *arena, BeatReply *ret, Error *error) must_check;
void beat_reply_write(Buf *buf, const BeatReply *reply);

/* TRACK SET {"jid","percent","desc","reserve_until"}; opted-in workers add their fence. */
typedef struct ProgressRequest {
    Str jid;
    int64_t fence;   /* 0: not said */
    int64_t percent; /* -1: not said */
    Str desc;
    Str reserve_until;
} ProgressRequest;

Err progress_parse(Str argument, Arena *arena, ProgressRequest *ret, Error *error) must_check;
void progress_write(Buf *buf, const ProgressRequest *request);

/* TLOG {"jid","fence","data"}: data is UTF-8; the writer turns other bytes into U+FFFD. */
typedef struct LogRequest {
    Str jid;
    int64_t fence;
    Str data;
} LogRequest;

Err log_request_parse(Str argument, Arena *arena, LogRequest *ret, Error *error) must_check;
void log_request_write(Buf *buf, const LogRequest *request);
