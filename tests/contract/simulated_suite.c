/* See simulated_suite.h: points run as posts of the test's loop, in order. */
#include "simulated_suite.h"

static void later(void *context, SimulatedPoint point, void (*function)(void *), void *argument) {
    SimulatedSuite *simulated = context;
    if (simulated->crashes && point == simulated->crash_at) {
        simulated->crashed = true;
        simulated_crash(simulated->store);
    }
    simulated->io->post(simulated->io->context, function, argument);
}

static SimulatedFault fault(void *context, SimulatedPoint point) {
    SimulatedSuite *simulated = context;
    if (!simulated->fail || point != POINT_COMMIT) return FAULT_NONE;
    simulated->fail = false;
    return FAULT_FULL;
}

static void fail_next(void *context) {
    SimulatedSuite *simulated = context;
    simulated->fail = true;
}

static Store *open_simulated(void *context, const StoreIo *io, bool fresh) {
    SimulatedSuite *simulated = context;
    if (fresh) simulated_disk_free(simulated->disk);
    if (fresh) simulated->disk = simulated_disk_new();
    for (unsigned i = 0; fresh && i < simulated->timeline; i++) {
        simulated_replicate(simulated->disk);
        simulated_fail_over(simulated->disk);
    }
    simulated->io = io;
    simulated->crashed = false;
    simulated->store = simulated_open(simulated->disk, io, &(SimulatedIo){later, fault, simulated});
    return simulated->store;
}

StoreSuite simulated_suite(SimulatedSuite *simulated) {
    *simulated = (SimulatedSuite){0};
    return (StoreSuite){.name = "store simulated",
                        .open = open_simulated,
                        .fail_next = fail_next,
                        .context = simulated};
}

void simulated_suite_done(SimulatedSuite *simulated) {
    simulated_disk_free(simulated->disk);
    simulated->disk = NULL;
}
