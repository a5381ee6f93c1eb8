/* The configuration: one YAML file, TAKT_SECTION_KEY in the environment, and flags; flags beat
 * environment beats file beats default.
 *
 * Settings are rows of one table (config_table.c); the parser, the environment's names, `--help`,
 * the manual and the printer derive from it. A mistake never stops at the first: all of them are
 * reported, each with its place. Reading is all that happens here; nobody keeps a pointer but to
 * the Config. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/secret.h"
#include "base/str.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ConfigAddress {
    Str host; /* name or address, without the brackets of IPv6; NUL-terminated */
    int64_t port;
} ConfigAddress;

typedef struct ConfigList {
    const Str *items; /* NUL-terminated each */
    size_t count;
} ConfigList;

typedef struct ConfigPair {
    Str name;
    Str value;
} ConfigPair;

/* A command that `exec` workers run for a type of job. */
typedef struct ConfigType {
    Str name;
    int64_t version;    /* 0: every version without an entry of its own */
    ConfigList exec;    /* at least one; items may hold {args.NAME} */
    int64_t timeout_ms; /* 0: only the job's own timeout counts */
    const ConfigPair *env;
    size_t env_count;
    Str user; /* absent: the worker's */
    Str cwd;  /* absent: the worker's */
} ConfigType;

/* All settings with their values. Absent texts are settings that are not set. Every Str is
 * NUL-terminated and lives as long as the Config. */
typedef struct Config {
    struct {
        ConfigAddress listen;
        Str base_path; /* begins with '/'; no '/' at its end unless it is "/" */
        Str url;
        bool metrics_auth;
    } http;
    struct {
        ConfigAddress listen;
        Secret password;
        bool allow_flush;
        ConfigList roles; /* names of core/access.h, never admin */
    } protocol;
    Str data; /* a directory */
    struct {
        Str url;      /* absent: sqlite in the data directory */
        Str path;     /* of the sqlite file; derived, likewise the next */
        bool cluster; /* on a server that other nodes may share */
    } store;
    struct {
        Str url;
    } broker;
    struct {
        int64_t concurrency; /* 0: serve starts no worker */
        ConfigList queues;
        ConfigList labels;
        ConfigList url; /* tcp://HOST:PORT */
        Secret password;
        Str user;
    } worker;
    struct {
        ConfigList keys; /* files */
        int64_t token_ttl_ms;
    } auth;
    struct {
        int64_t finished_ms;
        int64_t dead_ms;
    } retention;
    struct {
        int64_t args; /* bytes */
        int64_t body; /* bytes */
        int64_t bulk;
        int64_t connections;
    } limits;
    struct {
        Str level;  /* debug, info, warn, error */
        Str format; /* json, text */
    } log;
    const ConfigType *types;
    size_t type_count;
    struct ConfigState *state; /* memory and origins; only for src/config */
} Config;

typedef struct ConfigFlag {
    const char *name; /* without dashes, as in the table: "http", "log-level" */
    const char *value;
} ConfigFlag;

typedef struct ConfigSource {
    const char *path;               /* NULL: no file */
    const char *const *environment; /* "NAME=value" …, NULL at the end; NULL: none */
    const ConfigFlag *flags;
    size_t flag_count;
} ConfigSource;

/* Lines of one problem each, "takt: FILE:LINE:COLUMN: …\n"; secrets are never in them. Init both
 * with buf_init() and a maximum of a few 100 KiB. */
typedef struct ConfigReport {
    Buf errors;
    Buf warnings;
} ConfigReport;

void config_report_init(ConfigReport *report);
void config_report_done(ConfigReport *report); /* accepts NULL */

/* Reads everything and checks it. ERR_INVALID when report->errors has lines; their number is in the
 * error's message. Free *ret with config_free(). */
Err config_load(const ConfigSource *source, Config **ret, ConfigReport *report, Error *error)
    must_check;
void config_free(Config *config); /* accepts NULL; wipes the secrets */

/* What `takt config check F` does: loads the file with the environment given, appends all problems,
 * or that there are none, to out. */
Err config_check(const char *path, const char *const *environment, Buf *out, Error *error)
    must_check;

/* Appends all settings as YAML, secrets and the passwords in URLs as ***. */
void config_print(const Config *config, Buf *out);

/* For a reload: the keys whose values differ, each on a line; *ret_now of those that take effect
 * while running, *ret_restart of those that wait for the next start. */
void config_compare(const Config *old, const Config *new, Buf *ret_now, Buf *ret_restart);

/* Appends the URL with the password in its authority, and the values of password parameters, as
 * ***. */
void config_mask_url(Buf *out, Str url);

/* ---- the table, for help and manuals ---- */

typedef struct ConfigRow ConfigRow;

/* NULL past the last row. */
const ConfigRow *config_row(size_t i);
const char *config_row_key(const ConfigRow *row);  /* "http.listen" */
const char *config_row_flag(const ConfigRow *row); /* "http", NULL without a flag */
const char *config_row_help(const ConfigRow *row);
const char *config_row_default(const ConfigRow *row); /* as written in a file; "" when not set */
bool config_row_available(const ConfigRow *row);      /* false: reserved, refused in this version */
/* "TAKT_HTTP_LISTEN", appended. */
void config_row_environment(const ConfigRow *row, Buf *out);
