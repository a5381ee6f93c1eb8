/* The client's state machine. The one invariant: a reply is handed out only for a command that was
 * sent; anything else breaks the session. */
#include "client/session.h"

#include "base/check.h"

void session_init(Session *session, const SessionIdentity *identity) {
    *session = (Session){.identity = identity};
}

static SessionEvent break_off(Session *session) {
    session->state = SESSION_BROKEN;
    return SESSION_FAILED;
}

static SessionEvent greet(Session *session, const Reply *reply, Buf *output, Error *error) {
    Challenge challenge;
    if (reply->kind == REPLY_ERROR) {
        error_set(error, ERR_UNAVAILABLE, "the server refuses: %.*s",
                  reply->text.len > 150 ? 150 : (int)reply->text.len, reply->text.ptr);
        return break_off(session);
    }
    if (reply->kind != REPLY_SIMPLE || greeting_parse(reply->text, &challenge, error) != OK) {
        error_set(error, ERR_INVALID, "what answers there is no Takt or Faktory server");
        return break_off(session);
    }
    const SessionIdentity *identity = session->identity;
    char hash[PASSWORD_HASH_SIZE] = "";
    if (challenge.rounds > 0 && identity->password.len > 0) {
        password_hash(identity->password, &challenge, GREETING_VERSION, hash);
    }
    Hello hello = {.version = GREETING_VERSION,
                   .hostname = identity->hostname,
                   .wid = identity->wid,
                   .pid = identity->pid,
                   .labels = identity->labels,
                   .pwdhash = hash[0] ? str_from(hash) : (Str){0},
                   .opted_in = true,
                   .token = identity->token.len > 0 ? identity->token : (Str){0}};
    hello_write(output, &hello);
    session->state = SESSION_LOGIN;
    return SESSION_MORE;
}

static SessionEvent log_in(Session *session, const Reply *reply, Error *error) {
    if (reply->kind == REPLY_SIMPLE) {
        session->state = SESSION_OPEN;
        return SESSION_READY;
    }
    error_set(error, ERR_DENIED, "the server refuses the login: %.*s",
              reply->text.len > 150 ? 150 : (int)reply->text.len, reply->text.ptr);
    return break_off(session);
}

SessionEvent session_step(Session *session, Str input, Buf *output, size_t *ret_used,
                          Reply *ret_reply, Error *error) {
    Reply reply;
    *ret_used = 0;
    check(session->state != SESSION_BROKEN);
    ReplyStatus status = reply_scan(&session->scan, input, SESSION_REPLY_MAX, &reply, ret_used);
    if (status == REPLY_MORE) return SESSION_MORE;
    if (status == REPLY_MALFORMED) {
        error_set(error, ERR_INVALID, "what answers there does not speak the worker protocol");
        return break_off(session);
    }
    if (session->state == SESSION_GREETING) return greet(session, &reply, output, error);
    if (session->state == SESSION_LOGIN) return log_in(session, &reply, error);
    if (session->awaited == 0) {
        error_set(error, ERR_UNAVAILABLE, "the server ends the connection: %.*s",
                  reply.text.len > 150 ? 150 : (int)reply.text.len, reply.text.ptr);
        return break_off(session);
    }
    session->awaited--;
    *ret_reply = reply;
    return SESSION_REPLY;
}

void session_expect(Session *session) {
    check(session->state == SESSION_OPEN);
    session->awaited++;
}

void session_begin(Session *session, Buf *output, Str verb) {
    session_expect(session);
    buf_add(output, verb);
    buf_add_char(output, ' ');
}

void session_end(Buf *output) {
    buf_add(output, STR("\r\n"));
}
