/* A seeded generator (xoshiro256**), so that whoever owns the seed owns the run. Not for secrets:
 * those come from the operating system's generator at the edge. Not thread safe. */
#pragma once

#include <stdint.h>

typedef struct Random {
    uint64_t state[4];
} Random;

/* Any seed is fine, 0 included (splitmix64 spreads it). */
void random_init(Random *random, uint64_t seed);
uint64_t random_next(Random *random);
/* Uniform in [0, bound), without bias; bound 0 gives 0. */
uint64_t random_below(Random *random, uint64_t bound);
/* Uniform in [0, 1). */
double random_unit(Random *random);
