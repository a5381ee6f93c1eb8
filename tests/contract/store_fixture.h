/* What the tests of a store work with: a loop thread of their own, a clock they move, and batches
 * written as lists of operations. Knows store.h only, so that it fits every adapter. */
#pragma once

#include "store/store.h"
#include <pthread.h>
#include <stdatomic.h>

typedef struct StoreSuite {
    const char *name;
    /* Opens a store: an empty one, or the one that the last close left behind. */
    Store *(*open)(void *context, const StoreIo *io, bool fresh);
    /* The next commit fails with ERR_UNAVAILABLE. NULL: this adapter's test has a way of its
     * own. */
    void (*fail_next)(void *context);
    void *context;
    int64_t fence_base; /* its fences are this and a count from 1 */
    Loop *loop;         /* of an adapter with sockets: turned while an answer is awaited */
} StoreSuite;

typedef struct StoreTest {
    const StoreSuite *suite;
    Store *store;
    StoreIo io;
    pthread_mutex_t mutex;
    pthread_cond_t posted;
    List posts;
    _Atomic int64_t now_us;
    Random random;
    int64_t last_due_us;
    UuidMaker maker;
    Arena arena; /* jobs and texts of the case */
    bool answered;
} StoreTest;

#define TEST_NOW_US INT64_C(1800000000000000)

void store_test_open(StoreTest *test, const StoreSuite *suite);
void store_test_reopen(StoreTest *test); /* as after a restart */
void store_test_close(StoreTest *test);

/* For SimulatedIo.later and the like: runs in the test's thread. */
void store_test_post(void *context, void (*function)(void *), void *argument);

typedef enum OpKind {
    OP_INSERT,
    OP_START,        /* blind */
    OP_SUCCEED,      /* blind */
    OP_LOAD,         /* only looks */
    OP_LOAD_START,   /* loaded, by the core, with `fence` */
    OP_LOAD_SUCCEED, /* loaded, by the core */
    OP_FAIL,
    OP_LOSE,
    OP_RETURN,
    OP_CANCEL,
    OP_RETRY,
    OP_KILL,
    OP_REWRITE, /* every field that may change becomes that of `job` */
    OP_DELETE,
    OP_LOG,
} OpKind;

/* One operation of a batch, and what became of it. */
typedef struct Op {
    OpKind kind;
    JobKey key;
    Job job;
    Lease lease;
    Str text; /* result, or output */
    Row *row; /* valid until batch_done */
    bool blind, done;
    ChangeResult result;
    RowStatus seen; /* the row's status when the operation was through */
    Job after;      /* the row's job then */
} Op;

/* More than operations: what a case asks once, in the first round. */
typedef struct Script {
    Op *ops;
    size_t count;
    void (*first)(Batch *batch, void *context); /* or NULL */
    /* In the second round, when the first one's asks are answered; or NULL. */
    void (*second)(Batch *batch, void *context);
    void *context;
    int64_t count_to_us;
    bool wipe;
} Script;

/* Only begins it: for a store whose points are posts, to run beside another. */
void store_test_begin(StoreTest *test, Batch *batch, Script *script);
/* Runs it; batch_done() afterwards. */
Err store_test_run(StoreTest *test, Batch *batch, Script *script);
/* Runs it until nothing happens any more, on a store whose node dies before it answers (one
 * without threads of its own): true = no answer came. */
bool store_test_run_to_crash(StoreTest *test, Batch *batch, Script *script);
/* Runs the operations, expects success, and lets the batch go; op.row is void then. */
void store_test_do(StoreTest *test, Op *ops, size_t count);
/* One operation; gives it back with its outcome, texts in the test's arena. */
Op store_test_one(StoreTest *test, Op op);

/* Inserts it. */
void store_test_add(StoreTest *test, const Job *job);

/* Expects success. arena_done(&query->arena) afterwards. */
void store_test_query(StoreTest *test, Query *query);
/* The newest job of the key, in the test's arena; state JOB_STATES = none. */
Job store_test_job(StoreTest *test, const JobKey *key);

/* ---- makers ---- */

/* A job with a made id, due now, as the pipeline would insert it. */
Job test_job(StoreTest *test);
Op op_insert(const Job *job);
Op op_of(OpKind kind, const JobKey *key);
Op op_start(const JobKey *key, const char *worker);
Op op_succeed(const JobKey *key, int64_t fence, const char *worker);

/* ---- comparing ---- */

/* The name of the first stored field in which they differ, or NULL. */
const char *job_difference(const Job *a, const Job *b);
#define assert_jobs_equal(a, b)                                                                    \
    do {                                                                                           \
        const char *difference = job_difference((a), (b));                                         \
        if (difference) print_error("jobs differ in %s\n", difference);                            \
        assert_null(difference);                                                                   \
    } while (0)
