/* What every broker keeps: run by each adapter's test with its own opener. Uses broker.h alone. */
#pragma once

#include "broker_model.h"

/* Runs the whole suite; returns cmocka's count of failed tests. */
int broker_contract(const BrokerSuite *suite);
