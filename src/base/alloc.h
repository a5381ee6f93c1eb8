/* Allocation that can't fail: out of memory aborts. What users can make large is refused by limit
 * before it is allocated (core/limits.h), and a restart is the tested path. libtakt, being a
 * library, does not use this. */
#pragma once

#include <stddef.h>

/* malloc, calloc and realloc that abort instead of returning NULL; free() the result. A product of
 * count and size that overflows aborts. size 0 gives a unique pointer. */
void *alloc(size_t size) __attribute__((malloc, returns_nonnull));
void *alloc_zero(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
void *alloc_again(void *pointer, size_t count, size_t size) __attribute__((returns_nonnull));

/* Copies a NUL-terminated string; free() the result. */
char *alloc_string(const char *text) __attribute__((malloc, returns_nonnull));

/* For cleanup(free_pointer): frees what the local pointer points to. Takes a pointer to any
 * pointer. */
void free_pointer(void *pointer_to_pointer);
