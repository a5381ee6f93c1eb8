/* Fuzzes the reading of HTTP requests. The first byte chooses how the rest is cut; the whole and
 * the cut input must give the same requests and the same verdict. Build with -fsanitize=fuzzer. */
#include "net/http_reader.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BODY_MAX = 4096 };

typedef struct Outcome {
    size_t requests;
    size_t used;
    uint64_t sum; /* over what was understood */
    HttpProgress last;
    unsigned status;
} Outcome;

static void mix(Outcome *outcome, Str text) {
    for (size_t i = 0; i < text.len; i++) {
        outcome->sum = outcome->sum * 31 + (unsigned char)text.ptr[i];
    }
    outcome->sum = outcome->sum * 31 + text.len;
}

static void note_request(Outcome *outcome, const HttpRequest *request) {
    outcome->requests++;
    mix(outcome, request->path);
    mix(outcome, request->body);
    for (size_t i = 0; i < request->segment_count; i++) {
        check(str_is_utf8(request->segments[i]));
        mix(outcome, request->segments[i]);
    }
    for (size_t i = 0; i < request->parameter_count; i++) {
        mix(outcome, request->parameters[i].name);
        mix(outcome, request->parameters[i].value);
    }
    for (size_t i = 0; i < request->header_count; i++) {
        mix(outcome, request->headers[i].name);
        mix(outcome, request->headers[i].value);
    }
}

/* Reads one request from input[outcome->used…], shown in steps; false when no other can follow. */
static bool read_one(Outcome *outcome, Str input, size_t step) {
    HttpRequest request = {0};
    HttpReader reader;
    http_reader_init(&reader, &request, BODY_MAX);
    size_t shown = outcome->used;
    outcome->last = HTTP_NEEDS_MORE;
    while (outcome->last == HTTP_NEEDS_MORE && shown < input.len) {
        shown = input.len - shown < step ? input.len : shown + step;
        do {
            size_t used;
            Str part = {input.ptr + outcome->used, shown - outcome->used};
            outcome->last = http_reader_feed(&reader, part, &used);
            check(used <= part.len);
            outcome->used += used;
        } while (outcome->last == HTTP_HAS_HEAD && outcome->used < shown);
        if (outcome->last == HTTP_HAS_HEAD) outcome->last = HTTP_NEEDS_MORE;
    }
    if (outcome->last == HTTP_HAS_ALL) note_request(outcome, &request);
    if (outcome->last == HTTP_IS_BAD) outcome->status = reader.fault.status;
    arena_done(&request.arena);
    buf_done(&request.body_buf);
    return outcome->last == HTTP_HAS_ALL;
}

static Outcome read_all(Str input, size_t step) {
    Outcome outcome = {0};
    while (outcome.used < input.len && read_one(&outcome, input, step)) {}
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1) return 0;
    size_t step = 1 + data[0] % 64;
    Str input = {(const char *)data + 1, size - 1};
    Outcome whole = read_all(input, SIZE_MAX);
    Outcome cut = read_all(input, step);
    check(whole.requests == cut.requests && whole.sum == cut.sum);
    check(whole.last == cut.last && whole.status == cut.status);
    return 0;
}
