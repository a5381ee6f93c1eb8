/* libtakt: push jobs to a Takt server and work on them, from C.
 *
 *     takt_error error;
 *     takt_client *client;
 *     if (takt_connect(NULL, &client, &error)) { fprintf(stderr, "%s\n", error.message); … }
 *     takt_new_job job = {.type = "greet", .args = "[\"world\"]"};
 *     takt_push(client, &job, &error);
 *     takt_close(client);
 *
 * Conventions
 *   - Every function that can fail returns TAKT_OK (0) or a takt_status, and explains itself in
 *     *error (which may be NULL). Results are written only on success.
 *   - Strings are NUL-terminated UTF-8. `const char *` members that you pass are borrowed for the
 *     call only; NULL means "not given". A zero-initialised struct is valid, with all defaults.
 *   - Times are milliseconds unless the name says otherwise.
 *   - A client is one connection and blocks. It may be used by one thread at a time; different
 *     clients are independent of each other. No signal handlers; SIGPIPE is never raised.
 *   - A lack of memory is reported (TAKT_ERR_MEMORY) wherever its size depends on data: requests,
 *     replies, batches. For the few hundred bytes that the JSON reader and writer need themselves
 *     the process ends when the system refuses even those.
 *
 * Reconnecting. A broken connection is opened again by the next call, up to `attempts` times with
 * growing pauses. A call is repeated by itself only where that can't do anything twice: settle,
 * extend, beat, progress, log, and fetch. A push that broke off after it was sent is not repeated:
 * TAKT_ERR_UNCERTAIN says that the job may or may not have been taken. Pushing the same struct
 * again (its id is filled in by then) makes no second job as long as the first is not finished.
 *
 * Link with -ltakt. */
#ifndef TAKT_TAKT_H
#define TAKT_TAKT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TAKT_VERSION_MAJOR 1
#define TAKT_VERSION_MINOR 0

typedef enum takt_status {
    TAKT_OK = 0,
    TAKT_ERR_INVALID,     /* an argument is wrong; nothing was sent */
    TAKT_ERR_REFUSED,     /* the server answered with an error; its words are in the message */
    TAKT_ERR_NOT_UNIQUE,  /* the job's unique key is held by another */
    TAKT_ERR_DENIED,      /* password or token refused */
    TAKT_ERR_UNAVAILABLE, /* no server, or the connection broke; nothing was done */
    TAKT_ERR_UNCERTAIN,   /* the connection broke in a push: it may have been taken */
    TAKT_ERR_PROTOCOL,    /* what answers is no such server, or speaks nonsense */
    TAKT_ERR_MEMORY       /* the system has no memory */
} takt_status;

typedef struct takt_error {
    takt_status status;
    char message[256];
} takt_error;

/* "invalid", "refused", …: for logs. Never NULL. */
const char *takt_status_name(takt_status status);

/* ---- connecting ---- */

typedef struct takt_client takt_client;

typedef struct takt_options {
    /* tcp://[:password@]host[:port], tcp+tls:// for TLS. Default: TAKT_URL of the environment, else
     * FAKTORY_URL, else tcp://localhost:7419 */
    const char *url;
    const char *password; /* instead of one in the URL */
    const char *token;    /* a JWT instead of a password; only over TLS or loopback */
    /* makes this client part of the worker with that name: needed to fetch and to beat */
    const char *worker_id;
    const char *const *labels; /* shown with the worker */
    size_t label_count;
    /* for connecting, and for each answer beyond a wait that was asked for; default 5000 */
    int64_t timeout_ms;
    int attempts;        /* to connect, per call; default 5, 1 never tries again */
    const char *ca_file; /* TLS: PEM certificates to trust; default: the system's */
} takt_options;

/* Connects and logs in. `options` may be NULL. Close *ret_client with takt_close(). */
takt_status takt_connect(const takt_options *options, takt_client **ret_client, takt_error *error);

/* Closes the connection and frees the client. Accepts NULL. */
void takt_close(takt_client *client);

/* ---- pushing ---- */

enum { TAKT_ID_SIZE = 65 };

typedef struct takt_new_job {
    char id[TAKT_ID_SIZE]; /* 8–64 of A-Za-z0-9_.:- ; "" : filled in by the push */
    const char *type;      /* required */
    const char *args;      /* JSON array; default [] */
    const char *queue;     /* default "default" */
    const char *at;        /* RFC 3339 time before which it does not start; default now */
    int priority;          /* 1–9, 9 first; 0: the default, 5 */
    int reserve_for_s;     /* longest run of an attempt in seconds; 0: the default, 1800 */
    int has_retry;         /* non-zero: `retry` counts; else 25 */
    int retry;             /* tries after the first; 0: forgotten on failure, -1: dead at once */
    const char *custom;    /* JSON object: unique_for, expires_at, track, … */
} takt_new_job;

/* Pushes one job. When it returns TAKT_OK the job is durable. */
takt_status takt_push(takt_client *client, takt_new_job *job, takt_error *error);

/* Called for a job that the server refused. */
typedef void takt_refused_fn(const char *id, const char *reason, void *context);

/* Pushes many at once; jobs that are wrong are refused one by one (`refused` may be NULL) and
 * counted in *ret_refused (may be NULL), the others are taken. At most 16 MiB in all. */
takt_status takt_push_bulk(takt_client *client, takt_new_job *jobs, size_t count,
                           takt_refused_fn *refused, void *context, size_t *ret_refused,
                           takt_error *error);

/* ---- working ----
 *
 * A lease lasts its lease_ms (30 s) from when the last answered takt_beat() was *called*, and 5 s from
 * when the server saw the last connection of the worker close. The library does not stop your jobs:
 * stop them yourself when four fifths of that have passed without an answered beat. When a beat returns
 * TAKT_ERR_UNAVAILABLE and no other client of the worker is connected, that is 4 s, counted from a second
 * before the call returned (connections of a worker are probed every second), unless a beat is answered
 * before. Beat in a thread that nothing else can hold up, with attempts = 1, so that you hear of it at
 * once. The whole rule: "What a careful worker does" in docs/protocol.md. */

/* One leased job. Lives as long as its batch. */
typedef struct takt_job {
    const char *id;
    const char *type;
    const char *queue;
    const char *args;   /* JSON text */
    const char *custom; /* JSON text or NULL */
    /* Rises with every start of any job: hand it to what the job changes, so that a late, forgotten
     * attempt can be told from the current one. */
    int64_t fence;
    int64_t lease_ms;   /* how long it is yours from the last beat on */
    int64_t attempt;    /* starts so far, this one included */
    int64_t timeout_ms; /* longest run */
    int64_t version;
} takt_job;

typedef struct takt_batch {
    size_t count;
    takt_job *jobs;
} takt_batch;

/* Leases up to `max` (1–1000) jobs from the queues, waiting up to `wait_ms` (0–60000) for the
 * first. *ret_batch is never NULL on success, its count may be 0. Needs a worker_id. Beat at
 * least every third of the lease while you hold jobs. Don't start what comes when your lease has
 * run out since the call. TAKT_ERR_UNAVAILABLE also when the process was stopped for so long that
 * the jobs must be taken for lost: they run again elsewhere. Free with takt_batch_free(). */
takt_status takt_fetch(takt_client *client, const char *const *queues, size_t queue_count, int max,
                       int64_t wait_ms, takt_batch **ret_batch, takt_error *error);
void takt_batch_free(takt_batch *batch); /* accepts NULL */

/* How a job ended. */
typedef struct takt_outcome {
    const char *id;
    int64_t fence;
    const char *result; /* JSON; default null. Of a success */
    int failed;         /* non-zero: the following count */
    const char *error_type;
    const char *error_message;
    const char *backtrace;  /* lines, separated by \n */
    int not_retryable;      /* non-zero: never tried again */
    int has_retry_after;    /* non-zero: retry_after_ms counts */
    int64_t retry_after_ms; /* instead of the job's backoff */
} takt_outcome;

typedef enum takt_verdict {
    TAKT_SETTLED,  /* recorded, durable */
    TAKT_STALE,    /* the lease was lost: nothing was changed, the job is or was run again */
    TAKT_UNSETTLED /* refused for another reason */
} takt_verdict;

/* Reports outcomes. ret_verdicts (may be NULL) has room for `count`. Safe to repeat: the same
 * outcome under the same fence is settled once and answered the same again. */
takt_status takt_settle(takt_client *client, const takt_outcome *outcomes, size_t count,
                        takt_verdict *ret_verdicts, takt_error *error);

/* Renews leases one by one; ret_lease_ms (room for `count`) gets the new lease, or -1 for a lost
 * one. takt_beat() renews all of a worker's leases at once and is what most workers want. */
typedef struct takt_lease {
    const char *id;
    int64_t fence;
} takt_lease;
takt_status takt_extend(takt_client *client, const takt_lease *leases, size_t count,
                        int64_t *ret_lease_ms, takt_error *error);

typedef enum takt_worker_state {
    TAKT_RUNNING,
    TAKT_QUIET,    /* finish what you have, fetch no more */
    TAKT_TERMINATE /* the same, and leave */
} takt_worker_state;

typedef struct takt_beat_answer {
    takt_worker_state state;
    size_t cancel_count;
    const char *const *cancel; /* ids of running jobs to stop */
} takt_beat_answer;

/* Says that the worker lives, which renews all its leases. With wait_ms (at most 10000 are
 * waited) the server answers only when there is something to say, at once then: call it in a
 * loop from a client and thread of its own. Free *ret_answer with takt_beat_free(). */
takt_status takt_beat(takt_client *client, int64_t wait_ms, takt_beat_answer **ret_answer,
                      takt_error *error);
void takt_beat_free(takt_beat_answer *answer); /* accepts NULL */

/* Shows how far a job is: percent 0–100, and a message or NULL. */
takt_status takt_progress(takt_client *client, const char *id, int64_t fence, int percent,
                          const char *message, takt_error *error);

/* Appends to the job's log (the server keeps the last 64 KiB). Bytes that are no UTF-8 are
 * replaced. At most 1 MiB a call. *ret_verdict (may be NULL) is TAKT_STALE when the lease is
 * lost. */
takt_status takt_log(takt_client *client, const char *id, int64_t fence, const void *bytes,
                     size_t len, takt_verdict *ret_verdict, takt_error *error);

#ifdef __cplusplus
}
#endif

#endif
