/* The tables, and how they come to be: numbered steps, applied in one statement that any number of nodes
 * may send at once. */
#pragma once

#include "base/buf.h"
#include "base/error.h"

/* One DO statement that brings the schema up to date, under a lock that its transaction holds, or raises
 * why it is not for this program. Valid for ever. */
const char *pg_schema_migration(void);

/* Whether that SQLSTATE says that what is there is not for this program (final); the error becomes
 * ERR_CONFLICT. */
bool pg_schema_is_refused(const char *state, Error *error);

/* StoreKind.read_secret and .migrate: blocking. */
Err pg_read_secret(Str url, Buf *ret, Error *error);
Err pg_schema_migrate(Str url, bool check_only, Buf *report, Error *error);
