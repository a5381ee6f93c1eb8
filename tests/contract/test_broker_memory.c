/* The memory broker keeps the contract. */
#include "broker_contract.h"

static Err open_memory(void *context, Broker **ret, Error *error) {
    (void)context;
    return broker_open(ret, STR("memory:"), NULL, error);
}

int main(void) {
    return broker_contract(&(BrokerSuite){.name = "broker memory", .open = open_memory});
}
