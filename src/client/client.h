/* What the parts of libtakt share: the client, its request buffer, one exchange with the server.
 * Private to this folder.
 *
 * A request is built as a whole line before anything is sent, in memory that was asked for with its
 * upper bound beforehand: so a lack of memory is a status, and a request can be sent again. */
#pragma once

#include "client/session.h"
#include "client/wire.h"
#include "takt/takt.h"
#include <stdbool.h>

struct takt_client {
    ServerAddress address;
    SessionIdentity identity; /* strings in `owned` */
    char *owned[6];
    char *ca_file; /* one of `owned`, or NULL */
    char *labels;  /* JSON, or NULL */
    int64_t timeout_ms;
    int attempts;
    Wire wire;
    Session session;
    Buf request; /* fixed memory: capacity = max + 1 */
    char *input;
    size_t input_len;
    size_t input_capacity;
    size_t input_used; /* of the reply handed out last */
    int64_t sent_us;   /* when its request was sent */
};

/* What may be done about a connection that breaks after the request was sent. */
typedef enum Repeat { REPEAT_SAFE, REPEAT_UNSAFE } Repeat;

takt_status client_fail(takt_error *error, takt_status status, const char *format, ...)
    printf_like(3, 4);
/* The same from an Error of the inner layers. */
takt_status client_fail_with(takt_error *error, const Error *cause);
/* From an error reply of the server. */
takt_status client_fail_refused(takt_error *error, Str reply);

/* Begins a request of at most `bound` bytes behind "VERB ". */
takt_status client_begin(takt_client *client, Str verb, size_t bound, takt_error *error);
/* Most bytes a string takes as JSON, quotes included. */
size_t client_string_bound(const char *text);

/* Ends the line, sends it, and waits for its reply: `wait_ms` beyond the usual time. The reply
 * is valid until the next call. Error replies come as replies. */
takt_status client_exchange(takt_client *client, Repeat repeat, int64_t wait_ms, Reply *ret,
                            takt_error *error);

/* For replies that say no more than whether it worked: any but an error reply is TAKT_OK. */
takt_status client_exchange_plain(takt_client *client, Repeat repeat, takt_error *error);
/* For replies that must be a bulk string. */
takt_status client_exchange_bulk(takt_client *client, Repeat repeat, int64_t wait_ms, Str *ret,
                                 takt_error *error);

/* Appends `"key":` and the JSON text on one line; TAKT_ERR_INVALID when it is none of the kind
 * (JSON_NULL: any kind). */
takt_status client_put_json(JsonWriter *writer, const char *key, const char *text, JsonKind kind,
                            takt_error *error);
