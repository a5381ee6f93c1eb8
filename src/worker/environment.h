/* A job's environment, built from nothing: the worker's own is never passed on. */
#pragma once

#include "base/arena.h"
#include "proto/wire_job.h"
#include "worker/worker.h"

#define ENVIRONMENT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

enum { ENVIRONMENT_PROGRESS_FD = 3 };

/* PATH, HOME, USER, LOGNAME and LANG, then what the type configures (which wins), then
 * TAKT_JOB_ID, TAKT_FENCE, TAKT_JOB_TYPE, TAKT_JOB_VERSION, TAKT_QUEUE, TAKT_ATTEMPT,
 * TAKT_PROGRESS_FD, and where the job has them TAKT_CORRELATION_ID and TRACEPARENT. Every name
 * once. NULL-terminated, in the arena. */
char **environment_build(const ConfigType *type, const WireJob *job, Str home, Str user, Str lang,
                         Arena *arena);

/* The value of a name in such an environment, or NULL. */
const char *environment_get(char *const *environment, Str name);

/* The paths that execve() shall try for a program, by the environment's PATH; the program itself
 * when it holds a '/'. NULL-terminated, in the arena. */
char **environment_candidates(Str program, char *const *environment, Arena *arena);
