/* Plays a script of bytes that clients send to the worker protocol's port, and holds what they are
 * answered to the protocol.
 *
 * A line of the script that begins with '!' is not sent: "!2" goes on with connection 2 (1 to 4),
 * "!+500" moves the clock by ms, "!e" ends the sending side, "!x" vanishes, "!c7" sends in pieces of
 * 7 bytes, "!w10" reads no more than 10 further bytes.
 *
 * Checked: every command is answered, once and in order, by a reply of its kind; bulk replies are
 * JSON; a job that is handed out is one that was pushed, with the same members; no fence is handed
 * out twice. */
#include "fuzz/proto_session.h"

#include "fuzz/node.h"
#include "proto/line.h"
#include "proto/messages.h"
#include "proto/reply.h"
#include <string.h>

enum {
    PEERS = 4,
    JOBS_MAX = 500,
    ADVANCE_MAX_MS = 100 * 1000,
    REPLY_MAX = 64 * 1024 * 1024,
};

typedef struct Client {
    MemoryLink *link;
    Buf sent;
    size_t step;
    bool lost; /* its replies need not come */
} Client;

typedef struct Play {
    FuzzNode node;
    Arena arena;
    Client clients[PEERS];
    Client *client;
    WireJob *pushed;
    size_t pushed_count;
    int64_t fences[JOBS_MAX];
    size_t fence_count;
    int64_t advanced_ms;
    bool rested; /* nothing more is to come */
} Play;

/* ---- playing ---- */

static void choose(Play *play, size_t index) {
    play->client = &play->clients[index];
    if (play->client->link) return;
    buf_init(&play->client->sent, 1 << 20);
    play->client->link = memory_connect(play->node.loop, NODE_WORKER);
    memory_settle(play->node.loop); /* the greeting leaves before anything comes */
}

static void advance(Play *play, int64_t ms) {
    if (ms < 0 || ms > ADVANCE_MAX_MS - play->advanced_ms) return;
    play->advanced_ms += ms;
    memory_advance(play->node.loop, ms * 1000);
}

static void control(Play *play, Str line) {
    Client *client = play->client;
    int64_t number = 0;
    bool numbered =
        line.len > 2 && str_to_int64((Str){line.ptr + 2, line.len - 2}, &number) && number >= 0;
    switch (line.len > 1 ? line.ptr[1] : 0) {
    case '1':
    case '2':
    case '3':
    case '4': choose(play, (size_t)(line.ptr[1] - '1')); break;
    case '+':
        if (numbered) advance(play, number);
        break;
    case 'e':
        client->lost = true; /* who waits for a job is cut off */
        memory_end(client->link);
        break;
    case 'x':
        client->lost = true;
        memory_vanish(client->link);
        break;
    case 'c':
        if (numbered) client->step = (size_t)number;
        break;
    case 'w':
        client->lost = true;
        memory_take(client->link, (size_t)number);
        break;
    default: break;
    }
}

static size_t received(const Play *play) {
    size_t bytes = 0;
    for (size_t i = 0; i < PEERS; i++) {
        if (play->clients[i].link) bytes += memory_received(play->clients[i].link).len;
    }
    return bytes;
}

/* Beyond what a fetch may wait, as long as that brings answers: some verbs wait for those before them.
 */
static bool wait_for_all(Play *play) {
    enum { ROUNDS = 10 };
    for (int round = 0; round < ROUNDS; round++) {
        size_t before = received(play);
        memory_advance(play->node.loop, (TAKE_WAIT_MAX_MS + 1000) * INT64_C(1000));
        if (received(play) == before) return true;
    }
    return false;
}

static void play_all(Play *play, Str script) {
    choose(play, 0);
    while (script.len > 0) {
        const char *end = memchr(script.ptr, '\n', script.len);
        size_t len = end ? (size_t)(end - script.ptr) + 1 : script.len;
        Str line = {script.ptr, len};
        script = (Str){script.ptr + len, script.len - len};
        if (line.ptr[0] != '!') {
            if (!memory_is_closed(play->client->link)) buf_add(&play->client->sent, line);
            memory_send(play->client->link, line, play->client->step);
            continue;
        }
        memory_settle(play->node.loop);
        control(play, str_trim(line));
        memory_settle(play->node.loop);
    }
    memory_settle(play->node.loop);
    play->rested = wait_for_all(play);
}

/* ---- what was pushed ---- */

static Str compact(Play *play, Json value) {
    if (!value.text.ptr) return value.text;
    Buf buf;
    buf_init(&buf, value.text.len);
    json_compact(&buf, value);
    check(!buf.overflow);
    Str text = arena_str(&play->arena, buf_str(&buf));
    buf_done(&buf);
    return text;
}

static void note_pushed(Play *play, const WireJob *job) {
    if (play->pushed_count == JOBS_MAX) return;
    WireJob *noted = &play->pushed[play->pushed_count++];
    *noted = *job;
    noted->args.text = compact(play, job->args);
    noted->custom.text = compact(play, job->custom);
}

static void note_command(Play *play, const Command *command) {
    WireJob job = {0};
    Json list;
    if (str_eq(command->verb, STR("PUSH"))) {
        if (wire_job_parse(command->argument, &play->arena, &job, NULL) == OK) {
            note_pushed(play, &job);
        }
    } else if (str_eq(command->verb, STR("PUSHB")) &&
               json_check(command->argument, &list, NULL) == OK && list.kind == JSON_ARRAY) {
        JsonIter iter = json_iter(list);
        Json element;
        while (json_next(&iter, NULL, &element)) {
            job = (WireJob){0};
            if (wire_job_read(element, &play->arena, &job, NULL) == OK &&
                wire_job_check(&job, NULL) == OK) {
                note_pushed(play, &job);
            }
        }
    }
}

static bool is_same_job(Play *play, const WireJob *in, const WireJob *out) {
    return str_eq(in->jid, out->jid) && str_eq(in->jobtype, out->jobtype) &&
           str_eq(in->queue.len > 0 ? in->queue : STR("default"), out->queue) &&
           in->priority == out->priority && in->backtrace == out->backtrace &&
           str_eq(in->args.text, compact(play, out->args)) &&
           str_eq(in->custom.text, compact(play, out->custom));
}

static void check_job(Play *play, const WireJob *job) {
    bool known = play->pushed_count == JOBS_MAX;
    for (size_t i = 0; i < play->pushed_count && !known; i++) {
        known = is_same_job(play, &play->pushed[i], job);
    }
    check(known);
}

/* ---- replies ---- */

static void check_taken(Play *play, Str text) {
    WireJob *jobs;
    size_t count;
    Error error;
    check(take_reply_parse(text, &play->arena, &jobs, &count, &error) == OK);
    for (size_t i = 0; i < count; i++) {
        check_job(play, &jobs[i]);
        check(jobs[i].lease_ms > 0 && jobs[i].attempt > 0);
        for (size_t k = 0; k < play->fence_count; k++) {
            check(play->fences[k] != jobs[i].fence);
        }
        if (play->fence_count < JOBS_MAX) play->fences[play->fence_count++] = jobs[i].fence;
    }
}

static void check_bulk(Play *play, Str verb, Str text) {
    Json value;
    Error error;
    check(json_check(text, &value, &error) == OK);
    if (str_eq(verb, STR("FETCH"))) {
        WireJob job;
        check(wire_job_parse(text, &play->arena, &job, &error) == OK);
        check_job(play, &job);
    } else if (str_eq(verb, STR("TFETCH"))) {
        check_taken(play, text);
    } else if (str_eq(verb, STR("BEAT"))) {
        check(value.kind == JSON_OBJECT && json_member(value, STR("state")).text.ptr);
    } else if (str_eq(verb, STR("CAPS"))) {
        check(value.kind == JSON_ARRAY);
    } else {
        static const Str BULKS[] = {{"PUSHB", 5}, {"TDONE", 5}, {"TEXTEND", 7},
                                    {"INFO", 4},  {"QUEUE", 5}, {"TRACK", 5}};
        bool known = false;
        for (size_t i = 0; i < LENGTH(BULKS); i++) {
            known |= str_eq(verb, BULKS[i]);
        }
        check(known && value.kind == JSON_OBJECT);
    }
}

static void check_reply(Play *play, Str verb, const Reply *reply) {
    switch (reply->kind) {
    case REPLY_BULK: check_bulk(play, verb, reply->text); return;
    case REPLY_NULL: check(str_eq(verb, STR("FETCH"))); return;
    case REPLY_ERROR:
        check(str_starts_with(reply->text, STR("ERR ")) && reply->text.len > 4);
        break;
    case REPLY_SIMPLE:
        check(str_eq(reply->text, STR("OK")) ||
              (str_eq(verb, STR("TLOG")) && str_eq(reply->text, STR("STALE"))));
        break;
    }
    for (size_t i = 0; i < reply->text.len; i++) {
        check((unsigned char)reply->text.ptr[i] >= ' ');
    }
}

static bool next_reply(Str *received, Reply *ret) {
    ReplyScan scan = {0};
    size_t used = 0;
    ReplyStatus status = reply_scan(&scan, *received, REPLY_MAX, ret, &used);
    check(status != REPLY_MALFORMED);
    if (status == REPLY_MORE) return false;
    *received = (Str){received->ptr + used, received->len - used};
    return true;
}

/* The node must have answered as many of the lines as it could. */
static void check_client(Play *play, const Client *client) {
    Str received = memory_received(client->link);
    Str sent = buf_str(&client->sent);
    Reply reply;
    if (!next_reply(&received, &reply)) {
        check(client->lost);
        return;
    }
    check(reply.kind == REPLY_SIMPLE && str_starts_with(reply.text, STR("HI {")));
    bool complete = play->rested && !client->lost && !memory_is_closed(client->link);
    bool greeted = false;
    for (;;) {
        LineScan scan = {0};
        Str line = {0};
        size_t used = 0;
        LineStatus status = line_scan(&scan, sent, sent.len, &line, &used);
        if (!next_reply(&received, &reply)) {
            check(!complete || status == LINE_MORE);
            return;
        }
        if (status == LINE_MORE) {
            /* too long, or not said in time */
            check(reply.kind == REPLY_ERROR && memory_is_closed(client->link));
            return;
        }
        Command command = command_split(line);
        if (greeted) {
            check_reply(play, command.verb, &reply);
        } else {
            check(reply.kind == REPLY_SIMPLE || reply.kind == REPLY_ERROR);
            greeted = true;
        }
        sent = (Str){sent.ptr + used, sent.len - used};
    }
}

static void note_all(Play *play, const Client *client) {
    Str sent = buf_str(&client->sent);
    Str line = {0};
    size_t used = 0;
    LineScan scan = {0};
    while (line_scan(&scan, sent, sent.len, &line, &used) == LINE_READY) {
        Command command = command_split(line);
        note_command(play, &command);
        sent = (Str){sent.ptr + used, sent.len - used};
    }
}

void proto_session_run(Str script, bool password) {
    static Play play;
    play = (Play){0};
    play.pushed = arena_zero(&play.arena, JOBS_MAX, sizeof *play.pushed);
    fuzz_node_open(&play.node, password ? STR("secret") : (Str){0});
    play_all(&play, script);
    for (size_t i = 0; i < PEERS; i++) {
        if (play.clients[i].link) note_all(&play, &play.clients[i]);
    }
    for (size_t i = 0; i < PEERS; i++) {
        if (play.clients[i].link) check_client(&play, &play.clients[i]);
    }
    fuzz_node_close(&play.node);
    for (size_t i = 0; i < PEERS; i++) {
        buf_done(&play.clients[i].sent);
    }
    arena_done(&play.arena);
}
