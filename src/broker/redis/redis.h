/* The broker in Redis, for any number of nodes. Only broker.c includes this. */
#pragma once

#include "broker/broker.h"

extern const BrokerKind broker_redis;
