/* xoshiro256** by Blackman and Vigna ("Scrambled Linear Pseudorandom Number Generators", 2018),
 * seeded by splitmix64 (Steele, Lea, Flood, 2014): see random.h.
 *
 * Not for secrets. The state is never all zero, which the generator could not leave. */
#include "base/random.h"

__extension__ typedef unsigned __int128 Uint128;

static uint64_t rotate_left(uint64_t value, int by) {
    return (value << by) | (value >> (64 - by));
}

void random_init(Random *random, uint64_t seed) {
    for (int i = 0; i < 4; i++) {
        seed += UINT64_C(0x9e3779b97f4a7c15);
        uint64_t mixed = seed;
        mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
        random->state[i] = mixed ^ (mixed >> 31);
    }
}

uint64_t random_next(Random *random) {
    uint64_t *state = random->state;
    uint64_t result = rotate_left(state[1] * 5, 7) * 9;
    uint64_t shifted = state[1] << 17;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = rotate_left(state[3], 45);
    return result;
}

/* Lemire, "Fast Random Integer Generation in an Interval" (2019): the high half of a product, drawn
 * again where the low half falls into the part that would be counted once too often. */
uint64_t random_below(Random *random, uint64_t bound) {
    if (bound == 0) return 0;
    Uint128 product = (Uint128)random_next(random) * bound;
    if ((uint64_t)product < bound) {
        uint64_t surplus = (0 - bound) % bound;
        while ((uint64_t)product < surplus) {
            product = (Uint128)random_next(random) * bound;
        }
    }
    return (uint64_t)(product >> 64);
}

double random_unit(Random *random) {
    return (double)(random_next(random) >> 11) * 0x1p-53;
}
