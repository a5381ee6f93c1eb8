/* `takt bench`: scenarios, their defaults, and the report as JSON. */
#include "cli/bench.h"

#include "base/alloc.h"
#include "base/time.h"
#include "cli/cli.h"
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct Scenario {
    const char *name;
    Err (*run)(const BenchPlan *, BenchResult *, Error *);
    int64_t jobs, connections, batch, rate;
    uint16_t port;
} Scenario;

static const Scenario scenarios[] = {
    {"life", bench_line_run, 200000, 48, 20, 0, 7419},  /* push, take, settle in batches */
    {"plain", bench_line_run, 50000, 96, 1, 0, 7419},   /* PUSH, FETCH, ACK, one at a time */
    {"push", bench_line_run, 200000, 8, 1000, 0, 7419}, /* PUSHB only */
    {"single", bench_line_run, 50000, 32, 1, 0, 7419},  /* PUSH, one in flight per connection */
    {"drain", bench_line_run, 100000, 4, 500, 0, 7419}, /* take and settle what is queued */
    {"pickup", bench_line_run, 400, 1, 1, 20, 7419},    /* from submit to start, an idle worker */
    {"delayed", bench_line_run, 400, 1, 1, 50, 7419},   /* lateness of delayed jobs */
    {"storm", bench_line_run, 100000, 16, 200, 2000,
     7419}, /* many delayed jobs, `rate` due a second */
    {"http-bulk", bench_http_run, 200000, 4, 1000, 0, 7420},
    {"http-single", bench_http_run, 50000, 64, 1, 0, 7420},
};

void samples_add(BenchSamples *samples, int64_t us) {
    if (samples->count == samples->capacity) {
        samples->capacity = samples->capacity ? samples->capacity * 2 : 4096;
        samples->values = alloc_again(samples->values, samples->capacity, sizeof *samples->values);
    }
    if (us < 0) us = 0;
    if (us > UINT32_MAX) us = UINT32_MAX;
    samples->values[samples->count++] = (uint32_t)us;
}

static int compare_samples(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

double samples_quantile(BenchSamples *samples, double q) {
    if (samples->count == 0) return 0;
    qsort(samples->values, samples->count, sizeof *samples->values, compare_samples);
    size_t at = (size_t)(q * (double)samples->count);
    if (at >= samples->count) at = samples->count - 1;
    return (double)samples->values[at] / 1000.0;
}

void samples_done(BenchSamples *samples) {
    free(samples->values);
}

Err bench_connect(const BenchPlan *plan, int *ret_fd, Error *error) {
    char port[8];
    snprintf(port, sizeof port, "%u", plan->port);
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *found = NULL;
    int failed = getaddrinfo(plan->host, port, &hints, &found);
    if (failed) {
        return error_set(error, ERR_UNAVAILABLE, "can't resolve '%s': %s", plan->host,
                         gai_strerror(failed));
    }
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool good = fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) == 0;
    int saved = errno;
    freeaddrinfo(found);
    if (!good) {
        if (fd >= 0) close(fd);
        return error_set(error, ERR_UNAVAILABLE, "can't connect to %s:%u: %s", plan->host,
                         plan->port, strerror(saved));
    }
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    *ret_fd = fd;
    return OK;
}

void bench_args(Buf *buf, const BenchPlan *plan, int64_t number) {
    size_t begin = buf->len;
    buf_format(buf, "[%lld,\"", (long long)number);
    while (buf->len - begin + 2 < (size_t)plan->payload && !buf->overflow) {
        buf_add_char(buf, 'x');
    }
    buf_add(buf, STR("\"]"));
}

static const Scenario *find_scenario(const char *name) {
    for (size_t i = 0; i < LENGTH(scenarios); i++) {
        if (strcmp(scenarios[i].name, name) == 0) return &scenarios[i];
    }
    return NULL;
}

static bool read_number(const Cli *cli, const char *name, int64_t least, int64_t *ret) {
    const char *text = cli_flag(cli, name);
    return !text || (str_to_int64(str_from(text), ret) && *ret >= least);
}

/* tcp://HOST:PORT or http://HOST:PORT, or HOST:PORT. */
static bool read_url(const char *url, char *host, size_t size, uint16_t *port) {
    const char *at = strstr(url, "://");
    at = at ? at + 3 : url;
    const char *colon = strrchr(at, ':');
    int64_t number = 0;
    if (!colon || (size_t)(colon - at) >= size || !str_to_int64(str_from(colon + 1), &number) ||
        number < 1 || number > 65535) {
        return false;
    }
    memcpy(host, at, (size_t)(colon - at));
    host[colon - at] = '\0';
    *port = (uint16_t)number;
    return true;
}

static void report(const BenchPlan *plan, BenchResult *result) {
    Buf buf;
    buf_init(&buf, 64 * 1024);
    JsonWriter writer = json_writer(&buf);
    double seconds = (double)result->elapsed_us / 1e6;
    json_begin_object(&writer);
    json_put_string(&writer, "scenario", str_from(plan->scenario));
    json_put_int(&writer, "connections", plan->connections);
    json_put_int(&writer, "batch", plan->batch);
    json_put_int(&writer, "payload", plan->payload);
    json_put_int(&writer, "jobs", result->jobs);
    json_put_int(&writer, "errors", result->errors);
    const struct {
        const char *name;
        double value;
    } numbers[] = {
        {"seconds", seconds},
        {"jobs_per_second", seconds > 0 ? (double)(int64_t)((double)result->jobs / seconds) : 0},
        {"p50_ms", samples_quantile(&result->samples, 0.50)},
        {"p99_ms", samples_quantile(&result->samples, 0.99)},
        {"p999_ms", samples_quantile(&result->samples, 0.999)},
        {"max_ms", samples_quantile(&result->samples, 1.0)},
    };
    for (size_t i = 0; i < LENGTH(numbers); i++) {
        json_write_key(&writer, str_from(numbers[i].name));
        json_write_double(&writer, numbers[i].value);
    }
    json_end_object(&writer);
    printf("%s\n", buf_cstr(&buf));
    buf_done(&buf);
}

ExitCode command_bench(Cli *cli) {
    const char *name = cli_flag(cli, "scenario");
    const Scenario *scenario = find_scenario(name ? name : "life");
    if (!scenario) return cli_usage(cli, "unknown scenario '%s'", name);
    char host[256] = "127.0.0.1";
    const char *token = cli_flag(cli, "token") ? cli_flag(cli, "token") : getenv("TAKT_TOKEN");
    const char *password = getenv("TAKT_PROTOCOL_PASSWORD");
    BenchPlan plan = {
        .scenario = scenario->name,
        .host = host,
        .port = scenario->port,
        .token = str_from(token),
        .password = str_from(password),
        .jobs = scenario->jobs,
        .connections = scenario->connections,
        .batch = scenario->batch,
        .rate = scenario->rate,
        .payload = 200,
        .delay_ms = 500,
    };
    const char *url = cli_flag(cli, "url");
    if (url && !read_url(url, host, sizeof host, &plan.port)) {
        return cli_usage(cli, "--url '%s' is not tcp://HOST:PORT", url);
    }
    if (!read_number(cli, "jobs", 1, &plan.jobs) ||
        !read_number(cli, "connections", 1, &plan.connections) ||
        !read_number(cli, "batch", 1, &plan.batch) || !read_number(cli, "rate", 1, &plan.rate) ||
        !read_number(cli, "payload", 0, &plan.payload) ||
        !read_number(cli, "delay", 0, &plan.delay_ms)) {
        return cli_usage(cli, "--jobs, --connections, --batch, --rate, --payload and --delay (ms) "
                              "are whole numbers");
    }
    BenchResult result = {0};
    Error error;
    Err err = scenario->run(&plan, &result, &error);
    if (err == OK) report(&plan, &result);
    samples_done(&result.samples);
    if (err != OK) return cli_failed(&error);
    return result.errors == 0 ? EXIT_DONE : EXIT_FAILED;
}
