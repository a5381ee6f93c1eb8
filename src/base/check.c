/* The end of a process that found itself wrong: see check.h.
 *
 * Not for what may be false at run time (error.h). Allocates nothing, so that it works when memory
 * is the thing that is broken. */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void check_failed(const char *condition, const char *file, int line) {
    fprintf(stderr, "%s:%d: check failed: %s\n", file, line, condition);
    abort();
}
