/* See the header. The child learns the node's port and password through its environment, never
 * argv. */
#include "server/worker_child.h"

#include "base/alloc.h"
#include "base/time.h"
#include "telemetry/log.h"
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define BACKOFF_FIRST_US (US_PER_S / 2)
#define BACKOFF_MOST_US (30 * US_PER_S)

extern char **environ;

static bool is_replaced(const char *entry) {
    return strncmp(entry, "TAKT_WORKER_URL=", 16) == 0 ||
           strncmp(entry, "TAKT_WORKER_PASSWORD=", 21) == 0;
}

/* The node's environment with url and password of its own port. */
static char **child_environment(const WorkerChild *child, char *url, char *password) {
    size_t count = 0;
    while (environ[count]) {
        count++;
    }
    char **list = alloc_zero(count + 3, sizeof *list);
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        if (!is_replaced(environ[i])) list[at++] = environ[i];
    }
    list[at++] = url;
    if (child->config->protocol.password.text.len > 0) list[at] = password;
    return list;
}

/* Where the port is reached from this machine. */
static void write_url(const WorkerChild *child, char *url, size_t size) {
    Str host = child->config->protocol.listen.host;
    if (host.len == 0 || str_eq(host, STR("0.0.0.0"))) host = STR("127.0.0.1");
    if (str_eq(host, STR("::"))) host = STR("::1");
    bool ipv6 = memchr(host.ptr, ':', host.len) != NULL;
    snprintf(url, size, "TAKT_WORKER_URL=tcp://%s" STR_FMT "%s:%u", ipv6 ? "[" : "", STR_ARG(host),
             ipv6 ? "]" : "", child->port);
}

static void spawn_child(WorkerChild *child) {
    char url[512], parent[32], password[1024], concurrency[32];
    write_url(child, url, sizeof url);
    snprintf(password, sizeof password, "TAKT_WORKER_PASSWORD=" STR_FMT,
             STR_ARG(child->config->protocol.password.text));
    snprintf(parent, sizeof parent, "%d", (int)getpid());
    snprintf(concurrency, sizeof concurrency, "%lld", (long long)child->config->worker.concurrency);
    char program[] = "takt", verb[] = "worker", parent_flag[] = "--parent",
         config_flag[] = "--config", concurrency_flag[] = "--concurrency";
    char *arguments[] = {program,     verb, parent_flag, parent, concurrency_flag,
                         concurrency, NULL, NULL,        NULL};
    char *config_path = child->config_path ? alloc_string(child->config_path) : NULL;
    if (config_path) {
        arguments[6] = config_flag;
        arguments[7] = config_path;
    }
    char **environment = child_environment(child, url, password);
    int failed = posix_spawn(&child->pid, child->program, NULL, NULL, arguments, environment);
    free(environment);
    free(config_path);
    explicit_bzero(password, sizeof password);
    if (failed) {
        child->pid = 0;
        log_error("worker.start-failed", kv_text("error", strerror(failed)));
    } else {
        log_info("worker.started", kv_int("pid", child->pid));
    }
}

static void begin(WorkerChild *child) {
    child->started_us = loop_now_us(child->loop);
    spawn_child(child);
    if (child->pid == 0) loop_timer_after(&child->restart, BACKOFF_MOST_US);
}

static void on_restart(void *owner) {
    WorkerChild *child = owner;
    if (!child->stopping && child->pid == 0) begin(child);
}

void worker_child_start(WorkerChild *child) {
    loop_timer_init(&child->restart, child->loop, on_restart, child);
    if (child->config->worker.concurrency == 0) return;
    child->backoff_us = BACKOFF_FIRST_US;
    bool separate = child->config->worker.user.len > 0;
    if (!separate) {
        log_warn("worker.same-user",
                 kv_text("detail",
                         "exec jobs run as the user who owns the data; set worker.user, or a "
                         "user per type, to keep them apart"));
    }
    begin(child);
}

void worker_child_stop(WorkerChild *child) {
    child->stopping = true;
    loop_timer_cancel(&child->restart);
    if (child->pid > 0) kill(child->pid, SIGTERM);
}

void worker_child_reap(WorkerChild *child) {
    int status = 0;
    if (child->pid <= 0 || waitpid(child->pid, &status, WNOHANG) != child->pid) return;
    child->pid = 0;
    if (child->stopping) return;
    /* one that ran for a while begins with the short wait again */
    bool lived = loop_now_us(child->loop) - child->started_us > BACKOFF_MOST_US;
    if (lived) child->backoff_us = BACKOFF_FIRST_US;
    log_error("worker.ended", kv_int("status", WIFEXITED(status) ? WEXITSTATUS(status) : -1),
              kv_int("signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0),
              kv_int("restart_ms", child->backoff_us / US_PER_MS));
    loop_timer_after(&child->restart, child->backoff_us);
    child->backoff_us *= 2;
    if (child->backoff_us > BACKOFF_MOST_US) child->backoff_us = BACKOFF_MOST_US;
}

bool worker_child_is_running(const WorkerChild *child) {
    return child->pid > 0;
}
