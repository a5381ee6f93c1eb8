/* The score of a job's place in its queue: packs (priority, due) into one number and takes
 * it apart.
 *
 * The invariant: the due part stays inside its 50 bits (2020 to 2055), so that a time can
 * never spill into the priority; times outside are held at the ends. */
#include "core/order.h"

enum { DUE_BITS = 50, PRIORITY_MIDDLE = 5 };

static const int64_t DUE_MAX = (INT64_C(1) << DUE_BITS) - 1;

int64_t order_score(int64_t priority, int64_t due_us) {
    int64_t due = 0;
    if (due_us > ORDER_EPOCH_US) due = due_us - ORDER_EPOCH_US;
    if (due > DUE_MAX) due = DUE_MAX;
    return (PRIORITY_MIDDLE - priority) * (DUE_MAX + 1) + due;
}

int64_t order_priority(int64_t score) {
    return PRIORITY_MIDDLE - (score - (score & DUE_MAX)) / (DUE_MAX + 1);
}

int64_t order_due_us(int64_t score) {
    return ORDER_EPOCH_US + (score & DUE_MAX);
}
