/* A batch: everything that is committed in one transaction, as an identity map of rows.
 *
 * The engine fills it with operations; the store drives it: it calls `advance` (one step of every
 * operation, pure), then flushes (writes each dirty row once, answers what was asked), as long as
 * `advance` returns true; then `finish` (counts), then the commit. Between store_run() and its
 * callback the batch belongs to the store, perhaps on another thread: nobody else touches it.
 *
 * Rules. (1) A row is changed in memory by core/job_change and marked dirty; the flush writes it
 * once, so several operations on one job compose in order. (2) Only start and succeed are blind:
 * guarded by the statement, not loaded. A blind change that misses its guard turns the row into a
 * loaded one (or a missing one) in the same flush, so that its operation decides without doubt in
 * its next step. (3) No statement may fail on data. */
#pragma once

#include "base/arena.h"
#include "base/list.h"
#include "base/map.h"
#include "base/random.h"
#include "core/job.h"
#include "core/job_change.h"
#include "core/limits.h"

typedef struct Batch Batch;

typedef enum RowStatus {
    ROW_UNKNOWN, /* named, nothing known yet */
    ROW_ASKED,   /* to be loaded by the next flush */
    ROW_BLIND,   /* a guarded change is pending in the next flush */
    ROW_HIT, /* that change applied. After a start `job` is complete; after a succeed it holds only
                    id, type, queue, state, priority, due_us, created_us, started_us, finished_us,
                    attempt, failures, fence, worker, correlation_id, run */
    ROW_LOADED,  /* `job` is complete and locked until the commit */
    ROW_MISSING, /* no such job, and nobody else makes one of this key before the commit */
} RowStatus;

typedef enum RowWrite {
    WRITE_NONE,
    WRITE_INSERT, /* the whole job; `slot` is given by the store. The key has no live job (rule of the
                      operations), an ended one of the same key stays as history */
    WRITE_START,   /* blind: waiting in that queue, due ≤ now, not expired → running */
    WRITE_SUCCEED, /* blind: running under this lease → succeeded */
    WRITE_UPDATE,  /* all fields that may change, by slot */
    WRITE_DELETE,  /* by slot */
} RowWrite;

/* How a row was counted when this batch first met it. */
typedef struct RowBefore {
    bool counted;
    JobStatus status;
} RowBefore;

typedef struct Row {
    JobKey key;
    int64_t slot; /* the store's own handle of the loaded or inserted row (0 = none) */
    RowStatus status;
    RowWrite write;
    bool inserted; /* batch_insert was called: kept until the batch ends, likewise the next */
    bool deleted;
    /* The blind change asked in this batch applied: set by batch_hit, kept when the row is loaded
     * afterwards. */
    bool hit;
    bool changed; /* anything was written to it in this batch: consequences and hints look at it */
    Job job;
    RowBefore before;
    JobState state_before; /* when first met; JOB_STATES = it did not exist */
    Str queue_before;
    /* arguments of a blind change */
    Lease lease;       /* start: worker (the fence is minted by the store); succeed: who reports */
    int64_t grace_ms;  /* start */
    Str start_queue;   /* start: guarded by it too, since an id may have moved to a job elsewhere */
    Str result, hash;  /* succeed */
    ListNode in_rows;  /* Batch.rows, in the order met */
    ListNode in_flush; /* Batch.flush while status is ASKED or BLIND or write is pending */
} Row;

/* A worker's session as stored: who it is and when it was last heard. */
typedef struct SessionRow {
    Str worker; /* wid */
    Str node;
    Str info;         /* JSON {"hostname","pid","labels"…} */
    int64_t lease_ms; /* 0: never beats, only the rows' deadlines count */
    int64_t seen_us;
    int64_t opened_us;
    int64_t closed_us; /* last connection gone; 0 while open */
    bool quick;        /* opted in: its closing counts after 5 s */
} SessionRow;

/* A node of a cluster. One row a name; another process that takes the name over brings its own instance. */
typedef struct NodeRow {
    Str name;
    Str instance; /* made anew at each start */
    Str version;
    Str info; /* JSON {"http","protocol","pid","hostname"} */
    int64_t started_us;
    int64_t seen_us;         /* set by the store */
    int64_t clock_offset_us; /* what its wall clock is ahead of the store's */
    bool draining;
} NodeRow;

typedef struct NodeWrite {
    NodeRow node; /* upsert by name */
    bool forget;  /* delete instead, if it is still this instance's */
    struct NodeWrite *next;
} NodeWrite;

/* What every node of a cluster is to hear of. Numbered in the order of the commits: a node that has read up
 * to a number has missed none below it. Kept for an hour. Pauses are not among them: QUERY_EVERY
 * tells which queues are paused. */
typedef enum ControlKind {
    CONTROL_CANCEL, /* a running job was cancelled: subject = its worker, detail = its id */
    CONTROL_REVOKE, /* subject = id of the token; until_us */
    CONTROL_SWEEP,  /* subject = a queue with waiting jobs of which the broker may not know */
    CONTROL_WIPE,   /* FLUSH */
    CONTROL_STATE,  /* subject = a worker, detail = "quiet" or "terminate": what it is to be told */
} ControlKind;

typedef struct ControlRow {
    int64_t number; /* given by the store */
    ControlKind kind;
    Str node; /* who wrote it */
    Str subject, detail;
    int64_t until_us; /* 0 = none */
    int64_t at_us;    /* the batch's now */
} ControlRow;

typedef struct ControlWrite {
    ControlRow control;
    struct ControlWrite *next;
} ControlWrite;

typedef enum AskKind {
    ASK_RUNNING_OF, /* running rows held by `text` (a worker) */
    ASK_OVERDUE,    /* running rows with 0 < deadline_us ≤ until_us */
    ASK_EXPIRED,    /* waiting rows with 0 < expires_us ≤ until_us */
    ASK_PRUNABLE,   /* succeeded and cancelled rows finished at or before until_us, oldest first */
    ASK_PRUNABLE_DEAD, /* the same for dead rows */
    ASK_SESSIONS, /* all sessions of worker `text`, by node, locked: no other batch may write one until
                     this one ends */
    ASK_READY, /* waiting rows of queue `text`, due ≤ until_us and not expired, best score first, that no other
                  batch has locked and this one does not hold. They are locked but not loaded (ROW_UNKNOWN),
                  so that a start hits */
    ASK_NODE, /* the node row of name `text`, locked, whether it is there or not */
} AskKind;

/* A question other than 'load this row'. Answered by the next flush with rows that are loaded,
 * locked and in the identity map. */
typedef struct Ask {
    AskKind kind;
    Str text;
    int64_t until_us;
    size_t limit;
    Row **rows; /* answer, in the batch's arena */
    size_t count;
    SessionRow *sessions; /* answer of ASK_SESSIONS: `count` of them */
    NodeRow *node;        /* answer of ASK_NODE: NULL = none */
    struct Ask *next;
} Ask;

/* A chunk of a running job's captured output. */
typedef struct LogWrite {
    Row *row; /* loaded; by slot */
    Str text; /* UTF-8 */
    struct LogWrite *next;
} LogWrite;

typedef struct SessionWrite {
    SessionRow session; /* upsert by (worker, node) */
    bool forget;        /* delete instead */
    struct SessionWrite *next;
} SessionWrite;

typedef struct QueueWrite {
    Str queue;
    bool paused;
    struct QueueWrite *next;
} QueueWrite;

typedef struct TokenWrite { /* revocation of an access token */
    Str token_id;
    int64_t until_us; /* its expiry: may be forgotten then */
    struct TokenWrite *next;
} TokenWrite;

typedef struct CountDelta {
    Str queue;
    int64_t by[STATUS_COUNT];
} CountDelta;

struct Batch {
    Arena arena; /* everything the batch and its answers hold, until batch_done */

    /* set by the store before the first advance */
    int64_t now_us; /* the store's clock at the begin of the transaction */
    /* Jobs due later are counted as scheduled or retrying, earlier as pending */
    int64_t frontier_us;

    /* set by the engine, and moved on by a store that had to connect again for it: this node has been in
     * touch with the store without a break since then. One that finds another server in the store's place
     * fails the batch instead: that one may have lost what went before. */
    int64_t connected_since_us;

    /* set by the engine */
    bool (*advance)(
        Batch *batch); /* one step of every operation; true = another round is needed. When
                                      `rounds` is 0 the operations begin anew */
    void (*finish)(Batch *batch); /* after the last flush, before the commit: fills `counts` */
    void *operations;             /* the engine's own list */
    Random *random;
    int64_t *last_due_us; /* highest due given out for 'now': rises by 1 µs a job */
    int64_t count_to_us;  /* > frontier: move the counted frontier there, in this transaction */
    bool wipe;            /* erase everything (FLUSH); nothing else is in the batch then */

    /* the identity map */
    Map by_key;
    List rows;
    size_t row_count;

    /* what the next flush does; the store empties these */
    List flush; /* Row.in_flush */
    Ask *asks;
    LogWrite *logs;
    SessionWrite *sessions;
    QueueWrite *queues;
    TokenWrite *tokens;
    NodeWrite *nodes;
    ControlWrite *controls; /* written last of all, after `finish` */

    Map counts; /* queue → CountDelta, filled by finish */
    unsigned rounds;

    /* the outcome, set by the store before its callback */
    Err outcome;
    Error error;
    int64_t commit_us; /* how long it took from begin to committed */
};

/* In place. */
void batch_init(Batch *batch);
void batch_done(Batch *batch);

/* Forgets all rows, asks and writes, for a second run of the same operations. */
void batch_restart(Batch *batch);

/* The row of this key, found or added. */
Row *batch_row(Batch *batch, const JobKey *key);

/* For stores: a row of its own beside the identity map, for an ended job whose key a newer job
 * has taken. */
Row *batch_row_apart(Batch *batch, const JobKey *key);

/* Needs the row loaded. true: it is known now (LOADED or MISSING); false: asked, step again next
 * round. A row with a blind change pending, or HIT by a succeed, is loaded after that. */
bool batch_load(Batch *batch, Row *row);

/* A blind start or succeed. false: the row is already in use in this batch (load it instead). */
bool batch_start(Batch *batch, Row *row, Str queue, Str worker, int64_t grace_ms);
bool batch_succeed(Batch *batch, Row *row, const Lease *lease, Str result, Str hash);

/* The job as changed in memory shall be written. The row is LOADED (or, for insert, MISSING,
 * UNKNOWN for ids just made, or LOADED and ended with nothing pending). */
void batch_insert(Batch *batch, Row *row, const Job *job);
void batch_update(Batch *batch, Row *row);
void batch_delete(Batch *batch, Row *row);

/* Something is to be written for it in the next flush. */
bool row_is_pending(const Row *row);

Ask *batch_ask(Batch *batch, AskKind kind, Str text, int64_t until_us, size_t limit);
void batch_log(Batch *batch, Row *row, Str text);
void batch_session(Batch *batch, const SessionRow *session, bool forget);
void batch_queue(Batch *batch, Str queue, bool paused);
void batch_token(Batch *batch, Str token_id, int64_t until_us);
void batch_node(Batch *batch, const NodeRow *node, bool forget);
/* number and at_us are set here and by the store. The same control twice is one. */
void batch_control(Batch *batch, const ControlRow *control);

/* For stores: a row has been read (loaded, hit or found by an ask). Fills status and `before`;
 * `job` is copied into the batch's arena. */
void batch_found(Batch *batch, Row *row, int64_t slot, const Job *job);
void batch_missing(Batch *batch, Row *row);
/* A blind change applied: `job` is the row after it (fields as RowStatus says). */
void batch_hit(Batch *batch, Row *row, int64_t slot, const Job *job);
/* What was pending for it has been written; slot: where it is now (0 = deleted). */
void batch_written(Batch *batch, Row *row, int64_t slot);
/* The counts of this queue, found or added. */
CountDelta *batch_counts(Batch *batch, Str queue);

/* For finish(): adds the row's move to the counts. Idempotent per state of the row. */
void batch_count_row(Batch *batch, Row *row);
