/* One connection of the worker to a server, kept up: dials, logs in, and dials again when it
 * breaks, with growing pauses. Each time it tries all addresses of all servers, beginning with
 * the next one.
 *
 * What is sent and what replies mean is its owner's business. Never more than one command is
 * under way on a link, so a reply always answers the last one. Loop thread only. */
#pragma once

#include "client/address.h"
#include "client/session.h"
#include "net/connection.h"
#include "net/loop.h"
#include "worker/worker.h"

struct addrinfo;
struct event;

typedef struct LinkHandler {
    void (*on_open)(void *owner);
    void (*on_reply)(void *owner, const Reply *reply);
    /* It broke; a command under way has no answer and may or may not have been carried out. NULL:
     * nothing. */
    void (*on_down)(void *owner);
    /* Nothing listened at any address of any server when this attempt began. NULL: nothing. */
    void (*on_refused)(void *owner, int64_t begun_us);
} LinkHandler;

/* An attempt to connect, address after address. */
typedef struct LinkDial {
    struct addrinfo *found; /* of the server at hand; NULL: none looked up */
    size_t address_count;
    size_t addresses_tried; /* of `found` */
    size_t servers_tried;   /* the one at hand included */
    int64_t begun_us;
    int fd; /* while it is connecting, else -1 */
    struct event *event;
    size_t refusals;
    bool refused; /* so far nothing but refusals */
    Error error;  /* the last */
} LinkDial;

typedef struct Link {
    const char *name; /* for the log */
    Loop *loop;
    const WorkerConfig *config;
    const LinkHandler *handler;
    void *owner;
    SessionIdentity identity;
    ServerAddress address;
    Session session;
    Connection *connection; /* NULL while down */
    LinkDial dial;
    LoopTimer redial;
    int64_t failures; /* since it was last open */
    bool finished;    /* no more dialing */
    bool was_open;    /* ever */
    bool up;          /* it has logged in, and the server can't have seen it end */
    int64_t alive_us; /* when it went down: until when it was up for the server; 0: never */
    int fd;           /* of the connection, a copy that outlives it until on_down */
    Error refusal;    /* ERR_DENIED after the server refused the login, else OK */
} Link;

/* Dials at once. `identity` is copied; its strings and `name` outlive the link. */
void link_init(Link *link, const char *name, Loop *loop, const WorkerConfig *config,
               const SessionIdentity *identity, const LinkHandler *handler, void *owner);
/* Closes and forgets, without on_down. */
void link_done(Link *link);

bool link_is_open(const Link *link);
/* A command is under way. */
bool link_is_busy(const Link *link);

/* Begins a command on an open link that isn't busy; append the argument to what it returns and call
 * link_send(). Without a reply within timeout_ms the link is taken for dead. */
Buf *link_begin(Link *link, Str verb);
void link_send(Link *link, int64_t timeout_ms);

/* Breaks it off and dials again. */
void link_break(Link *link, const char *why);

/* Says to the server that no more commands come and dials no more: it gives back what it has not
 * handed out yet and closes; what it has handed out still arrives. */
void link_half_close(Link *link);
