/* Starts and feeds an attempt. The one invariant: a run ends exactly once, with a report or with a
 * failure of its own. */
#include "worker/run.h"

#include "base/alloc.h"
#include "worker/environment.h"
#include "worker/template.h"
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PROGRESS_LINE_MAX = 1024, GROUPS_MAX = 1024 };

const ConfigType *run_find_type(const WorkerConfig *config, const WireJob *job) {
    const ConfigType *any = NULL;
    for (size_t i = 0; i < config->type_count; i++) {
        const ConfigType *type = &config->types[i];
        if (!str_eq(type->name, job->jobtype)) continue;
        if (type->version > 0 && type->version == (job->version > 0 ? job->version : 1))
            return type;
        if (type->version == 0) any = type;
    }
    return any;
}

static void copy_job(Arena *arena, const WireJob *from, WireJob *to) {
    *to = *from;
    Str *texts[] = {&to->jid,          &to->jobtype,     &to->queue,         &to->at,
                    &to->created_at,   &to->enqueued_at, &to->args.text,     &to->custom.text,
                    &to->failure.text, &to->traceparent, &to->correlation_id};
    for (size_t i = 0; i < LENGTH(texts); i++)
        *texts[i] = arena_str(arena, *texts[i]);
}

static void fail(Run *run, const Error *why) {
    run->failure = *why;
    run->ended = true;
}

typedef struct Account {
    Str home;
    Str name;
} Account;

/* Who the command runs as. Without a configured user, or as the same one, nothing is switched. */
static Err find_account(Run *run, Str wanted, ReaperPlan *plan, Account *ret, Error *error) {
    errno = 0;
    const struct passwd *entry =
        wanted.len > 0 ? getpwnam(arena_cstr(&run->arena, wanted)) : getpwuid(geteuid());
    if (!entry && wanted.len > 0) {
        return error_code(error, ERR_INVALID, "setup-failed", "there is no user '" STR_FMT "'",
                          STR_ARG(wanted));
    }
    if (!entry) return OK; /* a worker whose own id has no name */
    *ret = (Account){.home = arena_str(&run->arena, str_from(entry->pw_dir)),
                     .name = arena_str(&run->arena, str_from(entry->pw_name))};
    if (wanted.len == 0 || entry->pw_uid == geteuid()) return OK;
    gid_t *groups = arena_zero(&run->arena, GROUPS_MAX, sizeof *groups);
    int count = GROUPS_MAX;
    if (getgrouplist(ret->name.ptr, entry->pw_gid, groups, &count) < 0) count = GROUPS_MAX;
    plan->switch_user = true;
    plan->uid = entry->pw_uid;
    plan->gid = entry->pw_gid;
    plan->groups = groups;
    plan->group_count = (size_t)count;
    return OK;
}

static int64_t shorter_limit(int64_t a_ms, int64_t b_ms) {
    if (a_ms <= 0) return b_ms > 0 ? b_ms : 0;
    return b_ms > 0 && b_ms < a_ms ? b_ms : a_ms;
}

static Err start(Run *run, const WorkerConfig *config, Error *error) {
    const ConfigType *type = run->type;
    if (!type) {
        return error_code(error, ERR_INVALID, "unknown-type",
                          "this worker has no command for type '" STR_FMT "': add it under types: "
                          "in its configuration, or move such jobs to a queue it does not serve",
                          STR_ARG(run->job.jobtype));
    }
    Arena *arena = &run->arena;
    char **argv;
    TRY(template_command(type->exec.items, type->exec.count, run->job.args, arena, &argv, error));
    ReaperPlan plan = {.argv = argv,
                       .input = run->job.args.text.ptr ? run->job.args.text : STR("null"),
                       .cwd = type->cwd.len > 0 ? arena_cstr(arena, type->cwd) : NULL,
                       .limit_ms = shorter_limit(type->timeout_ms, run->job.timeout_ms),
                       .grace_ms = WORKER_GRACE_MS,
                       .lease_us = run->lease_us};
    Account account = {0};
    TRY(find_account(run, type->user.len > 0 ? type->user : config->user, &plan, &account, error));
    char **environment = environment_build(type, &run->job, account.home, account.name,
                                           str_from(getenv("LANG")), arena);
    plan.environment = environment;
    plan.candidates = environment_candidates(type->exec.items[0], environment, arena);
    if (reaper_start(&plan, &run->reaper, error) != OK) {
        return error_code(error, ERR_UNAVAILABLE, "setup-failed", "%s", strerror(errno));
    }
    for (int i = 0; i < RUN_STREAMS; i++)
        run->open[i] = true;
    return OK;
}

Run *run_new(const WireJob *job, const WorkerConfig *config, int64_t lease_us) {
    Run *run = alloc_zero(1, sizeof *run);
    copy_job(&run->arena, job, &run->job);
    run->reaper = (Reaper){0, -1, -1, -1, -1, -1};
    run->type = run_find_type(config, job);
    run->lease_us = lease_us;
    run->lease_ms = job->lease_ms;
    run->percent = -1;
    result_capture_init(&run->result, WORKER_RESULT_MAX);
    tail_init(&run->errors, WORKER_OUTPUT_KEPT);
    tail_init(&run->log, WORKER_OUTPUT_KEPT);
    buf_init(&run->progress_line, PROGRESS_LINE_MAX);
    buf_init(&run->progress_text, PROGRESS_LINE_MAX);
    Error error = {0};
    if (start(run, config, &error) != OK) {
        run->not_retryable = strcmp(error.code, "bad-template") == 0;
        fail(run, &error);
    }
    return run;
}

void run_free(Run *run) {
    if (!run) return;
    reaper_close(&run->reaper);
    if (run->reaper.pid > 0) waitpid(run->reaper.pid, NULL, WNOHANG);
    result_capture_done(&run->result);
    tail_done(&run->errors);
    tail_done(&run->log);
    buf_done(&run->progress_line);
    buf_done(&run->progress_text);
    arena_done(&run->arena);
    free(run);
}

static int *stream_fd(Reaper *reaper, RunStream stream) {
    switch (stream) {
    case RUN_REPORT: return &reaper->report;
    case RUN_OUTPUT: return &reaper->output;
    case RUN_ERRORS: return &reaper->errors;
    case RUN_PROGRESS: return &reaper->progress;
    case RUN_STREAMS: break;
    }
    check_failed("a stream of a run", __FILE__, __LINE__);
}

int run_fd(const Run *run, RunStream stream) {
    Reaper reaper = run->reaper;
    return run->open[stream] ? *stream_fd(&reaper, stream) : -1;
}

static void close_stream(Run *run, RunStream stream) {
    if (!run->open[stream]) return;
    run->open[stream] = false;
    int *fd = stream_fd(&run->reaper, stream);
    close(*fd);
    *fd = -1;
}

static void fail_with_errno(Run *run, const Report *report) {
    const char *name = strerrorname_np(report->error);
    Error error = {0};
    if (report->kind == REPORT_NOT_EXECUTED) {
        char code[sizeof error.code];
        snprintf(code, sizeof code, "exec-failed: %s", name ? name : "unknown");
        error_code(&error, ERR_INVALID, code, "running '" STR_FMT "': %s",
                   STR_ARG(run->type->exec.items[0]), strerror(report->error));
    } else {
        error_code(&error, ERR_INVALID, "setup-failed", "%s: %s", report->stage,
                   strerror(report->error));
    }
    fail(run, &error);
}

/* The reaper was killed by someone. Its command dies with it; what else the command started
 * comes to the worker, which ends it (worker.c). */
static void lose_reaper(Run *run) {
    if (run->end.pid > 0) kill(-run->end.pid, SIGKILL);
    Error error = {0};
    error_code(&error, ERR_INTERNAL, "reaper-killed",
               "the process that watches over the command was killed");
    fail(run, &error);
}

static void read_report(Run *run) {
    Report report;
    ReportStatus status = reaper_read_report(&run->reaper, &report);
    if (status == REPORT_AGAIN) return;
    if (status == REPORT_GONE) {
        close_stream(run, RUN_REPORT);
        if (!run->ended) lose_reaper(run);
        return;
    }
    pid_t pid = report.pid > 0 ? report.pid : run->end.pid;
    run->end = report;
    run->end.pid = pid;
    switch (report.kind) {
    case REPORT_STARTED: break;
    case REPORT_ENDED: run->ended = true; break;
    case REPORT_NOT_EXECUTED:
    case REPORT_NOT_SET_UP: fail_with_errno(run, &report); break;
    }
}

/* "PERCENT" or "PERCENT MESSAGE"; anything else is not progress and passed over. */
static void take_progress_line(Run *run, Str line) {
    line = str_trim(line);
    Str message = line;
    Str number = str_split(&message, ' ');
    uint64_t percent;
    if (!str_to_uint64(number, &percent) || percent > 100) return;
    run->percent = (int64_t)percent;
    buf_clear(&run->progress_text);
    buf_add(&run->progress_text, str_trim(message));
    run->progress_message = buf_str(&run->progress_text);
}

static void take_progress(Run *run, Str bytes) {
    for (size_t i = 0; i < bytes.len; i++) {
        if (bytes.ptr[i] != '\n') {
            buf_add_char(&run->progress_line, bytes.ptr[i]);
            continue;
        }
        if (!run->progress_line.overflow) take_progress_line(run, buf_str(&run->progress_line));
        buf_clear(&run->progress_line);
    }
}

void run_read(Run *run, RunStream stream, char *scratch, size_t size) {
    if (!run->open[stream]) return;
    if (stream == RUN_REPORT) {
        read_report(run);
        return;
    }
    ssize_t len = read(run_fd(run, stream), scratch, size);
    if (len < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (len <= 0) {
        close_stream(run, stream);
        return;
    }
    Str bytes = {scratch, (size_t)len};
    if (stream == RUN_PROGRESS) {
        take_progress(run, bytes);
        return;
    }
    tail_add(&run->log, bytes);
    if (stream == RUN_OUTPUT) {
        result_capture_add(&run->result, bytes);
    } else {
        tail_add(&run->errors, bytes);
    }
}

bool run_has_ended(const Run *run) {
    return run->ended && !run->open[RUN_OUTPUT] && !run->open[RUN_ERRORS] &&
           !run->open[RUN_PROGRESS];
}

void run_abandon_output(Run *run) {
    close_stream(run, RUN_OUTPUT);
    close_stream(run, RUN_ERRORS);
    close_stream(run, RUN_PROGRESS);
}

void run_set_lease(Run *run, int64_t lease_us) {
    if (lease_us == run->lease_us) return;
    run->lease_us = lease_us;
    reaper_set_lease(&run->reaper, lease_us);
}

void run_stop(Run *run, StopReason reason, int64_t grace_ms) {
    reaper_stop(&run->reaper, reason, grace_ms);
}
