/* One process per store: a lock file beside the database, held as long as the store is open. */
#pragma once

#include "base/error.h"

/* Locks "<path>.lock" and writes our process id into it. ERR_CONFLICT "store-locked" names the
 * file and the process that has it. The lock goes with the descriptor, also when the process is
 * killed. */
Err lock_take(const char *path, int *ret_fd, Error *error) must_check;
void lock_release(int fd); /* accepts -1 */
