/* Output, progress and outcomes out, one command at a time. The one invariant: a job's outcome
 * is sent after all of its output, and its slot is kept until the server has taken it. */
#include "base/time.h"
#include "telemetry/log.h"
#include "worker/slots.h"

enum {
    LOG_EVERY_MS = 500,
    ANSWER_MS = 10000,
    RETRY_MS = 1000,
    TRIES_MAX = 60,                   /* at one a second; then the lease decides */
    OUTCOMES_MOST = 100,              /* of one TDONE */
    OUTCOMES_BYTES = 8 * 1024 * 1024, /* at which one TDONE is sent; a server's line has 16 MiB */
};

static bool send_log(Worker *worker, Slot *slot, int64_t now_us) {
    Run *run = slot->run;
    bool last = run_has_ended(run);
    if (!last && now_us - slot->logged_us < LOG_EVERY_MS * US_PER_MS) return false;
    Str text = last ? tail_str(&run->log) : tail_str_whole(&run->log);
    if (text.len == 0) return false;
    cleanup(arena_done) Arena arena = {0};
    LogRequest request = {.jid = run->job.jid, .fence = run->job.fence, .data = text};
    if (run->log.lost > 0) {
        request.data = arena_format(&arena, "[%llu bytes left out]\n" STR_FMT,
                                    (unsigned long long)run->log.lost, STR_ARG(text));
    }
    log_request_write(link_begin(&worker->report, STR("TLOG")), &request);
    link_send(&worker->report, ANSWER_MS);
    tail_drop(&run->log, text.len);
    slot->logged_us = now_us;
    worker->sent = SENT_LOG;
    worker->sent_slot = slot;
    return true;
}

static bool send_progress(Worker *worker, Slot *slot) {
    Run *run = slot->run;
    if (run->percent < 0) return false;
    const ProgressRequest request = {.jid = run->job.jid,
                                     .fence = run->job.fence,
                                     .percent = run->percent,
                                     .desc = run->progress_message};
    progress_write(link_begin(&worker->report, STR("TRACK SET")), &request);
    link_send(&worker->report, ANSWER_MS);
    run->percent = -1;
    worker->sent = SENT_PROGRESS;
    worker->sent_slot = slot;
    return true;
}

/* The answer names jobs by jid only, so two leases of one job never share a call. */
static bool jid_is_in_report(const Worker *worker, Str jid) {
    list_each(&worker->slots, node) {
        const Slot *slot = container_of(node, Slot, node);
        if (slot->in_report && str_eq(slot->run->job.jid, jid)) return true;
    }
    return false;
}

static void send_outcomes(Worker *worker) {
    size_t count = 0;
    Buf *output = NULL;
    JsonWriter writer = {0};
    list_each(&worker->slots, node) {
        Slot *slot = container_of(node, Slot, node);
        if (!run_has_ended(slot->run) || jid_is_in_report(worker, slot->run->job.jid)) continue;
        if (!output) {
            output = link_begin(&worker->report, STR("TDONE"));
            writer = json_writer(output);
            json_begin_array(&writer);
        }
        Outcome outcome = run_outcome(slot->run);
        outcome_write(&writer, &outcome);
        slot->in_report = true;
        if (++count == OUTCOMES_MOST || output->len > OUTCOMES_BYTES) break;
    }
    if (!output) return;
    json_end_array(&writer);
    link_send(&worker->report, ANSWER_MS);
    worker->sent = SENT_OUTCOMES;
}

void report_pump(Worker *worker) {
    int64_t now_us = loop_now_us(worker->loop);
    if (!link_is_open(&worker->report) || link_is_busy(&worker->report)) return;
    if (now_us < worker->report_not_before_us) return;
    list_each(&worker->slots, node) {
        Slot *slot = container_of(node, Slot, node);
        if (send_log(worker, slot, now_us) || send_progress(worker, slot)) return;
    }
    send_outcomes(worker);
}

static void log_outcome(const Slot *slot, Str verdict) {
    const Run *run = slot->run;
    log_info("worker.job_ended", kv_str("correlation_id", run->job.correlation_id),
             kv_str("job_id", run->job.jid), kv_str("job_type", run->job.jobtype),
             kv_str("queue", run->job.queue), kv_int("attempt", run->job.attempt),
             kv_str("verdict", verdict));
}

/* Takes the server's word for each outcome. What it can't take now is sent again. */
static void settle(Worker *worker, Str text) {
    cleanup(arena_done) Arena arena = {0};
    Json root = {0};
    Error error = {0};
    bool readable = json_check(text, &root, &error) == OK && root.kind == JSON_OBJECT;
    list_each(&worker->slots, node) {
        Slot *slot = container_of(node, Slot, node);
        if (!slot->in_report) continue;
        slot->in_report = false;
        Json verdict = readable ? json_member(root, slot->run->job.jid) : (Json){0};
        Str word = verdict.kind == JSON_STRING ? json_string(verdict, &arena)
                                               : STR("the server gave no verdict");
        bool settled = str_eq(word, STR("OK")) || str_eq(word, STR("STALE"));
        if (!settled && ++slot->tries < TRIES_MAX) {
            log_warn("worker.outcome_put_off", kv_str("job_id", slot->run->job.jid),
                     kv_str("error", word));
            worker->report_not_before_us = loop_now_us(worker->loop) + RETRY_MS * US_PER_MS;
            continue;
        }
        log_outcome(slot, word);
        slots_remove(worker, slot);
    }
}

static void put_off(Worker *worker, Str why) {
    log_warn("worker.report_refused", kv_str("error", why));
    worker->report_not_before_us = loop_now_us(worker->loop) + RETRY_MS * US_PER_MS;
    list_each(&worker->slots, node) container_of(node, Slot, node)->in_report = false;
}

static void on_reply(void *owner, const Reply *reply) {
    Worker *worker = owner;
    lease_look(worker);
    switch (worker->sent) {
    case SENT_NOTHING:
    case SENT_PROGRESS: break;
    case SENT_LOG:
        /* someone else may be running the job by now */
        if (worker->sent_slot && str_eq(reply->text, STR("STALE"))) {
            run_stop(worker->sent_slot->run, STOP_LEASE, 0);
        }
        break;
    case SENT_OUTCOMES:
        if (reply->kind == REPLY_BULK) {
            settle(worker, reply->text);
        } else {
            put_off(worker, reply->text);
        }
        break;
    }
    worker->sent = SENT_NOTHING;
    worker->sent_slot = NULL;
    report_pump(worker);
    lease_fetch(worker);
    worker_check_done(worker);
}

static void on_open(void *owner) {
    report_pump(owner);
}

/* An outcome may be sent twice: its fence makes the second the same as the first. */
static void on_down(void *owner) {
    Worker *worker = owner;
    list_each(&worker->slots, node) container_of(node, Slot, node)->in_report = false;
    worker->sent = SENT_NOTHING;
    worker->sent_slot = NULL;
    lease_link_down(worker);
}

void report_init(Worker *worker) {
    static const LinkHandler handler = {
        .on_open = on_open, .on_reply = on_reply, .on_down = on_down, .on_refused = lease_refused};
    link_init(&worker->report, "report", worker->loop, worker->config, &worker->identity, &handler,
              worker);
}
