/* What a job is: its fields, its states and the table that describes each field.
 *
 * A Job is plain data; strings are borrowed from whoever made it (a request's, batch's or query's
 * arena). Only core/job_change.c changes a job's state. All times are µs since the Unix epoch by
 * the store's clock, 0 = none; all durations are ms. */
#pragma once

#include "base/buf.h"
#include "base/id.h"
#include "base/json.h"
#include "base/str.h"
#include "core/retry.h"
#include <stdbool.h>
#include <stdint.h>

/* The internal key of a job: the UUID itself where its id is a canonical lower-case UUID that is
 * not version 8, else the first 16 bytes of the id's SHA-256, marked as version 8. The text is
 * kept beside it and compared on every hit. */
typedef struct JobKey {
    uint8_t bytes[16];
} JobKey;

/* Stored states. The numbers are in the database: never change one. */
typedef enum JobState {
    JOB_BLOCKED = 0,
    JOB_WAITING = 1, /* shown as scheduled, pending or retrying, by due and failures */
    JOB_PARKED = 2,  /* due, waits for a permit of its concurrency key; shown as pending */
    JOB_RUNNING = 3,
    JOB_SUCCEEDED = 4, /* from here on terminal */
    JOB_DEAD = 5,
    JOB_CANCELLED = 6,
    JOB_STATES
} JobState;

/* States as the API shows them, derived. Also the classes in which jobs are counted. */
typedef enum JobStatus {
    STATUS_BLOCKED,
    STATUS_SCHEDULED,
    STATUS_PENDING,
    STATUS_RUNNING,
    STATUS_RETRYING,
    STATUS_SUCCEEDED,
    STATUS_DEAD,
    STATUS_CANCELLED,
    STATUS_COUNT
} JobStatus;

/* Why a job is where it is. The numbers are in the database. */
typedef enum JobReason {
    REASON_NONE = 0,
    REASON_EXPIRED = 1, /* cancelled: not started in time */
    REASON_PURGED = 2,  /* cancelled: its queue was purged */
    REASON_DISCARDED =
        3, /* cancelled: failed with no retries asked for (worker protocol, retry 0) */
    REASON_CANCELLED = 4,          /* cancelled by a request */
    REASON_WORKER_LOST = 5,        /* dead: its workers vanished too often */
    REASON_ATTEMPTS_EXHAUSTED = 6, /* dead */
    REASON_NOT_RETRYABLE = 7,      /* dead: the worker said that another try is useless */
    REASON_KILLED = 8,             /* dead by a request (MUTATE kill) */
    REASON_COUNT
} JobReason;

typedef struct Job {
    JobKey key;
    Str id; /* text of the id; always present */

    /* as submitted */
    Str type;
    Str queue;
    Str args;           /* JSON, byte-exact */
    Str tags;           /* JSON array of strings, or absent */
    Str meta;           /* JSON object of strings, or absent */
    Str custom;         /* JSON object of the worker protocol's `custom`, or absent */
    Str notify;         /* JSON array, or absent */
    Str correlation_id; /* or absent: the id counts */
    RetryPolicy retry;
    int64_t version;
    int64_t priority; /* 1–9, 9 first */
    int64_t max_lost;
    int64_t timeout_ms;
    int64_t expires_us;
    int64_t backtrace; /* worker protocol: lines of backtrace that the client should send */
    int64_t run_at_us; /* as asked for; shown */

    /* life */
    int64_t state; /* JobState */
    int64_t reason;
    int64_t due_us; /* with priority: the place in the queue */
    int64_t created_us;
    int64_t enqueued_us; /* last time it became waiting */
    int64_t started_us;
    int64_t finished_us;
    int64_t deadline_us; /* of the running attempt; 0 unless running */
    int64_t fence;       /* of the newest attempt, 0 before the first */
    int64_t attempt;     /* starts so far */
    int64_t failures;    /* of this run */
    int64_t lost;        /* of this run */
    int64_t run;         /* generation, from 1 */
    Str worker;          /* holder of the newest lease, or absent */
    Str result;          /* JSON, or absent */
    Str progress;        /* JSON {"percent","message","updated_at"}, or absent */
    Str attempts; /* JSON array of the last ATTEMPTS_KEPT ended attempts that were not successes */
    Str outcome;  /* hash of the accepted outcome of `fence` (core/attempt.h), or absent */
    Str failure_first; /* time text of the first failure in this run, for the worker protocol */
} Job;

/* ---- keys ---- */

/* The key for an id that a client brought (1–64 valid characters; not checked here). */
JobKey job_key_from_id(Str id);
/* A made id: the UUID is the key, the text goes to ret_text. */
JobKey job_key_from_uuid(const Uuid *uuid, char ret_text[UUID_TEXT_SIZE]);
bool job_key_eq(const JobKey *a, const JobKey *b);
Str job_key_str(const JobKey *key); /* the 16 bytes, borrowed */

/* ---- states ---- */

const char *job_status_name(JobStatus status); /* "pending" */
bool job_status_parse(Str text, JobStatus *ret);
const char *job_reason_name(JobReason reason); /* "" for none */
bool job_is_finished(const Job *job);
/* How the API shows the state at `now_us`. Also how it is counted relative to a frontier. */
JobStatus job_status_at(const Job *job, int64_t now_us);

/* ---- fields: one row per stored field; SQL columns and round-trip tests derive from it ---- */

typedef enum FieldKind { FIELD_INT, FIELD_TEXT, FIELD_KEY, FIELD_RETRY } FieldKind;

typedef struct JobField {
    const char *name; /* column name */
    FieldKind kind;
    size_t offset; /* in Job */
    bool changes;  /* may change after the insert: written by an update */
} JobField;

extern const JobField job_fields[];
extern const size_t job_field_count;

static inline int64_t *job_field_int(const JobField *field, Job *job) {
    return (int64_t *)(void *)((char *)job + field->offset);
}
static inline Str *job_field_text(const JobField *field, Job *job) {
    return (Str *)(void *)((char *)job + field->offset);
}

/* Copies every string of the job into the arena. */
void job_copy(Job *job, Arena *arena);

/* A job with the contract's defaults (queue default, priority 5, args [], retry exponential of 20
 * attempts, max_lost 3, timeout 30 min, run 1, version 1) and nothing else. */
Job job_default(void);

/* Bytes that it takes in memory and store, roughly: for the limits of a batch. */
size_t job_size(const Job *job);
