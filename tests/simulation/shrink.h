/* Makes a failing history small: runs its seed again and again with fewer of its troubles. */
#pragma once

#include "simulation/simulation.h"

enum { SHRINK_RUNS = 3000 };

/* Fills `allowed` (room for BITES_MOST) with the troubles that are left, and runs the history with them
 * into `simulation`, which fails; the caller's to simulation_done(). Returns how many are left. */
size_t shrink(uint64_t seed, bool allowed[BITES_MOST], Simulation *ret_simulation);
