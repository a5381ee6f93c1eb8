/* Jobs in and leases kept. The one invariant: nothing that came from the server is acted on before
 * it was looked whether the lease has run out. */
#include "base/clock.h"
#include "base/time.h"
#include "telemetry/log.h"
#include "worker/slots.h"
#include <stdio.h>
#include <unistd.h>

#define HELD_AGAIN_US (30 * US_PER_S)

enum {
    FETCH_WAIT_MS = 10000,
    FETCH_PAUSE_MS = 1000, /* after an error */
    BEAT_WAIT_MAX_MS = 10000,
    ANSWER_MS = 5000, /* beyond the wait that was asked for */
};

/* ---- the lease ---- */

void lease_look(Worker *worker) {
    if (!lease_clock_look(&worker->lease, clock_mono_us())) return;
    if (worker->slot_count > 0) {
        log_warn("worker.lease_over", kv_int("running", (int64_t)worker->slot_count));
    }
    slots_stop_all(worker, STOP_LEASE, 0);
    if (link_is_busy(&worker->fetch)) link_break(&worker->fetch, "the lease ran out");
}

void lease_link_down(Worker *worker) {
    const Link *links[] = {&worker->fetch, &worker->beat, &worker->report};
    int64_t alive_us = 0;
    lease_look(worker);
    for (size_t i = 0; i < LENGTH(links); i++) {
        if (links[i]->up) return;
        if (links[i]->alive_us > alive_us) alive_us = links[i]->alive_us;
    }
    lease_clock_cut(&worker->lease, alive_us);
    slots_set_lease(worker);
}

void lease_refused(void *owner, int64_t begun_us) {
    Worker *worker = owner;
    lease_look(worker);
    lease_clock_refused(&worker->lease, begun_us);
    slots_set_lease(worker);
}

/* ---- cancels that come before their job ---- */

/* A server does not lease a job that is cancelled, so what was told before the TFETCH was sent says
 * nothing of the jobs that answer it: they have been retried since. */
static void forget_cancels(Worker *worker) {
    worker->cancelled_count = 0;
    arena_reset(&worker->cancelled_arena);
}

static void note_cancel(Worker *worker, Str jid) {
    if (!link_is_busy(&worker->fetch) || worker->cancelled_count > CANCELS_MOST) return;
    size_t at = worker->cancelled_count++;
    if (at < CANCELS_MOST) worker->cancelled[at] = arena_str(&worker->cancelled_arena, jid);
}

static bool was_cancelled(const Worker *worker, Str jid) {
    for (size_t i = 0; i < worker->cancelled_count; i++) {
        if (str_eq(worker->cancelled[i], jid)) return true;
    }
    return false;
}

/* ---- fetching ---- */

static void fetch_again(void *owner) {
    lease_fetch(owner);
}

/* The reply to the last TFETCH of the connection before may have been lost, or a job of the reply before
 * not been started: the server learns what there is, so that the rest runs again. Now and then also of what
 * another node may still have sent over a connection that was given up. */
static void name_held(const Worker *worker, Arena *arena, TakeRequest *ret) {
    ret->held = arena_zero(arena, worker->slot_count + 1, sizeof *ret->held);
    list_each(&worker->slots, node) {
        const Slot *slot = container_of(node, Slot, node);
        ret->held[ret->held_count++] = slot->run->job.fence;
    }
}

void lease_fetch(Worker *worker) {
    int64_t free_slots = worker->config->concurrency - (int64_t)worker->slot_count;
    lease_look(worker);
    int64_t now_us = clock_mono_us();
    bool tell_held = worker->tell_held || now_us - worker->told_held_us > HELD_AGAIN_US;
    bool wanted =
        worker->phase == PHASE_RUNNING && free_slots > 0 && lease_clock_holds(&worker->lease);
    if (!wanted || !link_is_open(&worker->fetch) || link_is_busy(&worker->fetch)) return;
    if (loop_timer_is_set(&worker->fetch_again)) return;
    cleanup(arena_done) Arena arena = {0};
    TakeRequest request = {.queues = (Str *)(uintptr_t)worker->config->queues,
                           .queue_count = worker->config->queue_count,
                           .n = free_slots < TAKE_MAX ? free_slots : TAKE_MAX,
                           .wait_ms = FETCH_WAIT_MS,
                           .has_held = tell_held};
    if (tell_held) name_held(worker, &arena, &request);
    if (tell_held) worker->told_held_us = now_us;
    worker->fetch_epoch = worker->lease.epoch;
    forget_cancels(worker);
    take_request_write(link_begin(&worker->fetch, STR("TFETCH")), &request);
    link_send(&worker->fetch, FETCH_WAIT_MS + ANSWER_MS);
}

static void fetch_later(Worker *worker, const char *why) {
    log_warn("worker.fetch_failed", kv_text("error", why));
    loop_timer_after(&worker->fetch_again, FETCH_PAUSE_MS * US_PER_MS);
}

/* The leases of new jobs may be shorter than those before; false when they would be over by now. */
static bool note_leases(Worker *worker, const WireJob *jobs, size_t count) {
    int64_t before_ms = worker->lease.lease_ms;
    for (size_t i = 0; i < count; i++) {
        if (jobs[i].lease_ms > 0 && jobs[i].lease_ms < worker->lease.lease_ms) {
            worker->lease.lease_ms = jobs[i].lease_ms;
        }
    }
    /* the beat that is parked would come back too late for them */
    if (worker->lease.lease_ms < before_ms) link_break(&worker->beat, "leases became shorter");
    lease_look(worker);
    return worker->fetch_epoch == worker->lease.epoch;
}

static void start_job(Worker *worker, const WireJob *job) {
    if (!was_cancelled(worker, job->jid)) {
        slots_start(worker, job);
        return;
    }
    log_info("worker.cancelled", kv_str("job_id", job->jid));
    /* where it is leased anew after a retry, the server sees that it is not held, and it runs again */
    worker->tell_held = true;
}

static void on_fetched(void *owner, const Reply *reply) {
    Worker *worker = owner;
    Arena arena = {0};
    WireJob *jobs;
    size_t count;
    Error error = {0};
    lease_look(worker);
    if (reply->kind != REPLY_BULK) {
        error_set(&error, ERR_INVALID, "%.*s", reply->text.len > 200 ? 200 : (int)reply->text.len,
                  reply->text.ptr);
        fetch_later(worker, error.message);
    } else if (take_reply_parse(reply->text, &arena, &jobs, &count, &error) != OK) {
        fetch_later(worker, error.message);
    } else if (!note_leases(worker, jobs, count)) {
        /* Somebody else may have these jobs by now. They are not among those that the next
         * connection names as held: where nobody has them, they run again. */
        link_break(&worker->fetch, "the lease ran out while jobs were on their way");
    } else if (worker->cancelled_count > CANCELS_MOST) {
        link_break(&worker->fetch, "more jobs were cancelled than can be remembered");
    } else {
        worker->tell_held = false;
        for (size_t i = 0; i < count; i++)
            start_job(worker, &jobs[i]);
    }
    arena_done(&arena);
    lease_fetch(worker);
}

static void on_fetch_open(void *owner) {
    ((Worker *)owner)->tell_held = true;
    lease_fetch(owner);
}

static void on_fetch_down(void *owner) {
    Worker *worker = owner;
    lease_link_down(worker);
    if (worker->fetch.refusal.err == ERR_DENIED && !worker->fetch.was_open) {
        worker_abort(worker, &worker->fetch.refusal);
    }
    worker_check_done(worker);
}

/* ---- beats ---- */

static int64_t resident_kb(void) {
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file) return 0;
    if (fscanf(file, "%*s %ld", &pages) != 1) pages = 0;
    fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void on_beat_down(void *owner) {
    lease_link_down(owner);
}

/* The first beat on a connection asks to be answered at once: jobs are fetched once it is. */
static void beat(Worker *worker, int64_t wait_ms) {
    const BeatRequest request = {.wid = worker->identity.wid,
                                 .current_state =
                                     worker->phase == PHASE_RUNNING ? STR("") : STR("quiet"),
                                 .rss_kb = resident_kb(),
                                 .parked = true,
                                 .wait_ms = wait_ms};
    worker->last_beat_us = clock_mono_us();
    beat_request_write(link_begin(&worker->beat, STR("BEAT")), &request);
    link_send(&worker->beat, wait_ms + ANSWER_MS);
}

static void on_beat_open(void *owner) {
    beat(owner, 0);
}

static void obey(Worker *worker, const BeatReply *reply) {
    for (size_t i = 0; i < reply->cancel_count; i++)
        if (!slots_cancel(worker, reply->cancel[i])) note_cancel(worker, reply->cancel[i]);
    switch (reply->state) {
    case WORKER_RUNNING: break;
    case WORKER_QUIET:
    case WORKER_TERMINATE:
        if (worker->phase == PHASE_RUNNING) {
            log_info("worker.told_to_stop", kv_int("running", (int64_t)worker->slot_count));
            worker_drain(worker);
        }
        break;
    }
}

static void on_beaten(void *owner, const Reply *reply) {
    Worker *worker = owner;
    Arena arena = {0};
    BeatReply answer = {0};
    Error error = {0};
    lease_look(worker);
    if (reply->kind == REPLY_ERROR) {
        /* such as an unknown worker after the server forgot it: a new login makes it known */
        link_break(&worker->beat, "the server refuses the heartbeat");
        return;
    }
    if (reply->kind == REPLY_BULK && beat_reply_parse(reply->text, &arena, &answer, &error) != OK) {
        link_break(&worker->beat, error.message);
        arena_done(&arena);
        return;
    }
    lease_clock_renew(&worker->lease, worker->last_beat_us);
    slots_set_lease(worker);
    obey(worker, &answer);
    arena_done(&arena);
    lease_fetch(worker);
    int64_t wait_ms = worker->lease.lease_ms / 3;
    beat(worker, wait_ms < BEAT_WAIT_MAX_MS ? wait_ms : BEAT_WAIT_MAX_MS);
}

void lease_init(Worker *worker) {
    static const LinkHandler fetch = {.on_open = on_fetch_open,
                                      .on_reply = on_fetched,
                                      .on_down = on_fetch_down,
                                      .on_refused = lease_refused};
    static const LinkHandler beats = {.on_open = on_beat_open,
                                      .on_reply = on_beaten,
                                      .on_down = on_beat_down,
                                      .on_refused = lease_refused};
    loop_timer_init(&worker->fetch_again, worker->loop, fetch_again, worker);
    link_init(&worker->fetch, "fetch", worker->loop, worker->config, &worker->identity, &fetch,
              worker);
    link_init(&worker->beat, "beat", worker->loop, worker->config, &worker->identity, &beats,
              worker);
}
