/* The sink behind log.h: renders a line as JSON or text and writes it whole.
 *
 * One mutex guards the limiter and the descriptor, so that lines of threads never mix, long ones on
 * a pipe included. Nothing here fails: a line that can't be written is counted. */
#include "telemetry/log.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/time.h"
#include "telemetry/log_limit.h"

enum {
    MAX_LINE = 1 << 20,
    MAX_TEXT = 2000, /* bytes shown of one field */
};

_Atomic(LogLevel) log_threshold = LEVEL_INFO;

static _Atomic(LogFormat) line_format = LOG_JSON;
static _Atomic(uint64_t) lost_lines;
static pthread_mutex_t sink_lock = PTHREAD_MUTEX_INITIALIZER;
static LogLimit sink_limit; /* guarded by sink_lock, like sink_fd */
static int sink_fd = STDERR_FILENO;

static const char *const LEVEL_NAMES[] = {
    [LEVEL_DEBUG] = "debug",
    [LEVEL_INFO] = "info",
    [LEVEL_WARN] = "warn",
    [LEVEL_ERROR] = "error",
};

void log_set_level(LogLevel level) {
    atomic_store(&log_threshold, level);
}

void log_set_format(LogFormat format) {
    atomic_store(&line_format, format);
}

void log_set_fd(int fd) {
    pthread_mutex_lock(&sink_lock);
    sink_fd = fd;
    pthread_mutex_unlock(&sink_lock);
}

uint64_t log_lost(void) {
    return atomic_load(&lost_lines);
}

bool log_level_parse(Str text, LogLevel *ret) {
    for (size_t i = 0; i < LENGTH(LEVEL_NAMES); i++) {
        if (!str_eq(text, str_from(LEVEL_NAMES[i]))) continue;
        *ret = (LogLevel)i;
        return true;
    }
    return false;
}

bool log_format_parse(Str text, LogFormat *ret) {
    if (!str_eq(text, STR("json")) && !str_eq(text, STR("text"))) return false;
    *ret = str_eq(text, STR("json")) ? LOG_JSON : LOG_TEXT;
    return true;
}

static bool is_absent(const LogField *field) {
    return field->kind == KV_STRING && !field->text.ptr;
}

/* Cuts a long text between two UTF-8 characters. */
static Str cut_text(Str text) {
    if (text.len <= MAX_TEXT) return text;
    size_t len = MAX_TEXT;
    while (len > 0 && ((unsigned char)text.ptr[len] & 0xc0) == 0x80)
        len--;
    return (Str){text.ptr, len};
}

static void write_value(JsonWriter *writer, const LogField *field) {
    switch (field->kind) {
    case KV_STRING: json_write_string(writer, cut_text(field->text)); break;
    case KV_INT: json_write_int(writer, field->integer); break;
    case KV_UINT: json_write_uint(writer, field->number); break;
    case KV_DOUBLE: json_write_double(writer, field->real); break;
    case KV_BOOL: json_write_bool(writer, field->flag); break;
    case KV_END: break; /* the callers stop there */
    }
}

static Str component_of(const char *event) {
    Str rest = str_from(event);
    return str_split(&rest, '.');
}

static void render_json(Buf *line, LogLevel level, const char *event, const LogField *fields,
                        uint64_t suppressed) {
    char time_text[TIME_TEXT_SIZE];
    time_format(clock_real_us(), time_text);
    JsonWriter writer = json_writer(line);
    json_begin_object(&writer);
    json_put_string(&writer, "ts", str_from(time_text));
    json_put_string(&writer, "level", str_from(LEVEL_NAMES[level]));
    json_put_string(&writer, "msg", str_from(event));
    json_put_string(&writer, "component", component_of(event));
    for (const LogField *field = fields; field->kind != KV_END; field++) {
        if (is_absent(field)) continue;
        json_write_key(&writer, str_from(field->key));
        write_value(&writer, field);
    }
    if (suppressed > 0) {
        json_write_key(&writer, STR("suppressed"));
        json_write_uint(&writer, suppressed);
    }
    json_end_object(&writer);
}

static bool reads_bare(Str text) {
    if (text.len == 0) return false;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.ptr[i];
        if (byte <= ' ' || byte >= 0x7f || byte == '"' || byte == '=' || byte == '\\') return false;
    }
    return true;
}

static void render_text(Buf *line, LogLevel level, const char *event, const LogField *fields,
                        uint64_t suppressed) {
    char time_text[TIME_TEXT_SIZE];
    time_format(clock_real_us(), time_text);
    buf_format(line, "%s %-5s %s", time_text, LEVEL_NAMES[level], event);
    for (const LogField *field = fields; field->kind != KV_END; field++) {
        if (is_absent(field)) continue;
        buf_format(line, " %s=", field->key);
        if (field->kind == KV_STRING && field->text.len <= MAX_TEXT && reads_bare(field->text)) {
            buf_add(line, field->text);
            continue;
        }
        JsonWriter writer =
            json_writer(line); /* quotes and escapes: no control byte comes through */
        write_value(&writer, field);
    }
    if (suppressed > 0) {
        buf_add(line, STR(" suppressed="));
        buf_add_uint(line, suppressed);
    }
}

/* The lock is held. A pipe may take a long line in parts; then the rest follows at once. */
static void write_line(Str line) {
    while (line.len > 0) {
        ssize_t written = write(sink_fd, line.ptr, line.len);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) {
            atomic_fetch_add(&lost_lines, 1);
            return;
        }
        line.ptr += written;
        line.len -= (size_t)written;
    }
}

/* The lock is held. */
static void emit(LogLevel level, const char *event, const LogField *fields, uint64_t suppressed) {
    cleanup(buf_done) Buf line;
    buf_init(&line, MAX_LINE);
    if (atomic_load(&line_format) == LOG_JSON) {
        render_json(&line, level, event, fields, suppressed);
    } else {
        render_text(&line, level, event, fields, suppressed);
    }
    buf_add_char(&line, '\n');
    if (line.overflow) {
        atomic_fetch_add(&lost_lines, 1);
        return;
    }
    write_line(buf_str(&line));
}

void log_event(LogLevel level, const char *event, const LogField *fields) {
    int saved = errno; /* logging between a failed call and its report must not change it */
    uint64_t suppressed = 0;
    pthread_mutex_lock(&sink_lock);
    if (level == LEVEL_DEBUG ||
        log_limit_pass(&sink_limit, event, (int)level, clock_mono_us(), &suppressed)) {
        emit(level, event, fields, suppressed);
    }
    pthread_mutex_unlock(&sink_lock);
    errno = saved;
}

void log_flush_repeats(void) {
    unsigned at = 0;
    uint64_t suppressed = 0;
    const LogLimitSlot *slot = NULL;
    pthread_mutex_lock(&sink_lock);
    while ((slot = log_limit_next(&sink_limit, &at, &suppressed))) {
        emit((LogLevel)slot->level, slot->event, &LOG_END, suppressed);
    }
    pthread_mutex_unlock(&sink_lock);
}
