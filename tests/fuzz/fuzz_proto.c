/* Fuzz target of the worker protocol's codec, both ends.
 *
 * Checked beyond crashes: a line or reply read in pieces is the one read whole, an accepted job is
 * written as one line that reads back the same. The first byte chooses the reader. */
#include "proto/greeting.h"
#include "proto/line.h"
#include "proto/messages.h"
#include "proto/reply.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX = 1 << 16 };

static void fuzz_line(Str input) {
    LineScan whole = {0};
    LineScan pieces = {0};
    Str line = {0};
    Str same = {0};
    size_t used;
    LineStatus status = line_scan(&whole, input, 64, &line, &used);
    LineStatus piecewise = LINE_MORE;
    for (size_t len = 0; len <= input.len && piecewise == LINE_MORE; len++) {
        piecewise = line_scan(&pieces, (Str){input.ptr, len}, 64, &same, &used);
    }
    check(status == piecewise);
    if (status != LINE_READY) return;
    check(str_eq(line, same));
    Command command = command_split(line);
    check(command.verb.len + (command.argument.ptr ? command.argument.len + 1 : 0) == line.len);
}

static void fuzz_reply(Str input) {
    ReplyScan whole = {0};
    ReplyScan pieces = {0};
    Reply reply = {0};
    Reply same = {0};
    size_t used;
    ReplyStatus status = reply_scan(&whole, input, MAX, &reply, &used);
    ReplyStatus piecewise = REPLY_MORE;
    for (size_t len = 0; len <= input.len && piecewise == REPLY_MORE; len++) {
        piecewise = reply_scan(&pieces, (Str){input.ptr, len}, MAX, &same, &used);
    }
    check(status == piecewise);
    if (status == REPLY_READY) check(reply.kind == same.kind && str_eq(reply.text, same.text));
}

static void fuzz_job(Str input, Arena *arena) {
    WireJob job;
    WireJob back;
    Error error;
    if (wire_job_parse(input, arena, &job, &error) != OK) return;
    Buf buf;
    buf_init(&buf, 8 * MAX);
    wire_job_write(&buf, &job);
    Err err = wire_job_parse(buf_str(&buf), arena, &back, &error);
    check(err == OK && !buf.overflow);
    check(str_eq(job.jid, back.jid) && json_count(job.args) == json_count(back.args));
    check(!memchr(buf.data, '\n', buf.len) && !memchr(buf.data, '\r', buf.len));
    check(job.retry == back.retry && job.priority == back.priority && job.at_us == back.at_us);
    buf_done(&buf);
}

static void fuzz_messages(uint8_t which, Str input, Arena *arena) {
    union {
        TakeRequest take;
        BeatRequest beat;
        BeatReply beaten;
        ProgressRequest track;
        LogRequest log;
        Hello hello;
        Challenge challenge;
    } any;
    Outcome *outcomes;
    LeaseRef *refs;
    WireJob *jobs;
    size_t count;
    Error error;
    Err err = OK;
    switch (which % 10) {
    case 0: err = take_request_parse(input, arena, &any.take, &error); break;
    case 1: err = outcomes_parse(input, arena, &outcomes, &count, &error); break;
    case 2: err = lease_refs_parse(input, arena, &refs, &count, &error); break;
    case 3: err = beat_request_parse(input, arena, &any.beat, &error); break;
    case 4: err = beat_reply_parse(input, arena, &any.beaten, &error); break;
    case 5: err = progress_parse(input, arena, &any.track, &error); break;
    case 6: err = log_request_parse(input, arena, &any.log, &error); break;
    case 7: err = hello_parse(input, arena, &any.hello, &error); break;
    case 8: err = greeting_parse(input, &any.challenge, &error); break;
    default: err = take_reply_parse(input, arena, &jobs, &count, &error); break;
    }
    if (err != OK) check(memchr(error.message, '\0', sizeof error.message));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1 || size > MAX) return 0;
    Str input = {(const char *)data + 1, size - 1};
    Arena arena = {0};
    switch (data[0] % 16) {
    case 0: fuzz_line(input); break;
    case 1: fuzz_reply(input); break;
    case 2:
    case 3: fuzz_job(input, &arena); break;
    default: fuzz_messages((uint8_t)(data[0] % 16 - 4), input, &arena); break;
    }
    arena_done(&arena);
    return 0;
}
