/* What the kernel tells about this process, for the process_* metrics. */
#pragma once

#include "base/error.h"

typedef struct ProcessFigures {
    double cpu_seconds;
    double resident_bytes;
    double virtual_bytes;
    double open_fds;
    double max_fds;
    double start_seconds; /* since the Unix epoch */
} ProcessFigures;

/* Reads /proc (proc(5): self/stat, self/fd, stat) and getrlimit(2). ERR_UNAVAILABLE where /proc is
 * not mounted. Costs a few system calls per thousand open descriptors. */
Err process_figures(ProcessFigures *ret, Error *error) must_check;
