/* The death at a crash point: see crash.h. Empty without -Dcrash_points=true.
 *
 * Nothing is flushed, closed or logged on the way: what a test sees afterwards is what a crash of
 * the process would have left. */
#include "base/crash.h"

#include "base/check.h"
#include "base/str.h"
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef TAKT_CRASH_POINTS

#define VARIABLE "TAKT_CRASH_AT"

#define CRASH_ROW(constant, name, when, meaning) {name, #when, meaning},
static const struct { const char *name, *when, *meaning; } POINTS[] = {CRASH_POINTS(CRASH_ROW)};

static size_t armed = LENGTH(POINTS); /* none */
static atomic_llong left;             /* passes until the end */

void crash_pass(CrashPoint point) {
    if (point != armed || atomic_fetch_sub(&left, 1) != 1) return;
    kill(getpid(), SIGKILL);
}

static size_t find(Str name) {
    size_t i = 0;
    while (i < LENGTH(POINTS) && !str_eq(name, str_from(POINTS[i].name))) {
        i++;
    }
    return i;
}

static _Noreturn void list_and_exit(void) {
    for (size_t i = 0; i < LENGTH(POINTS); i++) {
        printf("%s\t%s\t%s\n", POINTS[i].name, POINTS[i].when, POINTS[i].meaning);
    }
    exit(EXIT_SUCCESS);
}

static _Noreturn void refuse(const char *value, const char *why) {
    fprintf(stderr, VARIABLE "=%s: %s; it must be POINT:N, N from 1, and POINT one of\n", value,
            why);
    for (size_t i = 0; i < LENGTH(POINTS); i++) {
        fprintf(stderr, "    %s\n", POINTS[i].name);
    }
    exit(2);
}

void crash_setup(void) {
    const char *value = getenv(VARIABLE);
    if (!value || !*value) return;
    if (strcmp(value, "list") == 0) list_and_exit();
    Str rest = str_from(value);
    size_t point = find(str_split(&rest, ':'));
    int64_t n;
    if (point == LENGTH(POINTS)) refuse(value, "there is no such point");
    if (!rest.ptr || !str_to_int64(rest, &n) || n < 1) refuse(value, "N is not a number from 1");
    armed = point;
    left = n;
}

#endif
