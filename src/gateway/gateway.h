/* The worker protocol's port: Faktory Work Protocol v2 and Takt's opt-in extensions
 * (docs/protocol.md).
 *
 * One connection is one session of commands, answered in order; what a command does is the
 * engine's. Loop thread only. */
#pragma once

#include "auth/token.h"
#include "engine/engine.h"
#include "net/listener.h"

typedef struct Gateway Gateway;

typedef struct GatewayOptions {
    const char *listen; /* "HOST:PORT" */
    Str password;       /* absent: none is asked for */
    RoleSet roles;      /* of sessions that bring no token */
    bool allow_flush;
    size_t max_connections;
    size_t max_line; /* bytes of one command */
    size_t max_args; /* bytes of a job's args, and of its custom */
    size_t max_bulk; /* jobs of one PUSHB */
    TokenKeys *tokens;
    const char *version; /* of Takt, for INFO */
} GatewayOptions;

/* Listens when it returns; options are copied, their texts borrowed. */
Err gateway_open(Loop *loop, Engine *engine, const GatewayOptions *options, Gateway **ret,
                 Error *error) must_check;
/* Stops accepting; connections live on. */
void gateway_stop_accepting(Gateway *gateway);
/* Closes every connection and frees it when the last one is gone, and the engine has answered the last
 * command. Accepts NULL. */
void gateway_close(Gateway *gateway);
uint16_t gateway_port(const Gateway *gateway);
size_t gateway_connections(const Gateway *gateway);
