/* The reaper's life: start the command, wait for its end, an order or a deadline, leave nothing
 * behind. The one invariant: it exits only when wait(2) says that it has no children left. */
#include "worker/reaper_process.h"

#include "base/clock.h"
#include "base/time.h"
#include "worker/children.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct Watch {
    pid_t command;     /* 0 once it was waited for */
    int child_signals; /* signalfd of SIGCHLD */
    int64_t lease_us;  /* all times CLOCK_MONOTONIC; INT64_MAX: never */
    int64_t limit_us;
    int64_t kill_us;
    int64_t grace_ms;
    StopReason reason;
    int status;
    int64_t max_rss_kb;
} Watch;

static void send_report(const Report *report) {
    ssize_t written;
    do {
        written = write(WIRE_REPORT, report, sizeof *report);
    } while (written < 0 && errno == EINTR);
}

/* The job's descriptors become 0 … 3, ours follow, everything else of the worker is closed. */
static void take_wires(const int wires[WIRE_COUNT]) {
    for (int i = 0; i < WIRE_COUNT; i++)
        dup2(wires[i], i);
    close_range(WIRE_COUNT, ~0U, 0);
    fcntl(WIRE_CONTROL, F_SETFD, FD_CLOEXEC);
    fcntl(WIRE_REPORT, F_SETFD, FD_CLOEXEC);
    fcntl(WIRE_CONTROL, F_SETFL, O_NONBLOCK);
}

/* So that the end of the command's output is seen once the last process that holds it is gone. */
static void drop_command_wires(void) {
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int i = WIRE_INPUT; i <= WIRE_PROGRESS; i++) {
        if (null < 0) {
            close(i);
        } else {
            dup2(null, i);
        }
    }
}

static void wait_for_children(Watch *watch, bool *ret_none_left) {
    for (;;) {
        int status;
        struct rusage usage;
        pid_t pid = wait4(-1, &status, WNOHANG, &usage);
        if (pid <= 0) {
            *ret_none_left = pid < 0 && errno == ECHILD;
            return;
        }
        if (pid != watch->command) continue;
        watch->command = 0;
        watch->status = status;
        watch->max_rss_kb = usage.ru_maxrss;
    }
}

static void poll_child_signals(const Watch *watch, int timeout_ms) {
    struct pollfd poller = {.fd = watch->child_signals, .events = POLLIN};
    struct signalfd_siginfo info;
    if (poll(&poller, 1, timeout_ms) > 0) {
        while (read(watch->child_signals, &info, sizeof info) > 0)
            continue;
    }
}

/* Kills generation after generation: what a killed child leaves behind becomes our child. */
static void end_everything(Watch *watch) {
    bool none_left = false;
    for (int pause_ms = 1; !none_left; pause_ms = pause_ms < 50 ? pause_ms * 2 : 50) {
        if (watch->command) kill(-watch->command, SIGKILL);
        children_kill();
        poll_child_signals(watch, pause_ms);
        wait_for_children(watch, &none_left);
    }
}

static int64_t after_ms(int64_t ms) {
    return clock_mono_us() + ms * US_PER_MS;
}

static void stop_command(Watch *watch, StopReason reason, int64_t grace_ms) {
    if (watch->reason == STOP_NONE) watch->reason = reason;
    if (grace_ms > 0 && watch->kill_us == INT64_MAX && watch->command) {
        kill(-watch->command, SIGTERM);
    }
    int64_t kill_us = after_ms(grace_ms);
    if (kill_us < watch->kill_us) watch->kill_us = kill_us;
}

/* false when the worker is gone. */
static bool obey(Watch *watch) {
    Order order;
    for (;;) {
        ssize_t len = read(WIRE_CONTROL, &order, sizeof order);
        if (len == 0) return false;
        if (len != (ssize_t)sizeof order) return len < 0 && (errno == EAGAIN || errno == EINTR);
        if (order.kind == ORDER_LEASE) {
            /* stopped and continued together with the worker, it may hear of a new lease before it
             * has acted on the end of the old one */
            if (clock_mono_us() < watch->lease_us) watch->lease_us = order.value;
        } else {
            stop_command(watch, order.reason, order.value);
        }
    }
}

/* Acts on what is due and returns the ms until the next deadline, -1 for none. */
static int keep_deadlines(Watch *watch) {
    int64_t now_us = clock_mono_us();
    if (now_us >= watch->lease_us) stop_command(watch, STOP_LEASE, 0);
    if (now_us >= watch->limit_us) {
        watch->limit_us = INT64_MAX;
        stop_command(watch, STOP_TIMEOUT, watch->grace_ms);
    }
    if (now_us >= watch->kill_us && watch->command) {
        kill(-watch->command, SIGKILL);
        kill(watch->command, SIGKILL); /* it may have left its group */
    }
    int64_t next_us = watch->lease_us < watch->limit_us ? watch->lease_us : watch->limit_us;
    if (watch->kill_us < next_us) next_us = watch->kill_us;
    if (next_us == INT64_MAX) return -1;
    int64_t wait_ms = (next_us - now_us) / US_PER_MS + 1;
    return wait_ms < 1 ? 1 : wait_ms > 60000 ? 60000 : (int)wait_ms;
}

/* Until the command has ended (true) or the worker is gone (false). */
static bool watch_command(Watch *watch) {
    bool none_left;
    for (;;) {
        int wait_ms = keep_deadlines(watch);
        struct pollfd pollers[] = {{.fd = WIRE_CONTROL, .events = POLLIN},
                                   {.fd = watch->child_signals, .events = POLLIN}};
        poll(pollers, 2, wait_ms);
        if (pollers[1].revents) poll_child_signals(watch, 0);
        wait_for_children(watch, &none_left);
        if (!watch->command) return true;
        if (pollers[0].revents && !obey(watch)) return false;
    }
}

/* Forks the command and waits until it runs or has said why not. */
static bool start_command(const ReaperPlan *plan, Watch *watch, pid_t self) {
    Report report = {.kind = REPORT_NOT_SET_UP, .stage = "fork"};
    int exec_pipe[2];
    if (pipe2(exec_pipe, O_CLOEXEC) != 0) {
        report.error = errno;
        send_report(&report);
        return false;
    }
    pid_t pid = fork();
    if (pid == 0) command_become(plan, self, exec_pipe[1]);
    report.error = errno;
    close(exec_pipe[1]);
    ssize_t len = pid < 0 ? (ssize_t)sizeof report : read(exec_pipe[0], &report, sizeof report);
    close(exec_pipe[0]);
    if (len == (ssize_t)sizeof report) {
        send_report(&report);
        return false;
    }
    watch->command = pid;
    report = (Report){.kind = REPORT_STARTED, .pid = pid};
    send_report(&report);
    return true;
}

_Noreturn void reaper_main(const ReaperPlan *plan, const int wires[WIRE_COUNT]) {
    take_wires(wires);
    setsid();
    prctl(PR_SET_NAME, "takt-reaper");
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    /* the worker's memory and environment, copied by the fork, are not the command's to read */
    prctl(PR_SET_DUMPABLE, 0);
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    Watch watch = {.child_signals = signalfd(-1, &child, SFD_NONBLOCK | SFD_CLOEXEC),
                   .lease_us = plan->lease_us,
                   .limit_us = plan->limit_ms > 0 ? after_ms(plan->limit_ms) : INT64_MAX,
                   .kill_us = INT64_MAX,
                   .grace_ms = plan->grace_ms};
    bool started = start_command(plan, &watch, getpid());
    drop_command_wires();
    bool worker_listens = started && watch_command(&watch);
    end_everything(&watch);
    if (worker_listens) {
        Report report = {.kind = REPORT_ENDED,
                         .reason = watch.reason,
                         .status = watch.status,
                         .max_rss_kb = watch.max_rss_kb};
        send_report(&report);
    }
    _exit(0);
}
