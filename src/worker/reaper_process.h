/* Inside the reaper: its descriptors, the messages it gets, and its life. Only for reaper.c. */
#pragma once

#include "worker/reaper.h"

/* Descriptor numbers inside the reaper; 0 … 3 are the command's own. */
typedef enum Wire {
    WIRE_INPUT,
    WIRE_OUTPUT,
    WIRE_ERRORS,
    WIRE_PROGRESS,
    WIRE_CONTROL,
    WIRE_REPORT,
    WIRE_COUNT,
} Wire;

typedef enum OrderKind { ORDER_LEASE, ORDER_STOP } OrderKind;

/* One write to the control pipe; smaller than PIPE_BUF, so never torn. */
typedef struct Order {
    OrderKind kind;
    StopReason reason; /* of ORDER_STOP */
    int64_t value;     /* lease in µs (CLOCK_MONOTONIC) or grace in ms */
} Order;

/* The life of the reaper, in the forked process, all signals blocked. `wires` are numbers above
 * WIRE_COUNT. Neither allocates nor returns. */
_Noreturn void reaper_main(const ReaperPlan *plan, const int wires[WIRE_COUNT]);

/* In the command's own process, below the reaper: becomes the command, or writes a Report to
 * `report` and exits. */
_Noreturn void command_become(const ReaperPlan *plan, pid_t reaper, int report);
