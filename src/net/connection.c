/* Connections over raw libevent events.
 *
 * Reads go to the loop's scratch memory and are shown to the handler from there; only what it
 * leaves is copied, and both buffers are freed when empty: an idle connection holds no buffer at
 * all. The invariant: `view` is the unconsumed input, in the scratch memory while on_data runs
 * (`borrowed`), else in `input`. */
#include "net/connection.h"

#include "base/alloc.h"
#include "base/crash.h"
#include <arpa/inet.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    READS_PER_EVENT = 4, /* then others get their turn */
    LINGER_US = 2 * 1000 * 1000,
    PEER_SIZE = INET6_ADDRSTRLEN + 10,
};

struct Connection {
    Loop *loop;
    const Transport *transport;
    void *transport_state;
    const ConnectionHandler *handler;
    void *owner;
    LoopFn *on_free;
    void *on_free_owner;
    ConnectionLimits limits;
    struct event readable;
    struct event writable;
    Buf input;
    Str view;
    Buf output;
    size_t output_at; /* bytes of output already sent */
    LoopTask flush;
    LoopTask release;
    LoopTimer deadline;
    LoopTimer stall; /* of writing; of lingering, later */
    int fd;
    ConnectionEnd why;
    bool borrowed;
    bool reading;     /* readable is registered */
    bool writing;     /* writable is registered */
    bool read_waits;  /* the transport must write before it can read */
    bool write_waits; /* the transport must read before it can write */
    bool congested;
    bool ended;
    bool finishing;
    bool lingering;
    bool closed;
    uint8_t host_at;
    uint8_t host_len;
    uint8_t peer_len;
    char peer[PEER_SIZE];
};

static void end(Connection *connection, ConnectionEnd why) {
    if (connection->closed) return;
    connection->closed = true;
    connection->why = why;
    event_del(&connection->readable);
    event_del(&connection->writable);
    loop_timer_cancel(&connection->deadline);
    loop_timer_cancel(&connection->stall);
    loop_task_cancel(&connection->flush);
    if (connection->transport->done) connection->transport->done(connection->transport_state);
    close(connection->fd);
    buf_done(&connection->output);
    connection->output_at = 0;
    connection->output.max = 0;
    loop_defer(connection->loop, LOOP_FREE, &connection->release);
}

static void free_memory(Connection *connection) {
    loop_task_cancel(&connection->release);
    buf_done(&connection->input);
    if (connection->on_free) connection->on_free(connection->on_free_owner);
    free_pointer(&connection);
}

static void run_release(void *owner) {
    Connection *connection = owner;
    connection->handler->on_close(connection, connection->owner, connection->why);
    free_memory(connection);
}

static bool wants_input(const Connection *connection) {
    if (connection->closed || connection->ended) return false;
    if (connection->lingering) return true;
    return !connection->finishing && !connection->congested &&
           connection->view.len < connection->limits.input_max;
}

static void update_reading(Connection *connection) {
    bool wanted = wants_input(connection);
    if (wanted == connection->reading || connection->closed) return;
    connection->reading = wanted;
    check((wanted ? event_add(&connection->readable, NULL) : event_del(&connection->readable)) ==
          0);
}

static void set_writing(Connection *connection, bool wanted) {
    if (wanted == connection->writing) return;
    connection->writing = wanted;
    check((wanted ? event_add(&connection->writable, NULL) : event_del(&connection->writable)) ==
          0);
}

/* ---- reading ---- */

static void keep_rest(Connection *connection) {
    Str rest = connection->view;
    bool borrowed = connection->borrowed;
    connection->borrowed = false;
    if (rest.len == 0) {
        buf_done(&connection->input);
        connection->view = (Str){0};
    } else if (borrowed) {
        buf_add(&connection->input, rest);
        connection->view = buf_str(&connection->input);
    }
}

static void deliver(Connection *connection, const char *bytes, size_t len) {
    if (connection->view.len == 0) {
        connection->view = (Str){bytes, len};
        connection->borrowed = true;
    } else {
        buf_drop(&connection->input, connection->input.len - connection->view.len);
        buf_add_bytes(&connection->input, bytes, len);
        connection->view = buf_str(&connection->input);
    }
    connection->handler->on_data(connection, connection->owner);
    keep_rest(connection);
}

static void peer_ended(Connection *connection) {
    connection->ended = true;
    if (connection->lingering) {
        end(connection, CONNECTION_LOCAL);
    } else if (connection->finishing) {
        return;
    } else if (connection->handler->on_end) {
        connection->handler->on_end(connection, connection->owner);
    } else {
        connection_finish(connection);
    }
}

static void read_input(Connection *connection) {
    for (int i = 0; i < READS_PER_EVENT && wants_input(connection); i++) {
        size_t size;
        char *scratch = loop_scratch(connection->loop, &size);
        size_t room = connection->limits.input_max - connection->view.len;
        if (room < size && !connection->lingering) size = room;
        ssize_t count =
            connection->transport->read(connection->transport_state, connection->fd, scratch, size);
        if (count == TRANSPORT_FAILED) {
            end(connection, CONNECTION_PEER);
        } else if (count == 0) {
            peer_ended(connection);
        } else if (count == TRANSPORT_WAIT_WRITE) {
            connection->read_waits = true;
            set_writing(connection, true);
            break;
        } else if (count > 0 && !connection->lingering) {
            deliver(connection, scratch, (size_t)count);
        }
        if (count < (ssize_t)size) break;
    }
    update_reading(connection);
}

/* ---- writing ---- */

static void linger(Connection *connection) {
    set_writing(connection, false);
    if (connection->ended || shutdown(connection->fd, SHUT_WR) != 0) {
        end(connection, CONNECTION_LOCAL);
        return;
    }
    connection->lingering = true;
    connection->view = (Str){0};
    buf_done(&connection->input);
    loop_timer_after(&connection->stall, LINGER_US);
    update_reading(connection);
}

static void drained(Connection *connection) {
    buf_done(&connection->output);
    connection->output_at = 0;
    loop_timer_cancel(&connection->stall);
    set_writing(connection, connection->read_waits);
    if (connection->finishing) linger(connection);
}

static void sent(Connection *connection, size_t count) {
    Buf *output = &connection->output;
    connection->output_at += count;
    if (connection->output_at == output->len) {
        drained(connection);
        return;
    }
    if (connection->output_at > output->len / 2) {
        buf_drop(output, connection->output_at);
        connection->output_at = 0;
    }
    if (count > 0 || !loop_timer_is_set(&connection->stall)) {
        loop_timer_after(&connection->stall, connection->limits.write_stall_ms * 1000);
    }
    set_writing(connection, !connection->write_waits);
}

static void flush_output(Connection *connection) {
    if (connection->lingering) return;
    size_t queued = connection_queued(connection);
    ssize_t count = 0;
    if (queued > 0) {
        crash_point(NET_SEND);
        count =
            connection->transport->write(connection->transport_state, connection->fd,
                                         connection->output.data + connection->output_at, queued);
        crash_point(NET_SENT);
    }
    if (count == TRANSPORT_FAILED) {
        end(connection, CONNECTION_PEER);
        return;
    }
    connection->write_waits = count == TRANSPORT_WAIT_READ;
    sent(connection, count > 0 ? (size_t)count : 0);
    if (!connection->congested ||
        connection_queued(connection) > connection->limits.output_soft / 2) {
        return;
    }
    connection->congested = false;
    update_reading(connection);
    if (connection->handler->on_drain && !connection->finishing && !connection->closed) {
        connection->handler->on_drain(connection, connection->owner);
    }
}

static void run_flush(void *owner) {
    flush_output(owner);
}

static void on_readable(evutil_socket_t fd, short what, void *owner) {
    Connection *connection = owner;
    (void)fd;
    (void)what;
    read_input(connection);
    if (connection->write_waits && !connection->closed) flush_output(connection);
}

static void on_writable(evutil_socket_t fd, short what, void *owner) {
    Connection *connection = owner;
    (void)fd;
    (void)what;
    if (connection->read_waits) {
        connection->read_waits = false;
        read_input(connection);
    }
    if (!connection->closed) flush_output(connection);
}

static void run_stall(void *owner) {
    Connection *connection = owner;
    end(connection, connection->lingering ? CONNECTION_LOCAL : CONNECTION_TIMEOUT);
}

static void run_deadline(void *owner) {
    Connection *connection = owner;
    if (connection->handler->on_deadline) {
        connection->handler->on_deadline(connection, connection->owner);
    } else {
        end(connection, CONNECTION_LOCAL);
    }
}

/* ---- life ---- */

static void name_peer(Connection *connection) {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address = {0};
    socklen_t len = sizeof address;
    char host[INET6_ADDRSTRLEN] = "local";
    int written;
    bool known = getpeername(connection->fd, &address.any, &len) == 0;
    if (known && address.any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &address.v4.sin_addr, host, sizeof host);
        written = snprintf(connection->peer, PEER_SIZE, "%s:%u", host, ntohs(address.v4.sin_port));
    } else if (known && address.any.sa_family == AF_INET6) {
        const struct in6_addr *v6 = &address.v6.sin6_addr;
        bool mapped = IN6_IS_ADDR_V4MAPPED(v6);
        inet_ntop(mapped ? AF_INET : AF_INET6, mapped ? (const void *)&v6->s6_addr[12] : v6, host,
                  sizeof host);
        written = snprintf(connection->peer, PEER_SIZE, mapped ? "%s:%u" : "[%s]:%u", host,
                           ntohs(address.v6.sin6_port));
        connection->host_at = mapped ? 0 : 1;
    } else {
        written = snprintf(connection->peer, PEER_SIZE, "%s", host);
    }
    connection->peer_len = (uint8_t)written;
    connection->host_len = (uint8_t)str_from(host).len;
}

static ConnectionLimits with_defaults(const ConnectionLimits *limits) {
    ConnectionLimits all = *limits;
    if (!all.input_max) all.input_max = (size_t)64 * 1024;
    if (!all.output_soft) all.output_soft = (size_t)256 * 1024;
    if (!all.output_hard) all.output_hard = (size_t)64 * 1024 * 1024;
    if (!all.write_stall_ms) all.write_stall_ms = 30 * 1000;
    return all;
}

Connection *connection_adopt(Loop *loop, int fd, const ConnectionLimits *limits,
                             const ConnectionHandler *handler, void *owner) {
    Connection *connection = alloc_zero(1, sizeof *connection);
    connection->loop = loop;
    connection->fd = fd;
    connection->transport = &TRANSPORT_PLAIN;
    connection->handler = handler;
    connection->owner = owner;
    connection->limits = with_defaults(limits);
    check(evutil_make_socket_nonblocking(fd) == 0);
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on,
                     sizeof on); /* not TCP: nothing to turn off */
    buf_init(&connection->input, connection->limits.input_max);
    /* Twice, because up to half of the buffer may have been sent already. */
    buf_init(&connection->output, connection->limits.output_hard * 2);
    loop_task_init(&connection->flush, run_flush, connection);
    loop_task_init(&connection->release, run_release, connection);
    loop_timer_init(&connection->deadline, loop, run_deadline, connection);
    loop_timer_init(&connection->stall, loop, run_stall, connection);
    struct event_base *base = loop_base(loop);
    check(event_assign(&connection->readable, base, fd, EV_READ | EV_PERSIST, on_readable,
                       connection) == 0);
    check(event_assign(&connection->writable, base, fd, EV_WRITE | EV_PERSIST, on_writable,
                       connection) == 0);
    name_peer(connection);
    update_reading(connection);
    return connection;
}

void connection_set_handler(Connection *connection, const ConnectionHandler *handler, void *owner) {
    connection->handler = handler;
    connection->owner = owner;
}

void connection_set_transport(Connection *connection, const Transport *transport, void *state) {
    connection->transport = transport;
    connection->transport_state = state;
}

Str connection_input(const Connection *connection) {
    return connection->view;
}

void connection_consume(Connection *connection, size_t len) {
    check(len <= connection->view.len);
    connection->view.ptr += len;
    connection->view.len -= len;
    if (connection->borrowed) return;
    keep_rest(connection);
    update_reading(connection);
}

Buf *connection_output(Connection *connection) {
    return &connection->output;
}

void connection_written(Connection *connection) {
    size_t queued = connection_queued(connection);
    if (connection->closed || connection->lingering) {
        buf_done(&connection->output);
    } else if (connection->output.overflow || queued > connection->limits.output_hard) {
        end(connection, CONNECTION_OVERFLOW);
    } else {
        if (!connection->writing) {
            loop_defer(connection->loop, LOOP_FLUSH, &connection->flush);
        }
        if (queued > connection->limits.output_soft) connection->congested = true;
        update_reading(connection);
    }
}

void connection_write(Connection *connection, Str bytes) {
    buf_add(&connection->output, bytes);
    connection_written(connection);
}

bool connection_is_congested(const Connection *connection) {
    return connection->congested;
}

bool connection_is_closed(const Connection *connection) {
    return connection->closed;
}

bool connection_has_ended(const Connection *connection) {
    return connection->ended;
}

size_t connection_queued(const Connection *connection) {
    return connection->output.len - connection->output_at;
}

void connection_deadline(Connection *connection, int64_t after_us) {
    if (connection->closed) return;
    if (after_us > 0) {
        loop_timer_after(&connection->deadline, after_us);
    } else {
        loop_timer_cancel(&connection->deadline);
    }
}

void connection_close(Connection *connection) {
    end(connection, CONNECTION_LOCAL);
}

void connection_finish(Connection *connection) {
    if (connection->closed || connection->finishing) return;
    connection->finishing = true;
    loop_timer_cancel(&connection->deadline);
    loop_defer(connection->loop, LOOP_FLUSH, &connection->flush);
    update_reading(connection);
}

void connection_free(Connection *connection) {
    end(connection, CONNECTION_LOCAL);
    free_memory(connection);
}

Str connection_peer(const Connection *connection) {
    return (Str){connection->peer, connection->peer_len};
}

Str connection_peer_host(const Connection *connection) {
    return (Str){connection->peer + connection->host_at, connection->host_len};
}

Loop *connection_loop(const Connection *connection) {
    return connection->loop;
}

void connection_on_free(Connection *connection, LoopFn *run, void *owner) {
    connection->on_free = run;
    connection->on_free_owner = owner;
}
