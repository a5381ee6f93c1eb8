/* The worker's end of a reaper: descriptors, fork, messages. The one invariant: between fork and
 * _exit the new process runs only reaper_main(), which neither allocates nor returns. */
#include "worker/reaper.h"

#include "base/check.h"
#include "worker/reaper_process.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* Both ends of every pipe; above the numbers that the reaper moves its own to. */
typedef struct Wiring {
    int ours[WIRE_COUNT];
    int theirs[WIRE_COUNT];
} Wiring;

static void close_fd(int *fd) {
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

static int take_fd(int *fd) {
    int taken = *fd;
    *fd = -1;
    return taken;
}

static void wiring_done(Wiring *wiring) {
    for (size_t i = 0; i < WIRE_COUNT; i++) {
        close_fd(&wiring->ours[i]);
        close_fd(&wiring->theirs[i]);
    }
}

/* Moves a descriptor out of the way of 0 … WIRE_COUNT - 1; closes it on failure. */
static int raise_fd(int fd) {
    if (fd < 0) return -1;
    int raised = fcntl(fd, F_DUPFD_CLOEXEC, WIRE_COUNT + 8);
    close(fd);
    return raised;
}

/* A file in memory rather than a pipe: the command may read it, or not, at its own pace and
 * nobody has to feed it. */
static int input_file(Str input) {
    int fd = memfd_create("takt-args", MFD_CLOEXEC);
    size_t written = 0;
    while (fd >= 0 && written < input.len) {
        ssize_t count = write(fd, input.ptr + written, input.len - written);
        if (count <= 0) {
            close(fd);
            return -1;
        }
        written += (size_t)count;
    }
    if (fd >= 0 && lseek(fd, 0, SEEK_SET) != 0) {
        close(fd);
        return -1;
    }
    return raise_fd(fd);
}

static bool wire_pipe(Wiring *wiring, size_t wire, bool we_read) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return false;
    wiring->ours[wire] = raise_fd(ends[we_read ? 0 : 1]);
    wiring->theirs[wire] = raise_fd(ends[we_read ? 1 : 0]);
    if (wiring->ours[wire] < 0 || wiring->theirs[wire] < 0) return false;
    return fcntl(wiring->ours[wire], F_SETFL, O_NONBLOCK) == 0;
}

static bool wire_all(Wiring *wiring, Str input) {
    wiring->theirs[WIRE_INPUT] = input_file(input);
    return wiring->theirs[WIRE_INPUT] >= 0 && wire_pipe(wiring, WIRE_OUTPUT, /* we_read= */ true) &&
           wire_pipe(wiring, WIRE_ERRORS, /* we_read= */ true) &&
           wire_pipe(wiring, WIRE_PROGRESS, /* we_read= */ true) &&
           wire_pipe(wiring, WIRE_REPORT, /* we_read= */ true) &&
           wire_pipe(wiring, WIRE_CONTROL, /* we_read= */ false);
}

Err reaper_start(const ReaperPlan *plan, Reaper *ret, Error *error) {
    cleanup(wiring_done) Wiring wiring;
    for (size_t i = 0; i < WIRE_COUNT; i++)
        wiring.ours[i] = wiring.theirs[i] = -1;
    if (!wire_all(&wiring, plan->input)) {
        return error_set(error, ERR_UNAVAILABLE, "opening a job's pipes: %s", strerror(errno));
    }
    /* signals stay blocked across the fork: a handler of the worker must not run in the reaper */
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    if (pid == 0) reaper_main(plan, wiring.theirs);
    int fork_error = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (pid < 0) {
        return error_set(error, ERR_UNAVAILABLE, "starting a job's process: %s",
                         strerror(fork_error));
    }
    *ret = (Reaper){.pid = pid,
                    .control = take_fd(&wiring.ours[WIRE_CONTROL]),
                    .report = take_fd(&wiring.ours[WIRE_REPORT]),
                    .output = take_fd(&wiring.ours[WIRE_OUTPUT]),
                    .errors = take_fd(&wiring.ours[WIRE_ERRORS]),
                    .progress = take_fd(&wiring.ours[WIRE_PROGRESS])};
    return OK;
}

static void send_order(const Reaper *reaper, const Order *order) {
    /* A full pipe means that the reaper is stopped or gone: the next order carries the same
     * again. */
    if (reaper->control < 0) return;
    ssize_t written = write(reaper->control, order, sizeof *order);
    (void)written;
}

void reaper_set_lease(const Reaper *reaper, int64_t lease_us) {
    send_order(reaper, &(Order){.kind = ORDER_LEASE, .value = lease_us});
}

void reaper_stop(const Reaper *reaper, StopReason reason, int64_t grace_ms) {
    send_order(reaper, &(Order){.kind = ORDER_STOP, .reason = reason, .value = grace_ms});
}

ReportStatus reaper_read_report(const Reaper *reaper, Report *ret) {
    ssize_t len = read(reaper->report, ret, sizeof *ret);
    if (len == (ssize_t)sizeof *ret) return REPORT_GOT;
    return len < 0 && (errno == EAGAIN || errno == EINTR) ? REPORT_AGAIN : REPORT_GONE;
}

void reaper_close(Reaper *reaper) {
    close_fd(&reaper->control);
    close_fd(&reaper->report);
    close_fd(&reaper->output);
    close_fd(&reaper->errors);
    close_fd(&reaper->progress);
}
