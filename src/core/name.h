/* Names that users give: ids, types, queues, tags. One rule each, one sentence when it is broken.
 */
#pragma once

#include "base/error.h"
#include "base/str.h"

/* 1–64 of A-Za-z0-9_.:-, neither "." nor "..", and not reserved. Errors: ERR_INVALID "invalid-name" or "reserved-name"
 * (begins with "takt."), naming the allowed characters. */
Err name_check_id(Str id, Error *error) must_check;
Err name_check_queue(Str queue, Error *error) must_check;
/* 1–128 of A-Za-z0-9_.:-/\ */
Err name_check_type(Str type, Error *error) must_check;
/* 1–64 bytes of UTF-8 without control characters. */
Err name_check_tag(Str tag, Error *error) must_check;
