/* A listening socket: accepts connections up to a number, and waits when the process has no
 * descriptor left. What becomes of a connection is the caller's business (connection.h). */
#pragma once

#include "net/connection.h"

typedef struct Listener Listener;

typedef struct ListenerOptions {
    const char
        *address; /* "HOST:PORT"; "[::1]:80"; an empty host is any IPv4 address, "[::]" any */
    size_t max_connections; /* 0: no limit but the process's */
    Str refusal; /* written to a connection above the limit before it is closed; may be absent */
    ConnectionLimits limits; /* of each connection */
    /* Must give the connection its handler (connection_set_handler). */
    void (*on_accept)(void *owner, Connection *connection);
    void *owner;
} ListenerOptions;

/* Listens when it returns; port 0 takes a free one. Options are copied, their texts borrowed.
 * ERR_INVALID (code "bad-address") for text that is no address, ERR_UNAVAILABLE where it can't be
 * bound. */
Err listener_open(Loop *loop, const ListenerOptions *options, Listener **ret, Error *error)
    must_check;

/* Closes the listening socket; its connections live on, and so does the rest of this object. */
void listener_stop(Listener *listener);

/* Stops it and lets it go; its connections live on. Accepts NULL. */
void listener_close(Listener *listener);

/* The address it really has, e.g. "127.0.0.1:41234", and its port. Valid until closed. */
const char *listener_address(const Listener *listener);
uint16_t listener_port(const Listener *listener);

/* Connections accepted and not yet freed; how many were refused so far. */
size_t listener_connections(const Listener *listener);
uint64_t listener_refused(const Listener *listener);
