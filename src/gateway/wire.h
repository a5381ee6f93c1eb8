/* Between the worker protocol's job object and a Job: the two worlds' mapping, in one place. */
#pragma once

#include "base/arena.h"
#include "core/job.h"
#include "proto/wire_job.h"

/* A pushed job, checked by wire_job_check(), as the engine takes it: names and limits of the
 * contract are checked here. max_args in bytes. Strings are borrowed from `wire`. */
Err wire_to_job(const WireJob *wire, size_t max_args, Job *ret, Error *error) must_check;

/* A leased job for FETCH; opted-in peers get the fence, lease and attempt as well (lease_ms > 0).
 */
void wire_from_job(const Job *job, int64_t lease_ms, Arena *arena, WireJob *ret);
