/* The loop and the connection layer: order of phases, timers, posts from threads, backpressure,
 * closing inside callbacks, half-closing, many connections. */
#include "fixture.h"

#include "base/clock.h"
#include "net/listener.h"
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
/* cmocka.h needs the ones above. */
#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif
#else
enum { SANITIZED = 0 };
#endif

/* ---- the loop ---- */

typedef struct Journal {
    Loop *loop;
    char text[64];
    size_t len;
    LoopTask task;
} Journal;

typedef struct Entry {
    Journal *journal;
    char letter;
} Entry;

static void note(void *owner) {
    Entry *entry = owner;
    Journal *journal = entry->journal;
    check(journal->len < sizeof journal->text - 1);
    journal->text[journal->len++] = entry->letter;
}

static void test_phases_and_timers(void **state) {
    (void)state;
    Loop *loop = loop_new();
    Journal journal = {.loop = loop};
    Entry entries[] = {
        {&journal, 'x'}, {&journal, 'b'}, {&journal, 'f'}, {&journal, 't'}, {&journal, 'u'}};
    LoopTask tasks[3];
    for (size_t i = 0; i < 3; i++) {
        loop_task_init(&tasks[i], note, &entries[i]);
    }
    loop_defer(loop, LOOP_FREE, &tasks[0]);
    loop_defer(loop, LOOP_FLUSH, &tasks[2]);
    loop_defer(loop, LOOP_BATCH, &tasks[1]);
    loop_defer(loop, LOOP_BATCH, &tasks[1]);
    LoopTimer timers[2];
    loop_timer_init(&timers[0], loop, note, &entries[3]);
    loop_timer_init(&timers[1], loop, note, &entries[4]);
    loop_timer_after(&timers[0], 20000);
    loop_timer_after(&timers[1], 5000);
    loop_turn(loop);
    assert_string_equal(journal.text, "bfx");
    int64_t begun_us = clock_mono_us();
    loop_turn(loop);
    loop_turn(loop);
    assert_string_equal(journal.text, "bfxut");
    assert_true(clock_mono_us() - begun_us >= 14000);
    loop_timer_after(&timers[0], 5000);
    assert_true(loop_timer_is_set(&timers[0]));
    loop_timer_cancel(&timers[0]);
    loop_timer_cancel(&timers[0]);
    pump_for(loop, 10);
    assert_string_equal(journal.text, "bfxut");
    loop_free(loop);
}

enum { THREADS = 4, POSTS = 2000 };

typedef struct Poster {
    Loop *loop;
    int next; /* expected, in the loop's thread */
    int *total;
    int numbers[POSTS];
} Poster;

typedef struct Posted {
    Poster *poster;
    int number;
} Posted;

static void on_post(void *owner) {
    Posted *posted = owner;
    Poster *poster = posted->poster;
    check(posted->number == poster->next);
    poster->next++;
    if (++*poster->total == THREADS * POSTS) loop_stop(poster->loop);
}

static Posted posted[THREADS][POSTS];

static void *post_all(void *owner) {
    Posted *mine = owner;
    for (int i = 0; i < POSTS; i++) {
        loop_post(mine[i].poster->loop, on_post, &mine[i]);
    }
    return NULL;
}

static void test_posts_from_threads(void **state) {
    (void)state;
    Loop *loop = loop_new();
    int total = 0;
    static Poster posters[THREADS];
    pthread_t threads[THREADS];
    for (int t = 0; t < THREADS; t++) {
        posters[t] = (Poster){.loop = loop, .total = &total};
        for (int i = 0; i < POSTS; i++) {
            posted[t][i] = (Posted){&posters[t], i};
        }
        assert_int_equal(pthread_create(&threads[t], NULL, post_all, posted[t]), 0);
    }
    loop_run(loop);
    assert_int_equal(total, THREADS * POSTS);
    for (int t = 0; t < THREADS; t++) {
        pthread_join(threads[t], NULL);
    }
    loop_post(loop, on_post, &posted[0][0]); /* never delivered; must not leak */
    loop_free(loop);
}

static void stop_loop(void *owner) {
    loop_stop(owner);
}

static void test_signal(void **state) {
    (void)state;
    Loop *loop = loop_new();
    Error error;
    assert_int_equal(loop_signal(loop, SIGUSR1, stop_loop, loop, &error), OK);
    raise(SIGUSR1);
    loop_run(loop);
    loop_free(loop);
}

/* ---- connections ---- */

typedef struct Peer {
    Loop *loop;
    Connection *connection;
    int fd; /* the other end */
    size_t data_calls;
    size_t drains;
    size_t ends;
    size_t closes;
    bool closed;
    ConnectionEnd why;
    size_t eat; /* bytes to consume per on_data */
    bool closes_in_data;
    bool echoes;
    bool keeps_half;
    Buf seen;
} Peer;

static void on_data(Connection *connection, void *owner) {
    Peer *peer = owner;
    peer->data_calls++;
    Str input = connection_input(connection);
    size_t len = input.len < peer->eat ? input.len : peer->eat;
    buf_add(&peer->seen, (Str){input.ptr, len});
    if (peer->echoes) connection_write(connection, (Str){input.ptr, len});
    connection_consume(connection, len);
    if (peer->closes_in_data) connection_close(connection);
}

static void on_end(Connection *connection, void *owner) {
    Peer *peer = owner;
    peer->ends++;
    if (!peer->keeps_half) connection_finish(connection);
}

static void on_drain(Connection *connection, void *owner) {
    Peer *peer = owner;
    check(!connection_is_congested(connection));
    peer->drains++;
}

static void on_close(Connection *connection, void *owner, ConnectionEnd why) {
    (void)connection;
    Peer *peer = owner;
    peer->closes++;
    peer->closed = true;
    peer->why = why;
    peer->connection = NULL;
}

static const ConnectionHandler HANDLER = {
    .on_data = on_data,
    .on_end = on_end,
    .on_drain = on_drain,
    .on_close = on_close,
};

static void peer_open(Peer *peer, const ConnectionLimits *limits) {
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    *peer = (Peer){.loop = loop_new(), .fd = fds[0], .eat = SIZE_MAX};
    buf_init(&peer->seen, (size_t)64 << 20);
    peer->connection = connection_adopt(peer->loop, fds[1], limits, &HANDLER, peer);
}

static void peer_done(Peer *peer) {
    if (peer->connection) connection_free(peer->connection);
    close(peer->fd);
    buf_done(&peer->seen);
    loop_free(peer->loop);
}

static void test_input_is_kept_and_bounded(void **state) {
    (void)state;
    Peer peer;
    peer_open(&peer, &(ConnectionLimits){.input_max = 1000});
    peer.eat = 2;
    client_send(peer.loop, peer.fd, STR("abcde"));
    assert_int_equal(connection_input(peer.connection).len, 3);
    client_send(peer.loop, peer.fd, STR("fgh"));
    assert_string_equal(buf_cstr(&peer.seen), "abcd");
    assert_memory_equal(connection_input(peer.connection).ptr, "efgh", 4);
    peer.eat = 0;
    char bytes[5000];
    memset(bytes, 'x', sizeof bytes);
    client_send(peer.loop, peer.fd, (Str){bytes, sizeof bytes});
    assert_int_equal(connection_input(peer.connection).len, 1000);
    peer.eat = SIZE_MAX;
    connection_consume(peer.connection, 1000);
    pump(peer.loop);
    assert_int_equal(connection_input(peer.connection).len, 0);
    assert_int_equal(peer.seen.len, 4 + 4 + 5000 - 1000);
    peer_done(&peer);
}

static void test_closing_inside_a_callback(void **state) {
    (void)state;
    Peer peer;
    peer_open(&peer, &(ConnectionLimits){0});
    peer.closes_in_data = true;
    peer.eat = 1;
    client_send(peer.loop, peer.fd, STR("abc"));
    assert_int_equal(peer.closes, 1);
    assert_int_equal(peer.data_calls, 1);
    assert_int_equal(peer.why, CONNECTION_LOCAL);
    peer_done(&peer);
}

static void test_one_write_per_turn(void **state) {
    (void)state;
    Peer peer;
    peer_open(&peer, &(ConnectionLimits){0});
    connection_write(peer.connection, STR("one "));
    connection_write(peer.connection, STR("two"));
    char bytes[16];
    assert_int_equal(recv(peer.fd, bytes, sizeof bytes, 0), -1);
    pump(peer.loop);
    assert_int_equal(recv(peer.fd, bytes, sizeof bytes, 0), 7);
    peer_done(&peer);
}

static void test_congestion(void **state) {
    (void)state;
    Peer peer;
    peer_open(&peer, &(ConnectionLimits){.output_soft = 100000, .output_hard = 10000000});
    static char bytes[2000000];
    memset(bytes, 'y', sizeof bytes);
    connection_write(peer.connection, (Str){bytes, sizeof bytes});
    assert_true(connection_is_congested(peer.connection));
    client_send(peer.loop, peer.fd, STR("ignored for now"));
    assert_int_equal(peer.data_calls, 0);
    Buf received;
    buf_init(&received, sizeof bytes);
    while (received.len < sizeof bytes) {
        size_t before = received.len;
        client_receive(peer.fd, &received);
        assert_true(received.len > before);
        pump(peer.loop);
    }
    assert_memory_equal(received.data, bytes, sizeof bytes);
    assert_int_equal(peer.drains, 1);
    assert_int_equal(peer.data_calls, 1);
    buf_done(&received);
    peer_done(&peer);
}

static void test_overflow(void **state) {
    (void)state;
    Peer peer;
    peer_open(&peer, &(ConnectionLimits){.output_soft = 1000, .output_hard = 1000000});
    static char bytes[600000];
    for (int i = 0; i < 10 && !peer.closed; i++) {
        connection_write(peer.connection, (Str){bytes, sizeof bytes});
        connection_write(peer.connection, STR("and more, swallowed if closed"));
        pump(peer.loop);
    }
    assert_int_equal(peer.closes, 1);
    assert_int_equal(peer.why, CONNECTION_OVERFLOW);
    peer_done(&peer);
}

static void test_stalled_writing(void **state) {
    (void)state;
    Peer peer;
    peer_open(&peer, &(ConnectionLimits){.write_stall_ms = 30});
    static char bytes[5000000];
    connection_write(peer.connection, (Str){bytes, sizeof bytes});
    assert_true(pump_until(peer.loop, &peer.closed, 1000));
    assert_int_equal(peer.why, CONNECTION_TIMEOUT);
    peer_done(&peer);
}

static void test_half_close(void **state) {
    (void)state;
    Peer peer;
    peer_open(&peer, &(ConnectionLimits){0});
    peer.keeps_half = true;
    shutdown(peer.fd, SHUT_WR);
    pump(peer.loop);
    pump(peer.loop);
    assert_int_equal(peer.ends, 1);
    assert_true(connection_has_ended(peer.connection));
    connection_write(peer.connection, STR("last words"));
    connection_finish(peer.connection);
    pump(peer.loop);
    char bytes[16];
    assert_int_equal(recv(peer.fd, bytes, sizeof bytes, 0), 10);
    assert_int_equal(recv(peer.fd, bytes, sizeof bytes, 0), 0);
    assert_int_equal(peer.closes, 1);
    peer_done(&peer);
}

static void test_finish_waits_for_the_peer(void **state) {
    (void)state;
    Peer peer;
    peer_open(&peer, &(ConnectionLimits){0});
    connection_write(peer.connection, STR("bye"));
    connection_finish(peer.connection);
    client_send(peer.loop, peer.fd, STR("still talking"));
    assert_int_equal(peer.closes, 0);
    assert_int_equal(peer.data_calls, 0);
    Buf received;
    buf_init(&received, 100);
    assert_true(client_receive(peer.fd, &received));
    assert_string_equal(buf_cstr(&received), "bye");
    shutdown(peer.fd, SHUT_WR);
    pump(peer.loop);
    assert_int_equal(peer.closes, 1);
    buf_done(&received);
    peer_done(&peer);
}

static void test_deadline(void **state) {
    (void)state;
    Peer peer;
    peer_open(&peer, &(ConnectionLimits){0});
    connection_deadline(peer.connection, 5000);
    connection_deadline(peer.connection, 0);
    assert_false(pump_until(peer.loop, &peer.closed, 20));
    connection_deadline(peer.connection, 5000);
    assert_true(pump_until(peer.loop, &peer.closed, 1000));
    peer_done(&peer);
}

/* A transport that moves one byte at a time, and must write before it reads and read before it
 * writes, as a TLS handshake may. */
typedef struct Awkward {
    bool may_read;
    bool may_write;
    bool done;
} Awkward;

static ssize_t awkward_read(void *state, int fd, void *bytes, size_t size) {
    Awkward *awkward = state;
    (void)size;
    if (!awkward->may_read) {
        awkward->may_read = true;
        return TRANSPORT_WAIT_WRITE;
    }
    awkward->may_write = true;
    return TRANSPORT_PLAIN.read(NULL, fd, bytes, 1);
}

static ssize_t awkward_write(void *state, int fd, const void *bytes, size_t len) {
    Awkward *awkward = state;
    (void)len;
    if (!awkward->may_write) return TRANSPORT_WAIT_READ;
    return TRANSPORT_PLAIN.write(NULL, fd, bytes, 1);
}

static void awkward_done(void *state) {
    Awkward *awkward = state;
    awkward->done = true;
}

static void test_transport_that_waits(void **state) {
    (void)state;
    static const Transport AWKWARD = {awkward_read, awkward_write, awkward_done};
    Peer peer;
    peer_open(&peer, &(ConnectionLimits){0});
    Awkward awkward = {0};
    connection_set_transport(peer.connection, &AWKWARD, &awkward);
    connection_write(peer.connection, STR("hello"));
    pump(peer.loop);
    Buf received;
    buf_init(&received, 100);
    client_receive(peer.fd, &received);
    assert_string_equal(buf_cstr(&received), "");
    client_send(peer.loop, peer.fd, STR("abcdefgh"));
    pump(peer.loop);
    client_receive(peer.fd, &received);
    assert_string_equal(buf_cstr(&received), "hello");
    assert_string_equal(buf_cstr(&peer.seen), "abcdefgh");
    connection_close(peer.connection);
    pump(peer.loop);
    assert_true(awkward.done);
    buf_done(&received);
    peer_done(&peer);
}

/* ---- listening ---- */

static void test_addresses(void **state) {
    (void)state;
    static const struct {
        const char *text;
        Err err;
        const char *begins;
    } CASES[] = {
        {"127.0.0.1:0", OK, "127.0.0.1:"},
        {"[::1]:0", OK, "[::1]:"},
        {":0", OK, "0.0.0.0:"},
        {"localhost:0", OK, ""},
        {"127.0.0.1", ERR_INVALID, ""},
        {"127.0.0.1:", ERR_INVALID, ""},
        {"127.0.0.1:65536", ERR_INVALID, ""},
        {"127.0.0.1:-1", ERR_INVALID, ""},
        {"::1:0", ERR_INVALID, ""},
        {"[1.2.3.4]:0", ERR_INVALID, ""},
        {"", ERR_INVALID, ""},
        {"192.0.2.1:0", ERR_UNAVAILABLE, ""},
    };
    Loop *loop = loop_new();
    for (size_t i = 0; i < LENGTH(CASES); i++) {
        Listener *listener = NULL;
        ListenerOptions options = {.address = CASES[i].text};
        Error error;
        Err err = listener_open(loop, &options, &listener, &error);
        if (err == ERR_UNAVAILABLE && strstr(CASES[i].text, "::1")) continue; /* no IPv6 here */
        if (err != CASES[i].err) fail_msg("'%s': %s", CASES[i].text, err_name(err));
        if (err != OK) continue;
        assert_memory_equal(listener_address(listener), CASES[i].begins, strlen(CASES[i].begins));
        assert_true(listener_port(listener) > 0);
        listener_close(listener);
    }
    loop_free(loop);
}

typedef struct Crowd {
    Connection **connections;
    size_t count;
    size_t bytes;
    size_t closed;
} Crowd;

static void crowd_data(Connection *connection, void *owner) {
    Crowd *crowd = owner;
    crowd->bytes += connection_input(connection).len;
    connection_write(connection, connection_input(connection));
    connection_consume(connection, connection_input(connection).len);
}

static void crowd_close(Connection *connection, void *owner, ConnectionEnd why) {
    (void)connection;
    (void)why;
    Crowd *crowd = owner;
    crowd->closed++;
}

static void crowd_accept(void *owner, Connection *connection) {
    static const ConnectionHandler CROWD_HANDLER = {.on_data = crowd_data, .on_close = crowd_close};
    Crowd *crowd = owner;
    connection_set_handler(connection, &CROWD_HANDLER, crowd);
    connection_deadline(connection, INT64_C(60000000));
    check(str_eq(connection_peer_host(connection), STR("127.0.0.1")));
    crowd->count++;
}

static void test_many_connections(void **state) {
    (void)state;
    struct rlimit files;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    files.rlim_cur = files.rlim_max < 4096 ? files.rlim_max : 4096;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
    enum { MANY = 1500 };
    Loop *loop = loop_new();
    Crowd crowd = {0};
    ListenerOptions options = {
        .address = "127.0.0.1:0", .on_accept = crowd_accept, .owner = &crowd};
    Listener *listener;
    Error error;
    assert_int_equal(listener_open(loop, &options, &listener, &error), OK);
    static int fds[MANY];
    struct mallinfo2 before = mallinfo2();
    for (int i = 0; i < MANY; i++) {
        fds[i] = client_connect(loop, listener_port(listener));
        client_send(loop, fds[i], STR("hello"));
    }
    assert_int_equal(crowd.count, MANY);
    assert_int_equal(crowd.bytes, MANY * 5);
    struct mallinfo2 after = mallinfo2();
    if (!SANITIZED) assert_in_range((after.uordblks - before.uordblks) / MANY, 1, 2000);
    struct rusage begun;
    struct rusage ended;
    getrusage(RUSAGE_SELF, &begun);
    pump_for(loop, 200);
    getrusage(RUSAGE_SELF, &ended);
    int64_t cpu_us = (ended.ru_utime.tv_sec - begun.ru_utime.tv_sec) * 1000000 +
                     (ended.ru_utime.tv_usec - begun.ru_utime.tv_usec);
    assert_true(cpu_us < 100000);
    for (int i = 0; i < MANY; i++) {
        client_close(loop, fds[i]);
    }
    assert_int_equal(crowd.closed, MANY);
    assert_int_equal(listener_connections(listener), 0);
    listener_close(listener);
    loop_free(loop);
}

static void test_out_of_descriptors(void **state) {
    (void)state;
    Loop *loop = loop_new();
    Crowd crowd = {0};
    ListenerOptions options = {
        .address = "127.0.0.1:0", .on_accept = crowd_accept, .owner = &crowd};
    Listener *listener;
    Error error;
    assert_int_equal(listener_open(loop, &options, &listener, &error), OK);
    struct rlimit files;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    int lowest_free = dup(0);
    struct rlimit few = {.rlim_cur = (rlim_t)lowest_free + 1, .rlim_max = files.rlim_max};
    close(lowest_free);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    int fd = client_connect(loop, listener_port(listener)); /* takes the last one */
    assert_int_equal(crowd.count, 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
    pump_for(loop, 150);
    assert_int_equal(crowd.count, 1);
    client_close(loop, fd);
    listener_close(listener);
    loop_free(loop);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_phases_and_timers),
        cmocka_unit_test(test_posts_from_threads),
        cmocka_unit_test(test_signal),
        cmocka_unit_test(test_input_is_kept_and_bounded),
        cmocka_unit_test(test_closing_inside_a_callback),
        cmocka_unit_test(test_one_write_per_turn),
        cmocka_unit_test(test_congestion),
        cmocka_unit_test(test_overflow),
        cmocka_unit_test(test_stalled_writing),
        cmocka_unit_test(test_half_close),
        cmocka_unit_test(test_finish_waits_for_the_peer),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_transport_that_waits),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_many_connections),
        cmocka_unit_test(test_out_of_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
