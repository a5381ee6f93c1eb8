/* What a command printed: the last part of it, and all of it while it may still be a JSON result.
 * Bounded whatever the command prints. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include <stdbool.h>
#include <stdint.h>

/* The last `max` bytes of a stream. */
typedef struct Tail {
    Buf bytes; /* may hold up to twice `max` until it is read */
    size_t max;
    uint64_t lost; /* bytes dropped at the front since the last tail_clear() */
} Tail;

void tail_init(Tail *tail, size_t max);
void tail_done(Tail *tail); /* accepts NULL */
void tail_add(Tail *tail, Str bytes);
void tail_clear(Tail *tail);
/* At most `max` bytes; valid until the next change. */
Str tail_str(Tail *tail);
/* The same without an incomplete UTF-8 sequence at its end, which a later call will complete. */
Str tail_str_whole(Tail *tail);
/* Drops `len` bytes at the front, as delivered: they don't count as lost. */
void tail_drop(Tail *tail, size_t len);

/* All of stdout up to a maximum; beyond it the stream is no result. */
typedef struct ResultCapture {
    Buf bytes;
} ResultCapture;

void result_capture_init(ResultCapture *capture, size_t max);
void result_capture_done(ResultCapture *capture); /* accepts NULL */
void result_capture_add(ResultCapture *capture, Str bytes);
/* The one JSON document that was printed, on one line and in the arena; absent when it was anything
 * else (too large, too deep, half, several, or nothing). */
Json result_capture_json(const ResultCapture *capture, Arena *arena);
