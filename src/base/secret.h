/* A secret as a type of its own, so that it can't be printed by mistake: what takes a Str does not
 * take a Secret. The logger (telemetry/log.h) and the configuration's printer show it as ***.
 *
 * It borrows like a Str. Only the code that hands it to a peer or to a hash reads `text`. */
#pragma once

#include "base/str.h"

typedef struct Secret {
    Str text; /* absent or empty: no secret is set */
} Secret;
