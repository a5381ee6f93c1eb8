/* The record of ended attempts that a job carries: the last ATTEMPTS_KEPT, as JSON.
 *
 * One element:
 * {"fence","attempt","run","worker","started_at","finished_at","outcome":"failed"|"lost", "hash",
 * "error":{"type","message","backtrace":[…]}, "meta":{…}}. The API's `errors[]` is read from it.
 * `hash` lets a repeated report of the same outcome get the same answer. */
#pragma once

#include "core/job.h"

enum {
    ATTEMPTS_KEPT = 20,
    ERROR_TYPE_MAX = 100,
    ERROR_MESSAGE_MAX = 1000,
    BACKTRACE_LINES_MAX = 50,
    BACKTRACE_LINE_MAX = 500,
    ATTEMPT_META_MAX = 1024,
    ATTEMPT_WORKER_MAX = 128,
};

typedef struct AttemptError {
    Str type;      /* cut to ERROR_TYPE_MAX bytes; absent becomes "unknown" */
    Str message;   /* cut to ERROR_MESSAGE_MAX bytes */
    Str backtrace; /* JSON array of strings, or absent; cut to BACKTRACE_LINES_MAX lines of at
                      most BACKTRACE_LINE_MAX bytes */
    Str meta;      /* JSON object (exit_code, signal, max_rss_kb), or absent; left out
                      where it is longer than ATTEMPT_META_MAX */
} AttemptError;

/* Adds the job's current attempt as ended; the text lives in the arena. */
void attempt_record(Job *job, const char *outcome, const AttemptError *error, Str hash,
                    int64_t now_us, Arena *arena);

/* The hash (hex, 32 characters) of an outcome, in the arena. */
Str outcome_hash_success(Str result, Arena *arena);
Str outcome_hash_failure(const AttemptError *error, Arena *arena);

/* True when the attempt with this fence ended with this hash: a repeated report. */
bool attempt_repeats(const Job *job, int64_t fence, Str hash);
