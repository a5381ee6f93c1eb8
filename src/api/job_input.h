/* From the API's JSON to a Job, strictly: one table of members with a reader each.
 *
 * What the contract names but this version does not do is refused in words, never accepted
 * silently. Pure but for the time and the caller that it is given. */
#pragma once

#include "api/input.h"
#include "core/access.h"
#include "core/job.h"

typedef struct JobInputRules {
    int64_t now_us;
    size_t max_args;            /* bytes */
    const Principal *principal; /* the queue must be one that they see */
    Str correlation_id;         /* of the request, or absent */
} JobInputRules;

/* Reads one job. true: *ret is whole; its texts are slices of the document or in the arena.
 * false: what is wrong was added to errors, pointers under `pointer`. */
bool job_input_read(Json document, const JobInputRules *rules, Str pointer, FieldErrors *errors,
                    Job *ret);

/* 1–128 bytes without control characters: for the member and for X-Correlation-Id. */
bool correlation_id_is_valid(Str text);

/* The retry member, over the defaults in *policy (input_retry.c). */
void input_retry(const Input *input, Json value, RetryPolicy *policy);

typedef enum JobMemberKind {
    JOB_MEMBER_IN,        /* read */
    JOB_MEMBER_READ_ONLY, /* set by the server only */
    JOB_MEMBER_LATER,     /* in the contract, not in this version */
} JobMemberKind;

/* The rows of the table, for the API's document and tests; false past the end. */
bool job_input_row(size_t index, const char **ret_name, JobMemberKind *ret_kind);
