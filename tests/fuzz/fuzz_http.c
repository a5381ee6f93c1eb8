/* Fuzzes HTTP from the first byte to the API's answer.
 *
 * An input that begins with "> " is a script of well-formed requests (http_script.c). Any other is
 * bytes on a connection: the first chooses how the rest is cut, "$TOKEN" stands for a token of an
 * admin; the whole and the cut input must give the same requests, and the same answers. */
#include "fuzz/http_answer.h"
#include "fuzz/http_script.h"
#include "fuzz/node.h"
#include "net/http_reader.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BODY_MAX = NODE_MAX_BODY, SIZE_MOST = 1 << 17 };

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

/* ---- the reader ---- */

static void compare_reading(Str input, size_t step) {
    Outcome whole = read_all(input, SIZE_MAX);
    Outcome cut = read_all(input, step);
    check(whole.requests == cut.requests && whole.sum == cut.sum);
    check(whole.last == cut.last && whole.status == cut.status);
}

/* ---- the server and the API behind it ---- */

static Str with_token(const FuzzNode *node, Str input, Arena *arena) {
    static const Str MARK = {"$TOKEN", 6};
    Str token = fuzz_node_token(node, ROLE_ADMIN, (Str){0}, arena);
    Buf buf;
    buf_init(&buf, SIZE_MOST + SIZE_MOST / MARK.len * TOKEN_MAX_SIZE);
    for (;;) {
        const char *at = input.len > 0 ? memmem(input.ptr, input.len, MARK.ptr, MARK.len) : NULL;
        size_t before = at ? (size_t)(at - input.ptr) : input.len;
        buf_add(&buf, (Str){input.ptr, before});
        if (!at) break;
        buf_add(&buf, token);
        input = (Str){at + MARK.len, input.len - before - MARK.len};
    }
    Str text = arena_str(arena, buf_str(&buf));
    buf_done(&buf);
    return text;
}

/* Whether a 100 is sent depends on what has come by then. */
static Str without_interim(Str answers, Arena *arena) {
    static const Str INTERIM = {"HTTP/1.1 100 Continue\r\n\r\n", 25};
    Buf buf;
    buf_init(&buf, answers.len);
    while (answers.len > 0) {
        if (str_starts_with(answers, INTERIM)) {
            answers = (Str){answers.ptr + INTERIM.len, answers.len - INTERIM.len};
        } else {
            buf_add_char(&buf, *answers.ptr++);
            answers.len--;
        }
    }
    Str text = arena_str(arena, buf_str(&buf));
    buf_done(&buf);
    return text;
}

/* All that the node answers to the bytes; HEAD is the one method whose answers can't be told apart
 * without knowing it. */
static Str serve(Str input, size_t step, Arena *arena) {
    FuzzNode node;
    fuzz_node_open(&node, (Str){0});
    MemoryLink *link = memory_connect(node.loop, NODE_HTTP);
    memory_send(link, with_token(&node, input, arena), step);
    memory_settle(node.loop);
    memory_end(link);
    memory_settle(node.loop);
    check(memory_is_closed(link));
    Str answers = without_interim(memory_received(link), arena);
    fuzz_node_close(&node);
    return answers;
}

static void compare_serving(Str input, size_t step) {
    Arena arena = {0};
    Str whole = serve(input, 0, &arena);
    Str cut = serve(input, step, &arena);
    check(str_eq(whole, cut));
    HttpAnswer answer;
    bool has_head = input.len > 0 && memmem(input.ptr, input.len, "HEAD", 4);
    while (!has_head && whole.len > 0) {
        check(http_answer_read(&whole, /* to_head= */ false, &arena, &answer));
    }
    arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1 || size > SIZE_MOST) return 0;
    Str input = {(const char *)data, size};
    if (str_starts_with(input, STR("> "))) {
        http_script_run(input);
        return 0;
    }
    size_t step = 1 + data[0] % 64;
    input = (Str){input.ptr + 1, input.len - 1};
    compare_reading(input, step);
    compare_serving(input, step);
    return 0;
}
