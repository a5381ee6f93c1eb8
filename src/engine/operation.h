/* An operation: one use case as a small step machine, run in a batch with whatever else arrives
 * meanwhile.
 *
 * `step` is pure: it sees only its batch, may run on the store's thread, and may run again from
 * phase 0 when the batch has to be repeated. `settle` runs on the loop thread after the commit:
 * it takes what the answer needs out of the batch. Then `done` is called, once, always; the
 * operation belongs to its caller again from there on. */
#pragma once

#include "base/error.h"
#include "base/list.h"
#include "store/batch.h"

typedef struct Operation Operation;

typedef enum Step {
    STEP_MORE, /* asked for something: step again after the flush */
    STEP_LAST, /* changed rows and asks nothing after this flush */
    STEP_DONE, /* nothing (more) to flush */
} Step;

typedef struct OperationKind {
    const char *name;
    Step (*step)(Operation *operation, Batch *batch);
    void (*settle)(Operation *operation, const Batch *batch); /* may be NULL */
    bool first; /* outcomes and beats go before new work when there is more than a batch holds */
} OperationKind;

struct Operation {
    const OperationKind *kind;
    void (*done)(Operation *operation); /* error tells: OK = committed */
    void *context;                      /* the caller's */
    Error error;
    unsigned phase; /* 0 at the begin of each run of the batch; the kind's own otherwise */
    bool stepped;   /* the pipeline's: nothing more to do in this run */
    size_t weight;  /* single operations it stands for, ≥ 1: for the limits of a batch */
    size_t bytes;
    ListNode node;
};
