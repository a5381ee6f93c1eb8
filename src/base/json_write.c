/* Writes JSON into a Buf: the writer of json.h, and json_compact().
 *
 * Bit d - 1 of has_element tells that the container at depth d has an element already. Whether the
 * buffer was large enough is asked once, at the end (Buf.overflow). */
#include "base/json.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json_scan.h"

JsonWriter json_writer(Buf *buf) {
    return (JsonWriter){.buf = buf};
}

/* The comma, where one is due before a key or an element. */
static void separate(JsonWriter *writer) {
    if (writer->after_key) {
        writer->after_key = false;
        return;
    }
    if (writer->depth == 0) return;
    uint64_t bit = UINT64_C(1) << (writer->depth - 1);
    if (writer->has_element & bit) buf_add_char(writer->buf, ',');
    writer->has_element |= bit;
}

static void begin(JsonWriter *writer, char bracket) {
    check(writer->depth < JSON_MAX_DEPTH);
    separate(writer);
    buf_add_char(writer->buf, bracket);
    writer->depth++;
    writer->has_element &= ~(UINT64_C(1) << (writer->depth - 1));
}

static void end(JsonWriter *writer, char bracket) {
    check(writer->depth > 0 && !writer->after_key);
    writer->depth--;
    buf_add_char(writer->buf, bracket);
}

void json_begin_object(JsonWriter *writer) {
    begin(writer, '{');
}

void json_end_object(JsonWriter *writer) {
    end(writer, '}');
}

void json_begin_array(JsonWriter *writer) {
    begin(writer, '[');
}

void json_end_array(JsonWriter *writer) {
    end(writer, ']');
}

static void add_quoted(Buf *buf, Str text) {
    buf_add_char(buf, '"');
    json_escape(buf, text);
    buf_add_char(buf, '"');
}

void json_write_key(JsonWriter *writer, Str key) {
    check(writer->depth > 0 && !writer->after_key);
    separate(writer);
    add_quoted(writer->buf, key);
    buf_add_char(writer->buf, ':');
    writer->after_key = true;
}

void json_write_string(JsonWriter *writer, Str text) {
    separate(writer);
    add_quoted(writer->buf, text);
}

void json_write_int(JsonWriter *writer, int64_t value) {
    separate(writer);
    buf_add_int(writer->buf, value);
}

void json_write_uint(JsonWriter *writer, uint64_t value) {
    separate(writer);
    buf_add_uint(writer->buf, value);
}

/* Fifteen digits always survive a double, so a number with fewer is found by the first try, %g
 * dropping its zeros; a subnormal has fewer than fifteen and is tried from one on. */
static void add_double(Buf *buf, double value) {
    enum { ENOUGH_DIGITS = 17 };
    char text[48];
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    check(c_locale);
    locale_t before = uselocale(c_locale);
    int digits = value != 0 && fabs(value) < DBL_MIN ? 1 : DBL_DIG;
    double read_back;
    do {
        snprintf(text, sizeof(text), "%.*g", digits, value);
        read_back = strtod(text, NULL);
    } while (digits++ < ENOUGH_DIGITS && (read_back < value || read_back > value));
    uselocale(before);
    freelocale(c_locale);
    buf_add(buf, str_from(text));
}

void json_write_double(JsonWriter *writer, double value) {
    if (!isfinite(value)) {
        json_write_null(writer);
        return;
    }
    separate(writer);
    add_double(writer->buf, value);
}

void json_write_bool(JsonWriter *writer, bool value) {
    separate(writer);
    buf_add(writer->buf, value ? STR("true") : STR("false"));
}

void json_write_null(JsonWriter *writer) {
    separate(writer);
    buf_add(writer->buf, STR("null"));
}

void json_write_raw(JsonWriter *writer, Str json) {
    separate(writer);
    buf_add(writer->buf, json.ptr ? json : STR("null"));
}

void json_put_string(JsonWriter *writer, const char *key, Str value) {
    json_write_key(writer, str_from(key));
    if (value.ptr) {
        json_write_string(writer, value);
    } else {
        json_write_null(writer);
    }
}

void json_put_int(JsonWriter *writer, const char *key, int64_t value) {
    json_write_key(writer, str_from(key));
    json_write_int(writer, value);
}

void json_put_bool(JsonWriter *writer, const char *key, bool value) {
    json_write_key(writer, str_from(key));
    json_write_bool(writer, value);
}

void json_put_raw(JsonWriter *writer, const char *key, Str json) {
    json_write_key(writer, str_from(key));
    json_write_raw(writer, json);
}

static void escape_byte(Buf *buf, char byte) {
    switch (byte) {
    case '"': buf_add(buf, STR("\\\"")); return;
    case '\\': buf_add(buf, STR("\\\\")); return;
    case '\b': buf_add(buf, STR("\\b")); return;
    case '\f': buf_add(buf, STR("\\f")); return;
    case '\n': buf_add(buf, STR("\\n")); return;
    case '\r': buf_add(buf, STR("\\r")); return;
    case '\t': buf_add(buf, STR("\\t")); return;
    default: break;
    }
    static const char digits[] = "0123456789abcdef";
    char escape[] = {'\\', 'u', '0', '0', digits[(uint8_t)byte >> 4], digits[byte & 15]};
    buf_add_bytes(buf, escape, sizeof(escape));
}

void json_escape(Buf *buf, Str text) {
    if (text.len == 0) return;
    const char *at = text.ptr;
    const char *end = text.ptr + text.len;
    const char *copied = at; /* everything before is in the buffer */
    while ((at = json_skip_plain(at, end)) < end) {
        size_t len = utf8_sequence(at, end);
        if (len > 1) {
            at += len;
            continue;
        }
        buf_add_bytes(buf, copied, (size_t)(at - copied));
        if (len == 0) {
            buf_add(buf, STR("\xef\xbf\xbd"));
        } else {
            escape_byte(buf, *at);
        }
        copied = ++at;
    }
    buf_add_bytes(buf, copied, (size_t)(end - copied));
}

void json_compact(Buf *buf, Json value) {
    if (!value.text.ptr) return;
    const char *at = value.text.ptr;
    const char *end = value.text.ptr + value.text.len;
    const char *copied = at;
    while (at < end) {
        if (*at == '"') {
            at = json_string_end(at + 1, end) + 1;
        } else if (json_is_blank(*at)) {
            buf_add_bytes(buf, copied, (size_t)(at - copied));
            copied = at = json_skip_blanks(at, end);
        } else {
            at++;
        }
    }
    buf_add_bytes(buf, copied, (size_t)(end - copied));
}
