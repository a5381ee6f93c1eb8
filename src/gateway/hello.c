/* HELLO: who is there, and what they may do. A password or loopback session holds the configured
 * roles; a token brings its own. A first line that is no HELLO closes the connection without a
 * word, as the protocol has it. */
#include "gateway/call.h"

#include "base/clock.h"
#include "telemetry/log.h"
#include "telemetry/metric.h"

static void say_error(Peer *peer, const char *text) {
    Buf buf;
    buf_init(&buf, 512);
    reply_error(&buf, "ERR", str_from(text));
    connection_write(peer->connection, buf_str(&buf));
    buf_done(&buf);
    peer->closing = true;
    connection_finish(peer->connection);
}

static bool password_is_right(const Peer *peer, const Hello *hello) {
    if (peer->challenge.rounds == 0) return true;
    char expected[PASSWORD_HASH_SIZE];
    password_hash(peer->gateway->options.password, &peer->challenge, hello->version, expected);
    return password_matches(hello->pwdhash, expected);
}

/* JSON {"hostname","pid","labels","username"} for the list of workers: the longest HELLO fits. */
static Str describe(Peer *peer, const Hello *hello) {
    Buf buf;
    buf_init(&buf, 128 * 1024);
    JsonWriter writer = json_writer(&buf);
    json_begin_object(&writer);
    json_put_string(&writer, "hostname", hello->hostname.ptr ? hello->hostname : STR(""));
    json_put_int(&writer, "pid", hello->pid);
    json_put_raw(&writer, "labels", hello->labels.text.ptr ? hello->labels.text : STR("[]"));
    if (hello->username.len > 0) json_put_string(&writer, "username", hello->username);
    json_end_object(&writer);
    Str info = arena_str(&peer->arena, buf_str(&buf));
    buf_done(&buf);
    return info;
}

bool peer_is_trusted(const Peer *peer) {
    const Principal *principal = &peer->principal;
    if (!principal->token_id.ptr) return true;
    bool expired = principal->expires_at_us > 0 && principal->expires_at_us <= clock_real_us();
    return !expired && !engine_token_is_revoked(peer->gateway->engine, principal->token_id);
}

static bool authenticate(Peer *peer, const Hello *hello) {
    Gateway *gateway = peer->gateway;
    if (hello->token.ptr) {
        TokenVerdict verdict = token_verify(gateway->options.tokens, hello->token, clock_real_us(),
                                            &peer->arena, &peer->principal);
        bool revoked = verdict == TOKEN_VALID && !peer_is_trusted(peer);
        if (revoked) verdict = TOKEN_REVOKED;
        if (verdict == TOKEN_VALID) return true;
        metric_add(METRIC_AUTH_FAILURES, LABELS(str_from(token_verdict_name(verdict))), 1);
        Error error;
        token_refusal(verdict, &error);
        say_error(peer, error.message);
        return false;
    }
    if (!password_is_right(peer, hello)) {
        metric_add(METRIC_AUTH_FAILURES, LABELS(STR("password")), 1);
        log_warn("session.refused", kv_str("peer", connection_peer(peer->connection)),
                 kv_str("reason", STR("wrong password")));
        say_error(peer, "Invalid password");
        return false;
    }
    peer->principal =
        (Principal){.subject = STR("worker-protocol"), .roles = gateway->options.roles};
    return true;
}

static void say_ok(Peer *peer) {
    reply_ok(connection_output(peer->connection));
    connection_written(peer->connection);
}

/* Its lease counts from the answer on: another node must know of it by then. */
static void on_synced(SessionSync *sync, const Error *error) {
    Peer *peer = sync->context;
    peer->syncing = false;
    if (error) {
        say_error(peer, error->message);
        return;
    }
    say_ok(peer);
    peer_read(peer);
}

bool peer_hello(Peer *peer, Str line) {
    Str prefix = STR("HELLO {");
    if (!str_starts_with(line, prefix)) return false;
    Str argument = {line.ptr + prefix.len - 1, line.len - prefix.len + 1};
    Hello hello;
    if (hello_parse(arena_str(&peer->arena, argument), &peer->arena, &hello, NULL) != OK)
        return false;
    if (!authenticate(peer, &hello)) return true;
    peer->greeted = true;
    peer->opted_in = hello.opted_in;
    connection_deadline(peer->connection, 0);
    if (hello.wid.len > 0) {
        peer->worker = hello.wid;
        SessionInfo info = {
            .worker = peer->worker, .info = describe(peer, &hello), .quick = hello.opted_in};
        peer->session = engine_session_open(peer->gateway->engine, &info);
        list_append(engine_session_peers(peer->session), &peer->sibling);
        peer->alone_us = engine_now_us(peer->gateway->engine);
        peer->sync = (SessionSync){.done = on_synced, .context = peer};
        peer->syncing = engine_session_sync(peer->gateway->engine, peer->session, &peer->sync);
    }
    if (!peer->syncing) say_ok(peer);
    return true;
}
