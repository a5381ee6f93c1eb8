/* Memory by lifespan: everything a request, frame, batch or tick allocates goes with it at once.
 *
 * A zero Arena is valid and empty. Not thread safe; an arena belongs to whoever works on it now. */
#pragma once

#include "base/check.h"
#include "base/str.h"
#include <stddef.h>

typedef struct ArenaChunk ArenaChunk;

typedef struct Arena {
    ArenaChunk *chunk; /* newest first */
    size_t used;       /* bytes handed out since the last reset, for limits */
} Arena;

/* `size` bytes aligned for any type, uninitialised; never NULL. */
void *arena_alloc(Arena *arena, size_t size) __attribute__((returns_nonnull));

/* `count` zeroed elements of `size` bytes; never NULL. Overflow aborts. */
void *arena_zero(Arena *arena, size_t count, size_t size) __attribute__((returns_nonnull));

/* One zeroed object of a type. */
#define arena_new(arena, type) ((type *)arena_zero((arena), 1, sizeof(type)))

/* A copy of the bytes, with a NUL behind them that is not counted in len. A Str with ptr NULL stays
 * NULL (absent stays absent). */
Str arena_str(Arena *arena, Str text);

/* A NUL-terminated copy. */
char *arena_cstr(Arena *arena, Str text) __attribute__((returns_nonnull));

/* A formatted string, NUL behind it. */
Str arena_format(Arena *arena, const char *format, ...) printf_like(2, 3);

/* Forgets everything but keeps one chunk (at most 64 KiB) for the next round. */
void arena_reset(Arena *arena);

/* Frees everything; the arena is valid and empty afterwards. Accepts NULL. */
void arena_done(Arena *arena);
