/* See fixture.h. */
#include "fixture.h"

#include "base/clock.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static void nothing(void *owner) {
    (void)owner;
}

void pump(Loop *loop) {
    for (int i = 0; i < 6; i++) {
        /* A deferred task keeps the turn from waiting. */
        LoopTask task;
        loop_task_init(&task, nothing, NULL);
        loop_defer(loop, LOOP_BATCH, &task);
        loop_turn(loop);
    }
}

bool pump_until(Loop *loop, const bool *flag, int64_t ms) {
    int64_t end_us = clock_mono_us() + ms * 1000;
    LoopTimer timer;
    loop_timer_init(&timer, loop, nothing, NULL);
    while (!*flag && clock_mono_us() < end_us) {
        loop_timer_at(&timer, clock_mono_us() + 1000);
        loop_turn(loop);
    }
    loop_timer_cancel(&timer);
    return *flag;
}

void pump_for(Loop *loop, int64_t ms) {
    bool never = false;
    (void)pump_until(loop, &never, ms);
}

int client_connect(Loop *loop, uint16_t port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr = {htonl(INADDR_LOOPBACK)},
    };
    union {
        const struct sockaddr_in *in;
        const struct sockaddr *any;
    } at = {.in = &address};
    check(fd >= 0 && connect(fd, at.any, sizeof address) == 0);
    pump(loop);
    return fd;
}

void client_send(Loop *loop, int fd, Str bytes) {
    while (bytes.len > 0) {
        ssize_t count = send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count < 0 && errno != EAGAIN) return; /* closed on us; the test looks at the answer */
        size_t sent = count > 0 ? (size_t)count : 0;
        bytes = (Str){bytes.ptr + sent, bytes.len - sent};
        pump(loop);
    }
}

bool client_receive(int fd, Buf *buf) {
    static char bytes[64 * 1024];
    for (;;) {
        ssize_t count = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (count < 0) return errno != EAGAIN;
        if (count == 0) return true;
        buf_add_bytes(buf, bytes, (size_t)count);
    }
}

void client_close(Loop *loop, int fd) {
    struct linger hard = {.l_onoff = 1};
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(fd);
    pump(loop);
}
