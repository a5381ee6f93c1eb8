/* Who this node is: its name among others, and what it says of itself. */
#pragma once

#include "config/config.h"

typedef struct NodeIdentity {
    char name[300];    /* HOSTNAME, or HOSTNAME:PORT of HTTP where others share the store */
    char instance[33]; /* of this start; "" = nobody shares the store */
    char info[900];    /* JSON {"http","protocol","pid","hostname"} */
} NodeIdentity;

void node_identify(NodeIdentity *identity, const Config *config);
