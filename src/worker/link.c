/* Keeps a connection up. The one invariant: after on_down nothing of the old connection is
 * delivered. */
#include "worker/link.h"

#include "base/clock.h"
#include "base/time.h"
#include "telemetry/log.h"
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    HANDSHAKE_MS = 5000, /* to connect to an address, and again to log in */
    REDIAL_FIRST_MS = 100,
    REDIAL_MOST_MS = 2000, /* so that a worker is back within 3 s of its server */
    INPUT_MAX = SESSION_REPLY_MAX + 65536,
    PROBE_S = 1,
    PROBES_MOST = 127,
};

static void plan_redial(Link *link) {
    if (link->finished) return;
    int64_t pause_ms = REDIAL_FIRST_MS;
    for (int64_t i = 1; i < link->failures && pause_ms < REDIAL_MOST_MS; i++)
        pause_ms *= 2;
    if (pause_ms > REDIAL_MOST_MS) pause_ms = REDIAL_MOST_MS;
    /* spread over half of it: all workers lose a server at the same moment */
    pause_ms = pause_ms / 2 + (int64_t)arc4random_uniform((uint32_t)(pause_ms / 2 + 1));
    loop_timer_after(&link->redial, pause_ms * US_PER_MS);
}

static void fail(Link *link, const Error *error) {
    if (link->failures == 0) {
        log_warn("worker.server_away", kv_text("link", link->name),
                 kv_text("server", link->address.host), kv_error(error));
    }
    if (error->err == ERR_DENIED) link->refusal = *error;
    link->session.state = SESSION_BROKEN;
    if (link->connection) {
        connection_close(link->connection); /* on_close dials again */
    } else {
        link->failures++;
        plan_redial(link);
    }
}

static bool step(Link *link, Connection *connection) {
    Reply reply;
    size_t used;
    Error error = {0};
    if (connection != link->connection || link->session.state == SESSION_BROKEN) return false;
    SessionEvent event = session_step(&link->session, connection_input(connection),
                                      connection_output(connection), &used, &reply, &error);
    connection_written(connection);
    switch (event) {
    case SESSION_MORE: connection_consume(connection, used); return false;
    case SESSION_FAILED: fail(link, &error); return false;
    case SESSION_READY:
        connection_consume(connection, used);
        connection_deadline(connection, 0);
        link->failures = 0;
        link->was_open = true;
        link->up = true;
        link->refusal = (Error){0};
        link->handler->on_open(link->owner);
        return true;
    case SESSION_REPLY:
        connection_deadline(connection, 0);
        link->handler->on_reply(link->owner, &reply);
        /* the handler may have sent the next command, but input stands until consumed */
        if (connection == link->connection) connection_consume(connection, used);
        return true;
    }
    return false;
}

static void on_data(Connection *connection, void *owner) {
    while (step(owner, connection))
        continue;
}

static void on_deadline(Connection *connection, void *owner) {
    (void)connection;
    link_break(owner, "no answer in time");
}

static void on_end(Connection *connection, void *owner) {
    (void)owner;
    connection_close(connection);
}

/* When the last packet came from the other side. */
static int64_t heard_us(int fd) {
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    check(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0);
    int64_t ago_ms = info.tcpi_last_ack_recv < info.tcpi_last_data_recv ? info.tcpi_last_ack_recv
                                                                        : info.tcpi_last_data_recv;
    return clock_mono_us() - ago_ms * US_PER_MS;
}

static void gone_down(Link *link, bool by_peer) {
    if (link->up) link->alive_us = by_peer ? heard_us(link->fd) : clock_mono_us();
    link->up = false;
    if (link->fd >= 0) close(link->fd);
    link->fd = -1;
}

static void on_close(Connection *connection, void *owner, ConnectionEnd why) {
    Link *link = owner;
    check(connection == link->connection);
    link->connection = NULL;
    gone_down(link, why == CONNECTION_PEER || connection_has_ended(connection));
    if (link->failures == 0 && link->session.state != SESSION_BROKEN && !link->finished) {
        log_warn("worker.server_away", kv_text("link", link->name),
                 kv_text("server", link->address.host), kv_text("error", "connection lost"));
    }
    link->session.state = SESSION_BROKEN;
    link->failures++;
    if (link->handler->on_down) link->handler->on_down(link->owner);
    plan_redial(link);
}

static const ConnectionHandler HANDLER = {
    .on_data = on_data, .on_end = on_end, .on_deadline = on_deadline, .on_close = on_close};

/* ---- dialing ---- */

static void dial_done(LinkDial *dial) {
    if (dial->event) event_free(dial->event);
    if (dial->fd >= 0) close(dial->fd);
    if (dial->found) freeaddrinfo(dial->found);
    *dial = (LinkDial){.fd = -1};
}

static void dial_on(Link *link);

/* Probes at this pace find a close that was not announced, and tell the moment until which there was
 * none. They never end a connection by their silence: it may come back within the lease. */
static void set_keepalive(int fd) {
    const struct {
        int level;
        int name;
        int value;
    } options[] = {{SOL_SOCKET, SO_KEEPALIVE, 1},
                   {IPPROTO_TCP, TCP_KEEPIDLE, PROBE_S},
                   {IPPROTO_TCP, TCP_KEEPINTVL, PROBE_S},
                   {IPPROTO_TCP, TCP_KEEPCNT, PROBES_MOST}};
    for (size_t i = 0; i < LENGTH(options); i++) {
        int value = options[i].value;
        check(setsockopt(fd, options[i].level, options[i].name, &value, sizeof value) == 0);
    }
}

static void log_in(Link *link, int fd) {
    bool own_password = link->address.password[0] != '\0';
    link->identity.password =
        own_password ? str_from(link->address.password) : link->config->password.text;
    session_init(&link->session, &link->identity);
    const ConnectionLimits limits = {.input_max = INPUT_MAX};
    set_keepalive(fd);
    link->connection = connection_adopt(link->loop, fd, &limits, &HANDLER, link);
    connection_deadline(link->connection, HANDSHAKE_MS * US_PER_MS);
}

static void connected(Link *link) {
    int fd = link->dial.fd;
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0) {
        error_set(&link->dial.error, ERR_UNAVAILABLE, "connecting: %s", strerror(errno));
        link->dial.refused = false;
        dial_on(link);
        return;
    }
    link->fd = copy;
    link->dial.fd = -1;
    dial_done(&link->dial);
    log_in(link, fd);
}

static void not_connected(LinkDial *dial, int error_number) {
    /* on a system without IPv6 its addresses lead nowhere, and say nothing of the server */
    if (error_number == EAFNOSUPPORT || error_number == EADDRNOTAVAIL) return;
    if (error_number == ECONNREFUSED) {
        dial->refusals++;
    } else {
        dial->refused = false;
    }
    error_set(&dial->error, ERR_UNAVAILABLE, "connecting: %s", strerror(error_number));
}

static void on_connect(evutil_socket_t fd, short what, void *owner) {
    Link *link = owner;
    int error_number = ETIMEDOUT;
    socklen_t len = sizeof error_number;
    if (what & EV_WRITE) getsockopt(fd, SOL_SOCKET, SO_ERROR, &error_number, &len);
    if (error_number == 0) {
        connected(link);
        return;
    }
    not_connected(&link->dial, error_number);
    dial_on(link);
}

/* false: it failed at once. */
static bool connect_to(Link *link, const struct addrinfo *address) {
    LinkDial *dial = &link->dial;
    const struct timeval patience = {.tv_sec = HANDSHAKE_MS / 1000};
    dial->fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (dial->fd < 0 ||
        (connect(dial->fd, address->ai_addr, address->ai_addrlen) != 0 && errno != EINPROGRESS)) {
        not_connected(dial, errno);
        return false;
    }
    dial->event = event_new(loop_base(link->loop), dial->fd, EV_WRITE, on_connect, link);
    check(dial->event && event_add(dial->event, &patience) == 0);
    return true;
}

/* The name is looked up with the system's blocking resolver: only while there is no connection
 * anyway. */
static bool look_up(Link *link) {
    const WorkerConfig *config = link->config;
    LinkDial *dial = &link->dial;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC};
    size_t server = ((size_t)link->failures + dial->servers_tried++) % config->url_count;
    dial->address_count = dial->addresses_tried = 0;
    if (dial->found) freeaddrinfo(dial->found);
    dial->found = NULL;
    if (server_address_parse(config->urls[server], &link->address, &dial->error) != OK) {
        return false;
    }
    int status = getaddrinfo(link->address.host, link->address.port, &hints, &dial->found);
    if (status != 0) {
        error_set(&dial->error, ERR_UNAVAILABLE, "looking up the server: %s", gai_strerror(status));
        dial->found = NULL;
        return false;
    }
    for (const struct addrinfo *at = dial->found; at; at = at->ai_next)
        dial->address_count++;
    return true;
}

/* The addresses of a server in turn, beginning with another one in each round over the servers. */
static const struct addrinfo *next_address(Link *link) {
    LinkDial *dial = &link->dial;
    size_t round = (size_t)link->failures / link->config->url_count;
    size_t skipped = (round + dial->addresses_tried++) % dial->address_count;
    const struct addrinfo *address = dial->found;
    while (skipped-- > 0)
        address = address->ai_next;
    return address;
}

static void dial_over(Link *link) {
    Error error = link->dial.error;
    int64_t begun_us = link->dial.begun_us;
    bool refused = link->dial.refused && link->dial.refusals > 0;
    dial_done(&link->dial);
    fail(link, &error);
    if (refused && link->handler->on_refused) link->handler->on_refused(link->owner, begun_us);
}

/* To the next address, until one connects or is waited for. */
static void dial_on(Link *link) {
    LinkDial *dial = &link->dial;
    for (;;) {
        if (dial->event) event_free(dial->event);
        if (dial->fd >= 0) close(dial->fd);
        dial->event = NULL;
        dial->fd = -1;
        if (dial->addresses_tried < dial->address_count) {
            if (connect_to(link, next_address(link))) return;
        } else if (dial->servers_tried == link->config->url_count) {
            dial_over(link);
            return;
        } else if (!look_up(link)) {
            dial->refused = false;
        }
    }
}

static void dial(void *owner) {
    Link *link = owner;
    dial_done(&link->dial);
    link->dial.begun_us = clock_mono_us();
    link->dial.refused = true;
    error_set(&link->dial.error, ERR_UNAVAILABLE, "connecting: no usable address");
    dial_on(link);
}

/* ---- life ---- */

void link_init(Link *link, const char *name, Loop *loop, const WorkerConfig *config,
               const SessionIdentity *identity, const LinkHandler *handler, void *owner) {
    *link = (Link){.name = name,
                   .loop = loop,
                   .config = config,
                   .handler = handler,
                   .owner = owner,
                   .identity = *identity,
                   .dial = {.fd = -1},
                   .fd = -1};
    link->session.state = SESSION_BROKEN;
    loop_timer_init(&link->redial, loop, dial, link);
    loop_timer_after(&link->redial, 0);
}

void link_done(Link *link) {
    link->finished = true;
    loop_timer_cancel(&link->redial);
    dial_done(&link->dial);
    if (link->connection) connection_free(link->connection);
    link->connection = NULL;
    gone_down(link, /* by_peer= */ false);
}

bool link_is_open(const Link *link) {
    return link->connection && link->session.state == SESSION_OPEN && !link->finished;
}

bool link_is_busy(const Link *link) {
    return link->session.awaited > 0;
}

Buf *link_begin(Link *link, Str verb) {
    check(link_is_open(link) && !link_is_busy(link));
    Buf *output = connection_output(link->connection);
    session_begin(&link->session, output, verb);
    return output;
}

void link_send(Link *link, int64_t timeout_ms) {
    session_end(connection_output(link->connection));
    connection_written(link->connection);
    connection_deadline(link->connection, timeout_ms * US_PER_MS);
}

void link_break(Link *link, const char *why) {
    if (!link->connection) return;
    Error error = {0};
    error_set(&error, ERR_UNAVAILABLE, "%s", why);
    fail(link, &error);
}

void link_half_close(Link *link) {
    link->finished = true;
    loop_timer_cancel(&link->redial);
    dial_done(&link->dial);
    /* The connection goes on reading; only our half is shut, which it neither sees nor needs to. */
    if (link->connection && link->session.state == SESSION_OPEN) {
        shutdown(link->fd, SHUT_WR);
        if (link->up) link->alive_us = clock_mono_us();
        link->up = false;
    } else if (link->connection) {
        connection_close(link->connection);
    }
}
