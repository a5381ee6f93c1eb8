/* The loop over libevent: it waits, then runs timers and phases itself.
 *
 * Timers live in one heap behind one timerfd, so that ten thousand deadlines cost no events and
 * moving one is no system call. The invariant: the timerfd is armed at or before the first timer's
 * time. */
#include "net/loop.h"

#include "base/alloc.h"
#include "base/clock.h"
#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { SCRATCH_SIZE = 64 * 1024, SIGNALS_MAX = 16 };

typedef struct Post {
    ListNode node;
    LoopFn *run;
    void *owner;
} Post;

typedef struct SignalWatch {
    struct event *event;
    LoopFn *run;
    void *owner;
} SignalWatch;

struct Loop {
    struct event_base *base;
    int64_t now_us;
    bool stopping;
    Heap timers;
    int timer_fd;
    int64_t armed_us; /* when timer_fd wakes us; 0 = not armed */
    struct event *timer_event;
    List tasks[LOOP_PHASES];
    int wake_fd;
    struct event *wake_event;
    pthread_mutex_t posts_lock;
    List posts; /* guarded by posts_lock */
    SignalWatch signals[SIGNALS_MAX];
    size_t signal_count;
    char scratch[SCRATCH_SIZE];
};

/* Moves all nodes of `from` behind those of the empty list `to`. */
static void move_all(List *from, List *to) {
    list_init(to);
    if (list_is_empty(from)) return;
    to->head = from->head;
    to->head.next->previous = &to->head;
    to->head.previous->next = &to->head;
    list_init(from);
}

static void on_timer_fd(evutil_socket_t fd, short what, void *owner) {
    Loop *loop = owner;
    (void)what;
    uint64_t expirations;
    if (read(fd, &expirations, sizeof expirations) > 0) loop->armed_us = 0;
}

static void on_wake_fd(evutil_socket_t fd, short what, void *owner) {
    Loop *loop = owner;
    (void)what;
    uint64_t wakes;
    if (read(fd, &wakes, sizeof wakes) < 0) check(errno == EAGAIN);
    List posts;
    pthread_mutex_lock(&loop->posts_lock);
    move_all(&loop->posts, &posts);
    pthread_mutex_unlock(&loop->posts_lock);
    for (ListNode *node = list_pop(&posts); node; node = list_pop(&posts)) {
        Post *post = container_of(node, Post, node);
        post->run(post->owner);
        free_pointer(&post);
    }
}

static void on_signal(evutil_socket_t signal_number, short what, void *owner) {
    (void)signal_number;
    (void)what;
    SignalWatch *watch = owner;
    watch->run(watch->owner);
}

static struct event *watch_fd(Loop *loop, int fd, event_callback_fn on_ready) {
    check(fd >= 0);
    struct event *event = event_new(loop->base, fd, EV_READ | EV_PERSIST, on_ready, loop);
    check(event && event_add(event, NULL) == 0);
    return event;
}

Loop *loop_new(void) {
    Loop *loop = alloc(sizeof *loop);
    memset(loop, 0, offsetof(Loop, scratch));
    loop->base = event_base_new();
    check(loop->base);
    signal(SIGPIPE, SIG_IGN);
    for (int phase = 0; phase < LOOP_PHASES; phase++) {
        list_init(&loop->tasks[phase]);
    }
    list_init(&loop->posts);
    check(pthread_mutex_init(&loop->posts_lock, NULL) == 0);
    loop->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    loop->timer_event = watch_fd(loop, loop->timer_fd, on_timer_fd);
    loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    loop->wake_event = watch_fd(loop, loop->wake_fd, on_wake_fd);
    loop->now_us = clock_mono_us();
    return loop;
}

void loop_free(Loop *loop) {
    if (!loop) return;
    for (ListNode *node = list_pop(&loop->posts); node; node = list_pop(&loop->posts)) {
        Post *post = container_of(node, Post, node);
        free_pointer(&post);
    }
    for (size_t i = 0; i < loop->signal_count; i++) {
        event_free(loop->signals[i].event);
    }
    event_free(loop->timer_event);
    event_free(loop->wake_event);
    event_base_free(loop->base);
    close(loop->timer_fd);
    close(loop->wake_fd);
    heap_done(&loop->timers);
    pthread_mutex_destroy(&loop->posts_lock);
    free_pointer(&loop);
}

static void arm_timer_fd(Loop *loop) {
    const HeapNode *first = heap_first(&loop->timers);
    if (!first || (loop->armed_us && loop->armed_us <= first->key)) return;
    int64_t at_us = first->key > 0 ? first->key : 1;
    struct itimerspec when = {
        .it_value = {.tv_sec = at_us / 1000000, .tv_nsec = (at_us % 1000000) * 1000},
    };
    check(timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &when, NULL) == 0);
    loop->armed_us = at_us;
}

static void run_timers(Loop *loop) {
    /* Counted, so that a timer that sets itself in the past can't hold the loop. */
    for (size_t left = loop->timers.count; left > 0; left--) {
        HeapNode *node = heap_first(&loop->timers);
        if (!node || node->key > loop->now_us) return;
        heap_remove(&loop->timers, node);
        LoopTimer *timer = container_of(node, LoopTimer, node);
        timer->run(timer->owner);
    }
}

static void run_phase(List *tasks) {
    List due;
    move_all(tasks, &due);
    for (ListNode *node = list_pop(&due); node; node = list_pop(&due)) {
        LoopTask *task = container_of(node, LoopTask, node);
        task->run(task->owner);
    }
}

static bool has_work(const Loop *loop) {
    for (int phase = 0; phase < LOOP_PHASES; phase++) {
        if (!list_is_empty(&loop->tasks[phase])) return true;
    }
    return false;
}

void loop_turn(Loop *loop) {
    arm_timer_fd(loop);
    int waiting = has_work(loop) ? EVLOOP_NONBLOCK : EVLOOP_ONCE;
    check(event_base_loop(loop->base, waiting) >= 0);
    loop->now_us = clock_mono_us();
    run_timers(loop);
    for (int phase = 0; phase < LOOP_PHASES; phase++) {
        run_phase(&loop->tasks[phase]);
    }
}

void loop_run(Loop *loop) {
    while (!loop->stopping) {
        loop_turn(loop);
    }
    loop->stopping = false;
}

void loop_stop(Loop *loop) {
    loop->stopping = true;
}

int64_t loop_now_us(const Loop *loop) {
    return loop->now_us;
}

struct event_base *loop_base(Loop *loop) {
    return loop->base;
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
    loop_timer_at(timer, timer->loop->now_us + delay_us);
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
    pthread_mutex_lock(&loop->posts_lock);
    bool first = list_is_empty(&loop->posts);
    list_append(&loop->posts, &post->node);
    pthread_mutex_unlock(&loop->posts_lock);
    if (!first) return;
    uint64_t wake = 1;
    check(write(loop->wake_fd, &wake, sizeof wake) == (ssize_t)sizeof wake);
}

Err loop_signal(Loop *loop, int signal_number, LoopFn *run, void *owner, Error *error) {
    check(loop->signal_count < SIGNALS_MAX);
    SignalWatch *watch = &loop->signals[loop->signal_count];
    *watch = (SignalWatch){.run = run, .owner = owner};
    watch->event = event_new(loop->base, signal_number, EV_SIGNAL | EV_PERSIST, on_signal, watch);
    if (!watch->event || event_add(watch->event, NULL) != 0) {
        if (watch->event) event_free(watch->event);
        return error_set(error, ERR_INTERNAL, "watching signal %d: %s", signal_number,
                         strerror(errno));
    }
    loop->signal_count++;
    return OK;
}
