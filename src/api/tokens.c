/* Access tokens: mint, revoke; and who the caller is. */
#include "api/handlers.h"

#include "api/input.h"
#include "base/time.h"
#include <string.h>

/* Tokens are not kept, so a revocation must last as long as any token can. */
#define LONGEST_TOKEN_US (INT64_C(10) * 366 * 24 * 3600 * US_PER_S)

enum { TOKEN_ID_TEXT_MAX = 128 };

void handle_me(Exchange *exchange) {
    const Principal *principal = &exchange->principal;
    cleanup(buf_done) Buf body;
    buf_init(&body, ANSWER_MAX);
    JsonWriter writer = json_writer(&body);
    json_begin_object(&writer);
    json_put_string(&writer, "subject", principal->subject);
    json_write_key(&writer, STR("roles"));
    json_begin_array(&writer);
    for (Role role = 0; role < ROLE_COUNT; role++) {
        if (principal->roles & (1U << role)) json_write_string(&writer, str_from(role_name(role)));
    }
    json_end_array(&writer);
    json_write_key(&writer, STR("queues"));
    json_begin_array(&writer);
    for (size_t i = 0; i < principal->queue_count; i++) {
        json_write_string(&writer, principal->queues[i]);
    }
    json_end_array(&writer);
    put_time(&writer, "expires_at", principal->expires_at_us);
    json_put_string(&writer, "token_id", principal->token_id);
    json_end_object(&writer);
    exchange_json(exchange, 200, &body);
}

/* ---- mint ---- */

typedef struct MintReader {
    Input input;
    Role roles[TOKEN_MAX_ROLES];
    Str queues[TOKEN_MAX_QUEUES];
    TokenGrant grant;
} MintReader;

static void read_role(MintReader *reader, Str name, Json value) {
    Str text;
    Role role;
    if (!input_text(&reader->input, name, value, &text)) return;
    if (!role_parse(text, &role)) {
        input_fail(&reader->input, name, "invalid-value",
                   "a role is viewer, producer, operator, admin or worker");
    } else if (reader->grant.role_count == TOKEN_MAX_ROLES) {
        input_fail(&reader->input, name, "out-of-range", "at most %d roles", TOKEN_MAX_ROLES);
    } else {
        reader->roles[reader->grant.role_count++] = role;
    }
}

static void read_queue(MintReader *reader, Str name, Json value) {
    Str text;
    if (!input_text(&reader->input, name, value, &text)) return;
    if (reader->grant.queue_count == TOKEN_MAX_QUEUES) {
        input_fail(&reader->input, name, "out-of-range", "at most %d queues", TOKEN_MAX_QUEUES);
    } else {
        reader->queues[reader->grant.queue_count++] = text;
    }
}

static void read_each(MintReader *reader, Str name, Json value,
                      void (*read)(MintReader *, Str, Json)) {
    if (value.kind != JSON_ARRAY) {
        input_fail(&reader->input, name, "wrong-type", STR_FMT " must be an array of strings",
                   STR_ARG(name));
        return;
    }
    JsonIter iter = json_iter(value);
    Json element;
    while (!field_errors_full(reader->input.errors) && json_next(&iter, NULL, &element)) {
        read(reader, name, element);
    }
}

static void read_roles(MintReader *reader, Str name, Json value) {
    read_each(reader, name, value, read_role);
}

static void read_queues(MintReader *reader, Str name, Json value) {
    read_each(reader, name, value, read_queue);
}

static void read_subject(MintReader *reader, Str name, Json value) {
    (void)input_text(&reader->input, name, value, &reader->grant.subject);
}

static void read_ttl(MintReader *reader, Str name, Json value) {
    int64_t ttl_ms;
    if (!input_duration(&reader->input, name, value, MS_PER_S, &ttl_ms)) return;
    reader->grant.ttl_s = ttl_ms / MS_PER_S;
}

static const struct {
    const char *name;
    void (*read)(MintReader *reader, Str name, Json value);
} MEMBERS[] = {
    {"subject", read_subject}, {"role", read_role}, {"roles", read_roles},
    {"queues", read_queues},   {"ttl", read_ttl},
};

static void read_member(MintReader *reader, Str name, Json value) {
    Str known[LENGTH(MEMBERS)];
    for (size_t i = 0; i < LENGTH(MEMBERS); i++) {
        known[i] = str_from(MEMBERS[i].name);
        if (!str_eq(name, known[i])) continue;
        MEMBERS[i].read(reader, name, value);
        return;
    }
    input_unknown(&reader->input, name, known, LENGTH(MEMBERS));
}

/* A caller bound to queues hands on no more than these: the same globs, or plain names that
 * match. */
static bool may_grant_queue(const Principal *principal, Str queue) {
    bool plain = !memchr(queue.ptr, '*', queue.len) && !memchr(queue.ptr, '?', queue.len);
    for (size_t i = 0; i < principal->queue_count; i++) {
        if (str_eq(principal->queues[i], queue)) return true;
    }
    return plain && access_sees_queue(principal, queue);
}

static void check_whole(MintReader *reader, const Principal *principal) {
    if (reader->grant.role_count == 0 && reader->input.errors->count == 0) {
        input_fail(&reader->input, STR("roles"), "missing-member",
                   "name at least one role: viewer, producer, operator, admin or worker");
    }
    if (principal->queue_count == 0) return;
    bool within = reader->grant.queue_count > 0;
    for (size_t i = 0; i < reader->grant.queue_count; i++) {
        if (!may_grant_queue(principal, reader->queues[i])) within = false;
    }
    if (!within) {
        input_fail(&reader->input, STR("queues"), "forbidden",
                   "your own token is bound to queues: name some of these");
    }
}

static void mint(Exchange *exchange, const TokenGrant *grant) {
    char id[TOKEN_ID_SIZE];
    Error error;
    cleanup(buf_done) Buf token, body;
    buf_init(&token, TOKEN_MAX_SIZE);
    buf_init(&body, ANSWER_MAX);
    if (token_mint(exchange->api->options.tokens, grant, exchange->now_us, &token, id, &error) !=
        OK) {
        exchange_error(exchange, &error);
        return;
    }
    JsonWriter writer = json_writer(&body);
    json_begin_object(&writer);
    json_put_string(&writer, "id", str_from(id));
    json_put_string(&writer, "token", buf_str(&token));
    put_time(&writer, "expires_at", exchange->now_us + grant->ttl_s * US_PER_S);
    json_end_object(&writer);
    exchange_json(exchange, 201, &body);
}

void handle_token_mint(Exchange *exchange) {
    Json body;
    if (!exchange_body(exchange, &body)) return;
    FieldErrors *errors = field_errors_new(exchange->arena);
    MintReader *reader = arena_new(exchange->arena, MintReader);
    reader->input = (Input){errors, exchange->arena, STR("")};
    reader->grant = (TokenGrant){
        .subject = exchange->principal.subject,
        .roles = reader->roles,
        .queues = reader->queues,
        .ttl_s = exchange->api->options.token_ttl_ms / MS_PER_S,
    };
    if (body.kind == JSON_OBJECT) {
        JsonIter iter = json_iter(body);
        Str raw;
        Json value;
        while (!field_errors_full(errors) && json_next(&iter, &raw, &value)) {
            read_member(reader, json_key(raw, exchange->arena), value);
        }
        check_whole(reader, &exchange->principal);
    } else {
        field_errors_add(errors, STR(""), "wrong-type", "an object is expected");
    }
    if (errors->count > 0) {
        exchange_fields(exchange, errors);
    } else {
        mint(exchange, &reader->grant);
    }
}

/* ---- revoke ---- */

static void on_revoked(Operation *operation) {
    const TokenRequest *request = container_of(operation, TokenRequest, operation);
    Exchange *exchange = operation->context;
    if (operation->error.err != OK) {
        exchange_error(exchange, &operation->error);
        return;
    }
    token_revoke(exchange->api->options.tokens, request->token_id, request->until_us);
    exchange_answer(exchange, 204, "application/json", STR(""), NULL, 0);
}

void handle_token_revoke(Exchange *exchange) {
    Str id = exchange->parameters[0];
    if (id.len > TOKEN_ID_TEXT_MAX) {
        exchange_fail(exchange, "invalid-id", "the id of a token has at most %d bytes",
                      TOKEN_ID_TEXT_MAX);
        return;
    }
    TokenRequest *request = arena_new(exchange->arena, TokenRequest);
    request->operation.done = on_revoked;
    request->operation.context = exchange;
    request->operation.weight = 1;
    request->token_id = id;
    request->until_us = exchange->now_us + LONGEST_TOKEN_US;
    engine_revoke_token(exchange->engine, request);
}
