/* Delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002) over
 * the numbers of what bit. Leaving one out changes what comes after it, so a smaller history is one that
 * fails in the same words, whichever job it is about. */
#include "simulation/shrink.h"

#include <stdio.h>
#include <string.h>

typedef struct Shrinking {
    uint64_t seed;
    size_t runs;
    char words[400]; /* behind the job's numbers */
} Shrinking;

static const char *words_of(const char *failure) {
    const char *colon = strstr(failure, "): ");
    return colon ? colon : failure;
}

/* What is not reached any more, or was never allowed, is not worth a try later. */
static bool fails(Shrinking *shrinking, bool allowed[BITES_MOST]) {
    Simulation simulation;
    TroublePlan plan = {allowed, BITES_MOST};
    shrinking->runs++;
    simulation_run(&simulation, shrinking->seed, &plan, /* verbose= */ false);
    if (shrinking->runs == 1) {
        snprintf(shrinking->words, sizeof shrinking->words, "%s", words_of(simulation.failure));
    }
    bool failed =
        simulation.failure[0] && strcmp(words_of(simulation.failure), shrinking->words) == 0;
    for (size_t i = simulation.bite_count; failed && i < BITES_MOST; i++)
        allowed[i] = false;
    simulation_done(&simulation);
    return failed;
}

static size_t count_of(const bool allowed[BITES_MOST]) {
    size_t count = 0;
    for (size_t i = 0; i < BITES_MOST; i++)
        count += allowed[i];
    return count;
}

/* The history without `count` of its troubles, from the `from`th that is allowed on; kept if it fails. */
static bool without(Shrinking *shrinking, bool allowed[BITES_MOST], size_t from, size_t count) {
    bool fewer[BITES_MOST];
    memcpy(fewer, allowed, sizeof fewer);
    size_t at = 0;
    for (size_t i = 0; i < BITES_MOST; i++) {
        if (!allowed[i]) continue;
        if (at >= from && at < from + count) fewer[i] = false;
        at++;
    }
    if (!fails(shrinking, fewer)) return false;
    memcpy(allowed, fewer, sizeof fewer);
    return true;
}

size_t shrink(uint64_t seed, bool allowed[BITES_MOST], Simulation *ret_simulation) {
    Shrinking shrinking = {.seed = seed};
    memset(allowed, true, BITES_MOST * sizeof *allowed);
    (void)fails(&shrinking, allowed);
    for (size_t chunk = (count_of(allowed) + 1) / 2; chunk > 0; chunk /= 2) {
        size_t from = 0;
        while (from < count_of(allowed) && shrinking.runs < SHRINK_RUNS) {
            if (!without(&shrinking, allowed, from, chunk)) from += chunk;
        }
    }
    TroublePlan plan = {allowed, BITES_MOST};
    simulation_run(ret_simulation, seed, &plan, /* verbose= */ false);
    return count_of(allowed);
}
