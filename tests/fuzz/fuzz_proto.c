/* Fuzz target of the worker protocol: the codec of both ends, and sessions against a node.
 *
 * Checked beyond crashes: a line or reply read in pieces is the one read whole; an accepted message
 * is written as one that reads back the same; an error has a sentence; and what proto_session.c
 * says. The first byte chooses: 's' and 'S' (with a password) play a session, 'l' reads a line, 'r'
 * a reply, 'j' a job, 'a' to 'i' a message. */
#include "fuzz/proto_session.h"
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
    if (wire_job_parse(input, arena, &job, &error) != OK) {
        check(error.err != OK && error.message[0]);
        return;
    }
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

/* ---- messages: what was read is written, and reads back as the same text ---- */

typedef union Any {
    TakeRequest take;
    BeatRequest beat;
    BeatReply beaten;
    ProgressRequest track;
    LogRequest log;
    Hello hello;
    Challenge challenge;
    struct {
        Outcome *items;
        size_t count;
    } outcomes;
    struct {
        LeaseRef *items;
        size_t count;
    } leases;
    struct {
        WireJob *items;
        size_t count;
    } jobs;
} Any;

static Err parse_message(char which, Str input, Arena *arena, Any *ret, Error *error) {
    switch (which) {
    case 'a': return take_request_parse(input, arena, &ret->take, error);
    case 'b':
        return outcomes_parse(input, arena, &ret->outcomes.items, &ret->outcomes.count, error);
    case 'c': return lease_refs_parse(input, arena, &ret->leases.items, &ret->leases.count, error);
    case 'd': return beat_request_parse(input, arena, &ret->beat, error);
    case 'e': return beat_reply_parse(input, arena, &ret->beaten, error);
    case 'f': return progress_parse(input, arena, &ret->track, error);
    case 'g': return log_request_parse(input, arena, &ret->log, error);
    case 'h': return hello_parse(input, arena, &ret->hello, error);
    case 'i': return greeting_parse(input, &ret->challenge, error);
    default: return take_reply_parse(input, arena, &ret->jobs.items, &ret->jobs.count, error);
    }
}

static void write_list(char which, const Any *any, Buf *buf) {
    JsonWriter writer = json_writer(buf);
    json_begin_array(&writer);
    for (size_t i = 0; which == 'b' && i < any->outcomes.count; i++) {
        outcome_write(&writer, &any->outcomes.items[i]);
    }
    for (size_t i = 0; which == 'c' && i < any->leases.count; i++) {
        lease_ref_write(&writer, any->leases.items[i]);
    }
    json_end_array(&writer);
}

/* false: there is no writer of it. */
static bool write_message(char which, const Any *any, Buf *buf) {
    switch (which) {
    case 'a': take_request_write(buf, &any->take); return true;
    case 'b':
    case 'c': write_list(which, any, buf); return true;
    case 'd': beat_request_write(buf, &any->beat); return true;
    case 'e': beat_reply_write(buf, &any->beaten); return true;
    case 'f': progress_write(buf, &any->track); return true;
    case 'g': log_request_write(buf, &any->log); return true;
    case 'h': hello_write(buf, &any->hello); return true;
    case 'i': greeting_write(buf, &any->challenge); return true;
    default: return false;
    }
}

/* Verb, type byte and line end are not the reader's. */
static Str argument_of(char which, const Buf *buf) {
    Str text = str_trim(buf_str(buf));
    size_t skip = which == 'h' ? strlen("HELLO ") : which == 'i' ? 1 : 0;
    return (Str){text.ptr + skip, text.len - skip};
}

static void fuzz_message(char which, Str input, Arena *arena) {
    Any first = {0}, second = {0};
    Error error = {0};
    if (parse_message(which, input, arena, &first, &error) != OK) {
        check(error.err != OK && error.message[0]);
        return;
    }
    Buf once, twice;
    buf_init(&once, 8 * MAX);
    buf_init(&twice, 8 * MAX);
    if (write_message(which, &first, &once)) {
        check(parse_message(which, argument_of(which, &once), arena, &second, &error) == OK);
        check(write_message(which, &second, &twice));
        check(!once.overflow && str_eq(buf_str(&once), buf_str(&twice)));
    }
    buf_done(&once);
    buf_done(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1 || size > MAX) return 0;
    Str input = {(const char *)data + 1, size - 1};
    Arena arena = {0};
    switch (data[0]) {
    case 's':
    case 'S': proto_session_run(input, /* password= */ data[0] == 'S'); break;
    case 'l': fuzz_line(input); break;
    case 'r': fuzz_reply(input); break;
    case 'j': fuzz_job(input, &arena); break;
    default:
        if (data[0] >= 'a' && data[0] <= 'k') fuzz_message((char)data[0], input, &arena);
        break;
    }
    arena_done(&arena);
    return 0;
}
