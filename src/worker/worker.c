/* A worker's life: start, signals, drain, end. The one invariant: it leaves only when no command
 * of it runs any more. */
#include "worker/worker.h"

#include "base/clock.h"
#include "base/time.h"
#include "telemetry/log.h"
#include "worker/slots.h"
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    TICK_MS = 250,
    LEASE_DEFAULT_MS = 30000,
    HALF_CLOSED_MS = 3000,  /* for the server to close the fetch link in its turn */
    LAST_REPORT_MS = 10000, /* for the last outcomes to be taken, once everything has ended */
    OUTPUT_HELD_MS = 1000,  /* by something outside, after the command is gone */
    CONCURRENCY_MAX = 1000,
};

/* ---- configuration ---- */

static Err check_account(const WorkerConfig *config, Str user, Error *error) {
    cleanup(arena_done) Arena arena = {0};
    if (user.len == 0) user = config->user;
    if (user.len == 0) return OK;
    const struct passwd *entry = getpwnam(arena_cstr(&arena, user));
    if (!entry) {
        return error_set(error, ERR_INVALID, "there is no user '" STR_FMT "'", STR_ARG(user));
    }
    if (entry->pw_uid != geteuid() && geteuid() != 0) {
        return error_set(error, ERR_INVALID, "running as '" STR_FMT "' needs root", STR_ARG(user));
    }
    return OK;
}

static Err check_folder(Str cwd, Error *error) {
    cleanup(arena_done) Arena arena = {0};
    struct stat info;
    if (cwd.len == 0) return OK;
    if (stat(arena_cstr(&arena, cwd), &info) != 0 || !S_ISDIR(info.st_mode)) {
        return error_set(error, ERR_INVALID, "there is no folder '" STR_FMT "'", STR_ARG(cwd));
    }
    return OK;
}

static bool holds(Str text, char byte) {
    return text.len > 0 && memchr(text.ptr, byte, text.len);
}

static Err check_type(const WorkerConfig *config, const ConfigType *type, Error *error) {
    size_t bytes = 0;
    if (type->exec.count < 1 || type->exec.count > WORKER_ARGV_MAX ||
        type->exec.items[0].len == 0) {
        return error_set(error, ERR_INVALID, "exec must hold a program and at most %d elements",
                         WORKER_ARGV_MAX);
    }
    for (size_t i = 0; i < type->exec.count; i++) {
        if (holds(type->exec.items[i], '\0')) {
            return error_set(error, ERR_INVALID, "exec holds a NUL");
        }
        bytes += type->exec.items[i].len + 1;
    }
    for (size_t i = 0; i < type->env_count; i++) {
        const ConfigPair *pair = &type->env[i];
        if (pair->name.len == 0 || holds(pair->name, '=') || holds(pair->name, '\0') ||
            holds(pair->value, '\0')) {
            return error_set(error, ERR_INVALID,
                             "env has a name that is empty or holds '=', or a NUL");
        }
        bytes += pair->name.len + pair->value.len + 2;
    }
    if (bytes > WORKER_EXEC_BYTES_MAX) {
        return error_set(error, ERR_INVALID, "exec and env are over %d bytes",
                         WORKER_EXEC_BYTES_MAX);
    }
    TRY(check_folder(type->cwd, error));
    return check_account(config, type->user, error);
}

Err worker_config_check(const WorkerConfig *config, Error *error) {
    if (config->url_count == 0) return error_set(error, ERR_INVALID, "there is no server's URL");
    for (size_t i = 0; i < config->url_count; i++) {
        ServerAddress address;
        TRY(server_address_parse(config->urls[i], &address, error));
        if (address.tls) {
            return error_set(error, ERR_INVALID, "the worker does not speak TLS: use tcp://");
        }
    }
    if (config->queue_count == 0) return error_set(error, ERR_INVALID, "there are no queues");
    if (config->concurrency < 1 || config->concurrency > CONCURRENCY_MAX) {
        return error_set(error, ERR_INVALID, "concurrency must be 1 to %d", CONCURRENCY_MAX);
    }
    for (size_t i = 0; i < config->type_count; i++) {
        if (check_type(config, &config->types[i], error) == OK) continue;
        return error_context(error, "type '" STR_FMT "'", STR_ARG(config->types[i].name));
    }
    return OK;
}

/* ---- life ---- */

static bool has_running(const Worker *worker) {
    list_each(&worker->slots, node) {
        if (!run_has_ended(container_of(node, Slot, node)->run)) return true;
    }
    return false;
}

void worker_check_done(Worker *worker) {
    if (worker->phase == PHASE_RUNNING) return;
    bool fetch_closed = worker->fetch.connection == NULL;
    if (worker->slot_count == 0 && fetch_closed) loop_stop(worker->loop);
}

void worker_abort(Worker *worker, const Error *error) {
    worker->ended = *error;
    worker->phase = PHASE_STOPPING;
    loop_stop(worker->loop);
}

static void tick(void *owner) {
    Worker *worker = owner;
    int64_t now_us = loop_now_us(worker->loop);
    lease_look(worker);
    list_each(&worker->slots, node) {
        Slot *slot = container_of(node, Slot, node);
        if (slot->ended_us && now_us - slot->ended_us > OUTPUT_HELD_MS * US_PER_MS &&
            !run_has_ended(slot->run)) {
            run_abandon_output(slot->run);
        }
    }
    report_pump(worker);
    if (worker->slot_count > 0) loop_timer_after(&worker->tick, TICK_MS * US_PER_MS);
    worker_check_done(worker);
}

static void on_half_closed(void *owner) {
    Worker *worker = owner;
    link_done(&worker->fetch);
    worker_check_done(worker);
}

/* The drain's time is over: what runs is told to end, and whatever the server then takes of the
 * outcomes, the worker leaves. */
static void on_drain_over(void *owner) {
    Worker *worker = owner;
    if (worker->phase == PHASE_DRAINING && has_running(worker)) {
        worker->phase = PHASE_STOPPING;
        slots_stop_all(worker, STOP_SHUTDOWN, WORKER_GRACE_MS);
        loop_timer_after(&worker->drain, (WORKER_GRACE_MS + LAST_REPORT_MS) * US_PER_MS);
        return;
    }
    log_warn("worker.left_behind", kv_int("outcomes", (int64_t)worker->slot_count));
    loop_stop(worker->loop);
}

void worker_drain(Worker *worker) {
    worker->phase = PHASE_DRAINING;
    log_info("worker.draining", kv_int("running", (int64_t)worker->slot_count));
    link_half_close(&worker->fetch);
    lease_link_down(worker);
    loop_timer_after(&worker->half_closed, HALF_CLOSED_MS * US_PER_MS);
    loop_timer_after(&worker->drain, worker->config->drain_timeout_ms * US_PER_MS);
    worker_check_done(worker);
}

static void on_terminate(void *owner) {
    Worker *worker = owner;
    if (worker->phase == PHASE_RUNNING) {
        worker_drain(worker);
        return;
    }
    worker->phase = PHASE_STOPPING;
    slots_stop_all(worker, STOP_SHUTDOWN, 0);
    loop_timer_after(&worker->drain, LAST_REPORT_MS * US_PER_MS);
}

static void on_child(void *owner) {
    slots_reap(owner);
}

/* host-pid-random: a new one for each start, so that a restarted worker never passes for the one
 * that died. */
static Str make_id(Arena *arena, Str host) {
    return arena_format(arena, STR_FMT "-%d-%08x", STR_ARG(host), (int)getpid(), arc4random());
}

static void introduce(Worker *worker) {
    const WorkerConfig *config = worker->config;
    char host[256] = "";
    if (gethostname(host, sizeof host - 1) != 0) host[0] = '\0';
    Str name = arena_str(&worker->arena, str_from(host));
    cleanup(buf_done) Buf labels;
    buf_init(&labels, 64 * 1024);
    JsonWriter writer = json_writer(&labels);
    json_begin_array(&writer);
    for (size_t i = 0; i < config->label_count; i++)
        json_write_string(&writer, config->labels[i]);
    json_end_array(&writer);
    worker->identity = (SessionIdentity){
        .token = config->token.text,
        .hostname = name,
        .wid = config->id.len > 0 ? config->id : make_id(&worker->arena, name),
        .labels = {.kind = JSON_ARRAY, .text = arena_str(&worker->arena, buf_str(&labels))},
        .pid = getpid()};
}

static Err take_signals(Worker *worker, Error *error) {
    TRY(loop_signal(worker->loop, SIGCHLD, on_child, worker, error));
    TRY(loop_signal(worker->loop, SIGTERM, on_terminate, worker, error));
    return loop_signal(worker->loop, SIGINT, on_terminate, worker, error);
}

static void shut_down(Worker *worker) {
    link_done(&worker->fetch);
    link_done(&worker->beat);
    link_done(&worker->report);
    list_each(&worker->slots, node) slots_remove(worker, container_of(node, Slot, node));
    LoopTimer *timers[] = {&worker->tick, &worker->fetch_again, &worker->drain,
                           &worker->half_closed};
    for (size_t i = 0; i < LENGTH(timers); i++)
        loop_timer_cancel(timers[i]);
    loop_free(worker->loop);
    arena_done(&worker->cancelled_arena);
    arena_done(&worker->arena);
}

Err worker_run(const WorkerConfig *config, Error *error) {
    TRY(worker_config_check(config, error));
    Worker worker = {.config = config, .loop = loop_new(), .lease = {.lease_ms = LEASE_DEFAULT_MS}};
    list_init(&worker.slots);
    loop_timer_init(&worker.tick, worker.loop, tick, &worker);
    loop_timer_init(&worker.drain, worker.loop, on_drain_over, &worker);
    loop_timer_init(&worker.half_closed, worker.loop, on_half_closed, &worker);
    /* strays of a killed reaper come to us; our memory and environment are not the jobs' to read */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    int dumpable = prctl(PR_GET_DUMPABLE);
    prctl(PR_SET_DUMPABLE, 0);
    introduce(&worker);
    lease_init(&worker);
    report_init(&worker);
    Err err = take_signals(&worker, error);
    if (err == OK) {
        log_info("worker.started", kv_str("worker", worker.identity.wid),
                 kv_int("concurrency", config->concurrency));
        loop_run(worker.loop);
        err = worker.ended.err;
        if (err != OK && error) *error = worker.ended;
        log_info("worker.stopped", kv_str("worker", worker.identity.wid));
    }
    shut_down(&worker);
    prctl(PR_SET_DUMPABLE, dumpable);
    prctl(PR_SET_CHILD_SUBREAPER, 0);
    return err;
}
