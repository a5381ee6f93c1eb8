/* What must hold between settings: combinations that could only fail later, or be unsafe.
 *
 * Each rule names the keys that don't go together and says what would. */
#include "config/config_internal.h"

#include <arpa/inet.h>
#include <string.h>

enum { MAX_QUEUE = 64 };

static Origin origin_of(const ConfigLoad *load, const char *key) {
    size_t row = 0;
    while (row < CONFIG_ROWS && strcmp(CONFIG_TABLE[row].key, key) != 0)
        row++;
    check(row < CONFIG_ROWS);
    return load->config->state->written[row].origin;
}

bool config_is_name(Str text, size_t max, const char *more) {
    if (text.len == 0 || text.len > max) return false;
    for (size_t i = 0; i < text.len; i++) {
        char byte = text.ptr[i];
        bool is_word = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                       (byte >= '0' && byte <= '9');
        if (!is_word && (byte == '\0' || (!strchr("_.:-", byte) && !strchr(more, byte)))) {
            return false;
        }
    }
    return true;
}

/* A name but localhost may resolve to anything, so it does not count. */
static bool is_loopback(Str host) {
    struct in_addr four;
    struct in6_addr six;
    if (inet_pton(AF_INET, host.ptr, &four) == 1) return (ntohl(four.s_addr) >> 24) == 127;
    if (inet_pton(AF_INET6, host.ptr, &six) == 1) return IN6_IS_ADDR_LOOPBACK(&six);
    return str_eq(host, STR("localhost"));
}

static void check_listeners(ConfigLoad *load) {
    const Config *config = load->config;
    const ConfigAddress *protocol = &config->protocol.listen;
    const ConfigAddress *http = &config->http.listen;
    if (protocol->host.ptr && !is_loopback(protocol->host) &&
        config->protocol.password.text.len == 0) {
        config_problem(load, origin_of(load, "protocol.listen"),
                       "protocol.listen: " STR_FMT " can be reached from other machines, so "
                       "protocol.password must be set",
                       STR_ARG(protocol->host));
    }
    if (http->host.ptr && http->port == protocol->port && str_eq(http->host, protocol->host)) {
        config_problem(load, origin_of(load, "protocol.listen"),
                       "http.listen and protocol.listen are the same address");
    }
}

static void check_http(ConfigLoad *load) {
    Config *config = load->config;
    Str *path = &config->http.base_path;
    if (!path->ptr) *path = STR("/");
    if (path->ptr[0] != '/' || memchr(path->ptr, '?', path->len) ||
        memchr(path->ptr, '#', path->len)) {
        config_problem(load, origin_of(load, "http.base_path"),
                       "http.base_path: expected a path that begins with /");
    }
    size_t len = path->len;
    while (len > 1 && path->ptr[len - 1] == '/')
        len--;
    if (len < path->len) *path = arena_str(load->arena, (Str){path->ptr, len});
    Str url = config->http.url;
    if (url.ptr && !str_starts_with(url, STR("http://")) &&
        !str_starts_with(url, STR("https://"))) {
        config_problem(load, origin_of(load, "http.url"),
                       "http.url: expected http://HOST or https://HOST");
    }
    if (config->limits.args > config->limits.body) {
        config_problem(load, origin_of(load, "limits.args"),
                       "limits.args is more than limits.body, which has to hold them");
    }
}

static bool has_scheme(Str url, const char *const *schemes) {
    for (; *schemes; schemes++) {
        if (str_starts_with(url, str_from(*schemes))) return true;
    }
    return false;
}

/* A URL's password must not get into a problem, so a problem shows no URL. */
static void check_broker(ConfigLoad *load, bool cluster) {
    Str url = load->config->broker.url;
    if (!url.ptr) return;
    bool memory = str_eq(url, STR("memory:")), none = str_eq(url, STR("none:"));
    bool redis = str_starts_with(url, STR("redis://"));
    if (str_starts_with(url, STR("rediss://"))) {
        config_problem(load, origin_of(load, "broker.url"),
                       "broker.url: TLS towards Redis is not available yet in this version; use "
                       "redis://HOST on a network of your own");
    } else if (!memory && !none && !redis) {
        config_problem(load, origin_of(load, "broker.url"),
                       "broker.url: expected memory:, none: or redis://HOST");
    } else if (cluster && memory) {
        config_problem(load, origin_of(load, "broker.url"),
                       "broker.url: memory: is for one node on an SQLite file; with PostgreSQL use "
                       "redis://HOST, or nothing (dispatch straight from the store)");
    } else if (!cluster && !memory) {
        config_problem(load, origin_of(load, "broker.url"),
                       "broker.url: an SQLite store is one node's own and uses memory:");
    }
}

static void check_store(ConfigLoad *load) {
    static const char *const POSTGRES[] = {"postgres://", "postgresql://", NULL};
    static const Str SQLITE = {"sqlite:", 7};
    Config *config = load->config;
    Str url = config->store.url;
    config->store.cluster = has_scheme(url, POSTGRES);
    if (!config->data.ptr) {
        config_problem(load, origin_of(load, "data"), "data: expected a directory");
    } else if (!url.ptr) {
        config->store.path = arena_format(load->arena, STR_FMT "/takt.db", STR_ARG(config->data));
    } else if (str_starts_with(url, SQLITE) && url.len > SQLITE.len) {
        config->store.path = (Str){url.ptr + SQLITE.len, url.len - SQLITE.len};
    } else if (!config->store.cluster) {
        config_problem(load, origin_of(load, "store.url"),
                       "store.url: expected sqlite:PATH or postgres://HOST/DATABASE");
    }
    check_broker(load, config->store.cluster);
}

static void check_worker(ConfigLoad *load) {
    const Config *config = load->config;
    for (size_t i = 0; i < config->worker.queues.count; i++) {
        Str queue = config->worker.queues.items[i];
        if (config_is_name(queue, MAX_QUEUE, "")) continue;
        config_problem(load, origin_of(load, "worker.queues"),
                       "worker.queues: '" STR_FMT "' is not a queue; it has 1 to %d of "
                       "A-Z a-z 0-9 _ . : -",
                       STR_ARG(queue), MAX_QUEUE);
    }
    if (config->worker.concurrency > 0 && config->worker.queues.count == 0) {
        config_problem(load, origin_of(load, "worker.queues"),
                       "worker.queues is empty, but worker.concurrency is above 0");
    }
    for (size_t i = 0; i < config->worker.url.count; i++) {
        Str url = config->worker.url.items[i];
        if (str_starts_with(url, STR("tcp://")) && url.len > 6) continue;
        config_problem(load, origin_of(load, "worker.url"), "worker.url: expected tcp://HOST:PORT");
    }
}

void config_check_rules(ConfigLoad *load) {
    check_listeners(load);
    check_http(load);
    check_store(load);
    check_worker(load);
}
