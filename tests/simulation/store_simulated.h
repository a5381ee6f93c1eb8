/* A store for simulations: the contract of store/store.h in memory, on a virtual clock, deterministic,
 * with the transactions of a database that several nodes share.
 *
 * What is committed lives on a SimulatedDisk and survives the nodes that wrote it. A batch advances point
 * by point, each in a call of its own that the simulation schedules, so that a fault can come between any
 * two: before POINT_COMMIT nothing of the batch is on the disk, after it everything is, whether the node
 * lives to hear of it or not. Transactions of several nodes interleave between points: each sees what is
 * committed when its statement begins, locks the rows that it names, waits for those that another has
 * locked, and of two that wait for each other one begins again (READ COMMITTED with row locks). Not thread
 * safe. */
#pragma once

#include "store/store.h"

typedef struct SimulatedDisk SimulatedDisk;

SimulatedDisk *simulated_disk_new(void) __attribute__((returns_nonnull));
/* With every store that was opened on it. Accepts NULL. */
void simulated_disk_free(SimulatedDisk *disk);

typedef enum SimulatedPoint {
    POINT_BEGIN,
    POINT_ROUND, /* one advance and its flush; again after waiting for a lock */
    POINT_COMMIT,
    POINT_RESOLVE, /* a new connection asks whether the commit landed */
    POINT_ANSWER,  /* the callback of a batch */
    POINT_READ,    /* the answer of a query and its callback */
} SimulatedPoint;

typedef enum SimulatedFault {
    FAULT_NONE,
    FAULT_UNAVAILABLE, /* nothing is written; the batch or query fails "store-unavailable" */
    FAULT_FULL,        /* likewise "store-full" */
    FAULT_INTERNAL,    /* likewise ERR_INTERNAL: a statement failed on data */
    FAULT_CONFLICT,    /* the transaction is rolled back and the batch begins again */
    FAULT_CUT_BEFORE,  /* at POINT_COMMIT: the connection breaks and the commit did not land … */
    FAULT_CUT_AFTER,   /* … or it did; either way POINT_RESOLVE finds out */
} SimulatedFault;

typedef struct SimulatedIo {
    /* Calls function(argument) once, later; never from inside. */
    void (*later)(void *context, SimulatedPoint point, void (*function)(void *), void *argument);
    /* Asked at each point but POINT_ANSWER. NULL: no faults. */
    SimulatedFault (*fault)(void *context, SimulatedPoint point);
    void *context;
} SimulatedIo;

/* Any number of nodes may have the disk open. Close with store_close(), when nothing is in flight. */
Store *simulated_open(SimulatedDisk *disk, const StoreIo *io, const SimulatedIo *simulated)
    __attribute__((returns_nonnull));

/* The node dies now: what it has not committed is gone, none of its callbacks comes any more;
 * calls still scheduled do nothing. Its batch's memory is the caller's to batch_done(). */
void simulated_crash(Store *store);

/* The server ends this node's transaction: its batch fails "store-unavailable". */
void simulated_cut(Store *store);
/* The server restarts: every transaction is cut; what was committed stays. */
void simulated_restart(SimulatedDisk *disk);

/* A standby that lags behind: simulated_fail_over() makes what was committed at the last
 * simulated_replicate() the truth again, under the next timeline. */
void simulated_replicate(SimulatedDisk *disk);
void simulated_fail_over(SimulatedDisk *disk);
