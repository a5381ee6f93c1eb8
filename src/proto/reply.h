/* Replies of the worker protocol, both ways: RESP's simple string, error and bulk string. The
 * integer and array types are never used; existing clients abort on them. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

/* ---- server: appends one reply ---- */

/* +text. `text` holds no line end. */
void reply_simple(Buf *buf, Str text);
void reply_ok(Buf *buf);
/* -CODE sentence: line ends and other control characters in the sentence become spaces, so that
 * no input that is quoted in it can forge a reply. `code` is "ERR" but for the few that clients
 * know. */
void reply_error(Buf *buf, const char *code, Str sentence);
/* $len and the bytes. */
void reply_bulk(Buf *buf, Str bytes);
/* $-1 */
void reply_null(Buf *buf);

/* ---- client: reads replies as they arrive ---- */

typedef enum ReplyKind { REPLY_SIMPLE, REPLY_ERROR, REPLY_BULK, REPLY_NULL } ReplyKind;

typedef struct Reply {
    ReplyKind kind;
    Str text; /* without type byte and line end: "OK", "ERR unknown command X", a bulk's bytes */
} Reply;

typedef enum ReplyStatus { REPLY_MORE, REPLY_READY, REPLY_MALFORMED } ReplyStatus;

/* Remembers progress inside an incomplete reply; zero begins a new one. */
typedef struct ReplyScan {
    size_t searched; /* of the head line */
    size_t head;     /* length of a bulk's head line with its end, 0 while unknown */
    size_t bulk_len;
} ReplyScan;

/* Reads the reply at the start of `input`. On REPLY_READY *ret is a slice of the input and
 * *ret_used the bytes to drop. `max` bounds the text of a reply; a longer one, or any other
 * type, is REPLY_MALFORMED. The input must begin with the same bytes at each call until then. */
ReplyStatus reply_scan(ReplyScan *scan, Str input, size_t max, Reply *ret, size_t *ret_used);

/* Bytes a reply still lacks at least; 0 when unknown. For sizing the receive buffer. */
size_t reply_missing(const ReplyScan *scan, Str input);
