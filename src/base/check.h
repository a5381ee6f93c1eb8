/* Assertions that stay on in release builds, and the attributes used everywhere.
 *
 * A failed check() is a programming mistake: it prints file and line and aborts. What may be false
 * at run time is an Err (error.h), never a check. */
#pragma once

#define must_check __attribute__((warn_unused_result))
#define printf_like(format_index, first_arg)                                                       \
    __attribute__((format(printf, format_index, first_arg)))
#define cleanup(function) __attribute__((cleanup(function)))

/* Hands an owned pointer out of a cleanup() scope: the local becomes NULL. */
#define take(pointer)                                                                              \
    __extension__({                                                                                \
        __typeof__(*(pointer)) *take_at = (pointer);                                               \
        __typeof__(*(pointer)) taken = *take_at;                                                   \
        *take_at = 0;                                                                              \
        taken;                                                                                     \
    })

#define check(condition) ((condition) ? (void)0 : check_failed(#condition, __FILE__, __LINE__))

/* The struct that contains `member`, from a pointer to that member. */
#define container_of(pointer, type, member)                                                        \
    ((type *)(void *)((char *)(pointer) - __builtin_offsetof(type, member)))

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* Prints the condition with its place to stderr and aborts. Never returns. */
_Noreturn void check_failed(const char *condition, const char *file, int line);
