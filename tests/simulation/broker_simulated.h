/* A broker for simulations: what a server that several nodes share would do, with the window's real
 * decisions (broker/window.h) and the faults of a server and its network.
 *
 * The server lives as long as the history; each node opens a handle. A node's commands keep their order
 * and may take their time; a push may be lost, and so may the word of it to the other nodes. A refill is
 * a lock that ends by itself, since the node that holds it may die. Deterministic, not thread safe. */
#pragma once

#include "broker/broker.h"
#include "broker/window.h"

typedef struct SimulatedBroker SimulatedBroker;

/* most: how many members a half of a window may have. */
SimulatedBroker *simulated_broker_new(size_t most) __attribute__((returns_nonnull));
/* When every handle is closed. Accepts NULL. */
void simulated_broker_free(SimulatedBroker *server);

typedef struct SimulatedBrokerIo {
    /* Calls function(argument) once, then; never from inside. */
    void (*later)(void *context, int64_t delay_us, void (*function)(void *), void *argument);
    /* How long a command takes; 0: it is answered before the call returns. */
    int64_t (*lag_us)(void *context);
    bool (*loses_hint)(void *context);
    bool (*loses_word)(void *context);
    /* Its process is gone: it takes nothing and says nothing more, but for what is under way. */
    bool (*is_dead)(void *context);
    void *context;
} SimulatedBrokerIo;

/* Close with broker_close() when none of its commands is under way. */
Broker *simulated_broker_open(SimulatedBroker *server, const SimulatedBrokerIo *io)
    __attribute__((returns_nonnull));

void simulated_broker_wipe(SimulatedBroker *server);
/* What roll_back makes the truth again: as after a restart from an old copy. */
void simulated_broker_save(SimulatedBroker *server);
void simulated_broker_roll_back(SimulatedBroker *server);

/* NULL: nobody has named this queue. Borrowed until the next call of any kind. */
const Window *simulated_broker_window(const SimulatedBroker *server, Str queue);
/* Commands of all nodes that have not arrived yet. */
size_t simulated_broker_under_way(const SimulatedBroker *server);
