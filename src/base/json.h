/* JSON (RFC 8259), strict: a validating reader that hands out slices of the input, and a writer.
 *
 * Reading is two steps: json_check() validates a whole document once (syntax, UTF-8, depth,
 * duplicate keys, size of members), then the cursor functions walk the checked bytes and can't
 * fail on syntax. Values are slices of the input: `args` passes through byte-exact, numbers keep
 * all their digits. Nothing is allocated but for unescaped strings, in the arena given. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

enum {
    JSON_MAX_DEPTH = 64,
    JSON_MAX_MEMBERS = 10000, /* of one object; arrays are bounded by the document's size only */
    JSON_MAX_NUMBER = 330,    /* characters of one number */
};

typedef enum JsonKind {
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT,
} JsonKind;

/* One value inside a checked document: the slice from its first to its last byte, blanks around it
 * excluded. The absent value has text.ptr NULL. */
typedef struct Json {
    JsonKind kind;
    Str text;
} Json;

/* Validates one whole document (blanks around it allowed, nothing else behind it) in constant stack
 * and linear time, and gives its root. Duplicate keys are compared unescaped.
 * Errors: ERR_INVALID with code "invalid-json" ("line 1 column 7: expected a value"),
 * "json-too-deep", "duplicate-key" (names the pointer, RFC 6901) or "invalid-utf8"; ERR_LIMIT with
 * "too-large" (members or number length). Lone surrogate escapes are "invalid-utf8". */
Err json_check(Str document, Json *ret, Error *error) must_check;

/* Walks an array or object of a checked document. Members keep their order. */
typedef struct JsonIter {
    const char *at;
    const char *end;
    JsonKind kind;
} JsonIter;

JsonIter json_iter(Json container);
/* Next element; *ret_key (may be NULL) gets the raw key between the quotes, still escaped, for
 * objects. false at the end. */
bool json_next(JsonIter *iter, Str *ret_key, Json *ret_value);

/* The member with this (unescaped) name, or the absent value. Linear. */
Json json_member(Json object, Str name);

/* How many elements or members. */
size_t json_count(Json container);

/* The string's bytes: the slice itself when nothing is escaped, else unescaped into the arena. For
 * JSON_STRING only. */
Str json_string(Json value, Arena *arena);
/* The same for a raw key from json_next(). */
Str json_key(Str raw_key, Arena *arena);

/* Integers: only plain digits with an optional '-', no fraction, no exponent, not "-0"; false when
 * it is another kind, malformed or out of int64 range. No rounding ever. */
bool json_int64(Json value, int64_t *ret);
/* Any number as a double (strtod semantics, locale independent); false when not a number or not
 * finite. */
bool json_double(Json value, double *ret);

/* Copies the value without any blank outside strings (one line), bytes of scalars unchanged. */
void json_compact(Buf *buf, Json value);

/* "null", "true", "number", "string", …: for error sentences. */
const char *json_kind_name(JsonKind kind);

/* ---- writer: appends to a Buf; commas are placed by itself. ---- */

typedef struct JsonWriter {
    Buf *buf;
    uint64_t has_element; /* bit per depth: a comma is due */
    unsigned depth;
    bool after_key;
} JsonWriter;

JsonWriter json_writer(Buf *buf);
void json_begin_object(JsonWriter *writer);
void json_end_object(JsonWriter *writer);
void json_begin_array(JsonWriter *writer);
void json_end_array(JsonWriter *writer);
void json_write_key(JsonWriter *writer, Str key);
/* A string, escaped; bytes that are not UTF-8 become U+FFFD, so output is always valid JSON. */
void json_write_string(JsonWriter *writer, Str text);
void json_write_int(JsonWriter *writer, int64_t value);
void json_write_uint(JsonWriter *writer, uint64_t value);
void json_write_double(JsonWriter *writer,
                       double value); /* shortest form that reads back; not finite: null */
void json_write_bool(JsonWriter *writer, bool value);
void json_write_null(JsonWriter *writer);
/* Bytes that are JSON already (from json_check); absent gives null. */
void json_write_raw(JsonWriter *writer, Str json);

/* key and value in one call, for readability of emitters */
void json_put_string(JsonWriter *writer, const char *key, Str value); /* absent: null */
void json_put_int(JsonWriter *writer, const char *key, int64_t value);
void json_put_bool(JsonWriter *writer, const char *key, bool value);
void json_put_raw(JsonWriter *writer, const char *key, Str json);

/* Appends text escaped as inside a JSON string, without the quotes. */
void json_escape(Buf *buf, Str text);
