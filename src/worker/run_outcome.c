/* What is reported of an attempt that has ended. The one invariant: a stop that was asked for
 * decides the outcome, whatever the command then exits with. */
#include "worker/run.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

enum { SHOWN_LINES = 50, SHOWN_BYTES = 8192, SHOWN_LINE = 400 };

static Str last_bytes(Str text, size_t max) {
    return text.len <= max ? text : (Str){text.ptr + (text.len - max), max};
}

/* The last line that is not blank. */
static Str last_line(Str text) {
    text = str_trim(text);
    size_t at = text.len;
    while (at > 0 && text.ptr[at - 1] != '\n')
        at--;
    Str line = {text.ptr ? text.ptr + at : NULL, text.len - at};
    return line.len > SHOWN_LINE ? (Str){line.ptr, SHOWN_LINE} : line;
}

/* The last lines of stderr as a JSON array, or absent when there are none. */
static Json last_lines(Run *run) {
    Str text = str_trim(last_bytes(tail_str(&run->errors), SHOWN_BYTES));
    if (text.len == 0) return (Json){0};
    size_t lines = 1;
    size_t at = text.len;
    while (at > 0 && (text.ptr[at - 1] != '\n' || lines++ < SHOWN_LINES))
        at--;
    text = (Str){text.ptr + at, text.len - at};
    cleanup(buf_done) Buf buf;
    buf_init(&buf, SHOWN_BYTES * 8);
    JsonWriter writer = json_writer(&buf);
    json_begin_array(&writer);
    while (text.ptr)
        json_write_string(&writer, str_split(&text, '\n'));
    json_end_array(&writer);
    return (Json){.kind = JSON_ARRAY, .text = arena_str(&run->arena, buf_str(&buf))};
}

static Json write_meta(Run *run) {
    cleanup(buf_done) Buf buf;
    buf_init(&buf, 256);
    JsonWriter writer = json_writer(&buf);
    int status = run->end.status;
    json_begin_object(&writer);
    if (WIFEXITED(status)) json_put_int(&writer, "exit_code", WEXITSTATUS(status));
    if (WIFSIGNALED(status)) json_put_int(&writer, "signal", WTERMSIG(status));
    json_put_int(&writer, "max_rss_kb", run->end.max_rss_kb);
    json_end_object(&writer);
    return (Json){.kind = JSON_OBJECT, .text = arena_str(&run->arena, buf_str(&buf))};
}

static void set_failure(Outcome *outcome, Str type, Str message) {
    outcome->failed = true;
    outcome->error_type = type;
    outcome->error_message = message;
}

static void describe_stop(const Run *run, Outcome *outcome) {
    switch (run->end.reason) {
    case STOP_NONE: break;
    case STOP_TIMEOUT:
        set_failure(outcome, STR("timeout"), STR("ran longer than its time limit"));
        break;
    case STOP_CANCEL:
        set_failure(outcome, STR("cancelled"), STR("cancelled while it ran"));
        outcome->not_retryable = true;
        break;
    case STOP_LEASE:
        set_failure(outcome, STR("lease-lost"),
                    STR("the server could not be reached in time, so the command was ended before "
                        "its lease was"));
        break;
    case STOP_SHUTDOWN:
        set_failure(outcome, STR("shutdown"), STR("the worker was stopped while it ran"));
        outcome->retry_after_ms = 0;
        break;
    }
}

static void describe_end(Run *run, Outcome *outcome) {
    int status = run->end.status;
    Str line = last_line(tail_str(&run->errors));
    Str colon = line.len > 0 ? STR(": ") : STR("");
    if (WIFSIGNALED(status)) {
        const char *name = sigabbrev_np(WTERMSIG(status));
        set_failure(outcome, STR("signal"),
                    arena_format(&run->arena, "ended by signal %d%s%s" STR_FMT STR_FMT,
                                 WTERMSIG(status), name ? " SIG" : "", name ? name : "",
                                 STR_ARG(colon), STR_ARG(line)));
    } else if (WEXITSTATUS(status) != 0) {
        set_failure(outcome, STR("exit-code"),
                    arena_format(&run->arena, "exit code %d" STR_FMT STR_FMT, WEXITSTATUS(status),
                                 STR_ARG(colon), STR_ARG(line)));
    } else {
        outcome->result = result_capture_json(&run->result, &run->arena);
    }
}

Outcome run_outcome(Run *run) {
    check(run_has_ended(run));
    Outcome outcome = {.jid = run->job.jid, .fence = run->job.fence, .retry_after_ms = -1};
    if (run->failure.err != OK) {
        set_failure(&outcome, str_from(run->failure.code), str_from(run->failure.message));
        outcome.not_retryable = run->not_retryable;
        return outcome;
    }
    outcome.meta = write_meta(run);
    if (run->end.reason != STOP_NONE) {
        describe_stop(run, &outcome);
    } else {
        describe_end(run, &outcome);
    }
    if (outcome.failed) outcome.backtrace = last_lines(run);
    return outcome;
}
