/* The loop's turns over memory: see memory_net.h.
 *
 * The order of a turn is loop.c's: input, posted calls, timers, the phases. The functions of
 * libevent and libc below take the place of the libraries' own when the target is linked. */
#include "fuzz/memory_net.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/time.h"
#include "net/listener.h"
#include <event2/event.h>
#include <event2/event_struct.h>
#include <openssl/rand.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

enum {
    SCRATCH_SIZE = 64 * 1024,
    LISTENERS_MAX = 2,
    LINKS_MAX = 128,
    FIRST_FD = 1 << 20, /* above any real descriptor, so that closing one does nothing */
    DUE_MAX = 300,
    TURNS_MAX = 300 * 1000,
    RECEIVED_MAX = 128 * 1024 * 1024,
};

struct MemoryLink {
    struct event *readable;
    struct event *writable;
    Buf sent;
    size_t sent_at;
    size_t step;
    Buf received;
    size_t room;
    bool ended;    /* by the far end */
    bool vanished; /* likewise */
    bool closed;   /* by the node */
};

typedef struct Post {
    ListNode node;
    LoopFn *run;
    void *owner;
} Post;

struct Listener {
    Loop *loop;
    ListenerOptions options;
    size_t connections;
    bool closed;
    bool stopped;
};

struct Loop {
    Heap timers;
    List tasks[LOOP_PHASES];
    List posts;
    Listener *listeners[LISTENERS_MAX];
    size_t listener_count;
    MemoryLink *links[LINKS_MAX];
    size_t link_count;
    char scratch[SCRATCH_SIZE];
};

#define UPTIME_US (1000 * US_PER_S) /* the monotonic clock's reading at the start */

static Loop *the_loop;
static int64_t now_us; /* since the start */
static Random randomness;

/* ---- clocks and randomness ---- */

void memory_reset(void) {
    now_us = 0;
    random_init(&randomness, 1);
}

int64_t clock_real_us(void) {
    return MEMORY_START_US + now_us;
}

int64_t clock_mono_us(void) {
    return UPTIME_US + now_us;
}

static void fill(unsigned char *bytes, size_t len) {
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (unsigned char)random_next(&randomness);
    }
}

ssize_t getrandom(void *bytes, size_t len, unsigned flags) {
    (void)flags;
    fill(bytes, len);
    return (ssize_t)len;
}

int RAND_bytes(unsigned char *bytes, int len) {
    fill(bytes, (size_t)len);
    return 1;
}

/* ---- what connection.c asks of libevent and libc ---- */

enum { REGISTERED = 1 };

int evutil_make_socket_nonblocking(evutil_socket_t fd) {
    (void)fd;
    return 0;
}

int event_assign(struct event *event, struct event_base *base, evutil_socket_t fd, short what,
                 event_callback_fn call, void *owner) {
    (void)base;
    MemoryLink *link = the_loop->links[fd - FIRST_FD];
    memset(event, 0, sizeof *event);
    event->ev_fd = fd;
    event->ev_evcallback.evcb_cb_union.evcb_callback = call;
    event->ev_evcallback.evcb_arg = owner;
    *(what & EV_READ ? &link->readable : &link->writable) = event;
    return 0;
}

int event_add(struct event *event, const struct timeval *timeout) {
    (void)timeout;
    event->ev_evcallback.evcb_flags = REGISTERED;
    return 0;
}

int event_del(struct event *event) {
    event->ev_evcallback.evcb_flags = 0;
    return 0;
}

int shutdown(int fd, int how) {
    (void)how;
    the_loop->links[fd - FIRST_FD]->closed = true;
    return 0;
}

static bool is_registered(const struct event *event) {
    return event && event->ev_evcallback.evcb_flags == REGISTERED;
}

static void run_event(struct event *event, short what) {
    event->ev_evcallback.evcb_cb_union.evcb_callback(event->ev_fd, what,
                                                     event->ev_evcallback.evcb_arg);
}

/* ---- the transport ---- */

static ssize_t memory_read(void *state, int fd, void *bytes, size_t size) {
    MemoryLink *link = state;
    (void)fd;
    if (link->vanished) return TRANSPORT_FAILED;
    size_t left = link->sent.len - link->sent_at;
    if (left == 0) return link->ended ? 0 : TRANSPORT_WAIT_READ;
    if (left > size) left = size;
    if (link->step > 0 && left > link->step) left = link->step;
    memcpy(bytes, link->sent.data + link->sent_at, left);
    link->sent_at += left;
    return (ssize_t)left;
}

static ssize_t memory_write(void *state, int fd, const void *bytes, size_t len) {
    MemoryLink *link = state;
    (void)fd;
    if (link->vanished) return TRANSPORT_FAILED;
    if (link->room == 0) return TRANSPORT_WAIT_WRITE;
    if (len > link->room) len = link->room;
    if (link->room != SIZE_MAX) link->room -= len;
    buf_add_bytes(&link->received, bytes, len);
    check(!link->received.overflow);
    return (ssize_t)len;
}

/* The connection's memory goes, and its events with it. */
static void memory_done(void *state) {
    MemoryLink *link = state;
    link->closed = true;
    link->readable = link->writable = NULL;
}

static const Transport MEMORY = {.read = memory_read, .write = memory_write, .done = memory_done};

/* ---- the far end ---- */

static void connection_gone(void *owner) {
    Listener *listener = owner;
    listener->connections--;
    if (listener->closed && listener->connections == 0) free_pointer(&listener);
}

MemoryLink *memory_connect(Loop *loop, size_t index) {
    static const ConnectionHandler NO_HANDLER = {0};
    check(index < loop->listener_count && loop->link_count < LINKS_MAX);
    Listener *listener = loop->listeners[index];
    MemoryLink *link = alloc_zero(1, sizeof *link);
    *link = (MemoryLink){.room = SIZE_MAX};
    buf_init(&link->sent, RECEIVED_MAX);
    buf_init(&link->received, RECEIVED_MAX);
    loop->links[loop->link_count] = link;
    int fd = FIRST_FD + (int)loop->link_count++;
    Connection *connection =
        connection_adopt(loop, fd, &listener->options.limits, &NO_HANDLER, NULL);
    connection_set_transport(connection, &MEMORY, link);
    listener->connections++;
    connection_on_free(connection, connection_gone, listener);
    listener->options.on_accept(listener->options.owner, connection);
    return link;
}

void memory_send(MemoryLink *link, Str bytes, size_t step) {
    if (link->closed || link->ended || link->vanished) return;
    link->step = step;
    buf_add(&link->sent, bytes);
    check(!link->sent.overflow);
}

void memory_end(MemoryLink *link) {
    link->ended = true;
}

void memory_vanish(MemoryLink *link) {
    link->vanished = true;
}

void memory_take(MemoryLink *link, size_t bytes) {
    link->room = bytes;
}

Str memory_received(const MemoryLink *link) {
    return buf_str(&link->received);
}

bool memory_is_closed(const MemoryLink *link) {
    return link->closed;
}

/* ---- listeners ---- */

Err listener_open(Loop *loop, const ListenerOptions *options, Listener **ret, Error *error) {
    (void)error;
    check(loop->listener_count < LISTENERS_MAX);
    Listener *listener = alloc_zero(1, sizeof *listener);
    *listener = (Listener){.loop = loop, .options = *options};
    loop->listeners[loop->listener_count++] = listener;
    *ret = listener;
    return OK;
}

void listener_stop(Listener *listener) {
    listener->stopped = true;
}

void listener_close(Listener *listener) {
    if (!listener) return;
    listener->closed = true;
    if (listener->connections == 0) free_pointer(&listener);
}

const char *listener_address(const Listener *listener) {
    return listener->options.address;
}

uint16_t listener_port(const Listener *listener) {
    (void)listener;
    return 1;
}

size_t listener_connections(const Listener *listener) {
    return listener->connections;
}

uint64_t listener_refused(const Listener *listener) {
    (void)listener;
    return 0;
}

/* ---- the loop ---- */

Loop *loop_new(void) {
    check(!the_loop);
    Loop *loop = alloc(sizeof *loop);
    memset(loop, 0, offsetof(Loop, scratch));
    for (int phase = 0; phase < LOOP_PHASES; phase++) {
        list_init(&loop->tasks[phase]);
    }
    list_init(&loop->posts);
    the_loop = loop;
    return loop;
}

void loop_free(Loop *loop) {
    if (!loop) return;
    ListNode *node;
    while ((node = list_pop(&loop->posts))) {
        Post *post = container_of(node, Post, node);
        free_pointer(&post);
    }
    for (size_t i = 0; i < loop->link_count; i++) {
        buf_done(&loop->links[i]->sent);
        buf_done(&loop->links[i]->received);
        free_pointer(&loop->links[i]);
    }
    heap_done(&loop->timers);
    the_loop = NULL;
    free_pointer(&loop);
}

/* The scratch memory is overwritten after each event: what still points there must not be read. */
static bool run_events(Loop *loop) {
    bool any = false;
    for (size_t i = 0; i < loop->link_count; i++) {
        const MemoryLink *link = loop->links[i];
        bool has_input = link->sent_at < link->sent.len || link->ended || link->vanished;
        if (has_input && is_registered(link->readable)) {
            run_event(link->readable, EV_READ);
            memset(loop->scratch, 0xdb, link->sent.len < SCRATCH_SIZE ? link->sent.len : 64);
            any = true;
        }
        bool writes = link->room > 0 || link->vanished;
        if (writes && is_registered(link->writable)) {
            run_event(link->writable, EV_WRITE);
            any = true;
        }
    }
    return any;
}

static void take_all(List *from, List *to) {
    list_init(to);
    for (ListNode *node = list_pop(from); node; node = list_pop(from)) {
        list_append(to, node);
    }
}

static bool run_posts(Loop *loop) {
    List due;
    take_all(&loop->posts, &due);
    ListNode *node = list_pop(&due);
    bool any = node != NULL;
    for (; node; node = list_pop(&due)) {
        Post *post = container_of(node, Post, node);
        post->run(post->owner);
        free_pointer(&post);
    }
    return any;
}

static bool run_timers(Loop *loop) {
    bool any = false;
    for (size_t left = loop->timers.count; left > 0; left--) {
        HeapNode *node = heap_first(&loop->timers);
        if (!node || node->key > clock_mono_us()) break;
        heap_remove(&loop->timers, node);
        LoopTimer *timer = container_of(node, LoopTimer, node);
        timer->run(timer->owner);
        any = true;
    }
    return any;
}

static bool run_phase(List *tasks) {
    List due;
    take_all(tasks, &due);
    ListNode *node = list_pop(&due);
    bool any = node != NULL;
    for (; node; node = list_pop(&due)) {
        LoopTask *task = container_of(node, LoopTask, node);
        task->run(task->owner);
    }
    return any;
}

static bool turn(Loop *loop) {
    bool any = run_events(loop);
    any |= run_posts(loop);
    any |= run_timers(loop);
    for (int phase = 0; phase < LOOP_PHASES; phase++) {
        any |= run_phase(&loop->tasks[phase]);
    }
    return any;
}

void loop_turn(Loop *loop) {
    (void)turn(loop);
}

void memory_settle(Loop *loop) {
    size_t turns = 0;
    while (turn(loop)) {
        check(++turns < TURNS_MAX); /* a node that never comes to rest */
    }
}

void memory_advance(Loop *loop, int64_t us) {
    int64_t until_us = now_us + us;
    for (int due = 0; due < DUE_MAX; due++) {
        const HeapNode *first = heap_first(&loop->timers);
        if (!first || first->key > UPTIME_US + until_us) break;
        if (first->key > clock_mono_us()) now_us = first->key - UPTIME_US;
        memory_settle(loop);
    }
    now_us = until_us;
    memory_settle(loop);
}

int64_t loop_now_us(const Loop *loop) {
    (void)loop;
    return clock_mono_us();
}

/* Only handed back to event_assign(). */
struct event_base *loop_base(Loop *loop) {
    return (struct event_base *)(void *)loop;
}

char *loop_scratch(Loop *loop, size_t *ret_size) {
    *ret_size = SCRATCH_SIZE;
    return loop->scratch;
}

void loop_timer_init(LoopTimer *timer, Loop *loop, LoopFn *run, void *owner) {
    *timer = (LoopTimer){.loop = loop, .run = run, .owner = owner};
}

void loop_timer_at(LoopTimer *timer, int64_t at_us) {
    heap_move(&timer->loop->timers, &timer->node, at_us);
}

void loop_timer_after(LoopTimer *timer, int64_t delay_us) {
    loop_timer_at(timer, clock_mono_us() + delay_us);
}

void loop_timer_cancel(LoopTimer *timer) {
    if (timer->node.place) heap_remove(&timer->loop->timers, &timer->node);
}

bool loop_timer_is_set(const LoopTimer *timer) {
    return timer->node.place != 0;
}

void loop_task_init(LoopTask *task, LoopFn *run, void *owner) {
    *task = (LoopTask){.run = run, .owner = owner};
}

void loop_defer(Loop *loop, LoopPhase phase, LoopTask *task) {
    if (!list_holds(&task->node)) list_append(&loop->tasks[phase], &task->node);
}

void loop_task_cancel(LoopTask *task) {
    list_remove(&task->node);
}

void loop_post(Loop *loop, LoopFn *run, void *owner) {
    Post *post = alloc(sizeof *post);
    *post = (Post){.run = run, .owner = owner};
    list_append(&loop->posts, &post->node);
}
