/* takt worker: the settings of `worker` and `types`, with defaults that need no file. */
#include "cli/settings.h"
#include "server/log_setup.h"
#include "worker/worker.h"
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

enum {
    CONCURRENCY_DEFAULT = 10,
    /* with WORKER_GRACE_MS within the 30 s that a node waits for its worker */
    DRAIN_TIMEOUT_MS = 15000,
};

/* Ends with the process that started it. That one may have ended before this call. */
static bool bind_to_parent(int64_t parent) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    return getppid() == (pid_t)parent;
}

/* For people who start a worker by hand: TAKT_TOKEN, unless there is a password. A node's own
 * worker inherits the node's environment, where TAKT_TOKEN is for something else. */
static Secret find_token(const Config *config, bool has_parent) {
    const char *token = getenv("TAKT_TOKEN");
    if (!token || has_parent || config->worker.password.text.len > 0) return (Secret){{NULL, 0}};
    return (Secret){str_trim(str_from(token))};
}

static ExitCode run(const Config *config, bool has_parent) {
    static const Str urls[] = {{"tcp://127.0.0.1:7419", 20}};
    bool has_urls = config->worker.url.count > 0;
    int64_t concurrency = config->worker.concurrency;
    WorkerConfig worker = {
        .urls = has_urls ? config->worker.url.items : urls,
        .url_count = has_urls ? config->worker.url.count : LENGTH(urls),
        .password = config->worker.password,
        .token = find_token(config, has_parent),
        .queues = config->worker.queues.items,
        .queue_count = config->worker.queues.count,
        .labels = config->worker.labels.items,
        .label_count = config->worker.labels.count,
        .concurrency = concurrency > 0 ? concurrency : CONCURRENCY_DEFAULT,
        .types = config->types,
        .type_count = config->type_count,
        .drain_timeout_ms = DRAIN_TIMEOUT_MS,
        .user = config->worker.user,
    };
    Error error;
    log_setup(config);
    return worker_run(&worker, &error) == OK ? EXIT_DONE : cli_failed(&error);
}

ExitCode command_worker(Cli *cli) {
    static const char *const flags[] = {"url", "queues", "concurrency", "log-level", "log-format"};
    cleanup(settings_cleanup) Config *config = NULL;
    Settings settings;
    const char *parent = cli_flag(cli, "parent");
    int64_t pid = 0;
    if (parent && (!str_to_int64(str_from(parent), &pid) || pid < 1 || pid > INT32_MAX)) {
        return cli_usage(cli, "--parent '%s' is not a process id", parent);
    }
    if (parent && !bind_to_parent(pid)) return EXIT_DONE;
    settings_gather(cli, flags, LENGTH(flags), &settings);
    ExitCode code = settings_load(&settings, &config);
    return code == EXIT_DONE ? run(config, parent != NULL) : code;
}
