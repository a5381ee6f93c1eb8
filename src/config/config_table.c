/* All settings, one row each.
 *
 * Rows of one section stand together: the printer relies on it. A default is written as in a file
 * and goes through the same parser, so a wrong one fails every start. */
#include "config/config_internal.h"

#define AT(member) offsetof(Config, member)
#define DAY_MS INT64_C(86400000)
#define YEARS_10 (3650 * DAY_MS)
#define KIB INT64_C(1024)
#define MIB (KIB * KIB)

const ConfigRow CONFIG_TABLE[CONFIG_ROWS] = {
    {.key = "http.listen",
     .kind = KIND_ADDRESS,
     .offset = AT(http.listen),
     .flag = "http",
     .initial = "127.0.0.1:7420",
     .help = "address of the HTTP API and the dashboard"},
    {.key = "http.base_path",
     .kind = KIND_STRING,
     .offset = AT(http.base_path),
     .initial = "/",
     .help = "path under which a proxy shows Takt"},
    {.key = "http.url",
     .kind = KIND_STRING,
     .offset = AT(http.url),
     .initial = "",
     .help = "the URL people reach Takt at, for links"},
    {.key = "http.metrics_auth",
     .kind = KIND_BOOL,
     .offset = AT(http.metrics_auth),
     .initial = "false",
     .help = "whether /metrics needs a token",
     .reloads = true},
    {.key = "http.tls_cert", .kind = KIND_RESERVED, .initial = "", .help = "certificate for HTTPS"},
    {.key = "http.tls_key", .kind = KIND_RESERVED, .initial = "", .help = "its key"},

    {.key = "protocol.listen",
     .kind = KIND_ADDRESS,
     .offset = AT(protocol.listen),
     .flag = "worker",
     .initial = "127.0.0.1:7419",
     .help = "address of the worker protocol"},
    {.key = "protocol.password",
     .kind = KIND_SECRET,
     .offset = AT(protocol.password),
     .initial = "",
     .help = "password of the worker protocol"},
    {.key = "protocol.allow_flush",
     .kind = KIND_BOOL,
     .offset = AT(protocol.allow_flush),
     .initial = "false",
     .help = "whether FLUSH may delete everything",
     .reloads = true},
    {.key = "protocol.roles",
     .kind = KIND_LIST,
     .offset = AT(protocol.roles),
     .initial = "producer,worker,operator",
     .choices = "viewer,producer,worker,operator",
     .help = "roles of password and loopback sessions",
     .reloads = true},
    {.key = "protocol.tls_cert",
     .kind = KIND_RESERVED,
     .initial = "",
     .help = "certificate for TLS"},
    {.key = "protocol.tls_key", .kind = KIND_RESERVED, .initial = "", .help = "its key"},

    {.key = "data",
     .kind = KIND_STRING,
     .offset = AT(data),
     .flag = "data",
     .initial = "./takt-data",
     .help = "directory of all that the node keeps"},

    {.key = "store.url",
     .kind = KIND_URL,
     .offset = AT(store.url),
     .flag = "store",
     .initial = "",
     .help = "sqlite:PATH; default: takt.db in the data directory"},
    {.key = "broker.url",
     .kind = KIND_URL,
     .offset = AT(broker.url),
     .flag = "broker",
     .initial = "",
     .help = "memory:"},

    {.key = "worker.concurrency",
     .kind = KIND_INT,
     .offset = AT(worker.concurrency),
     .flag = "concurrency",
     .initial = "0",
     .most = 10000,
     .help = "jobs a worker runs at once; above 0, serve starts a worker too"},
    {.key = "worker.queues",
     .kind = KIND_LIST,
     .offset = AT(worker.queues),
     .flag = "queues",
     .initial = "default",
     .help = "queues the worker takes jobs from"},
    {.key = "worker.labels",
     .kind = KIND_LIST,
     .offset = AT(worker.labels),
     .initial = "",
     .help = "labels the worker shows"},
    {.key = "worker.url",
     .kind = KIND_LIST,
     .offset = AT(worker.url),
     .flag = "url",
     .initial = "",
     .help = "tcp://HOST:PORT of the nodes the worker serves"},
    {.key = "worker.password",
     .kind = KIND_SECRET,
     .offset = AT(worker.password),
     .initial = "",
     .help = "password the worker sends"},
    {.key = "worker.user",
     .kind = KIND_STRING,
     .offset = AT(worker.user),
     .initial = "",
     .help = "user that commands run as"},

    {.key = "auth.keys",
     .kind = KIND_LIST,
     .offset = AT(auth.keys),
     .initial = "",
     .help = "files with signing keys; the first signs, all verify"},
    {.key = "auth.token_ttl",
     .kind = KIND_DURATION,
     .offset = AT(auth.token_ttl_ms),
     .initial = "24h",
     .least = 1000,
     .most = YEARS_10,
     .help = "how long a new token is valid",
     .reloads = true},
    {.key = "auth.oidc",
     .kind = KIND_RESERVED,
     .initial = "",
     .help = "tokens of an OpenID Connect issuer"},

    {.key = "smtp.url", .kind = KIND_RESERVED, .initial = "", .help = "mail server"},
    {.key = "smtp.from", .kind = KIND_RESERVED, .initial = "", .help = "sender of mails"},
    {.key = "smtp.password",
     .kind = KIND_RESERVED,
     .initial = "",
     .help = "password at the mail server"},
    {.key = "smtp.tls",
     .kind = KIND_RESERVED,
     .initial = "required",
     .help = "whether mail needs TLS"},
    {.key = "smtp.allow_to",
     .kind = KIND_RESERVED,
     .initial = "*",
     .help = "addresses that may get mail"},
    {.key = "webhooks.secret",
     .kind = KIND_RESERVED,
     .initial = "",
     .help = "key that signs webhooks"},
    {.key = "webhooks.allow_hosts",
     .kind = KIND_RESERVED,
     .initial = "*",
     .help = "hosts that webhooks may reach"},
    {.key = "webhooks.allow_ranges",
     .kind = KIND_RESERVED,
     .initial = "",
     .help = "private addresses that webhooks may reach"},

    {.key = "retention.finished",
     .kind = KIND_DURATION,
     .offset = AT(retention.finished_ms),
     .initial = "7d",
     .least = 1000,
     .most = YEARS_10,
     .help = "how long succeeded and cancelled jobs are kept",
     .reloads = true},
    {.key = "retention.dead",
     .kind = KIND_DURATION,
     .offset = AT(retention.dead_ms),
     .initial = "180d",
     .least = 1000,
     .most = YEARS_10,
     .help = "how long dead jobs are kept",
     .reloads = true},

    {.key = "limits.args",
     .kind = KIND_SIZE,
     .offset = AT(limits.args),
     .initial = "1MiB",
     .least = KIB,
     .most = 8 * MIB,
     .help = "most bytes of one job's args"},
    {.key = "limits.body",
     .kind = KIND_SIZE,
     .offset = AT(limits.body),
     .initial = "16MiB",
     .least = KIB,
     .most = 256 * MIB,
     .help = "most bytes of one HTTP request"},
    {.key = "limits.bulk",
     .kind = KIND_INT,
     .offset = AT(limits.bulk),
     .initial = "10000",
     .least = 1,
     .most = 10000,
     .help = "most jobs of one bulk request"},
    {.key = "limits.connections",
     .kind = KIND_INT,
     .offset = AT(limits.connections),
     .initial = "16000",
     .least = 10,
     .most = 1000000,
     .help = "most connections at a time"},
    {.key = "limits.schedule_interval",
     .kind = KIND_RESERVED,
     .initial = "1s",
     .help = "shortest interval of a recurring job"},

    {.key = "log.level",
     .kind = KIND_CHOICE,
     .offset = AT(log.level),
     .flag = "log-level",
     .initial = "info",
     .choices = "debug,info,warn,error",
     .help = "what is logged",
     .reloads = true},
    {.key = "log.format",
     .kind = KIND_CHOICE,
     .offset = AT(log.format),
     .flag = "log-format",
     .initial = "json",
     .choices = "json,text",
     .help = "how it is logged",
     .reloads = true},
};

const ConfigRow *config_row(size_t i) {
    return i < CONFIG_ROWS ? &CONFIG_TABLE[i] : NULL;
}

const char *config_row_key(const ConfigRow *row) {
    return row->key;
}

const char *config_row_flag(const ConfigRow *row) {
    return row->flag;
}

const char *config_row_help(const ConfigRow *row) {
    return row->help;
}

const char *config_row_default(const ConfigRow *row) {
    return row->initial;
}

bool config_row_available(const ConfigRow *row) {
    return row->kind != KIND_RESERVED;
}

void config_row_environment(const ConfigRow *row, Buf *out) {
    buf_add(out, STR("TAKT_"));
    for (const char *at = row->key; *at; at++) {
        bool is_lower = *at >= 'a' && *at <= 'z';
        buf_add_char(out, *at == '.' ? '_' : is_lower ? (char)(*at - 'a' + 'A') : *at);
    }
}

bool config_find_row(Str section, Str name, size_t *ret) {
    for (size_t i = 0; i < CONFIG_ROWS; i++) {
        Str rest = str_from(CONFIG_TABLE[i].key);
        Str first = str_split(&rest, '.');
        bool at_top = !rest.ptr;
        if (at_top ? section.len > 0 || !str_eq(first, name)
                   : !str_eq(first, section) || !str_eq(rest, name)) {
            continue;
        }
        *ret = i;
        return true;
    }
    return false;
}
