/* Writes and reads replies. The one invariant: what is written is always exactly one reply,
 * whatever bytes it quotes. */
#include "proto/reply.h"

#include "proto/line.h"
#include <string.h>

enum { HEAD_MAX = 64 * 1024 }; /* of a simple string or an error */

void reply_simple(Buf *buf, Str text) {
    buf_add_char(buf, '+');
    buf_add(buf, text);
    buf_add(buf, STR("\r\n"));
}

void reply_ok(Buf *buf) {
    buf_add(buf, STR("+OK\r\n"));
}

void reply_error(Buf *buf, const char *code, Str sentence) {
    buf_add_char(buf, '-');
    buf_add(buf, str_from(code));
    buf_add_char(buf, ' ');
    char *copy = buf_reserve(buf, sentence.len);
    for (size_t i = 0; copy && i < sentence.len; i++) {
        unsigned char byte = (unsigned char)sentence.ptr[i];
        copy[i] = byte < 0x20 || byte == 0x7f ? ' ' : (char)byte;
    }
    buf_add(buf, STR("\r\n"));
}

void reply_bulk(Buf *buf, Str bytes) {
    buf_add_char(buf, '$');
    buf_add_uint(buf, bytes.len);
    buf_add(buf, STR("\r\n"));
    buf_add(buf, bytes);
    buf_add(buf, STR("\r\n"));
}

void reply_null(Buf *buf) {
    buf_add(buf, STR("$-1\r\n"));
}

static ReplyStatus finish(ReplyScan *scan, ReplyKind kind, Str text, size_t used, Reply *ret,
                          size_t *ret_used) {
    *scan = (ReplyScan){0};
    *ret = (Reply){.kind = kind, .text = text};
    *ret_used = used;
    return REPLY_READY;
}

static ReplyStatus finish_bulk(ReplyScan *scan, Str input, Reply *ret, size_t *ret_used) {
    size_t end = scan->head + scan->bulk_len;
    if (input.len < end + 2) return REPLY_MORE;
    if (input.ptr[end] != '\r' || input.ptr[end + 1] != '\n') return REPLY_MALFORMED;
    Str text = {input.ptr + scan->head, scan->bulk_len};
    return finish(scan, REPLY_BULK, text, end + 2, ret, ret_used);
}

ReplyStatus reply_scan(ReplyScan *scan, Str input, size_t max, Reply *ret, size_t *ret_used) {
    if (scan->head) return finish_bulk(scan, input, ret, ret_used);
    Str line;
    size_t used;
    LineScan head = {.searched = scan->searched};
    LineStatus status = line_scan(&head, input, HEAD_MAX, &line, &used);
    scan->searched = head.searched;
    if (status == LINE_MORE) return REPLY_MORE;
    if (status == LINE_TOO_LONG || line.len == 0) return REPLY_MALFORMED;
    Str text = {line.ptr + 1, line.len - 1};
    switch (line.ptr[0]) {
    case '+': return finish(scan, REPLY_SIMPLE, text, used, ret, ret_used);
    case '-': return finish(scan, REPLY_ERROR, text, used, ret, ret_used);
    case '$': break;
    default: return REPLY_MALFORMED;
    }
    if (str_eq(text, STR("-1"))) return finish(scan, REPLY_NULL, STR(""), used, ret, ret_used);
    uint64_t len;
    if (!str_to_uint64(text, &len) || len > max) return REPLY_MALFORMED;
    scan->head = used;
    scan->bulk_len = (size_t)len;
    return finish_bulk(scan, input, ret, ret_used);
}

size_t reply_missing(const ReplyScan *scan, Str input) {
    if (!scan->head) return 0;
    size_t whole = scan->head + scan->bulk_len + 2;
    return whole > input.len ? whole - input.len : 0;
}
