/* One flush of a batch: writes what is pending, answers what was asked, in the open transaction.
 * The order: deletes, updates, inserts, blind changes; loads; captured output, sessions, settings;
 * asks. */
#pragma once

#include "store/sqlite/write.h"

Err flush_batch(Writer *writer, Batch *batch, Error *error) must_check;

/* FLUSH: erases everything but what must never begin again (the fence counter). */
Err flush_wipe(Writer *writer, Error *error) must_check;

/* ---- its parts with a file of their own ---- */

/* Answers an ask (ask.c). */
Err ask_answer(Writer *writer, Batch *batch, Ask *ask, Error *error) must_check;

/* Appends captured output; of a job the last LIMIT_LOG bytes are kept (output.c). */
Err output_append(Writer *writer, int64_t slot, Str text, Error *error) must_check;

/* Nodes and controls (control.c). The numbers are given here, after everything else. */
Err flush_node(Writer *writer, const Batch *batch, const NodeWrite *write, Error *error) must_check;
Err flush_controls(Writer *writer, Batch *batch, Error *error) must_check;

/* Adds the batch's deltas, then moves the counted frontier where the batch asks for it
 * (count.c). */
Err count_write(Writer *writer, Batch *batch, Error *error) must_check;
