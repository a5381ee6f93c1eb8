/* What the files of the gateway share: a peer (one connection) and its calls (commands under way).
 *
 * Calls run concurrently where their verb allows it and are answered in order. A call outlives its
 * connection when the engine still works on it; its reply then goes nowhere. */
#pragma once

#include "gateway/gateway.h"
#include "proto/greeting.h"
#include "proto/line.h"
#include "proto/reply.h"

typedef struct Peer Peer;
typedef struct Call Call;

typedef struct Verb {
    const char *name;
    Action action;
    void (*run)(Call *call);
    bool needs_argument;
    bool alone; /* waits for all earlier commands, and later ones wait for it */
} Verb;

struct Call {
    ListNode node; /* Peer.calls */
    Peer *peer;    /* NULL: the connection is gone */
    Gateway *gateway;
    const Verb *verb;
    Arena arena; /* everything of this call */
    Str argument;
    Str worker; /* of the leases that it reports */
    Buf reply;
    bool answered;
    void (*cancel)(Call *call); /* the connection closed before the answer; may be NULL */
    void *state;                /* the verb's, in the arena */
};

struct Peer {
    ListNode node; /* Gateway.peers */
    Gateway *gateway;
    Connection *connection;
    Challenge challenge;
    LineScan scan;
    List calls;
    size_t call_count;
    size_t call_bytes;
    bool greeted, opted_in, running_alone, reading;
    bool ended;   /* it sends no more */
    bool closing; /* nothing more is read */
    bool syncing; /* likewise until the store knows its session */
    SessionSync sync;
    Principal principal;
    Arena arena; /* of the session: HELLO's details */
    Str worker;  /* absent: a producer */
    Session *session;
    int64_t
        alone_us; /* since then, by the engine's clock, it is the worker's newest fetching connection, and
                         has brought it all that was sent */
    ListNode sibling; /* engine_session_peers(), in the order of their HELLO */
    bool takes;       /* it has sent a TFETCH */
    bool passed;      /* a sibling that came later has sent one: what is held here is out of date */
    bool replaced;    /* … and has said what it holds: nobody reads here any more */
};

struct Gateway {
    Loop *loop;
    Engine *engine;
    Listener *listener;
    GatewayOptions options;
    List peers;
    size_t calls; /* of peers that are gone too: the engine may still come back to them */
    bool closed;
    int64_t started_us;
    uint64_t commands;
};

/* Where the call's reply is written; then call_done(). */
Buf *call_reply(Call *call);
/* The reply is complete. The call is gone afterwards. */
void call_done(Call *call);
void call_ok(Call *call);
/* -ERR message, and done. */
void call_error(Call *call, const Error *error);
void call_fail(Call *call, const char *format, ...) printf_like(2, 3);

/* The reply is this bulk; frees it. What outgrew its buffer is an error, never half a document. */
void call_bulk(Call *call, Buf *buf);
/* For each name the place of the first that equals it: a reply that is an object has each name once.
 * In the call's arena. */
const size_t *call_firsts(Call *call, const Str *names, size_t count);
/* The token's queues include this one. */
bool call_sees(const Call *call, Str queue);

/* A lease as this call's peer reports it. Lives as long as the call, which may outlive the peer. */
Lease call_lease(Call *call, int64_t fence);

/* verbs */
void verb_push(Call *call);
void verb_push_bulk(Call *call);
void verb_fetch(Call *call);
void verb_take(Call *call);
void verb_ack(Call *call);
void verb_fail(Call *call);
void verb_done(Call *call);
void verb_extend(Call *call);
void verb_beat(Call *call);
void verb_info(Call *call);
void verb_queue(Call *call);
void verb_mutate(Call *call);
void verb_track(Call *call);
void verb_log(Call *call);
void verb_flush(Call *call);
void verb_caps(Call *call);
void verb_end(Call *call);
void verb_batch(Call *call);

const Verb *verb_find(Str name);

void verb_again(Call *call);

/* gateway.c: goes on with what has arrived. */
void peer_read(Peer *peer);

/* hello.c: the first line. false: close the connection without a word. */
bool peer_hello(Peer *peer, Str line);
/* The session's token has not expired and not been revoked meanwhile. */
bool peer_is_trusted(const Peer *peer);
