/* Log lines on stderr: one JSON object a line (or text for people), written by one write(2) each.
 *
 * An event is a constant "component.what" with typed fields:
 *     log_info("job.reaped", kv_str("job_id", id), kv_int("attempt", n));
 * The part before the first dot becomes `component`. Fields with an absent value are left out.
 * Never pass payloads or tokens; a Secret goes through kv_secret() and is shown as ***. Repeats of
 * one event are limited (log_limit.h): 20 at once, then one a second which carries `suppressed`.
 * Debug lines are not limited. Everything here may be called from any thread; it works without any
 * set-up. */
#pragma once

#include "base/error.h"
#include "base/secret.h"
#include "base/str.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Levels mean an action: error = an operator must look; warn = takt coped, and says how; info =
 * lifecycle; debug = for developers. */
typedef enum LogLevel { LEVEL_DEBUG, LEVEL_INFO, LEVEL_WARN, LEVEL_ERROR } LogLevel;

typedef enum LogFormat { LOG_JSON, LOG_TEXT } LogFormat;

typedef enum LogFieldKind {
    KV_END, /* closes the array that the macros build */
    KV_STRING,
    KV_INT,
    KV_UINT,
    KV_DOUBLE,
    KV_BOOL,
} LogFieldKind;

typedef struct LogField {
    const char *key; /* a constant, snake_case */
    LogFieldKind kind;
    union {
        Str text;
        int64_t integer;
        uint64_t number;
        double real;
        bool flag;
    };
} LogField;

static inline LogField kv_str(const char *key, Str text) {
    return (LogField){.key = key, .kind = KV_STRING, .text = text};
}
/* A NUL-terminated string; NULL leaves the field out. */
static inline LogField kv_text(const char *key, const char *text) {
    return kv_str(key, str_from(text));
}
static inline LogField kv_int(const char *key, int64_t value) {
    return (LogField){.key = key, .kind = KV_INT, .integer = value};
}
static inline LogField kv_uint(const char *key, uint64_t value) {
    return (LogField){.key = key, .kind = KV_UINT, .number = value};
}
static inline LogField kv_double(const char *key, double value) {
    return (LogField){.key = key, .kind = KV_DOUBLE, .real = value};
}
static inline LogField kv_bool(const char *key, bool value) {
    return (LogField){.key = key, .kind = KV_BOOL, .flag = value};
}
/* Says only whether a secret is set: *** or nothing. */
static inline LogField kv_secret(const char *key, Secret secret) {
    return kv_str(key, secret.text.len > 0 ? STR("***") : (Str){NULL, 0});
}
/* The error's sentence under the key `error`. */
static inline LogField kv_error(const Error *error) {
    return kv_text("error", error->message);
}

/* The lowest level that is written. Read it through log_enabled(). */
extern _Atomic(LogLevel) log_threshold;

static inline bool log_enabled(LogLevel level) {
    return level >= atomic_load_explicit(&log_threshold, memory_order_relaxed);
}

/* Both may be changed while running. */
void log_set_level(LogLevel level);
void log_set_format(LogFormat format);

/* "debug", "info", "warn", "error" and "json", "text"; false for anything else. */
bool log_level_parse(Str text, LogLevel *ret);
bool log_format_parse(Str text, LogFormat *ret);

/* Where lines go: file descriptor 2 unless a test asks for another. The descriptor stays the
 * caller's. */
void log_set_fd(int fd);

/* Writes what was suppressed and not yet told. Call it about once a second and at exit. */
void log_flush_repeats(void);

/* How many lines could not be written since the start (a full non-blocking pipe, a closed stderr).
 */
uint64_t log_lost(void);

/* What the macros below call. `event` must live for ever; `fields` end with KV_END. */
void log_event(LogLevel level, const char *event, const LogField *fields);

#define log_debug(...) LOG_AT(LEVEL_DEBUG, __VA_ARGS__, LOG_END)
#define log_info(...) LOG_AT(LEVEL_INFO, __VA_ARGS__, LOG_END)
#define log_warn(...) LOG_AT(LEVEL_WARN, __VA_ARGS__, LOG_END)
#define log_error(...) LOG_AT(LEVEL_ERROR, __VA_ARGS__, LOG_END)

/* The end marker also keeps the array from being empty; "" makes sure that the event is a literal.
 */
#define LOG_END ((LogField){.key = NULL, .kind = KV_END})
#define LOG_AT(level, event, ...)                                                                  \
    (log_enabled(level) ? log_event((level), "" event, (const LogField[]){__VA_ARGS__}) : (void)0)
