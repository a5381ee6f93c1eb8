/* The protocol's server side in its simplest form. The one invariant: all state is behind one
 * mutex. */
#include "fake_server.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/time.h"
#include "proto/greeting.h"
#include "proto/line.h"
#include "proto/messages.h"
#include "proto/reply.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PEERS = 16, OFFERS = 64, TRANSCRIPT_MAX = 64 * 1024 * 1024, INPUT_MAX = 32 * 1024 * 1024 };

typedef enum Parked { PARKED_NOTHING, PARKED_FETCH, PARKED_BEAT } Parked;

typedef struct Peer {
    int fd; /* 0: free */
    Buf input;
    LineScan scan;
    bool welcome;
    Parked parked;
    int64_t until_us;
} Peer;

struct FakeServer {
    pthread_mutex_t lock;
    pthread_t thread;
    bool started;
    bool stop;
    int listener;
    int port;
    Challenge challenge;
    char password[64];
    Peer peers[PEERS];
    Buf transcript;
    char *offers[OFFERS];
    size_t offer_count;
    char cancel[80];
    char state[16];
    char verdict[16];
    char break_at[16];
    char answer_verb[16];
    char answer[256];
    bool mute;
    bool break_all;
    bool shun;
    bool away;
};

static void peer_close(Peer *peer) {
    close(peer->fd);
    buf_done(&peer->input);
    *peer = (Peer){0};
}

static void send_buf(const Peer *peer, Buf *buf) {
    size_t sent = 0;
    while (sent < buf->len) {
        ssize_t count = send(peer->fd, buf->data + sent, buf->len - sent, MSG_NOSIGNAL);
        if (count <= 0) break;
        sent += (size_t)count;
    }
    buf_done(buf);
}

static void send_text(const Peer *peer, const char *text) {
    Buf buf;
    buf_init(&buf, 4096);
    buf_add(&buf, str_from(text));
    send_buf(peer, &buf);
}

static void greet(FakeServer *server, int fd) {
    for (size_t i = 0; i < PEERS; i++) {
        Peer *peer = &server->peers[i];
        if (peer->fd) continue;
        *peer = (Peer){.fd = fd};
        buf_init(&peer->input, INPUT_MAX);
        Buf buf;
        buf_init(&buf, 256);
        greeting_write(&buf, &server->challenge);
        send_buf(peer, &buf);
        return;
    }
    close(fd);
}

static bool say_hello(FakeServer *server, Peer *peer, Str argument) {
    cleanup(arena_done) Arena arena = {0};
    Hello hello;
    Error error;
    char expected[PASSWORD_HASH_SIZE] = "";
    bool good = hello_parse(argument, &arena, &hello, &error) == OK;
    if (good && server->challenge.rounds > 0) {
        password_hash(str_from(server->password), &server->challenge, hello.version, expected);
        good = password_matches(hello.pwdhash, expected);
    }
    send_text(peer, good ? "+OK\r\n" : "-ERR Invalid password\r\n");
    peer->welcome = good;
    return good;
}

/* Answers what is parked when there is something to say or its time is over. */
static void answer_parked(FakeServer *server, Peer *peer) {
    bool over = clock_mono_us() >= peer->until_us;
    Buf json;
    Buf reply;
    buf_init(&json, INPUT_MAX);
    buf_init(&reply, INPUT_MAX);
    if (peer->parked == PARKED_FETCH && (over || server->offer_count > 0)) {
        buf_add_char(&json, '[');
        for (size_t i = 0; i < server->offer_count; i++) {
            if (i > 0) buf_add_char(&json, ',');
            buf_add(&json, str_from(server->offers[i]));
            free(server->offers[i]);
        }
        buf_add_char(&json, ']');
        server->offer_count = 0;
    } else if (peer->parked == PARKED_BEAT && (over || server->cancel[0] || server->state[0])) {
        buf_format(&json, "{\"state\":\"%s\",\"cancel\":[%s%s%s]}", server->state,
                   server->cancel[0] ? "\"" : "", server->cancel, server->cancel[0] ? "\"" : "");
        server->cancel[0] = server->state[0] = '\0';
    }
    if (json.len > 0) {
        peer->parked = PARKED_NOTHING;
        reply_bulk(&reply, buf_str(&json));
        send_buf(peer, &reply);
    }
    buf_done(&json);
    buf_done(&reply);
}

static void park(Peer *peer, Parked what, int64_t wait_ms) {
    peer->parked = what;
    peer->until_us = clock_mono_us() + wait_ms * US_PER_MS;
}

static void take_outcomes(FakeServer *server, const Peer *peer, Str argument, const char *verb) {
    cleanup(arena_done) Arena arena = {0};
    LeaseRef *refs = NULL;
    size_t count = 0;
    Error error;
    Err err = lease_refs_parse(argument, &arena, &refs, &count, &error);
    check(err == OK);
    Buf json;
    Buf reply;
    buf_init(&json, INPUT_MAX);
    buf_init(&reply, INPUT_MAX);
    JsonWriter writer = json_writer(&json);
    json_begin_object(&writer);
    for (size_t i = 0; i < count; i++) {
        json_write_key(&writer, refs[i].jid);
        if (strcmp(verb, "TEXTEND") == 0 && strcmp(server->verdict, "OK") == 0) {
            json_write_int(&writer, 30000);
        } else {
            json_write_string(&writer, str_from(server->verdict));
        }
    }
    json_end_object(&writer);
    reply_bulk(&reply, buf_str(&json));
    send_buf(peer, &reply);
    buf_done(&json);
}

static void answer_wait(Peer *peer, Parked what, Str argument) {
    Json root;
    Error error;
    int64_t wait_ms = 0;
    Err err = json_check(argument, &root, &error);
    check(err == OK);
    json_int64(json_member(root, STR("wait_ms")), &wait_ms);
    park(peer, what, wait_ms);
}

/* false: close. */
static bool obey(FakeServer *server, Peer *peer, Str line) {
    Command command = command_split(line);
    buf_add(&server->transcript, line);
    buf_add_char(&server->transcript, '\n');
    if (str_eq(command.verb, STR("END"))) return false;
    if (!peer->welcome) return say_hello(server, peer, command.argument);
    if (server->mute) return true;
    if (server->break_at[0] && str_eq(command.verb, str_from(server->break_at))) {
        server->break_at[0] = '\0';
        return false;
    }
    if (server->answer_verb[0] && str_eq(command.verb, str_from(server->answer_verb))) {
        server->answer_verb[0] = '\0';
        send_text(peer, server->answer);
    } else if (str_eq(command.verb, STR("TFETCH"))) {
        answer_wait(peer, PARKED_FETCH, command.argument);
    } else if (str_eq(command.verb, STR("BEAT"))) {
        answer_wait(peer, PARKED_BEAT, command.argument);
    } else if (str_eq(command.verb, STR("TDONE"))) {
        take_outcomes(server, peer, command.argument, "TDONE");
    } else if (str_eq(command.verb, STR("TEXTEND"))) {
        take_outcomes(server, peer, command.argument, "TEXTEND");
    } else if (str_eq(command.verb, STR("TLOG"))) {
        send_text(peer, strcmp(server->verdict, "OK") == 0 ? "+OK\r\n" : "+STALE\r\n");
    } else if (str_eq(command.verb, STR("PUSHB"))) {
        send_text(peer, "$2\r\n{}\r\n");
    } else {
        send_text(peer, "+OK\r\n");
    }
    return true;
}

static void read_peer(FakeServer *server, Peer *peer) {
    char *room = buf_reserve(&peer->input, 65536);
    check(room);
    ssize_t len = recv(peer->fd, room, 65536, 0);
    if (len <= 0) {
        peer_close(peer);
        return;
    }
    peer->input.len -= 65536 - (size_t)len;
    Str line;
    size_t used;
    while (line_scan(&peer->scan, buf_str(&peer->input), LINE_MAX_DEFAULT, &line, &used) ==
           LINE_READY) {
        if (!obey(server, peer, line)) {
            peer_close(peer);
            return;
        }
        buf_drop(&peer->input, used);
    }
}

static void listen_on(FakeServer *server) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)server->port),
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof address;
    int on = 1;
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(setsockopt(server->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
    check(bind(server->listener, (struct sockaddr *)&address, sizeof address) == 0);
    check(listen(server->listener, 16) == 0);
    check(getsockname(server->listener, (struct sockaddr *)&address, &len) == 0);
    server->port = ntohs(address.sin_port);
}

static void come_and_go(FakeServer *server) {
    if (server->away && server->listener >= 0) {
        shutdown(server->listener, SHUT_RDWR); /* the forked worker holds a copy */
        close(server->listener);
        server->listener = -1;
    } else if (!server->away && server->listener < 0) {
        listen_on(server);
    }
}

static void welcome(FakeServer *server) {
    int fd = accept(server->listener, NULL, NULL);
    if (fd >= 0 && server->shun) {
        close(fd);
    } else if (fd >= 0) {
        greet(server, fd);
    }
}

static void turn(FakeServer *server) {
    struct pollfd pollers[PEERS + 1];
    for (size_t i = 0; i < PEERS; i++) {
        pollers[i] =
            (struct pollfd){.fd = server->peers[i].fd ? server->peers[i].fd : -1, .events = POLLIN};
    }
    pollers[PEERS] = (struct pollfd){.fd = server->listener, .events = POLLIN};
    poll(pollers, PEERS + 1, 5);
    pthread_mutex_lock(&server->lock);
    for (size_t i = 0; i < PEERS; i++) {
        Peer *peer = &server->peers[i];
        if (peer->fd && server->break_all) peer_close(peer);
        if (peer->fd && pollers[i].revents) read_peer(server, peer);
        if (peer->fd && !server->mute) answer_parked(server, peer);
    }
    server->break_all = false;
    if (pollers[PEERS].revents && !server->away) welcome(server);
    come_and_go(server);
    pthread_mutex_unlock(&server->lock);
}

static void *run(void *context) {
    FakeServer *server = context;
    for (;;) {
        turn(server);
        pthread_mutex_lock(&server->lock);
        bool stop = server->stop;
        pthread_mutex_unlock(&server->lock);
        if (stop) return NULL;
    }
}

FakeServer *fake_server_new(const char *password) {
    FakeServer *server = alloc_zero(1, sizeof *server);
    pthread_mutex_init(&server->lock, NULL);
    buf_init(&server->transcript, TRANSCRIPT_MAX);
    memcpy(server->verdict, "OK", 3);
    if (password) {
        server->challenge = challenge_make(12345, UINT64_C(0x123456789abcdef));
        memcpy(server->password, password, strlen(password) + 1);
    }
    listen_on(server);
    return server;
}

void fake_server_start(FakeServer *server) {
    check(pthread_create(&server->thread, NULL, run, server) == 0);
    server->started = true;
}

void fake_server_free(FakeServer *server) {
    pthread_mutex_lock(&server->lock);
    server->stop = true;
    pthread_mutex_unlock(&server->lock);
    if (server->started) pthread_join(server->thread, NULL);
    for (size_t i = 0; i < PEERS; i++) {
        if (server->peers[i].fd) peer_close(&server->peers[i]);
    }
    for (size_t i = 0; i < server->offer_count; i++)
        free(server->offers[i]);
    if (server->listener >= 0) close(server->listener);
    buf_done(&server->transcript);
    pthread_mutex_destroy(&server->lock);
    free(server);
}

int fake_server_port(const FakeServer *server) {
    return server->port;
}

void fake_server_offer(FakeServer *server, const char *job) {
    pthread_mutex_lock(&server->lock);
    check(server->offer_count < OFFERS);
    server->offers[server->offer_count++] = alloc_string(job);
    pthread_mutex_unlock(&server->lock);
}

static void set_text(FakeServer *server, char *to, size_t size, const char *text) {
    pthread_mutex_lock(&server->lock);
    check(strlen(text) < size);
    memcpy(to, text, strlen(text) + 1);
    pthread_mutex_unlock(&server->lock);
}

void fake_server_cancel(FakeServer *server, const char *jid) {
    set_text(server, server->cancel, sizeof server->cancel, jid);
}

void fake_server_tell_state(FakeServer *server, const char *state) {
    set_text(server, server->state, sizeof server->state, state);
}

void fake_server_judge(FakeServer *server, const char *verdict) {
    set_text(server, server->verdict, sizeof server->verdict, verdict);
}

void fake_server_break_at(FakeServer *server, const char *verb) {
    set_text(server, server->break_at, sizeof server->break_at, verb);
}

void fake_server_answer(FakeServer *server, const char *verb, const char *reply) {
    set_text(server, server->answer, sizeof server->answer, reply);
    set_text(server, server->answer_verb, sizeof server->answer_verb, verb);
}

void fake_server_mute(FakeServer *server, bool mute) {
    pthread_mutex_lock(&server->lock);
    server->mute = mute;
    pthread_mutex_unlock(&server->lock);
}

void fake_server_break(FakeServer *server) {
    pthread_mutex_lock(&server->lock);
    server->break_all = true;
    pthread_mutex_unlock(&server->lock);
}

void fake_server_shun(FakeServer *server, bool shun) {
    pthread_mutex_lock(&server->lock);
    server->shun = server->break_all = shun;
    pthread_mutex_unlock(&server->lock);
}

bool fake_server_vanish(FakeServer *server) {
    bool silenced = true;
    int on = TCP_REPAIR_ON; /* a socket that is closed in this mode sends nothing */
    pthread_mutex_lock(&server->lock);
    for (size_t i = 0; i < PEERS; i++) {
        const Peer *peer = &server->peers[i];
        if (!peer->fd) continue;
        silenced &= setsockopt(peer->fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof on) == 0;
    }
    if (silenced) server->shun = server->break_all = true;
    pthread_mutex_unlock(&server->lock);
    return silenced;
}

void fake_server_leave(FakeServer *server, bool away) {
    pthread_mutex_lock(&server->lock);
    server->away = server->break_all = away;
    pthread_mutex_unlock(&server->lock);
}

int fake_server_count(FakeServer *server, const char *text) {
    pthread_mutex_lock(&server->lock);
    int count = 0;
    for (const char *at = buf_cstr(&server->transcript); (at = strstr(at, text)); at++)
        count++;
    pthread_mutex_unlock(&server->lock);
    return count;
}

bool fake_server_saw(FakeServer *server, const char *text, int64_t patience_ms) {
    int64_t limit_us = clock_mono_us() + patience_ms * US_PER_MS;
    while (fake_server_count(server, text) == 0) {
        if (clock_mono_us() > limit_us) return false;
        usleep(5000);
    }
    return true;
}
