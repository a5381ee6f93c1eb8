/* Cursors of lists: where the next page begins, sealed so that nobody can make one up.
 *
 * A cursor is good for the list it came from only: its scope (route, caller, filters) is part of
 * the MAC (HMAC-SHA256, cut to 128 bits), and so is the time it was given, since it expires.
 * Pure. */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include <stdint.h>

enum { CURSOR_KEY_SIZE = 32, CURSOR_TTL_S = 24 * 3600 };

/* The text for `position` (not 0), in the arena. */
Str cursor_seal(const uint8_t key[CURSOR_KEY_SIZE], Str scope, int64_t position, int64_t now_us,
                Arena *arena);

/* ERR_INVALID "invalid-cursor" when it is forged, of another list, or expired: which is not
 * told. */
Err cursor_open(const uint8_t key[CURSOR_KEY_SIZE], Str scope, Str text, int64_t now_us,
                int64_t *ret_position, Error *error) must_check;
