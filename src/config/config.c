/* A load from beginning to end, its report, and the comparison for a reload.
 *
 * The order is the precedence: file, environment, flags, then values, then what holds between them.
 * Whatever was written last is what a value's problem points to. */
#include "config/config_internal.h"

#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

enum { MAX_REPORT = 512 * 1024, MAX_PROBLEM = 1024 };

void config_report_init(ConfigReport *report) {
    buf_init(&report->errors, MAX_REPORT);
    buf_init(&report->warnings, MAX_REPORT);
}

void config_report_done(ConfigReport *report) {
    if (!report) return;
    buf_done(&report->errors);
    buf_done(&report->warnings);
}

static void add_line(Buf *lines, Origin origin, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

/* Control characters that a text or a name brings along become '?': the lines go to a terminal. */
static void add_line(Buf *lines, Origin origin, const char *format, va_list args) {
    char text[MAX_PROBLEM];
    vsnprintf(text, sizeof(text), format, args);
    cleanup(buf_done) Buf line;
    buf_init(&line, MAX_REPORT);
    buf_add(&line, STR("takt: "));
    if (origin.file && origin.line > 0) {
        buf_format(&line, "%s:%zu:%zu: ", origin.file, origin.line, origin.column);
    } else if (origin.file || origin.name) {
        buf_format(&line, "%s: ", origin.file ? origin.file : origin.name);
    }
    buf_add(&line, str_from(text));
    for (size_t i = 0; i < line.len; i++) {
        if ((unsigned char)line.data[i] < ' ' || line.data[i] == 0x7f) line.data[i] = '?';
    }
    buf_add_char(&line, '\n');
    buf_add(lines, buf_str(&line));
}

void config_problem(ConfigLoad *load, Origin origin, const char *format, ...) {
    va_list args;
    va_start(args, format);
    add_line(&load->report->errors, origin, format, args);
    va_end(args);
    load->problems++;
}

void config_warning(ConfigLoad *load, Origin origin, const char *format, ...) {
    va_list args;
    va_start(args, format);
    add_line(&load->report->warnings, origin, format, args);
    va_end(args);
}

Err config_load(const ConfigSource *source, Config **ret, ConfigReport *report, Error *error) {
    Config *config = alloc_zero(1, sizeof(*config));
    config->state = alloc_zero(1, sizeof(*config->state));
    ConfigLoad load = {config, &config->state->arena, report, 0};
    if (source->path) config_read_file(&load, source->path);
    config_read_environment(&load, source->environment);
    config_read_flags(&load, source->flags, source->flag_count);
    for (size_t row = 0; row < CONFIG_ROWS; row++) {
        config_set_value(&load, row);
    }
    config_check_rules(&load);
    if (load.problems > 0) {
        config_free(config);
        return error_code(error, ERR_INVALID, "invalid-config",
                          "%zu mistake%s in the configuration", load.problems,
                          load.problems == 1 ? "" : "s");
    }
    *ret = config;
    return OK;
}

/* The texts lie in the arena, which is the config's own. */
static void wipe(Str text) {
    union {
        const char *read;
        char *write;
    } at = {.read = text.ptr};
    if (text.len > 0) OPENSSL_cleanse(at.write, text.len);
}

void config_free(Config *config) {
    if (!config) return;
    for (size_t row = 0; row < CONFIG_ROWS; row++) {
        const Written *written = &config->state->written[row];
        if (CONFIG_TABLE[row].kind == KIND_SECRET && written->is_set) wipe(written->text);
    }
    wipe(config->protocol.password.text);
    wipe(config->worker.password.text);
    arena_done(&config->state->arena);
    free(config->state);
    free(config);
}

Err config_check(const char *path, const char *const *environment, Buf *out, Error *error) {
    Config *config = NULL;
    ConfigReport report;
    config_report_init(&report);
    ConfigSource source = {.path = path, .environment = environment};
    Err err = config_load(&source, &config, &report, error);
    buf_add(out, buf_str(&report.errors));
    buf_add(out, buf_str(&report.warnings));
    if (err == OK) buf_format(out, "%s: the configuration is valid\n", path);
    config_report_done(&report);
    config_free(config);
    return err;
}

/* ---- reload ---- */

static bool same_list(ConfigList a, ConfigList b) {
    if (a.count != b.count) return false;
    for (size_t i = 0; i < a.count; i++) {
        if (!str_eq(a.items[i], b.items[i])) return false;
    }
    return true;
}

static bool same_value(const ConfigRow *row, const void *a, const void *b) {
    switch (row->kind) {
    case KIND_BOOL: return *(const bool *)a == *(const bool *)b;
    case KIND_INT:
    case KIND_SIZE:
    case KIND_DURATION: return *(const int64_t *)a == *(const int64_t *)b;
    case KIND_LIST: return same_list(*(const ConfigList *)a, *(const ConfigList *)b);
    case KIND_ADDRESS:
        return ((const ConfigAddress *)a)->port == ((const ConfigAddress *)b)->port &&
               str_eq(((const ConfigAddress *)a)->host, ((const ConfigAddress *)b)->host);
    case KIND_SECRET: return str_eq(((const Secret *)a)->text, ((const Secret *)b)->text);
    case KIND_STRING:
    case KIND_CHOICE:
    case KIND_URL: return str_eq(*(const Str *)a, *(const Str *)b);
    case KIND_RESERVED: return true;
    }
    return true;
}

static bool same_type(const ConfigType *a, const ConfigType *b) {
    if (!str_eq(a->name, b->name) || a->version != b->version || !same_list(a->exec, b->exec) ||
        a->timeout_ms != b->timeout_ms || a->env_count != b->env_count ||
        !str_eq(a->user, b->user) || !str_eq(a->cwd, b->cwd)) {
        return false;
    }
    for (size_t i = 0; i < a->env_count; i++) {
        if (!str_eq(a->env[i].name, b->env[i].name) || !str_eq(a->env[i].value, b->env[i].value)) {
            return false;
        }
    }
    return true;
}

static bool same_types(const Config *a, const Config *b) {
    if (a->type_count != b->type_count) return false;
    for (size_t i = 0; i < a->type_count; i++) {
        if (!same_type(&a->types[i], &b->types[i])) return false;
    }
    return true;
}

void config_compare(const Config *old, const Config *new, Buf *ret_now, Buf *ret_restart) {
    for (size_t i = 0; i < CONFIG_ROWS; i++) {
        const ConfigRow *row = &CONFIG_TABLE[i];
        const char *before = (const char *)old + row->offset;
        const char *after = (const char *)new + row->offset;
        if (same_value(row, before, after)) continue;
        buf_format(row->reloads ? ret_now : ret_restart, "%s\n", row->key);
    }
    if (!same_types(old, new)) buf_add(ret_restart, STR("types\n"));
}
