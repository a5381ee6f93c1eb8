/* The plain transport: recv and send. */
#include "net/transport.h"

#include <errno.h>
#include <sys/socket.h>

static ssize_t plain_read(void *state, int fd, void *bytes, size_t size) {
    (void)state;
    ssize_t count;
    do {
        count = recv(fd, bytes, size, 0);
    } while (count < 0 && errno == EINTR);
    if (count >= 0) return count;
    return errno == EAGAIN ? TRANSPORT_WAIT_READ : TRANSPORT_FAILED;
}

static ssize_t plain_write(void *state, int fd, const void *bytes, size_t len) {
    (void)state;
    ssize_t count;
    do {
        count = send(fd, bytes, len, MSG_NOSIGNAL);
    } while (count < 0 && errno == EINTR);
    if (count >= 0) return count;
    return errno == EAGAIN ? TRANSPORT_WAIT_WRITE : TRANSPORT_FAILED;
}

const Transport TRANSPORT_PLAIN = {.read = plain_read, .write = plain_write};
