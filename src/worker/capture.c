/* Bounded capture. The one invariant: memory stays below twice the maximum, whatever comes in. */
#include "worker/capture.h"

void tail_init(Tail *tail, size_t max) {
    *tail = (Tail){.max = max};
    buf_init(&tail->bytes, 2 * max);
}

void tail_done(Tail *tail) {
    if (tail) buf_done(&tail->bytes);
}

static void drop_lost(Tail *tail, size_t len) {
    buf_drop(&tail->bytes, len);
    tail->lost += len;
}

void tail_add(Tail *tail, Str bytes) {
    if (bytes.len > tail->max) {
        size_t skipped = bytes.len - tail->max;
        tail->lost += skipped;
        bytes = (Str){bytes.ptr + skipped, tail->max};
    }
    /* moving the bytes only when the buffer is full keeps the cost per byte constant */
    if (tail->bytes.len + bytes.len > 2 * tail->max) {
        drop_lost(tail, tail->bytes.len + bytes.len - tail->max);
    }
    buf_add(&tail->bytes, bytes);
}

void tail_clear(Tail *tail) {
    buf_clear(&tail->bytes);
    tail->lost = 0;
}

Str tail_str(Tail *tail) {
    if (tail->bytes.len > tail->max) drop_lost(tail, tail->bytes.len - tail->max);
    return buf_str(&tail->bytes);
}

/* Bytes at the end that begin a sequence which is not complete: 0 to 3. */
static size_t incomplete_end(Str text) {
    for (size_t back = 1; back <= 3 && back <= text.len; back++) {
        unsigned char byte = (unsigned char)text.ptr[text.len - back];
        if ((byte & 0xc0) == 0x80) continue;
        size_t wanted = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
        return wanted > back ? back : 0;
    }
    return 0;
}

Str tail_str_whole(Tail *tail) {
    Str text = tail_str(tail);
    return (Str){text.ptr, text.len - incomplete_end(text)};
}

void tail_drop(Tail *tail, size_t len) {
    buf_drop(&tail->bytes, len);
    tail->lost = 0;
}

void result_capture_init(ResultCapture *capture, size_t max) {
    buf_init(&capture->bytes, max);
}

void result_capture_done(ResultCapture *capture) {
    if (capture) buf_done(&capture->bytes);
}

void result_capture_add(ResultCapture *capture, Str bytes) {
    if (capture->bytes.overflow) return;
    buf_add(&capture->bytes, bytes);
    if (!capture->bytes.overflow) return;
    buf_done(&capture->bytes);
    capture->bytes.overflow = true;
}

Json result_capture_json(const ResultCapture *capture, Arena *arena) {
    Json root;
    Error error;
    Str text = str_trim(buf_str(&capture->bytes));
    if (capture->bytes.overflow || text.len == 0 || json_check(text, &root, &error) != OK) {
        return (Json){0};
    }
    cleanup(buf_done) Buf line;
    buf_init(&line, root.text.len);
    json_compact(&line, root);
    return (Json){.kind = root.kind, .text = arena_str(arena, buf_str(&line))};
}
