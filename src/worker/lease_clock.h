/* Until when the commands of a worker may run: the rule behind "two starts of one job are never
 * both within lease". Pure; all times are CLOCK_MONOTONIC in µs and handed in.
 *
 * A server gives a worker's jobs to others when it has heard nothing of it for the lease, or 5 s
 * after it saw the last connection of the worker close. Everything must be gone before that; the
 * last fifth of either time is left for the way of a packet and for the killing.
 *
 * 1. Silence. The lease counts from when the last answered BEAT was sent: the server heard it no
 *    earlier.
 *
 * 2. Cut off. Once no connection is left, the lease is no longer than 5 s, from the last moment at
 *    which the server can't have seen the close: where the other side closed, when the last packet
 *    came from there (an acknowledgement says that the connection still stood; keepalive probes ask
 *    for one every second, and find out about a close that was not announced); where this side
 *    closed, that moment. A BEAT that is answered within these 5 s ends the cut. A connection that
 *    is merely open again does not: what was sent over it may have come too late.
 *
 *    What this can't tell from silence, and treats as such: a server that saw its connections close
 *    while from then on nothing gets through to it, so that no probe is refused.
 *
 * 3. Nobody there. A server that is down gives nothing away, and after its start it waits 5 s for
 *    sessions that it knew as closed and a whole lease for the others. That it was down when an
 *    attempt to connect began is known when that was refused at every address. The cut then counts
 *    from there instead, as long as refusals go on and whatever the length of the lease: an outage
 *    of the server alone ends no job. Time-outs, unreachable hosts, and connections that come to
 *    stand and then fail prove nothing. Nor does a refusal by a proxy or a firewall; URLs must lead
 *    to the server itself.
 *
 * A lease that has run out never comes back. What was leased under it, or was on its way then, is
 * to be stopped or dropped, also when a BEAT is answered right after: hence the epoch. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { LEASE_CUT_MS = 5000 };

typedef struct LeaseClock {
    int64_t lease_ms;   /* the shortest that the server has named */
    int64_t renewed_us; /* when the last answered BEAT was sent; 0: none yet */
    int64_t cut_us;     /* from when the cut counts; 0: not cut off */
    int64_t refused_us; /* while cut off: begin of the last attempt that was refused; 0: none */
    int64_t epoch;      /* how often it has run out */
    bool over;          /* it ran out and was not renewed since */
} LeaseClock;

/* When everything under a lease of this length must be gone. */
int64_t lease_clock_end_us(const LeaseClock *clock, int64_t lease_ms);

/* True once each time it has run out: stop everything. To be called before anything that may
 * renew it, and before anything is done under it. */
bool lease_clock_look(LeaseClock *clock, int64_t now_us);

/* It is neither over nor cut: new jobs may be taken. */
bool lease_clock_holds(const LeaseClock *clock);

/* The last connection is gone, and the server knew it until `alive_us`. */
void lease_clock_cut(LeaseClock *clock, int64_t alive_us);
/* An attempt to connect that began then was refused at every address. */
void lease_clock_refused(LeaseClock *clock, int64_t begun_us);
/* A BEAT that was sent then is answered. */
void lease_clock_renew(LeaseClock *clock, int64_t sent_us);
