/* One connection of the worker protocol from the client's side, without any I/O: bytes that
 * arrived go in, replies come out, bytes to send are appended to a buffer of the caller's.
 *
 * The caller owns the sockets and the buffers, so that the blocking library and the worker's
 * event loop drive the same code. Replies come in the order of the commands. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "proto/greeting.h"
#include "proto/reply.h"

enum { SESSION_REPLY_MAX = 64 * 1024 * 1024 };

/* Who says HELLO; borrowed as long as the session lives. */
typedef struct SessionIdentity {
    Str password; /* absent or empty: none */
    Str token;    /* instead of a password; absent: none */
    Str hostname;
    Str wid; /* absent: a producer */
    Json labels;
    int64_t pid;
} SessionIdentity;

typedef enum SessionState {
    SESSION_GREETING, /* waits for +HI */
    SESSION_LOGIN,    /* HELLO is sent */
    SESSION_OPEN,
    SESSION_BROKEN, /* nothing but closing is left */
} SessionState;

typedef struct Session {
    SessionState state;
    const SessionIdentity *identity;
    ReplyScan scan;
    size_t awaited; /* commands without their reply */
} Session;

void session_init(Session *session, const SessionIdentity *identity);

typedef enum SessionEvent {
    SESSION_MORE,   /* nothing until more bytes arrive */
    SESSION_READY,  /* the handshake is done: commands may be sent */
    SESSION_REPLY,  /* *ret_reply answers the oldest command */
    SESSION_FAILED, /* *error says why; close */
} SessionEvent;

/* Takes at most one step over `input`; call again with what is left after dropping *ret_used
 * bytes, until it says MORE. The reply is a slice of the input. May append HELLO to `output`.
 * Errors: ERR_DENIED (password or token refused), ERR_UNAVAILABLE (the server is full or going
 * down), ERR_INVALID (not such a server, or it broke the protocol). */
SessionEvent session_step(Session *session, Str input, Buf *output, size_t *ret_used,
                          Reply *ret_reply, Error *error);

/* Begins a command: appends "VERB " and counts the reply. The caller appends the argument and calls
 * session_end(). Only while open. */
void session_begin(Session *session, Buf *output, Str verb);
void session_end(Buf *output);

/* Counts a command whose whole line the caller made itself and is about to send. Only while
 * open. */
void session_expect(Session *session);
