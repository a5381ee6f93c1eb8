/* No broker: never up, so that the engine dispatches straight from the store. Only broker.c includes
 * this. */
#pragma once

#include "broker/broker.h"

extern const BrokerKind broker_none;
