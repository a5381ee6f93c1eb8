/* Accepting connections.
 *
 * The invariant: the listener's memory outlives its connections (they count down in it), so a
 * closed listener is freed by the last of them. */
#include "net/listener.h"

#include "base/alloc.h"
#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    ACCEPTS_PER_EVENT = 64, /* then others get their turn */
    PAUSE_US = 100 * 1000,  /* without descriptors */
    BACKLOG = 1024,
    ADDRESS_SIZE = INET6_ADDRSTRLEN + 10,
};

struct Listener {
    Loop *loop;
    ListenerOptions options;
    struct event *event;
    LoopTimer pause;
    int fd;      /* -1 once stopped */
    bool closed; /* by its owner */
    uint16_t port;
    size_t connections;
    uint64_t refused;
    char address[ADDRESS_SIZE];
};

typedef union Address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} Address;

static void free_if_unused(Listener *listener) {
    if (listener->closed && listener->connections == 0) free_pointer(&listener);
}

static void connection_gone(void *owner) {
    Listener *listener = owner;
    listener->connections--;
    free_if_unused(listener);
}

static void refuse(Listener *listener, int fd) {
    listener->refused++;
    Str words = listener->options.refusal;
    /* Best effort: a peer that is turned away has no claim to a buffer. */
    if (words.len > 0 && send(fd, words.ptr, words.len, MSG_NOSIGNAL | MSG_DONTWAIT) > 0) {
        shutdown(fd, SHUT_WR);
    }
    close(fd);
}

static void accept_one(Listener *listener, int fd) {
    static const ConnectionHandler NO_HANDLER = {0};
    size_t max = listener->options.max_connections;
    if (max > 0 && listener->connections >= max) {
        refuse(listener, fd);
        return;
    }
    Connection *connection =
        connection_adopt(listener->loop, fd, &listener->options.limits, &NO_HANDLER, NULL);
    listener->connections++;
    connection_on_free(connection, connection_gone, listener);
    listener->options.on_accept(listener->options.owner, connection);
}

static void on_connection(evutil_socket_t listening, short what, void *owner) {
    Listener *listener = owner;
    (void)what;
    for (int i = 0; i < ACCEPTS_PER_EVENT && listener->fd >= 0; i++) {
        int fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            accept_one(listener, fd);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            event_del(listener->event);
            loop_timer_after(&listener->pause, PAUSE_US);
            return;
        } else if (errno == EAGAIN) {
            return;
        }
    }
}

static void resume(void *owner) {
    Listener *listener = owner;
    check(event_add(listener->event, NULL) == 0);
}

/* Splits "HOST:PORT"; the brackets of an IPv6 host are taken off. */
static Err split_address(const char *text, char ret_host[NI_MAXHOST], char ret_port[8],
                         Error *error) {
    const char *colon = strrchr(text, ':');
    uint64_t port;
    if (!colon || !str_to_uint64(str_from(colon + 1), &port) || port > UINT16_MAX) {
        return error_code(error, ERR_INVALID, "bad-address",
                          "'%s' is not an address: expected HOST:PORT with a port up to 65535",
                          text);
    }
    Str host = {text, (size_t)(colon - text)};
    bool bracketed = host.len >= 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']';
    if (bracketed) host = (Str){host.ptr + 1, host.len - 2};
    bool has_colon = memchr(host.ptr, ':', host.len) != NULL;
    if (bracketed != has_colon || host.len >= NI_MAXHOST) {
        return error_code(error, ERR_INVALID, "bad-address",
                          "'%s' is not an address: an IPv6 host stands in brackets", text);
    }
    memcpy(ret_host, host.ptr, host.len);
    ret_host[host.len] = '\0';
    snprintf(ret_port, 8, "%u", (unsigned)port);
    return OK;
}

static Err bind_socket(const struct addrinfo *info, const char *text, int *ret_fd, Error *error) {
    int fd = socket(info->ai_family, info->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, info->ai_addr, info->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        int cause = errno;
        if (fd >= 0) close(fd);
        return error_code(error, ERR_UNAVAILABLE, "cannot-listen", "listening on %s: %s", text,
                          strerror(cause));
    }
    *ret_fd = fd;
    return OK;
}

static Err open_socket(const char *text, int *ret_fd, Error *error) {
    char host[NI_MAXHOST];
    char port[8];
    TRY(split_address(text, host, port, error));
    struct addrinfo hints = {
        .ai_family = host[0] ? AF_UNSPEC : AF_INET,
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
    };
    struct addrinfo *found = NULL;
    int failure = getaddrinfo(host[0] ? host : NULL, port, &hints, &found);
    if (failure != 0) {
        return error_code(error, ERR_INVALID, "bad-address", "looking up '%s': %s", text,
                          gai_strerror(failure));
    }
    Err err = bind_socket(found, text, ret_fd, error);
    freeaddrinfo(found);
    return err;
}

static void read_address(Listener *listener) {
    Address address = {0};
    socklen_t len = sizeof address;
    char host[INET6_ADDRSTRLEN] = "";
    check(getsockname(listener->fd, &address.any, &len) == 0);
    bool v6 = address.any.sa_family == AF_INET6;
    const void *bytes = v6 ? (const void *)&address.v6.sin6_addr : &address.v4.sin_addr;
    inet_ntop(address.any.sa_family, bytes, host, sizeof host);
    listener->port = ntohs(v6 ? address.v6.sin6_port : address.v4.sin_port);
    snprintf(listener->address, ADDRESS_SIZE, v6 ? "[%s]:%u" : "%s:%u", host, listener->port);
}

Err listener_open(Loop *loop, const ListenerOptions *options, Listener **ret, Error *error) {
    int fd;
    TRY(open_socket(options->address, &fd, error));
    Listener *listener = alloc_zero(1, sizeof *listener);
    listener->loop = loop;
    listener->options = *options;
    listener->fd = fd;
    read_address(listener);
    loop_timer_init(&listener->pause, loop, resume, listener);
    listener->event = event_new(loop_base(loop), fd, EV_READ | EV_PERSIST, on_connection, listener);
    check(listener->event && event_add(listener->event, NULL) == 0);
    *ret = listener;
    return OK;
}

void listener_stop(Listener *listener) {
    if (listener->fd < 0) return;
    loop_timer_cancel(&listener->pause);
    event_free(listener->event);
    close(listener->fd);
    listener->fd = -1;
}

void listener_close(Listener *listener) {
    if (!listener) return;
    listener_stop(listener);
    listener->closed = true;
    free_if_unused(listener);
}

const char *listener_address(const Listener *listener) {
    return listener->address;
}

uint16_t listener_port(const Listener *listener) {
    return listener->port;
}

size_t listener_connections(const Listener *listener) {
    return listener->connections;
}

uint64_t listener_refused(const Listener *listener) {
    return listener->refused;
}
