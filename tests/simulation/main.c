/* Runs histories one after another. Usage: see `usage`.
 *
 * Seeds count up from S. A seed that fails is made small and printed with the command that gives the same
 * history again. The last line is "N passed, N failed, 0 skipped". */
#include "base/clock.h"
#include "base/time.h"
#include "simulation/shrink.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: simulation [--histories N] [--seed S] [--seconds N] [--stop] [--plain] [--only N,N…]\n"
    "                  [--verbose]\n"
    "  --histories N  how many (10000); seeds S, S+1, …\n"
    "  --seed S       the first (1)\n"
    "  --seconds N    stop after so long\n"
    "  --stop         stop at the first that fails\n"
    "  --plain        don't make failing ones small\n"
    "  --only N,N…    only these troubles of the seed; an empty list: none\n"
    "  --verbose      tell what happens\n";

enum { SHOWN_MOST = 5 }; /* failing seeds that are made small and told in full */

static volatile uint64_t current_seed;

/* A failed check() ends the process; the seed must be known. */
static void on_abort(int number) {
    (void)number;
    char text[80];
    int len = snprintf(text, sizeof text, "aborted: seed %" PRIu64 "\n", current_seed);
    if (len > 0 && write(STDERR_FILENO, text, (size_t)len) < 0) _exit(3);
    _exit(2);
}

typedef struct Options {
    uint64_t histories, seed, seconds;
    bool stop, plain, verbose, some;
    bool only[BITES_MOST];
} Options;

typedef struct Totals {
    bool quiet;
    uint64_t passed, failed, steps, troubled[TROUBLES];
    Tally tally;
} Totals;

static void add_tally(Totals *totals, const Tally *tally) {
    Tally *sum = &totals->tally;
    sum->commits += tally->commits;
    sum->starts += tally->starts;
    sum->losts += tally->losts;
    sum->failures += tally->failures;
    sum->returns += tally->returns;
    sum->stale += tally->stale;
    sum->lost_answers += tally->lost_answers;
    sum->unheard += tally->unheard;
    sum->repaired += tally->repaired;
    for (Trouble kind = 0; kind < TROUBLES; kind++) {
        sum->bites[kind] += tally->bites[kind];
        totals->troubled[kind] += tally->bites[kind] > 0;
    }
}

static void print_totals(const Totals *totals) {
    const Tally *tally = &totals->tally;
    printf("%" PRIu64 " commits, %" PRIu64 " starts, %" PRIu64 " failures, %" PRIu64
           " leases lost, %" PRIu64 " claims undone, %" PRIu64 " stale outcomes, %" PRIu64
           " commits never told of, %" PRIu64 " hints found again\n",
           tally->commits, tally->starts, tally->failures, tally->losts, tally->returns,
           tally->stale, tally->unheard, tally->repaired);
    printf("troubles (times, histories):");
    for (Trouble kind = 0; kind < TROUBLES; kind++) {
        printf(" %s %" PRIu64 " %" PRIu64 "%s", trouble_name(kind), tally->bites[kind],
               totals->troubled[kind], kind + 1 < TROUBLES ? "," : "\n");
    }
}

static uint64_t run_one(uint64_t seed, const TroublePlan *plan, bool verbose, Totals *totals,
                        bool *ret_failed) {
    Simulation simulation;
    current_seed = seed;
    simulation_run(&simulation, seed, plan, verbose);
    totals->steps += simulation.steps;
    add_tally(totals, &simulation.tally);
    *ret_failed = simulation.failure[0] != '\0';
    if (*ret_failed) {
        totals->failed++;
        if (!totals->quiet) printf("FAILED seed %" PRIu64 ": %s\n", seed, simulation.failure);
    } else {
        totals->passed++;
    }
    uint64_t trace = simulation.trace;
    if (verbose) printf("trace %016" PRIx64 " after %zu steps\n", trace, simulation.steps);
    simulation_done(&simulation);
    return trace;
}

static void show_small(uint64_t seed) {
    static bool allowed[BITES_MOST];
    Simulation simulation;
    size_t count = shrink(seed, allowed, &simulation);
    printf("  shrunk to %zu of its troubles: %s\n  replay: tests/simulation/run --histories 1"
           " --seed %" PRIu64 " --only '",
           count, simulation.failure, seed);
    const char *separator = "";
    for (size_t i = 0; i < simulation.bite_count; i++) {
        if (!allowed[i]) continue;
        printf("%s%zu", separator, i);
        separator = ",";
    }
    printf("'\n");
    for (size_t i = 0; i < simulation.bite_count; i++) {
        if (!allowed[i]) continue;
        printf("    %zu: %s at %.6f s\n", i, trouble_name(simulation.bites[i].kind),
               (double)(simulation.bites[i].at_us - INT64_C(1767225600000000)) / 1e6);
    }
    simulation_done(&simulation);
}

/* The same seed must give the same bytes, or a failure could not be looked into. */
static void check_replay(uint64_t seed, Totals *totals) {
    Totals twice = {.quiet = true};
    bool failed;
    uint64_t first = run_one(seed, NULL, false, &twice, &failed);
    uint64_t again = run_one(seed, NULL, false, &twice, &failed);
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

static bool read_only(const char *text, Options *ret) {
    ret->some = true;
    Str rest = str_from(text);
    while (rest.len > 0) {
        uint64_t number;
        Str word = str_split(&rest, ',');
        if (!str_to_uint64(word, &number) || number >= BITES_MOST) return false;
        ret->only[number] = true;
    }
    return true;
}

static bool read_options(int count, char **arguments, Options *ret) {
    *ret = (Options){.histories = 10000, .seed = 1};
    for (int i = 1; i < count; i++) {
        const char *name = arguments[i];
        const char *value = i + 1 < count ? arguments[i + 1] : NULL;
        bool good = true, takes = true;
        if (strcmp(name, "--histories") == 0) {
            good = read_number(value, &ret->histories);
        } else if (strcmp(name, "--seed") == 0) {
            good = read_number(value, &ret->seed);
        } else if (strcmp(name, "--seconds") == 0) {
            good = read_number(value, &ret->seconds);
        } else if (strcmp(name, "--only") == 0) {
            good = value && read_only(value, ret);
        } else {
            takes = false;
            bool *flag = strcmp(name, "--verbose") == 0 ? &ret->verbose
                         : strcmp(name, "--stop") == 0  ? &ret->stop
                         : strcmp(name, "--plain") == 0 ? &ret->plain
                                                        : NULL;
            good = flag != NULL;
            if (flag) *flag = true;
        }
        if (!good) return false;
        i += takes;
    }
    return true;
}

int main(int count, char **arguments) {
    static Options options;
    if (!read_options(count, arguments, &options)) {
        fputs(usage, stderr);
        return 2;
    }
    signal(SIGABRT, on_abort);
    TroublePlan plan = {options.only, BITES_MOST};
    static Totals totals;
    int64_t begun_us = clock_mono_us();
    int64_t end_us = options.seconds ? begun_us + (int64_t)options.seconds * US_PER_S : INT64_MAX;
    uint64_t done = 0;
    if (!options.some) check_replay(options.seed, &totals);
    for (; done < options.histories && clock_mono_us() < end_us; done++) {
        bool failed;
        uint64_t seed = options.seed + done;
        (void)run_one(seed, options.some ? &plan : NULL, options.verbose, &totals, &failed);
        if (!failed) continue;
        if (!options.plain && !options.some && totals.failed <= SHOWN_MOST) show_small(seed);
        fflush(stdout);
        if (options.stop) break;
    }
    double seconds = (double)(clock_mono_us() - begun_us) / 1e6;
    print_totals(&totals);
    printf("%.0f histories/s on this core, %" PRIu64 " steps a history, seeds %" PRIu64
           " to %" PRIu64 "\n",
           (double)done / seconds, totals.steps / (done ? done : 1), options.seed,
           options.seed + (done ? done - 1 : 0));
    printf("%" PRIu64 " passed, %" PRIu64 " failed, 0 skipped\n", totals.passed, totals.failed);
    return totals.failed ? 1 : 0;
}
