/* Keeps a connection up. The one invariant: after on_down nothing of the old connection is
 * delivered. */
#include "worker/link.h"

#include "base/time.h"
#include "telemetry/log.h"
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    HANDSHAKE_MS = 5000,
    REDIAL_FIRST_MS = 100,
    REDIAL_MOST_MS = 2000, /* so that a worker is back within 3 s of its server */
    INPUT_MAX = SESSION_REPLY_MAX + 65536,
};

static void dial(void *owner);

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

static void on_close(Connection *connection, void *owner, ConnectionEnd why) {
    Link *link = owner;
    (void)why;
    check(connection == link->connection);
    link->connection = NULL;
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

/* A socket that is connecting. The name is looked up with the system's blocking resolver: only
 * while there is no connection anyway. */
static int connect_socket(const Link *link, Error *error) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC};
    struct addrinfo *found = NULL;
    int status = getaddrinfo(link->address.host, link->address.port, &hints, &found);
    if (status != 0) {
        error_set(error, ERR_UNAVAILABLE, "looking up the server: %s", gai_strerror(status));
        return -1;
    }
    int64_t count = 0;
    for (struct addrinfo *at = found; at; at = at->ai_next)
        count++;
    const struct addrinfo *chosen = found;
    for (int64_t i = link->failures % count; i > 0; i--)
        chosen = chosen->ai_next;
    int fd = socket(chosen->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, chosen->ai_addr, chosen->ai_addrlen) != 0 && errno != EINPROGRESS) {
        close(fd);
        fd = -1;
    }
    if (fd < 0) error_set(error, ERR_UNAVAILABLE, "connecting: %s", strerror(errno));
    freeaddrinfo(found);
    return fd;
}

static void dial(void *owner) {
    Link *link = owner;
    const WorkerConfig *config = link->config;
    Error error = {0};
    Str url = config->urls[(size_t)link->failures % config->url_count];
    int fd = -1;
    if (server_address_parse(url, &link->address, &error) == OK) fd = connect_socket(link, &error);
    if (fd < 0) {
        fail(link, &error);
        return;
    }
    bool own_password = link->address.password[0] != '\0';
    link->identity.password =
        own_password ? str_from(link->address.password) : config->password.text;
    session_init(&link->session, &link->identity);
    const ConnectionLimits limits = {.input_max = INPUT_MAX};
    link->fd = fd;
    link->connection = connection_adopt(link->loop, fd, &limits, &HANDLER, link);
    connection_deadline(link->connection, HANDSHAKE_MS * US_PER_MS);
}

void link_init(Link *link, const char *name, Loop *loop, const WorkerConfig *config,
               const SessionIdentity *identity, const LinkHandler *handler, void *owner) {
    *link = (Link){.name = name,
                   .loop = loop,
                   .config = config,
                   .handler = handler,
                   .owner = owner,
                   .identity = *identity,
                   .fd = -1};
    link->session.state = SESSION_BROKEN;
    loop_timer_init(&link->redial, loop, dial, link);
    loop_timer_after(&link->redial, 0);
}

void link_done(Link *link) {
    link->finished = true;
    loop_timer_cancel(&link->redial);
    if (link->connection) connection_free(link->connection);
    link->connection = NULL;
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
    /* The connection goes on reading; only our half is shut, which it neither sees nor needs to. */
    if (link->connection && link->session.state == SESSION_OPEN) {
        shutdown(link->fd, SHUT_WR);
    } else if (link->connection) {
        connection_close(link->connection);
    }
}
