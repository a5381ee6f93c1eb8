/* Plays a script of requests against the API, and holds the answers to the contract.
 *
 * The script is blocks that begin with "> " at the start of a line:
 *     > a POST /v1/jobs        the role (a, o, p, v, w; b: bound to queues b*; n: no token)
 *     X-Correlation-Id: c      header lines, up to an empty one
 *
 *     {"type": "t"}            the body: Content-Length and, unless given, Content-Type are added
 *     > + 5000                 moves the clock by ms
 *     > ! TFETCH {…}           a line to the worker protocol's port, where "w" has said HELLO
 *     > ! HELLO {…}            another worker says so
 *
 * Checked: each request is answered exactly once, as http_answer.c wants it; only what was answered
 * as created was made; a job comes back with the members it was sent with. */
#include "fuzz/http_script.h"

#include "fuzz/http_answer.h"
#include "fuzz/node.h"
#include <string.h>

enum {
    BLOCKS_MAX = 40,
    ADVANCE_MAX_MS = 100 * 1000,
    WAIT_MAX_S = 11 * 60,
    ROLES = 6,
    WORKERS_MAX = 8
};

typedef struct Script {
    FuzzNode node;
    Arena arena;
    MemoryLink *link;   /* HTTP; NULL before the first request and after an end */
    size_t seen;        /* bytes of its answers */
    MemoryLink *worker; /* NULL before its first line */
    size_t workers;
    size_t lines; /* said by them */
    Str tokens[ROLES];
    int64_t advanced_ms;
} Script;

typedef struct Block {
    char role;
    Str line; /* METHOD TARGET */
    Str headers;
    Str body;
} Block;

/* ---- the script ---- */

/* "> " begins a block at the start of a line only. */
static Str next_block(Str *script) {
    for (size_t i = 1; i + 2 < script->len; i++) {
        if (memcmp(script->ptr + i - 1, "\n> ", 3) != 0) continue;
        Str block = {script->ptr, i};
        *script = (Str){script->ptr + i, script->len - i};
        return block;
    }
    Str block = *script;
    script->len = 0;
    return block;
}

static Block read_block(Str text) {
    Block block = {.role = text.ptr[2]};
    Str rest = text;
    block.line = str_split(&rest, '\n');
    size_t skip = block.line.len < 4 ? block.line.len : 4;
    block.line = (Str){block.line.ptr + skip, block.line.len - skip};
    if (rest.len == 0) return block;
    const char *blank = memmem(rest.ptr, rest.len, "\n\n", 2);
    if (rest.ptr[0] == '\n') {
        block.body = (Str){rest.ptr + 1, rest.len - 1};
    } else if (blank) {
        block.headers = (Str){rest.ptr, (size_t)(blank - rest.ptr)};
        block.body = (Str){blank + 2, rest.len - block.headers.len - 2};
    } else {
        block.headers = rest;
    }
    if (block.body.len > 0 && block.body.ptr[block.body.len - 1] == '\n') block.body.len--;
    return block;
}

/* ---- requests ---- */

static Str token_of(Script *script, char letter) {
    static const struct {
        char letter;
        Role role;
        Str glob;
    } KNOWN[ROLES] = {{'a', ROLE_ADMIN, {0}},    {'o', ROLE_OPERATOR, {0}},
                      {'p', ROLE_PRODUCER, {0}}, {'v', ROLE_VIEWER, {0}},
                      {'w', ROLE_WORKER, {0}},   {'b', ROLE_OPERATOR, {"b*", 2}}};
    for (size_t i = 0; i < ROLES; i++) {
        if (KNOWN[i].letter != letter) continue;
        if (!script->tokens[i].ptr) {
            script->tokens[i] =
                fuzz_node_token(&script->node, KNOWN[i].role, KNOWN[i].glob, &script->arena);
        }
        return script->tokens[i];
    }
    return (Str){0};
}

static bool has_header(Str headers, Str name) {
    while (headers.len > 0) {
        Str line = str_split(&headers, '\n');
        if (str_eq_ignore_case(str_split(&line, ':'), name)) return true;
    }
    return false;
}

static Str write_request(Script *script, const Block *block) {
    Buf buf;
    buf_init(&buf, 1 << 20);
    Str token = token_of(script, block->role);
    buf_format(&buf, STR_FMT " HTTP/1.1\r\nHost: node\r\n", STR_ARG(block->line));
    if (token.ptr) buf_format(&buf, "Authorization: Bearer " STR_FMT "\r\n", STR_ARG(token));
    for (Str rest = block->headers; rest.len > 0;) {
        Str line = str_split(&rest, '\n');
        if (line.len > 0) buf_format(&buf, STR_FMT "\r\n", STR_ARG(line));
    }
    if (block->body.len > 0) {
        if (!has_header(block->headers, STR("Content-Type"))) {
            buf_add(&buf, STR("Content-Type: application/json\r\n"));
        }
        buf_format(&buf, "Content-Length: %zu\r\n", block->body.len);
    }
    buf_add(&buf, STR("\r\n"));
    buf_add(&buf, block->body);
    check(!buf.overflow);
    Str text = arena_str(&script->arena, buf_str(&buf));
    buf_done(&buf);
    return text;
}

/* A wait ends at the latest after the longest that may be asked for. */
static bool await_answer(Script *script, bool to_head, HttpAnswer *ret) {
    for (int waited_s = 0;; waited_s += WAIT_MAX_S) {
        Str received = memory_received(script->link);
        Str fresh = {received.ptr + script->seen, received.len - script->seen};
        size_t before = fresh.len;
        if (http_answer_read(&fresh, to_head, &script->arena, ret)) {
            script->seen += before - fresh.len;
            return true;
        }
        if (waited_s > 0) return false;
        memory_advance(script->node.loop, WAIT_MAX_S * INT64_C(1000000));
    }
}

static bool exchange(Script *script, const Block *block, HttpAnswer *ret) {
    if (!script->link || memory_is_closed(script->link)) {
        script->link = memory_connect(script->node.loop, NODE_HTTP);
        script->seen = 0;
    }
    memory_send(script->link, write_request(script, block), 0);
    memory_settle(script->node.loop);
    bool answered = await_answer(script, str_starts_with(block->line, STR("HEAD ")), ret);
    /* keep-alive by the rules, or by headers of the script closed */
    if (!answered || memory_is_closed(script->link) ||
        str_eq_ignore_case(http_answer_header(ret, STR("Connection")), STR("close"))) {
        memory_end(script->link);
        memory_settle(script->node.loop);
        script->link = NULL;
        script->seen = 0;
    } else {
        check(memory_received(script->link).len == script->seen); /* one answer, not two */
    }
    return answered;
}

/* ---- what must hold ---- */

static Str compact(Script *script, Json value, const char *absent) {
    if (!value.text.ptr) return str_from(absent);
    Buf buf;
    buf_init(&buf, value.text.len);
    json_compact(&buf, value);
    Str text = arena_str(&script->arena, buf_str(&buf));
    buf_done(&buf);
    return text;
}

static void check_same(Script *script, Json in, Json out, const char *name, const char *absent) {
    Str sent = compact(script, json_member(in, str_from(name)), absent);
    Str given = compact(script, json_member(out, str_from(name)), "absent");
    check(str_eq(sent, given));
}

/* The job as answered, and as it is read afterwards. */
static void check_created(Script *script, const Block *block, const HttpAnswer *answer) {
    Json in;
    Error error;
    HttpAnswer again;
    check(json_check(block->body, &in, &error) == OK);
    Str location = http_answer_header(answer, STR("Location"));
    check(str_starts_with(location, STR("/v1/jobs/")));
    Block get = {.role = 'a',
                 .line = arena_format(&script->arena, "GET " STR_FMT, STR_ARG(location))};
    check(exchange(script, &get, &again) && again.status == 200);
    const HttpAnswer *const answers[] = {answer, &again};
    for (size_t i = 0; i < LENGTH(answers); i++) {
        check_same(script, in, answers[i]->json, "args", "[]");
        check_same(script, in, answers[i]->json, "priority", "5");
    }
    Str id = compact(script, json_member(answer->json, STR("id")), "");
    check(str_eq(id, compact(script, json_member(again.json, STR("id")), "")));
}

/* A page holds no more than was asked for, or 50. */
static void check_list(const Block *block, const HttpAnswer *answer) {
    Json items = json_member(answer->json, STR("items"));
    if (!str_starts_with(block->line, STR("GET ")) || items.kind != JSON_ARRAY) return;
    bool limited = memmem(block->line.ptr, block->line.len, "limit", 5) ||
                   memchr(block->line.ptr, '%', block->line.len);
    check(json_count(items) <= (limited ? 1000 : 50));
    check(json_member(answer->json, STR("next")).text.ptr);
}

static void check_made(Script *script, const Block *block, const HttpAnswer *answer,
                       uint64_t made) {
    bool submits = str_starts_with(block->line, STR("POST /v1/jobs")) && answer->status < 300;
    if (!submits) {
        check(made == 0);
        return;
    }
    Json id = json_member(answer->json, STR("id"));
    if (answer->status == 201 && answer->json.text.ptr && id.text.ptr) {
        check(made == 1);
        check_created(script, block, answer);
    }
    check(made <= NODE_MAX_BULK);
}

static void play_request(Script *script, Str text) {
    HttpAnswer answer;
    Block block = read_block(text);
    uint64_t before = engine_stats(script->node.engine).enqueued;
    check(exchange(script, &block, &answer));
    check_list(&block, &answer);
    check_made(script, &block, &answer, engine_stats(script->node.engine).enqueued - before);
}

/* ---- the rest ---- */

/* A HELLO of the script is said on a connection of its own. */
static void play_worker(Script *script, Str text) {
    Str line = str_split(&text, '\n');
    line = line.len > 4 ? (Str){line.ptr + 4, line.len - 4} : STR("");
    bool hello = str_starts_with(line, STR("HELLO "));
    if (!script->worker || hello) {
        if (script->workers++ == WORKERS_MAX) return;
        script->worker = memory_connect(script->node.loop, NODE_WORKER);
        memory_settle(script->node.loop);
    }
    if (script->workers == 1 && !hello && script->lines == 0) {
        memory_send(script->worker, STR("HELLO {\"v\":2,\"wid\":\"w\",\"takt\":{}}\n"), 0);
    }
    script->lines++;
    memory_send(script->worker, line, 0);
    memory_send(script->worker, STR("\n"), 0);
    memory_settle(script->node.loop);
}

static void play_clock(Script *script, Str text) {
    int64_t ms;
    Str line = str_split(&text, '\n');
    if (!str_to_int64(str_trim((Str){line.ptr + 3, line.len - 3}), &ms) || ms < 0) return;
    if (ms > ADVANCE_MAX_MS - script->advanced_ms) return;
    script->advanced_ms += ms;
    memory_advance(script->node.loop, ms * 1000);
}

void http_script_run(Str text) {
    static Script script;
    script = (Script){0};
    fuzz_node_open(&script.node, (Str){0});
    for (int i = 0; i < BLOCKS_MAX && text.len > 0; i++) {
        Str block = next_block(&text);
        if (block.len < 4) continue;
        switch (block.ptr[2]) {
        case '!': play_worker(&script, block); break;
        case '+': play_clock(&script, block); break;
        default: play_request(&script, block); break;
        }
    }
    fuzz_node_close(&script.node);
    arena_done(&script.arena);
}
