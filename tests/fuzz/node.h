/* A whole node for fuzz targets: the real engine, API and gateway over the simulated store and the
 * memory broker, on memory_net.h's clock. Built anew for each input, so that nothing leaks from one
 * to the next. */
#pragma once

#include "api/api.h"
#include "engine/engine.h"
#include "fuzz/memory_net.h"
#include "gateway/gateway.h"
#include "simulation/store_simulated.h"

typedef struct FuzzNode {
    Loop *loop;
    SimulatedDisk *disk;
    Store *store;
    Broker *broker;
    Engine *engine;
    TokenKeys *tokens;
    Api *api;
    HttpServer *http;
    Gateway *gateway;
    LoopTimer wake;
    LoopTask flush;
} FuzzNode;

/* The listeners, for memory_connect(). */
enum { NODE_HTTP, NODE_WORKER };

/* Small, so that short inputs reach them. */
enum { NODE_MAX_ARGS = 1024, NODE_MAX_BULK = 50, NODE_MAX_BODY = 4096 };

/* `password` of the worker protocol: absent for none. */
void fuzz_node_open(FuzzNode *node, Str password);
void fuzz_node_close(FuzzNode *node);

/* A token of a role, bound to queues that match a glob unless that is absent; in the arena. */
Str fuzz_node_token(const FuzzNode *node, Role role, Str glob, Arena *arena);
