/* The job object of the worker protocol: PUSH and PUSHB in, FETCH and TFETCH out.
 *
 * Pure, one pass over the object, slices of the input. What the members mean (defaults, limits of
 * names, custom.unique_for, …) is decided by whoever turns it into a job; here are only the checks
 * that the protocol itself prescribes, in its order and with its sentences. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "base/str.h"
#include <stdint.h>

enum {
    WIRE_RETRY_DEFAULT = 25,
    WIRE_RESERVE_DEFAULT_S = 1800,
    WIRE_RESERVE_MAX_S = 86400,
    WIRE_JID_MIN = 8,
    WIRE_JID_MAX = 64,
    WIRE_PRIORITY_DEFAULT = 5,
};

/* Absent strings have ptr NULL, absent JSON has text.ptr NULL. */
typedef struct WireJob {
    Str jid;
    Str jobtype;
    Str queue;           /* absent: "default" */
    Json args;           /* an array once checked */
    int64_t reserve_for; /* seconds; WIRE_RESERVE_DEFAULT_S when absent */
    Str at;              /* as given; absent or empty: now */
    int64_t at_us;       /* its value once checked, 0 when absent */
    int64_t retry;       /* WIRE_RETRY_DEFAULT when absent */
    int64_t backtrace;   /* lines wanted, 0 when absent */
    int64_t priority;    /* 1..9; WIRE_PRIORITY_DEFAULT when absent or not such a number */
    Str created_at;
    Str enqueued_at;
    Json custom;  /* object or absent */
    Json failure; /* object or absent */

    /* Only between the two ends of an opted-in connection (TFETCH). */
    int64_t fence; /* 0: none */
    int64_t lease_ms;
    int64_t attempt;
    int64_t timeout_ms;
    int64_t version;
    Str correlation_id;
    Str traceparent;
} WireJob;

/* Reads the members of one object out of a checked document; types only. Unknown members are
 * dropped, null counts as absent. ERR_INVALID with code "invalid-json" and "invalid JSON: …". */
Err wire_job_read(Json object, Arena *arena, WireJob *ret, Error *error) must_check;

/* The same for a job out of TFETCH: with the members of the lease (jid, jobtype and a fence > 0 are
 * required), and args of any kind. */
Err wire_job_read_leased(Json object, Arena *arena, WireJob *ret, Error *error) must_check;

/* The protocol's checks of a pushed job, in its order: jid, jobtype, args, reserve_for, at,
 * queue; sets at_us. ERR_INVALID; the message is what stands behind "-ERR ". */
Err wire_job_check(WireJob *job, Error *error) must_check;

/* PUSH: a whole document, read and checked. */
Err wire_job_parse(Str document, Arena *arena, WireJob *ret, Error *error) must_check;

/* Appends the object on one line. reserve_for and retry are always written (clients decode
 * strictly), absent members and those of TFETCH with value 0 are left out. */
void wire_job_write(Buf *buf, const WireJob *job);
