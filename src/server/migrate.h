/* What `takt migrate` does: the store's schema brought up to date without a node. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

/* Blocking. Appends a line for each step to `report`. ERR_CONFLICT: check_only and a step is due, or what is
 * there is not for this program. */
Err migrate_store(Str url, bool check_only, Buf *report, Error *error) must_check;
