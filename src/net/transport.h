/* How a connection moves bytes: the seam at which TLS takes the place of plain sockets.
 *
 * A transport never blocks and never closes the descriptor. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/* Instead of a count: nothing could be moved before the socket can be read or written; or the
 * connection is broken. 0 from read is the peer's end of stream. */
enum { TRANSPORT_WAIT_READ = -1, TRANSPORT_WAIT_WRITE = -2, TRANSPORT_FAILED = -3 };

typedef struct Transport {
    /* At most `size` bytes; must fill `bytes` as far as it has data at hand, for what it holds back
     * is announced by no event. */
    ssize_t (*read)(void *state, int fd, void *bytes, size_t size);
    /* Takes a part or all of it. */
    ssize_t (*write)(void *state, int fd, const void *bytes, size_t len);
    /* Frees state; NULL when there is none. */
    void (*done)(void *state);
} Transport;

extern const Transport TRANSPORT_PLAIN;
