/* A node: the only place that knows everything. Opens store and broker, wires engine, ports and
 * duties to one loop, and ends them in order. */
#pragma once

#include "config/config.h"

typedef struct ServeOptions {
    const Config *config;
    const ConfigSource *source; /* where it came from: read again on SIGHUP */
    const char *program;        /* path of this binary: the worker child is started from it */
} ServeOptions;

/* Runs a node until SIGTERM or SIGINT has drained it. ERR_INVALID: configuration; ERR_CONFLICT:
 * another process has the data; ERR_UNAVAILABLE: a port can't be bound. */
Err serve(const ServeOptions *options, Error *error) must_check;

extern const char takt_version[];
