/* The naive store and its driver: see broker_model.h. */
#include "broker_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "core/order.h"
#include <stdlib.h>

enum { WAITS = 10000 };

void model_open(Model *model, const BrokerSuite *suite) {
    *model = (Model){.suite = suite,
                     .queue = STR("mail"),
                     .now_us = ORDER_EPOCH_US + INT64_C(1000000000000),
                     .page_limit = 4000};
    Error error = {0};
    assert_int_equal(suite->open(suite->context, &model->broker, &error), OK);
}

void model_close(Model *model) {
    broker_close(model->broker);
    free(model->jobs);
}

Hint model_commit(Model *model, int64_t priority, int64_t due_us) {
    if (model->count == model->capacity) {
        model->capacity = model->capacity ? 2 * model->capacity : 64;
        model->jobs = alloc_again(model->jobs, model->capacity, sizeof *model->jobs);
    }
    Hint hint = {.score = order_score(priority, due_us), .due_us = due_us};
    uint64_t index = model->count;
    /* scattered, so that ties by key come in another order than they were made in */
    uint64_t scattered = index * UINT64_C(0x9e3779b97f4a7c15);
    memcpy(hint.key.bytes, &scattered, sizeof scattered);
    memcpy(hint.key.bytes + 8, &index, sizeof index);
    model->jobs[model->count++] = (ModelJob){.hint = hint};
    return hint;
}

void model_push_many(Model *model, const Hint *hints, size_t count) {
    broker_push(model->broker, model->queue, hints, count, model->now_us);
}

void model_push(Model *model, int64_t priority, int64_t due_us) {
    Hint hint = model_commit(model, priority, due_us);
    model_push_many(model, &hint, 1);
}

ModelJob *model_job(Model *model, const JobKey *key) {
    uint64_t index;
    memcpy(&index, key->bytes + 8, sizeof index);
    assert_true(index < model->count);
    return &model->jobs[index];
}

static void model_wait(const Model *model, const bool *came) {
    for (int i = 0; !*came; i++) {
        assert_non_null(model->suite->wait);
        assert_true(i < WAITS);
        model->suite->wait(model->suite->context);
    }
}

/* ---- the store's queries ---- */

static int by_score(const void *a, const void *b) {
    const Hint *left = a, *right = b;
    return (left->score > right->score) - (left->score < right->score);
}

static int by_due(const void *a, const void *b) {
    const Hint *left = a, *right = b;
    return (left->due_us > right->due_us) - (left->due_us < right->due_us);
}

static ModelPage query(const Model *model, WindowSet set, int64_t after, int64_t until_us,
                       size_t limit) {
    ModelPage page = {.hints = alloc((model->count + 1) * sizeof(Hint)), .complete = true};
    for (size_t i = 0; i < model->count; i++) {
        const Hint *hint = &model->jobs[i].hint;
        if (model->jobs[i].state != MODEL_WAITING) continue;
        if (set == WINDOW_READY ? hint->due_us > until_us || hint->score <= after
                                : hint->due_us <= after) {
            continue;
        }
        page.hints[page.count++] = *hint;
    }
    int (*compare)(const void *, const void *) = set == WINDOW_READY ? by_score : by_due;
    qsort(page.hints, page.count, sizeof(Hint), compare);
    if (page.count <= limit) return page;
    size_t cut = limit;
    while (cut < page.count && compare(&page.hints[cut - 1], &page.hints[cut]) == 0) {
        cut++;
    }
    page.complete = cut == page.count;
    page.count = cut;
    return page;
}

typedef struct Begun {
    RefillReply reply;
    bool answered;
} Begun;

static void on_begun(void *context, const RefillReply *reply) {
    Begun *begun = context;
    begun->reply = *reply;
    begun->answered = true;
}

ModelPage model_read(Model *model, WindowSet set) {
    Begun begun = {0};
    broker_refill_begin(model->broker, model->queue, set, model->now_us, on_begun, &begun);
    model_wait(model, &begun.answered);
    assert_false(begun.reply.failed);
    if (!begun.reply.wanted) return (ModelPage){0};
    ModelPage page = query(model, set, begun.reply.after, begun.reply.until_us, model->page_limit);
    page.reading = true;
    page.lock = begun.reply.lock;
    return page;
}

static void on_ended(void *context) {
    *(bool *)context = true;
}

static void end(Model *model, WindowSet set, const ModelPage *page, const Hint *hints) {
    bool answered = false;
    broker_refill_end(model->broker, model->queue, set, page->lock, hints, hints ? page->count : 0,
                      hints && page->complete, model->now_us, on_ended, &answered);
    model_wait(model, &answered);
}

void model_read_fails(Model *model, WindowSet set, ModelPage *page) {
    end(model, set, page, NULL);
    free(page->hints);
    *page = (ModelPage){0};
}

void model_read_end(Model *model, WindowSet set, ModelPage *page) {
    if (!page->reading) return;
    end(model, set, page, page->hints);
    free(page->hints);
    *page = (ModelPage){0};
}

void model_refill(Model *model, WindowSet set) {
    for (size_t reads = 0;; reads++) {
        assert_true(reads <= model->count + 2); /* each read must get on */
        ModelPage page = model_read(model, set);
        if (!page.reading) return;
        model_read_end(model, set, &page);
    }
}

/* ---- take, promote, start ---- */

typedef struct Answer {
    bool came;
    Hint *hints;
    size_t room;
    TakeReply take;
    PromoteReply promote;
} Answer;

static void on_take(void *context, const TakeReply *reply) {
    Answer *answer = context;
    assert_true(reply->count <= answer->room);
    for (size_t i = 1; i < reply->count; i++) {
        assert_true(reply->hints[i - 1].score <= reply->hints[i].score);
    }
    memcpy(answer->hints, reply->hints, reply->count * sizeof(Hint));
    answer->take = *reply;
    answer->take.hints = answer->hints;
    answer->came = true;
}

static void on_promote(void *context, const PromoteReply *reply) {
    Answer *answer = context;
    answer->promote = *reply;
    answer->came = true;
}

TakeReply model_take(Model *model, size_t n, Hint *ret) {
    Answer answer = {.hints = ret, .room = n};
    broker_take(model->broker, model->queue, n, model->now_us, on_take, &answer);
    model_wait(model, &answer.came);
    return answer.take;
}

PromoteReply model_promote(Model *model) {
    Answer answer = {0};
    broker_promote(model->broker, model->queue, model->now_us, on_promote, &answer);
    model_wait(model, &answer.came);
    assert_true(answer.promote.next_us == 0 || answer.promote.next_us > model->now_us);
    return answer.promote;
}

bool model_start(Model *model, const Hint *hint) {
    ModelJob *job = model_job(model, &hint->key);
    bool waiting = job->state == MODEL_WAITING;
    bool started = waiting && job->hint.due_us <= model->now_us;
    if (started) job->state = MODEL_RUNNING;
    broker_settle(model->broker, model->queue, &hint->key, 1);
    if (waiting && !started) model_push_many(model, &job->hint, 1);
    return started;
}

/* ---- checks ---- */

typedef struct Swept {
    size_t added;
    bool answered;
} Swept;

static void on_swept(void *context, size_t added, bool failed) {
    Swept *swept = context;
    assert_false(failed);
    swept->added += added;
    swept->answered = true;
}

size_t model_sweep(Model *model) {
    Swept swept = {0};
    for (WindowSet set = WINDOW_READY; set <= WINDOW_DELAYED; set++) {
        int64_t after = set == WINDOW_READY ? SCORE_LOWEST : model->now_us;
        ModelPage page = query(model, set, after, model->now_us, model->count);
        swept.answered = false;
        broker_sweep(model->broker, model->queue, set, page.hints, page.count, model->now_us,
                     on_swept, &swept);
        model_wait(model, &swept.answered);
        free(page.hints);
    }
    return swept.added;
}

void model_check(Model *model) {
    assert_int_equal(model_sweep(model), 0);
}

static void promote_all(Model *model) {
    for (size_t i = 0; model_promote(model).low; i++) {
        assert_true(i <= model->count + 2);
        model_refill(model, WINDOW_DELAYED);
    }
}

size_t model_drain(Model *model, size_t n) {
    promote_all(model);
    size_t due = 0;
    for (size_t i = 0; i < model->count; i++) {
        const ModelJob *job = &model->jobs[i];
        if (job->state == MODEL_WAITING && job->hint.due_us <= model->now_us) due++;
    }
    Hint *taken = alloc(n * sizeof *taken);
    size_t started = 0;
    int64_t last = SCORE_LOWEST;
    for (;;) {
        TakeReply reply = model_take(model, n, taken);
        for (size_t i = 0; i < reply.count; i++) {
            if (!model_start(model, &taken[i])) continue;
            started++;
            /* the ghost of a job whose due has moved may start it out of its place */
            if (taken[i].score != model_job(model, &taken[i].key)->hint.score) continue;
            assert_true(taken[i].score >= last);
            last = taken[i].score;
        }
        if (reply.low) model_refill(model, WINDOW_READY);
        if (reply.count == 0 && !reply.low) break;
    }
    assert_int_equal(started, due);
    free(taken);
    return started;
}
