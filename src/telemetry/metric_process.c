/* Reads the process's figures from /proc.
 *
 * The format is proc(5)'s; nothing is kept between calls. */
#include "telemetry/metric_process.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static void close_file(FILE **file) {
    if (*file) fclose(*file);
}

static void close_directory(DIR **directory) {
    if (*directory) closedir(*directory);
}

/* proc(5): the fields behind the command, whose name may hold blanks and parentheses. */
static Err read_stat(ProcessFigures *ret, double *ret_start_ticks, Error *error) {
    char line[2048];
    cleanup(close_file) FILE *file = fopen("/proc/self/stat", "re");
    if (!file || !fgets(line, sizeof(line), file)) {
        return error_set(error, ERR_UNAVAILABLE, "reading /proc/self/stat");
    }
    const char *behind_command = strrchr(line, ')');
    uint64_t user = 0, system_time = 0, start = 0, size = 0;
    int64_t pages = 0;
    int fields = !behind_command
                     ? 0
                     : sscanf(behind_command + 1,
                              " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64
                              " %*d %*d %*d %*d %*d %*d %" SCNu64 " %" SCNu64 " %" SCNd64,
                              &user, &system_time, &start, &size, &pages);
    if (fields != 5) return error_set(error, ERR_UNAVAILABLE, "/proc/self/stat is not as expected");
    double ticks = (double)sysconf(_SC_CLK_TCK);
    ret->cpu_seconds = (double)(user + system_time) / ticks;
    ret->virtual_bytes = (double)size;
    ret->resident_bytes = (double)pages * (double)sysconf(_SC_PAGESIZE);
    *ret_start_ticks = (double)start / ticks;
    return OK;
}

static Err read_boot_time(double *ret_seconds, Error *error) {
    char line[4096];
    uint64_t seconds = 0;
    cleanup(close_file) FILE *file = fopen("/proc/stat", "re");
    while (file && fgets(line, sizeof(line), file)) {
        if (sscanf(line, "btime %" SCNu64, &seconds) != 1) continue;
        *ret_seconds = (double)seconds;
        return OK;
    }
    return error_set(error, ERR_UNAVAILABLE, "reading the boot time from /proc/stat");
}

static Err count_fds(double *ret, Error *error) {
    cleanup(close_directory) DIR *directory = opendir("/proc/self/fd");
    if (!directory) return error_set(error, ERR_UNAVAILABLE, "reading /proc/self/fd");
    int count = 0;
    for (const struct dirent *entry = readdir(directory); entry; entry = readdir(directory)) {
        if (entry->d_name[0] != '.') count++;
    }
    *ret = count - 1; /* the directory itself */
    return OK;
}

Err process_figures(ProcessFigures *ret, Error *error) {
    ProcessFigures figures = {0};
    double start = 0;
    double boot = 0;
    TRY(read_stat(&figures, &start, error));
    TRY(read_boot_time(&boot, error));
    TRY(count_fds(&figures.open_fds, error));
    struct rlimit limit = {0};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return error_set(error, ERR_UNAVAILABLE, "reading the limit of open files");
    }
    figures.max_fds = (double)limit.rlim_cur;
    figures.start_seconds = boot + start;
    *ret = figures;
    return OK;
}
