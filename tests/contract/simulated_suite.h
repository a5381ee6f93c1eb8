/* The simulated store as a subject of the contract. */
#pragma once

#include "simulation/store_simulated.h"
#include "store_fixture.h"

typedef struct SimulatedSuite {
    SimulatedDisk *disk;
    Store *store;
    const StoreIo *io;
    unsigned timeline; /* of a fresh one: it has failed over so often */
    bool fail;         /* the next commit */
    bool crashes;
    SimulatedPoint crash_at;
    bool crashed;
} SimulatedSuite;

StoreSuite simulated_suite(SimulatedSuite *simulated);
void simulated_suite_done(SimulatedSuite *simulated);
