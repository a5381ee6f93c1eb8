/* From a forked process to the command: session, user, folder, signals, exec. The one invariant:
 * after the user was switched nothing of the worker is reachable but descriptors 0 to 3. */
#include "worker/reaper_process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

_Noreturn static void give_up(int report, ReportKind kind, const char *stage, int error) {
    Report message = {.kind = kind, .error = error};
    for (size_t i = 0; stage[i] && i + 1 < sizeof message.stage; i++)
        message.stage[i] = stage[i];
    ssize_t written = write(report, &message, sizeof message);
    _exit(written == (ssize_t)sizeof message ? 127 : 126);
}

/* The stage that failed, errno set; NULL when all went well. */
static const char *switch_user(const ReaperPlan *plan) {
    if (!plan->switch_user) return NULL;
    if (setgroups(plan->group_count, plan->groups) != 0) return "setgroups";
    if (setgid(plan->gid) != 0) return "setgid";
    if (setuid(plan->uid) != 0) return "setuid";
    return NULL;
}

static const char *set_up(const ReaperPlan *plan, pid_t reaper) {
    if (setsid() < 0) return "setsid";
    const char *failed = switch_user(plan);
    if (failed) return failed;
    if (plan->cwd && chdir(plan->cwd) != 0) return "chdir";
    umask(022);
    /* after the change of user, which clears it; the reaper may have died before */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return "prctl";
    if (getppid() != reaper) _exit(126);
    return NULL;
}

static void reset_signals(void) {
    struct sigaction action = {0};
    action.sa_handler = SIG_DFL;
    for (int number = 1; number < NSIG; number++)
        sigaction(number, &action, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Tries the candidates as a search along PATH does: the error that counts is the first one that
 * says more than "not here". */
static int execute(const ReaperPlan *plan) {
    int error = ENOENT;
    for (size_t i = 0; plan->candidates[i]; i++) {
        execve(plan->candidates[i], plan->argv, plan->environment);
        if (errno == ENOENT || errno == ENOTDIR) continue;
        if (errno != EACCES) return errno;
        error = EACCES;
    }
    return error;
}

_Noreturn void command_become(const ReaperPlan *plan, pid_t reaper, int report) {
    const char *failed = set_up(plan, reaper);
    if (failed) give_up(report, REPORT_NOT_SET_UP, failed, errno);
    reset_signals();
    give_up(report, REPORT_NOT_EXECUTED, "execve", execute(plan));
}
