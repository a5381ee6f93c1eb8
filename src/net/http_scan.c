/* The scanners: one byte at a time, one state each. */
#include "net/http_scan.h"

#include <string.h>

enum { METHOD_MAX = 32, CHUNK_DIGITS_MAX = 15 };

static bool fail(HttpFault *ret_fault, unsigned status, const char *code, const char *detail,
                 Str value) {
    *ret_fault = (HttpFault){status, code, detail, value};
    return false;
}

static bool bad_framing(HttpFault *ret_fault, const char *detail) {
    return fail(ret_fault, 400, "bad-framing", detail, (Str){0});
}

static bool is_token_char(unsigned char byte) {
    if ((byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z')) return true;
    if (byte >= 'a' && byte <= 'z') return true;
    return byte != 0 && strchr("!#$%&'*+-.^_`|~", byte) != NULL;
}

static bool is_control(unsigned char byte) {
    return (byte < 0x20 && byte != '\t') || byte == 0x7f;
}

bool http_is_token(Str text) {
    for (size_t i = 0; i < text.len; i++) {
        if (!is_token_char((unsigned char)text.ptr[i])) return false;
    }
    return text.len > 0;
}

/* ---- the request line ---- */

static bool is_digit(char byte) {
    return byte >= '0' && byte <= '9';
}

static bool check_version(Str version, HttpRequestLine *ret, HttpFault *ret_fault) {
    if (version.len != 8 || !str_starts_with(version, STR("HTTP/")) || !is_digit(version.ptr[5]) ||
        version.ptr[6] != '.' || !is_digit(version.ptr[7])) {
        return fail(ret_fault, 400, "bad-request", "the request line has no HTTP version", version);
    }
    if (version.ptr[5] != '1') {
        return fail(ret_fault, 505, "unsupported-version", "only HTTP/1.1 and HTTP/1.0 are served",
                    version);
    }
    ret->old_version = version.ptr[7] == '0';
    return true;
}

bool http_request_line(Str line, HttpRequestLine *ret, HttpFault *ret_fault) {
    Str rest = line;
    ret->method = str_split(&rest, ' ');
    ret->target = rest.ptr ? str_split(&rest, ' ') : (Str){0};
    if (!http_is_token(ret->method) || ret->target.len == 0) {
        return fail(ret_fault, 400, "bad-request", "the request line is malformed", (Str){0});
    }
    if (!check_version(rest, ret, ret_fault)) return false;
    if (str_eq(ret->method, STR("CONNECT"))) {
        return fail(ret_fault, 400, "bad-request", "this is not a proxy", ret->method);
    }
    HttpMethod method;
    if (!http_method_parse(ret->method, &method)) {
        return fail(ret_fault, 501, "unknown-method", "the method is not implemented", ret->method);
    }
    return true;
}

/* ---- the head ---- */

/* At a line's LF. */
static HttpScan end_line(HttpHeadScan *scan, Str input, HttpFault *ret_fault) {
    size_t len = scan->at - 1 - scan->line_begin;
    scan->line_begin = scan->at + 1;
    if (scan->headers_at == 0) {
        if (len == 0 && scan->begin == 0) {
            scan->begin = scan->line_begin;
            return HTTP_SCAN_MORE;
        }
        HttpRequestLine line;
        scan->headers_at = scan->line_begin;
        bool good = http_request_line((Str){input.ptr + scan->begin, len}, &line, ret_fault);
        return good ? HTTP_SCAN_MORE : HTTP_SCAN_FAULT;
    }
    if (len == 0) return HTTP_SCAN_DONE;
    scan->headers++;
    if (scan->headers <= HTTP_HEADER_COUNT_MAX) return HTTP_SCAN_MORE;
    fail(ret_fault, 431, "headers-too-large", "more than 100 header lines", (Str){0});
    return HTTP_SCAN_FAULT;
}

static bool check_request_line_byte(HttpHeadScan *scan, unsigned char byte, HttpFault *ret_fault) {
    size_t len = scan->at - scan->line_begin;
    if (len >= HTTP_REQUEST_LINE_MAX) {
        return fail(ret_fault, 414, "uri-too-long", "the request line is longer than 8192 bytes",
                    (Str){0});
    }
    if (scan->after_method) return true;
    /* Judged at once, so that what is no HTTP at all (TLS, noise) does not wait for a line's end.
     */
    if (byte == ' ' && len > 0) {
        scan->after_method = true;
        return true;
    }
    if (is_token_char(byte) && len < METHOD_MAX) return true;
    return fail(ret_fault, 400, "bad-request", "this is not an HTTP request", (Str){0});
}

static bool check_head_byte(HttpHeadScan *scan, unsigned char byte, HttpFault *ret_fault) {
    if (byte == '\n') return bad_framing(ret_fault, "a line ends in LF without CR");
    if (is_control(byte)) return bad_framing(ret_fault, "a control character in the head");
    if (scan->headers_at == 0) return check_request_line_byte(scan, byte, ret_fault);
    if (scan->at - scan->headers_at >= HTTP_HEADERS_MAX) {
        return fail(ret_fault, 431, "headers-too-large", "the header lines exceed 16384 bytes",
                    (Str){0});
    }
    if (scan->at == scan->line_begin && (byte == ' ' || byte == '\t')) {
        return bad_framing(ret_fault, "a header line is folded");
    }
    return true;
}

HttpScan http_head_scan(HttpHeadScan *scan, Str input, HttpFault *ret_fault) {
    for (; scan->at < input.len; scan->at++) {
        unsigned char byte = (unsigned char)input.ptr[scan->at];
        if (scan->after_cr) {
            if (byte != '\n') {
                bad_framing(ret_fault, "a CR without LF");
                return HTTP_SCAN_FAULT;
            }
            scan->after_cr = false;
            HttpScan scanned = end_line(scan, input, ret_fault);
            if (scanned == HTTP_SCAN_DONE) scan->at++;
            if (scanned != HTTP_SCAN_MORE) return scanned;
        } else if (byte == '\r') {
            scan->after_cr = true;
        } else if (!check_head_byte(scan, byte, ret_fault)) {
            return HTTP_SCAN_FAULT;
        }
    }
    return HTTP_SCAN_MORE;
}

/* ---- a chunked body ---- */

enum {
    SIZE = 0,
    EXTENSION,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_BEGIN,
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    LAST_LF,
    CHUNKS_DONE,
};

static int hex_value(unsigned char byte) {
    if (byte >= '0' && byte <= '9') return byte - '0';
    if (byte >= 'a' && byte <= 'f') return byte - 'a' + 10;
    if (byte >= 'A' && byte <= 'F') return byte - 'A' + 10;
    return -1;
}

static bool scan_size(HttpChunkScan *scan, unsigned char byte, uint64_t body_max,
                      HttpFault *ret_fault) {
    int value = hex_value(byte);
    if (value >= 0 && scan->digits < CHUNK_DIGITS_MAX) {
        scan->left = scan->left * 16 + (uint64_t)value;
        scan->digits++;
        return true;
    }
    if (scan->digits == 0 || (byte != '\r' && byte != ';')) {
        return bad_framing(ret_fault, "a chunk's size is not a hexadecimal number");
    }
    scan->total += scan->left;
    if (scan->total > body_max) {
        return fail(ret_fault, 413, "body-too-large", "the body is larger than allowed", (Str){0});
    }
    scan->state = byte == '\r' ? SIZE_LF : EXTENSION;
    return true;
}

static bool scan_extension(HttpChunkScan *scan, unsigned char byte, HttpFault *ret_fault) {
    if (byte == '\r') {
        scan->state = SIZE_LF;
        return true;
    }
    if (is_control(byte))
        return bad_framing(ret_fault, "a control character behind a chunk's size");
    return true;
}

static bool scan_trailer(HttpChunkScan *scan, unsigned char byte, HttpFault *ret_fault) {
    if (++scan->trailer_len > HTTP_HEADERS_MAX) {
        return fail(ret_fault, 431, "headers-too-large", "the trailers exceed 16384 bytes",
                    (Str){0});
    }
    if (scan->state == TRAILER_BEGIN && byte == '\r') {
        scan->state = LAST_LF;
    } else if (scan->state == TRAILER_VALUE && byte == '\r') {
        scan->state = TRAILER_LF;
    } else if (scan->state == TRAILER_VALUE) {
        if (is_control(byte)) return bad_framing(ret_fault, "a control character in a trailer");
    } else if (scan->state == TRAILER_NAME && byte == ':') {
        scan->state = TRAILER_VALUE;
    } else if (is_token_char(byte)) {
        scan->state = TRAILER_NAME;
    } else {
        return bad_framing(ret_fault, "a trailer's name is malformed");
    }
    return true;
}

static bool expect(HttpChunkScan *scan, unsigned char byte, unsigned char expected, unsigned next,
                   HttpFault *ret_fault) {
    if (byte != expected) return bad_framing(ret_fault, "CRLF is missing in a chunked body");
    scan->state = next;
    return true;
}

/* One byte of framing, that is of anything but a chunk's data. */
static bool scan_chunk_byte(HttpChunkScan *scan, unsigned char byte, uint64_t body_max,
                            HttpFault *ret_fault) {
    if (scan->state == SIZE || scan->state == EXTENSION) {
        if (++scan->line_len > HTTP_CHUNK_LINE_MAX) {
            return bad_framing(ret_fault, "a chunk's size line is longer than 256 bytes");
        }
    }
    switch (scan->state) {
    case SIZE: return scan_size(scan, byte, body_max, ret_fault);
    case EXTENSION: return scan_extension(scan, byte, ret_fault);
    case SIZE_LF: return expect(scan, byte, '\n', scan->left ? DATA : TRAILER_BEGIN, ret_fault);
    case DATA_CR: return expect(scan, byte, '\r', DATA_LF, ret_fault);
    case DATA_LF:
        scan->digits = 0;
        scan->line_len = 0;
        return expect(scan, byte, '\n', SIZE, ret_fault);
    case TRAILER_LF: return expect(scan, byte, '\n', TRAILER_BEGIN, ret_fault);
    case LAST_LF: return expect(scan, byte, '\n', CHUNKS_DONE, ret_fault);
    default: return scan_trailer(scan, byte, ret_fault);
    }
}

HttpScan http_chunk_scan(HttpChunkScan *scan, Str bytes, uint64_t body_max, size_t *ret_used,
                         HttpFault *ret_fault) {
    size_t at = 0;
    while (at < bytes.len && scan->state != CHUNKS_DONE) {
        if (scan->state == DATA) {
            size_t len = bytes.len - at < scan->left ? bytes.len - at : (size_t)scan->left;
            at += len;
            scan->left -= len;
            if (scan->left == 0) scan->state = DATA_CR;
        } else if (!scan_chunk_byte(scan, (unsigned char)bytes.ptr[at++], body_max, ret_fault)) {
            return HTTP_SCAN_FAULT;
        }
    }
    *ret_used = at;
    return scan->state == CHUNKS_DONE ? HTTP_SCAN_DONE : HTTP_SCAN_MORE;
}
