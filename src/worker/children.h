/* The processes directly below this one, and their end. Needs /proc with the `children` files
 * (CONFIG_PROC_CHILDREN, which every general distribution sets). Async-signal-safe, no
 * allocation. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Calls `visit` for each direct child of the calling thread's process, zombies included. The
 * list may miss a child while others come and go, so whoever wants all of them asks again. */
void children_each(void (*visit)(pid_t child, void *context), void *context);

/* SIGKILL to every direct child. What these leave behind comes to the nearest subreaper. */
void children_kill(void);
