/* Allocation that can't fail: see alloc.h.
 *
 * Every size that reaches the allocator is at least 1, so that success is never NULL. */
#include "base/alloc.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Noreturn void out_of_memory(size_t count, size_t size) {
    fprintf(stderr, "out of memory: %zu times %zu bytes\n", count, size);
    abort();
}

void *alloc(size_t size) {
    void *memory = malloc(size ? size : 1);
    if (!memory) out_of_memory(1, size);
    return memory;
}

void *alloc_zero(size_t count, size_t size) {
    void *memory = count && size ? calloc(count, size) : calloc(1, 1);
    if (!memory) out_of_memory(count, size);
    return memory;
}

void *alloc_again(void *pointer, size_t count, size_t size) {
    size_t bytes = 0;
    if (__builtin_mul_overflow(count, size, &bytes)) out_of_memory(count, size);
    void *memory = realloc(pointer, bytes ? bytes : 1);
    if (!memory) out_of_memory(count, size);
    return memory;
}

char *alloc_string(const char *text) {
    size_t size = strlen(text) + 1;
    return memcpy(alloc(size), text, size);
}

void free_pointer(void *pointer_to_pointer) {
    void *pointer = NULL;
    memcpy(&pointer, pointer_to_pointer, sizeof(pointer));
    free(pointer);
}
