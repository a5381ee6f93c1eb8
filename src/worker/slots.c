/* The jobs that run. The one invariant: a slot is held from the lease to the settled outcome, so
 * what a worker has leased never exceeds its concurrency. */
#include "worker/slots.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/time.h"
#include "telemetry/log.h"
#include "worker/children.h"
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

static void unwatch(Slot *slot, RunStream stream) {
    if (slot->events[stream]) event_free(slot->events[stream]);
    slot->events[stream] = NULL;
}

static void note_end(Slot *slot) {
    Run *run = slot->run;
    if (run->ended && slot->ended_us == 0) slot->ended_us = loop_now_us(slot->worker->loop);
    if (!run_has_ended(run)) return;
    for (int i = 0; i < RUN_STREAMS; i++)
        unwatch(slot, (RunStream)i);
    report_pump(slot->worker);
}

static void read_stream(Slot *slot, RunStream stream) {
    size_t size;
    char *scratch = loop_scratch(slot->worker->loop, &size);
    run_read(slot->run, stream, scratch, size);
    if (run_fd(slot->run, stream) < 0) unwatch(slot, stream);
    note_end(slot);
}

static void on_report(evutil_socket_t fd, short what, void *slot) {
    (void)fd, (void)what;
    read_stream(slot, RUN_REPORT);
}
static void on_output(evutil_socket_t fd, short what, void *slot) {
    (void)fd, (void)what;
    read_stream(slot, RUN_OUTPUT);
}
static void on_errors(evutil_socket_t fd, short what, void *slot) {
    (void)fd, (void)what;
    read_stream(slot, RUN_ERRORS);
}
static void on_progress(evutil_socket_t fd, short what, void *slot) {
    (void)fd, (void)what;
    read_stream(slot, RUN_PROGRESS);
}

static const event_callback_fn STREAM_CALLBACKS[RUN_STREAMS] = {
    [RUN_REPORT] = on_report,
    [RUN_OUTPUT] = on_output,
    [RUN_ERRORS] = on_errors,
    [RUN_PROGRESS] = on_progress,
};

static void watch(Slot *slot, RunStream stream) {
    int fd = run_fd(slot->run, stream);
    if (fd < 0) return;
    struct event_base *base = loop_base(slot->worker->loop);
    slot->events[stream] =
        event_new(base, fd, EV_READ | EV_PERSIST, STREAM_CALLBACKS[stream], slot);
    check(slot->events[stream]);
    check(event_add(slot->events[stream], NULL) == 0);
}

void slots_start(Worker *worker, const WireJob *job) {
    Slot *slot = alloc_zero(1, sizeof *slot);
    slot->worker = worker;
    WireJob leased = *job;
    if (leased.lease_ms <= 0) leased.lease_ms = worker->lease.lease_ms;
    int64_t lease_us = lease_clock_end_us(&worker->lease, leased.lease_ms);
    slot->run = run_new(&leased, worker->config, lease_us);
    list_append(&worker->slots, &slot->node);
    worker->slot_count++;
    const Run *run = slot->run;
    if (run->failure.err != OK) {
        log_warn("worker.not_started", kv_str("job_id", run->job.jid),
                 kv_str("job_type", run->job.jobtype), kv_error(&run->failure));
    }
    for (int i = 0; i < RUN_STREAMS; i++)
        watch(slot, (RunStream)i);
    if (!loop_timer_is_set(&worker->tick)) loop_timer_after(&worker->tick, 0);
    note_end(slot);
}

void slots_remove(Worker *worker, Slot *slot) {
    if (worker->sent_slot == slot) worker->sent_slot = NULL;
    for (int i = 0; i < RUN_STREAMS; i++)
        unwatch(slot, (RunStream)i);
    list_remove(&slot->node);
    worker->slot_count--;
    run_free(slot->run);
    free(slot);
}

static void stop(Slot *slot, StopReason reason, int64_t grace_ms) {
    slot->stopped = true;
    run_stop(slot->run, reason, grace_ms);
}

bool slots_cancel(Worker *worker, Str jid) {
    bool found = false;
    list_each(&worker->slots, node) {
        Slot *slot = container_of(node, Slot, node);
        if (slot->stopped || !str_eq(slot->run->job.jid, jid)) continue;
        log_info("worker.cancelled", kv_str("job_id", jid));
        found = found || !slot->run->ended;
        stop(slot, STOP_CANCEL, WORKER_GRACE_MS);
    }
    return found;
}

void slots_stop_all(Worker *worker, StopReason reason, int64_t grace_ms) {
    list_each(&worker->slots, node) stop(container_of(node, Slot, node), reason, grace_ms);
}

void slots_set_lease(Worker *worker) {
    list_each(&worker->slots, node) {
        Run *run = container_of(node, Slot, node)->run;
        run_set_lease(run, lease_clock_end_us(&worker->lease, run->lease_ms));
    }
}

static void kill_stray(pid_t child, void *context) {
    Worker *worker = context;
    list_each(&worker->slots, node) {
        if (container_of(node, Slot, node)->run->reaper.pid == child) return;
    }
    kill(child, SIGKILL);
}

void slots_reap(Worker *worker) {
    children_each(kill_stray, worker);
    pid_t pid;
    while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) {
        list_each(&worker->slots, node) {
            Run *run = container_of(node, Slot, node)->run;
            /* the number may be given to a stranger from now on */
            if (run->reaper.pid == pid) run->reaper.pid = 0;
        }
    }
}
