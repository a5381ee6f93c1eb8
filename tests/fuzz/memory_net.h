/* The network and the clocks of a fuzzed node, in memory: stands in for loop.c, listener.c,
 * base/clock.c, libevent and the system's randomness, beneath the real connection.c.
 *
 * Nothing here reads a clock or a socket, so the same input gives the same bytes. Time moves by
 * memory_advance() only. One loop at a time; links belong to it. */
#pragma once

#include "base/buf.h"
#include "net/connection.h"

/* The far end of one connection. */
typedef struct MemoryLink MemoryLink;

/* What is "now" at the start of each input. */
#define MEMORY_START_US INT64_C(1800000000000000)

/* Sets clocks and randomness back to their start. */
void memory_reset(void);

/* Connects to the listener that was opened as number `index` (0 is the first). */
MemoryLink *memory_connect(Loop *loop, size_t index) __attribute__((returns_nonnull));
/* Sends; the node sees at most `step` bytes a turn (0: all). */
void memory_send(MemoryLink *link, Str bytes, size_t step);
/* Sends no more, but still reads. */
void memory_end(MemoryLink *link);
/* Is gone without a word. */
void memory_vanish(MemoryLink *link);
/* Takes so many more bytes and then no others, until told otherwise; SIZE_MAX: all. */
void memory_take(MemoryLink *link, size_t bytes);

/* All that has arrived from the node; valid until more does. */
Str memory_received(const MemoryLink *link);
/* The node has ended its side: nothing more will arrive. */
bool memory_is_closed(const MemoryLink *link);

/* Turns until nothing is left to do now. */
void memory_settle(Loop *loop);
/* Moves the clock, running what falls due on the way (at most a few hundred times; the rest is then
 * late), and settles. */
void memory_advance(Loop *loop, int64_t us);
