/* Filters on jobs, from a query string or a JSON body, by one table. Always within the caller's
 * queues. */
#pragma once

#include "api/input.h"
#include "core/access.h"
#include "engine/engine.h"
#include "net/http_request.h"

typedef struct JobFilterInput {
    JobFilter filter;
    bool has_any;    /* at least one filter was given */
    bool has_states; /* `state` was */
    bool dry_run;    /* JSON only */
} JobFilterInput;

/* Every query parameter that is a row of the table; others are left to the caller. false: see
 * errors. */
bool job_filter_from_query(const HttpRequest *request, const Principal *principal,
                           FieldErrors *errors, JobFilterInput *ret);
/* A JSON object of the same names (`tag` and `state` may be arrays; `ids`; `dry_run`), or the
 * absent value. Unknown members are errors. */
bool job_filter_from_json(Json body, const Principal *principal, FieldErrors *errors,
                          JobFilterInput *ret);
