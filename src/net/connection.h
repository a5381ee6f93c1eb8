/* One stream connection on the loop: bounded buffers, deadlines, one write per turn. Shared by HTTP
 * and the worker protocol; knows neither.
 *
 * Life: adopted with a descriptor, ends once, and on_close is called exactly once, in the FREE
 * phase of the turn, whatever ended it; after that the pointer is dead. So any function here may be
 * called inside any callback, connection_close() included. After the end nothing but on_close is
 * called, and writes are swallowed. Loop thread only. */
#pragma once

#include "base/buf.h"
#include "base/str.h"
#include "net/loop.h"
#include "net/transport.h"

typedef struct Connection Connection;

typedef enum ConnectionEnd {
    CONNECTION_LOCAL,    /* connection_close() or connection_finish() */
    CONNECTION_PEER,     /* the peer went away while we wrote or read (reset) */
    CONNECTION_TIMEOUT,  /* it did not take our output for write_stall_ms */
    CONNECTION_OVERFLOW, /* more output than output_hard was queued */
} ConnectionEnd;

typedef struct ConnectionHandler {
    /* There is more in connection_input(). What is not consumed is kept and shown again with the
     * next bytes; no call repeats it by itself. */
    void (*on_data)(Connection *connection, void *owner);
    /* The peer will send no more; it may still read. NULL: connection_finish(). */
    void (*on_end)(Connection *connection, void *owner);
    /* It was congested and has room again. NULL: nothing. */
    void (*on_drain)(Connection *connection, void *owner);
    /* The time given to connection_deadline() is over. NULL: connection_close(). */
    void (*on_deadline)(Connection *connection, void *owner);
    /* Required; see above. */
    void (*on_close)(Connection *connection, void *owner, ConnectionEnd why);
} ConnectionHandler;

/* A zero member means its default. Bytes and milliseconds. */
typedef struct ConnectionLimits {
    size_t input_max;       /* unconsumed input at which reading stops; 64 KiB */
    size_t output_soft;     /* queued output at which reading stops: congested; 256 KiB */
    size_t output_hard;     /* queued output at which the connection is closed; 64 MiB */
    int64_t write_stall_ms; /* closed when the peer takes nothing for so long; 30 s */
} ConnectionLimits;

/* Takes a connected stream socket (made non-blocking) and reads from the next turn on. */
Connection *connection_adopt(Loop *loop, int fd, const ConnectionLimits *limits,
                             const ConnectionHandler *handler, void *owner)
    __attribute__((returns_nonnull));

/* Gives it another handler, as on_accept must. */
void connection_set_handler(Connection *connection, const ConnectionHandler *handler, void *owner);

/* Puts another transport under it, before any byte has moved; `state` is then the connection's. */
void connection_set_transport(Connection *connection, const Transport *transport, void *state);

/* Everything received and not consumed. Valid until the callback returns or connection_consume().
 */
Str connection_input(const Connection *connection);
/* Drops the first `len` bytes of the input, and reads on if it was full. */
void connection_consume(Connection *connection, size_t len);

/* Queues bytes; all that is queued in a turn leaves in one write at its end. */
void connection_write(Connection *connection, Str bytes);

/* The same in place: append to the buffer, then call connection_written(). Don't touch what is in
 * it. */
Buf *connection_output(Connection *connection);
void connection_written(Connection *connection);

/* True while more than output_soft is queued: don't start new work for this peer, wait for
 * on_drain. */
bool connection_is_congested(const Connection *connection);
/* True after its end, whatever that was. */
bool connection_is_closed(const Connection *connection);
/* True after the peer's end of stream. */
bool connection_has_ended(const Connection *connection);
/* Bytes queued and not yet taken by the kernel. */
size_t connection_queued(const Connection *connection);

/* Calls on_deadline once, so long after now; replaces the one before, 0 cancels. */
void connection_deadline(Connection *connection, int64_t after_us);

/* Ends it now; queued output is lost. */
void connection_close(Connection *connection);
/* Ends it when the output is flushed: no more on_data; closes our half, waits up to 2 s for the
 * peer's, so that a peer still sending gets to read our last words. */
void connection_finish(Connection *connection);
/* Ends and frees it at once, without on_close. For tearing down, never inside a callback of it. */
void connection_free(Connection *connection);

/* "192.0.2.1:5123" or "[2001:db8::1]:5123", and the address alone; "local" for a Unix socket. */
Str connection_peer(const Connection *connection);
Str connection_peer_host(const Connection *connection);

Loop *connection_loop(const Connection *connection);

/* For listener.c: calls back when the connection is freed, after on_close. */
void connection_on_free(Connection *connection, LoopFn *run, void *owner);
