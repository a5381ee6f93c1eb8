/* The event loop of a node: timers, signals, work for the end of a turn, and calls from other
 * threads.
 *
 * Not a general event library: sockets are connection.h's, other libraries' descriptors register on
 * loop_base(). One thread owns the loop and everything on it; loop_post() is the only function
 * another thread may call. A turn is: input and signals, timers, then the phases below in their
 * order. */
#pragma once

#include "base/error.h"
#include "base/heap.h"
#include "base/list.h"
#include <stdint.h>

typedef struct Loop Loop;
typedef void LoopFn(void *owner);

/* Never NULL; free with loop_free(). Ignores SIGPIPE for the process. */
Loop *loop_new(void) __attribute__((returns_nonnull));

/* Calls posted and not yet delivered are dropped, so join the threads that post before. Timers,
 * tasks and connections must be gone. Accepts NULL. */
void loop_free(Loop *loop);

/* Turns until loop_stop(); the turn in which that was called is finished first. */
void loop_run(Loop *loop);
void loop_stop(Loop *loop);

/* One turn; waits for something to happen. For tests and for loops with a purpose of their own. */
void loop_turn(Loop *loop);

/* CLOCK_MONOTONIC in µs, read once after each wait: the `now` of this turn. */
int64_t loop_now_us(const Loop *loop);

/* For libraries that bring their own events (libcurl, libpq, hiredis). */
struct event_base *loop_base(Loop *loop);

/* Memory for one read, free for whoever is called by the loop until that returns. */
char *loop_scratch(Loop *loop, size_t *ret_size);

/* ---- timers: one shot, monotonic, µs ---- */

typedef struct LoopTimer {
    HeapNode node;
    Loop *loop;
    LoopFn *run;
    void *owner;
} LoopTimer;

/* In place; nothing runs before it is set. Cancel it before its memory goes. */
void loop_timer_init(LoopTimer *timer, Loop *loop, LoopFn *run, void *owner);
/* Sets or moves it: at a time of loop_now_us()'s clock, or that long after now. A time in the past
 * runs in the next turn. */
void loop_timer_at(LoopTimer *timer, int64_t at_us);
void loop_timer_after(LoopTimer *timer, int64_t delay_us);
void loop_timer_cancel(LoopTimer *timer);
bool loop_timer_is_set(const LoopTimer *timer);

/* ---- work at the end of the turn ---- */

/* BATCH: what was gathered during the turn is acted on. FLUSH: each connection writes once. FREE:
 * what was closed is let go. */
typedef enum LoopPhase { LOOP_BATCH, LOOP_FLUSH, LOOP_FREE, LOOP_PHASES } LoopPhase;

typedef struct LoopTask {
    ListNode node;
    LoopFn *run;
    void *owner;
} LoopTask;

void loop_task_init(LoopTask *task, LoopFn *run, void *owner);
/* Runs it once in that phase of this turn, or of the next when that phase has begun. A task
 * deferred already stays where it is. */
void loop_defer(Loop *loop, LoopPhase phase, LoopTask *task);
void loop_task_cancel(LoopTask *task);

/* ---- from outside ---- */

/* Runs `run(owner)` in the loop's thread, in order of posting. Any thread. */
void loop_post(Loop *loop, LoopFn *run, void *owner);

/* Runs `run(owner)` in the loop, not in signal context, whenever the signal arrives. At most 16. */
Err loop_signal(Loop *loop, int signal_number, LoopFn *run, void *owner, Error *error) must_check;
