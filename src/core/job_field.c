/* The table of a job's stored fields, in the order of their columns.
 *
 * The invariant: every member of struct Job has exactly one row, and its kind comes from
 * its type, so neither can disagree with the struct (tests/unit/core/test_job.c counts the
 * bytes). */
#include "core/job.h"

#include <stddef.h>

#define KIND(member)                                                                               \
    _Generic(((Job *)0)->member, int64_t                                                           \
             : FIELD_INT, Str                                                                      \
             : FIELD_TEXT, JobKey                                                                  \
             : FIELD_KEY, RetryPolicy                                                              \
             : FIELD_RETRY)

#define FIXED(member)                                                                              \
    { #member, KIND(member), offsetof(Job, member), false }
#define CHANGES(member)                                                                            \
    { #member, KIND(member), offsetof(Job, member), true }

const JobField job_fields[] = {
    FIXED(key),
    FIXED(id),
    FIXED(queue),
    FIXED(type),
    FIXED(version),
    CHANGES(priority),
    CHANGES(state),
    CHANGES(reason),
    CHANGES(due_us),
    CHANGES(run_at_us),
    CHANGES(expires_us),
    FIXED(created_us),
    CHANGES(enqueued_us),
    CHANGES(started_us),
    CHANGES(finished_us),
    CHANGES(deadline_us),
    CHANGES(fence),
    CHANGES(attempt),
    CHANGES(failures),
    CHANGES(lost),
    CHANGES(run),
    FIXED(max_lost),
    FIXED(timeout_ms),
    FIXED(backtrace),
    FIXED(retry),
    FIXED(correlation_id),
    CHANGES(worker),
    CHANGES(outcome),
    CHANGES(failure_first),
    CHANGES(args),
    CHANGES(tags),
    FIXED(meta),
    FIXED(custom),
    FIXED(notify),
    CHANGES(result),
    CHANGES(progress),
    CHANGES(attempts),
};

const size_t job_field_count = LENGTH(job_fields);
