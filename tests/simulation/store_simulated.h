/* A store for simulations: the contract of store/store.h in memory, on a virtual clock,
 * deterministic.
 *
 * What is committed lives on a SimulatedDisk and survives the node that wrote it. A batch advances
 * point by point, each in a call of its own that the simulation schedules, so that a crash or a
 * fault can come between any two: before POINT_COMMIT nothing of the batch is on the disk, after
 * it everything is, whether the node lives to hear of it or not. Reads see what is committed. Not
 * thread safe. */
#pragma once

#include "store/store.h"

typedef struct SimulatedDisk SimulatedDisk;

SimulatedDisk *simulated_disk_new(void) __attribute__((returns_nonnull));
/* With every store that was opened on it. Accepts NULL. */
void simulated_disk_free(SimulatedDisk *disk);

typedef enum SimulatedPoint {
    POINT_BEGIN,
    POINT_ROUND, /* one advance and its flush */
    POINT_COMMIT,
    POINT_ANSWER, /* the callback of a batch */
    POINT_READ,   /* the answer of a query and its callback */
} SimulatedPoint;

typedef enum SimulatedFault {
    FAULT_NONE,
    FAULT_UNAVAILABLE, /* nothing is written; the batch or query fails "store-unavailable" */
    FAULT_FULL,        /* likewise "store-full" */
    FAULT_INTERNAL,    /* likewise ERR_INTERNAL: a statement failed on data */
} SimulatedFault;

typedef struct SimulatedIo {
    /* Calls function(argument) once, later; never from inside. */
    void (*later)(void *context, SimulatedPoint point, void (*function)(void *), void *argument);
    /* Asked at each point but POINT_ANSWER. NULL: no faults. */
    SimulatedFault (*fault)(void *context, SimulatedPoint point);
    void *context;
} SimulatedIo;

/* One node at a time has the disk. Close with store_close(), when nothing is in flight. */
Store *simulated_open(SimulatedDisk *disk, const StoreIo *io, const SimulatedIo *simulated)
    __attribute__((returns_nonnull));

/* The node dies now: what it has not committed is gone, none of its callbacks comes any more;
 * calls still scheduled do nothing. Its batch's memory is the caller's to batch_done(). */
void simulated_crash(Store *store);
