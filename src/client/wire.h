/* The blocking transport of libtakt: one TCP or TLS connection with a deadline on every operation.
 *
 * Reports what goes wrong, never aborts, never raises SIGPIPE. */
#pragma once

#include "base/error.h"
#include "client/address.h"
#include <stddef.h>
#include <stdint.h>

typedef struct Wire {
    int fd;             /* -1: closed */
    struct ssl_st *tls; /* NULL: plain */
} Wire;

/* Deadlines are CLOCK_MONOTONIC µs. ERR_UNAVAILABLE or ERR_TIMEOUT; ERR_DENIED when the TLS
 * server's certificate is not trusted. `ca_file` may be NULL. */
Err wire_open(Wire *wire, const ServerAddress *address, const char *ca_file, int64_t deadline_us,
              Error *error) must_check;
void wire_close(Wire *wire);

/* Asks every second whether the connection still stands, so that a close which was not announced is
 * found; silence never ends it. */
void wire_probe(const Wire *wire);

/* All of it. */
Err wire_write(Wire *wire, const char *bytes, size_t len, int64_t deadline_us, Error *error)
    must_check;
/* At least one byte; ERR_UNAVAILABLE at the end of the stream. */
Err wire_read(Wire *wire, char *bytes, size_t size, int64_t deadline_us, size_t *ret_len,
              Error *error) must_check;
