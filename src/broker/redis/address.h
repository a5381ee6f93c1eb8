/* redis://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE][?prefix=PREFIX] */
#pragma once

#include "base/error.h"
#include "base/str.h"
#include "broker/redis/link.h"

/* Errors name the part and never its text, which may be a password. redis_address_done() afterwards, also
 * after an error. */
Err redis_address_parse(Str url, RedisAddress *ret, Error *error) must_check;
void redis_address_done(RedisAddress *address);
