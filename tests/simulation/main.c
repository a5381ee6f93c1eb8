/* Runs histories one after another. Usage: simulation [--histories N] [--seed S] [--verbose]
 *
 * Seeds count up from S. A seed that fails is printed and gives the same history again. The last line is
 * "N passed, N failed, 0 skipped". */
#include "simulation/simulation.h"

#include "base/clock.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static volatile uint64_t current_seed;

/* A failed check() ends the process; the seed must be known. */
static void on_abort(int number) {
    (void)number;
    char text[80];
    int len = snprintf(text, sizeof text, "aborted: seed %" PRIu64 "\n", current_seed);
    if (len > 0 && write(STDERR_FILENO, text, (size_t)len) < 0) _exit(3);
    _exit(2);
}

typedef struct Totals {
    uint64_t passed, failed, steps;
    Tally tally;
} Totals;

static void add_tally(Tally *sum, const Tally *tally) {
    sum->commits += tally->commits;
    sum->starts += tally->starts;
    sum->losts += tally->losts;
    sum->failures += tally->failures;
    sum->returns += tally->returns;
    sum->stale += tally->stale;
    sum->lost_answers += tally->lost_answers;
    sum->crashes += tally->crashes;
    sum->unheard += tally->unheard;
    sum->store_faults += tally->store_faults;
    sum->repaired += tally->repaired;
}

static void print_tally(const Tally *tally) {
    printf(
        "%" PRIu64 " commits, %" PRIu64 " starts, %" PRIu64 " failures, %" PRIu64 " leases lost, "
        "%" PRIu64 " claims undone, %" PRIu64 " stale outcomes\n",
        tally->commits, tally->starts, tally->failures, tally->losts, tally->returns, tally->stale);
    printf(
        "%" PRIu64 " crashes (%" PRIu64 " commits never told of), %" PRIu64 " faults of the store, "
        "%" PRIu64 " answers lost, %" PRIu64 " hints found again\n",
        tally->crashes, tally->unheard, tally->store_faults, tally->lost_answers, tally->repaired);
}

static uint64_t run_one(uint64_t seed, bool verbose, Totals *totals) {
    Simulation simulation;
    current_seed = seed;
    simulation_run(&simulation, seed, verbose);
    totals->steps += simulation.steps;
    add_tally(&totals->tally, &simulation.tally);
    if (simulation.failure[0]) {
        totals->failed++;
        printf("FAILED seed %" PRIu64 ": %s\n", seed, simulation.failure);
    } else {
        totals->passed++;
    }
    uint64_t trace = simulation.trace;
    if (verbose) printf("trace %016" PRIx64 " after %zu steps\n", trace, simulation.steps);
    simulation_done(&simulation);
    return trace;
}

/* The same seed must give the same bytes, or a failure could not be looked into. */
static void check_replay(uint64_t seed, Totals *totals) {
    Totals twice = {0};
    uint64_t first = run_one(seed, false, &twice);
    uint64_t again = run_one(seed, false, &twice);
    if (first == again) {
        totals->passed++;
        return;
    }
    totals->failed++;
    printf("FAILED seed %" PRIu64 ": gave two different histories\n", seed);
}

static bool read_number(const char *text, uint64_t *ret) {
    return text && str_to_uint64(str_from(text), ret);
}

int main(int count, char **arguments) {
    uint64_t histories = 2000, seed = 1;
    bool verbose = false, good = true;
    for (int i = 1; i < count && good; i++) {
        if (strcmp(arguments[i], "--verbose") == 0) {
            verbose = true;
        } else if (strcmp(arguments[i], "--histories") == 0 && i + 1 < count) {
            good = read_number(arguments[++i], &histories);
        } else if (strcmp(arguments[i], "--seed") == 0 && i + 1 < count) {
            good = read_number(arguments[++i], &seed);
        } else {
            good = false;
        }
    }
    if (!good) {
        fprintf(stderr, "usage: simulation [--histories N] [--seed S] [--verbose]\n");
        return 2;
    }
    signal(SIGABRT, on_abort);
    Totals totals = {0};
    int64_t begun_us = clock_mono_us();
    check_replay(seed, &totals);
    for (uint64_t i = 0; i < histories; i++) {
        (void)run_one(seed + i, verbose, &totals);
    }
    double seconds = (double)(clock_mono_us() - begun_us) / 1e6;
    print_tally(&totals.tally);
    printf("%.0f histories/s, %" PRIu64 " steps a history\n", (double)histories / seconds,
           totals.steps / (histories ? histories : 1));
    printf("%" PRIu64 " passed, %" PRIu64 " failed, 0 skipped\n", totals.passed, totals.failed);
    return totals.failed ? 1 : 0;
}
