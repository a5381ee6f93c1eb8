/* Memory by lifespan: see arena.h.
 *
 * A list of chunks, the newest (which is the one that has room) first, each twice as large as the
 * one before up to 64 KiB; what is larger gets a chunk of its own size. Under AddressSanitizer
 * whatever is not handed out is poisoned, so using memory behind a reset is found. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_POISONS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_POISONS 1
#endif
#endif

#ifdef ARENA_POISONS
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

enum {
    ALIGNMENT = _Alignof(max_align_t),
    FIRST_CHUNK = 2 * 1024,
    LARGEST_CHUNK = 64 * 1024, /* that is kept, and that doubling reaches */
};

struct ArenaChunk {
    ArenaChunk *next;
    size_t size; /* of bytes[] */
    size_t used;
    _Alignas(max_align_t) char bytes[];
};

static void add_chunk(Arena *arena, size_t needed) {
    size_t size = FIRST_CHUNK - sizeof(ArenaChunk);
    if (arena->chunk) {
        size = 2 * (arena->chunk->size + sizeof(ArenaChunk)) - sizeof(ArenaChunk);
    }
    const size_t largest = LARGEST_CHUNK - sizeof(ArenaChunk);
    if (size > largest) size = largest;
    if (size < needed) size = needed;
    ArenaChunk *chunk = alloc(sizeof(ArenaChunk) + size);
    chunk->next = arena->chunk;
    chunk->size = size;
    chunk->used = 0;
    ASAN_POISON_MEMORY_REGION(chunk->bytes, size);
    arena->chunk = chunk;
}

static void free_chunk(ArenaChunk *chunk) {
    ASAN_UNPOISON_MEMORY_REGION(chunk->bytes, chunk->size);
    free(chunk);
}

void *arena_alloc(Arena *arena, size_t size) {
    check(size < PTRDIFF_MAX / 2);
    size_t rounded = ((size ? size : 1) + ALIGNMENT - 1) & ~((size_t)ALIGNMENT - 1);
    if (!arena->chunk || arena->chunk->size - arena->chunk->used < rounded) {
        add_chunk(arena, rounded);
    }
    ArenaChunk *chunk = arena->chunk;
    char *memory = chunk->bytes + chunk->used;
    chunk->used += rounded;
    arena->used += rounded;
    ASAN_UNPOISON_MEMORY_REGION(memory, size);
    return memory;
}

void *arena_zero(Arena *arena, size_t count, size_t size) {
    size_t bytes = 0;
    check(!__builtin_mul_overflow(count, size, &bytes));
    return memset(arena_alloc(arena, bytes), 0, bytes);
}

char *arena_cstr(Arena *arena, Str text) {
    check(text.len < SIZE_MAX);
    char *copy = arena_alloc(arena, text.len + 1);
    if (text.len > 0) memcpy(copy, text.ptr, text.len);
    copy[text.len] = 0;
    return copy;
}

Str arena_str(Arena *arena, Str text) {
    if (!text.ptr) return text;
    return (Str){arena_cstr(arena, text), text.len};
}

Str arena_format(Arena *arena, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    char nothing[1];
    int len = vsnprintf(nothing, sizeof nothing, format, arguments);
    va_end(arguments);
    check(len >= 0);
    char *text = arena_alloc(arena, (size_t)len + 1);
    vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    return (Str){text, (size_t)len};
}

void arena_reset(Arena *arena) {
    ArenaChunk *kept = NULL;
    ArenaChunk *next = NULL;
    for (ArenaChunk *chunk = arena->chunk; chunk; chunk = next) {
        next = chunk->next;
        bool keep = sizeof(ArenaChunk) + chunk->size <= LARGEST_CHUNK &&
                    (!kept || chunk->size > kept->size);
        ArenaChunk *dropped = keep ? kept : chunk;
        if (keep) kept = chunk;
        if (dropped) free_chunk(dropped);
    }
    if (kept) {
        kept->next = NULL;
        kept->used = 0;
        ASAN_POISON_MEMORY_REGION(kept->bytes, kept->size);
    }
    *arena = (Arena){.chunk = kept};
}

void arena_done(Arena *arena) {
    if (!arena) return;
    ArenaChunk *next = NULL;
    for (ArenaChunk *chunk = arena->chunk; chunk; chunk = next) {
        next = chunk->next;
        free_chunk(chunk);
    }
    *arena = (Arena){0};
}
