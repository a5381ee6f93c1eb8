/* The schema: numbered steps, applied in order when a file is opened. A step that has been
 * released is never changed; a new field on a job is one more step. */
#pragma once

#include "base/error.h"
#include <sqlite3.h>
#include <stdint.h>

/* Refuses a file of another program (ERR_INVALID "foreign-store") or of a newer version of this one
 * (ERR_CONFLICT "newer-store"), before anything is written to it. */
Err schema_check(sqlite3 *db, const char *path, Error *error) must_check;

/* Brings the file to the newest step, in one transaction. now_us: where a new store begins to
 * count. */
Err schema_migrate(sqlite3 *db, int64_t now_us, Error *error) must_check;
