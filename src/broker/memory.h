/* The broker in this process's memory: for one node. Only broker.c includes this. */
#pragma once

#include "broker/broker.h"

extern const BrokerKind broker_memory;
