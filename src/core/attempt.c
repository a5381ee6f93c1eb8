/* The JSON record of ended attempts: appended to, cut to the newest, and searched for
 * repeats.
 *
 * What it holds is bounded whatever a worker sends: ATTEMPTS_KEPT elements, each with cut
 * texts. The hashes cover an outcome as it was reported, before any cut. */
#include "core/attempt.h"

#include "base/hash.h"
#include "base/time.h"

#include <string.h>

/* The most that one element can take: each cut text escaped to six bytes a byte, and the rest. */
enum {
    ESCAPED_MAX = 6,
    LINE_ROOM = 3, /* quotes and comma */
    ELEMENT_ROOM = 1024 + ATTEMPT_META_MAX +
                   ESCAPED_MAX * (ERROR_TYPE_MAX + ERROR_MESSAGE_MAX + ATTEMPT_WORKER_MAX) +
                   BACKTRACE_LINES_MAX * (ESCAPED_MAX * BACKTRACE_LINE_MAX + LINE_ROOM),
};

/* At most `max` bytes, not cutting through a UTF-8 sequence. */
static Str cut(Str text, size_t max) {
    if (text.len <= max) return text;
    size_t len = max;
    while (len > 0 && ((uint8_t)text.ptr[len] & 0xc0) == 0x80) {
        len--;
    }
    return (Str){text.ptr, len};
}

/* The checked document when it is of this kind, else the absent value. */
static Json read_kind(Str text, JsonKind kind) {
    Json root;
    if (text.len > 0 && json_check(text, &root, NULL) == OK && root.kind == kind) return root;
    return (Json){0};
}

static void write_backtrace(JsonWriter *writer, Str backtrace, Arena *arena) {
    Json lines = read_kind(backtrace, JSON_ARRAY);
    if (!lines.text.ptr) return;
    json_write_key(writer, STR("backtrace"));
    json_begin_array(writer);
    JsonIter iter = json_iter(lines);
    Json line;
    for (int count = 0; count < BACKTRACE_LINES_MAX && json_next(&iter, NULL, &line);) {
        if (line.kind != JSON_STRING) continue;
        json_write_string(writer, cut(json_string(line, arena), BACKTRACE_LINE_MAX));
        count++;
    }
    json_end_array(writer);
}

static void write_error(JsonWriter *writer, const AttemptError *error, Arena *arena) {
    Str type = error->type.len > 0 ? error->type : STR("unknown");
    json_write_key(writer, STR("error"));
    json_begin_object(writer);
    json_put_string(writer, "type", cut(type, ERROR_TYPE_MAX));
    json_put_string(writer, "message", cut(error->message, ERROR_MESSAGE_MAX));
    write_backtrace(writer, error->backtrace, arena);
    json_end_object(writer);
    Json meta = read_kind(error->meta, JSON_OBJECT);
    if (meta.text.ptr && meta.text.len <= ATTEMPT_META_MAX) {
        json_put_raw(writer, "meta", meta.text);
    }
}

static void put_time(JsonWriter *writer, const char *key, int64_t time_us) {
    char text[TIME_TEXT_SIZE];
    time_format(time_us, text);
    json_put_string(writer, key, str_from(text));
}

static void write_attempt(JsonWriter *writer, const Job *job, const char *outcome, Str hash,
                          int64_t now_us) {
    json_put_int(writer, "fence", job->fence);
    json_put_int(writer, "attempt", job->attempt);
    json_put_int(writer, "run", job->run);
    json_put_string(writer, "worker", cut(job->worker, ATTEMPT_WORKER_MAX));
    put_time(writer, "started_at", job->started_us);
    put_time(writer, "finished_at", now_us);
    json_put_string(writer, "outcome", str_from(outcome));
    json_put_string(writer, "hash", hash);
}

/* The attempts so far without the oldest ones, so that one more can follow. */
static void write_earlier(JsonWriter *writer, Json earlier) {
    if (!earlier.text.ptr) return;
    size_t count = json_count(earlier);
    JsonIter iter = json_iter(earlier);
    Json attempt;
    for (; json_next(&iter, NULL, &attempt); count--) {
        if (count < ATTEMPTS_KEPT) json_write_raw(writer, attempt.text);
    }
}

void attempt_record(Job *job, const char *outcome, const AttemptError *error, Str hash,
                    int64_t now_us, Arena *arena) {
    cleanup(buf_done) Buf buf;
    buf_init(&buf, job->attempts.len + ELEMENT_ROOM);
    JsonWriter writer = json_writer(&buf);
    json_begin_array(&writer);
    write_earlier(&writer, read_kind(job->attempts, JSON_ARRAY));
    json_begin_object(&writer);
    write_attempt(&writer, job, outcome, hash, now_us);
    write_error(&writer, error, arena);
    json_end_object(&writer);
    json_end_array(&writer);
    check(!buf.overflow);
    job->attempts = arena_str(arena, buf_str(&buf));
}

/* Texts enter by their digests, each marked present or absent, so that no two lists of texts run
 * into the same bytes. */
static Str hash_of(char kind, const Str *texts, size_t count, Arena *arena) {
    enum { TEXTS_MAX = 3, HASH_BYTES = 16 };
    char bytes[1 + TEXTS_MAX * (1 + SHA256_SIZE)] = {kind};
    check(count <= TEXTS_MAX);
    char *at = bytes + 1;
    for (size_t i = 0; i < count; i++) {
        uint8_t digest[SHA256_SIZE];
        hash_sha256(texts[i], digest);
        *at++ = texts[i].ptr ? 1 : 0;
        memcpy(at, digest, sizeof digest);
        at += sizeof digest;
    }
    uint8_t digest[SHA256_SIZE];
    hash_sha256((Str){bytes, (size_t)(at - bytes)}, digest);
    cleanup(buf_done) Buf hex;
    buf_init(&hex, 2 * HASH_BYTES);
    hex_encode(&hex, digest, HASH_BYTES);
    return arena_str(arena, buf_str(&hex));
}

Str outcome_hash_success(Str result, Arena *arena) {
    return hash_of('s', &result, 1, arena);
}

Str outcome_hash_failure(const AttemptError *error, Arena *arena) {
    const Str texts[] = {error->type, error->message, error->backtrace};
    return hash_of('f', texts, LENGTH(texts), arena);
}

bool attempt_repeats(const Job *job, int64_t fence, Str hash) {
    if (fence == 0 || hash.len == 0) return false;
    Json attempts = read_kind(job->attempts, JSON_ARRAY);
    if (!attempts.text.ptr) return false;
    JsonIter iter = json_iter(attempts);
    Json attempt;
    while (json_next(&iter, NULL, &attempt)) {
        int64_t of;
        if (!json_int64(json_member(attempt, STR("fence")), &of) || of != fence) continue;
        Json recorded = json_member(attempt, STR("hash"));
        /* a hash is hexadecimal: its text is what stands between the quotes */
        return recorded.kind == JSON_STRING && recorded.text.len == hash.len + 2 &&
               memcmp(recorded.text.ptr + 1, hash.ptr, hash.len) == 0;
    }
    return false;
}
