/* What nodes tell each other, through numbered rows of the store: cancels for workers elsewhere, revoked
 * tokens, queues to sweep, FLUSH, what a worker is to be told. Read with every look, applied in the order
 * of their numbers. Pauses need no row: every look lists them all.
 *
 * The invariant: all controls up to control_last have been applied here, or came before this node; applying
 * one again does no harm. Should some be gone before they were read (a node that was away for an hour), all
 * that they might have said is asked of the store and of the workers. */
#include "engine/internal.h"

#include "base/alloc.h"
#include <stdlib.h>
#include <string.h>

enum {
    CONTROL_PAGE = 500,
    CONTROLS_BEFORE = 1000, /* looked through for cancels when a node begins */
    CANCELS_MOST = 10000,
};
#define CANCEL_KEPT_US (120 * US_PER_S) /* longer than any lease and its margins */
#define BATCH_MOST_US (60 * US_PER_S)   /* between a row's time and its commit */
#define NOT_BEGUN INT64_C(-1)

typedef struct RecentCancel {
    ListNode node;
    Str worker, id; /* behind it */
    int64_t at_us;
} RecentCancel;

void control_init(Engine *engine) {
    engine->control_last = NOT_BEGUN;
    engine->timeline = NOT_BEGUN;
    list_init(&engine->cancels);
}

static void cancel_free(Engine *engine, RecentCancel *cancel) {
    list_remove(&cancel->node);
    engine->cancel_count--;
    free(cancel);
}

void control_done(Engine *engine) {
    ListNode *node;
    while ((node = list_first(&engine->cancels))) {
        cancel_free(engine, container_of(node, RecentCancel, node));
    }
}

/* ---- writing ---- */

void control_put(const Engine *engine, Batch *batch, const ControlRow *control) {
    if (!engine->options.cluster) return;
    ControlRow row = *control;
    row.node = engine->options.node;
    batch_control(batch, &row);
}

void control_row(const Engine *engine, Batch *batch, const Row *row) {
    const Job *job = &row->job;
    bool cancelled = !row->deleted && row->state_before == JOB_RUNNING &&
                     job->state == JOB_CANCELLED && job->worker.ptr;
    if (!cancelled) return;
    control_put(engine, batch,
                &(ControlRow){.kind = CONTROL_CANCEL, .subject = job->worker, .detail = job->id});
}

/* ---- cancels of the last minutes ---- */

static void remember_cancel(Engine *engine, Str worker, Str id, int64_t at_us) {
    RecentCancel *cancel = alloc(sizeof *cancel + worker.len + id.len + 1);
    char *text = (char *)(cancel + 1);
    memcpy(text, worker.ptr, worker.len);
    memcpy(text + worker.len, id.ptr, id.len);
    *cancel = (RecentCancel){
        .worker = {text, worker.len}, .id = {text + worker.len, id.len}, .at_us = at_us};
    list_append(&engine->cancels, &cancel->node);
    if (++engine->cancel_count <= CANCELS_MOST) return;
    cancel_free(engine, container_of(list_first(&engine->cancels), RecentCancel, node));
}

static void forget_old_cancels(Engine *engine, int64_t now_us) {
    ListNode *node;
    while ((node = list_first(&engine->cancels))) {
        RecentCancel *cancel = container_of(node, RecentCancel, node);
        if (cancel->at_us + CANCEL_KEPT_US > now_us) return;
        cancel_free(engine, cancel);
    }
}

void control_note_cancel(Engine *engine, Str worker, Str id, int64_t at_us) {
    if (!worker.ptr) return;
    if (engine->options.cluster) remember_cancel(engine, worker, id, at_us);
    session_tell_cancel(engine, worker, id);
}

void control_tell_cancels(Engine *engine, Str worker) {
    list_each(&engine->cancels, node) {
        const RecentCancel *cancel = container_of(node, RecentCancel, node);
        if (str_eq(cancel->worker, worker)) session_tell_cancel(engine, worker, cancel->id);
    }
}

void control_forget_cancel(Engine *engine, Str worker, Str id) {
    if (!worker.ptr) return;
    session_forget_cancel(engine, worker, id);
    list_each(&engine->cancels, node) {
        RecentCancel *cancel = container_of(node, RecentCancel, node);
        if (str_eq(cancel->id, id) && str_eq(cancel->worker, worker)) cancel_free(engine, cancel);
    }
}

/* ---- applying ---- */

static void apply_state(Engine *engine, const ControlRow *control) {
    SessionState state =
        str_eq(control->detail, STR("terminate")) ? SESSION_TERMINATE : SESSION_QUIET;
    session_tell_state(engine, control->subject, state);
}

static void apply(Engine *engine, const ControlRow *control) {
    bool own = str_eq(control->node, engine->options.node);
    switch (control->kind) {
    case CONTROL_CANCEL:
        /* its own it has noted at the commit, but for those of the process before it */
        if (own && control->number > engine->control_new) break;
        control_note_cancel(engine, control->subject, control->detail, control->at_us);
        break;
    case CONTROL_REVOKE: {
        struct RevokedToken token = {control->subject, control->until_us};
        tokens_load(engine, &token, 1);
        break;
    }
    case CONTROL_SWEEP: {
        EngineQueue *queue = map_get(&engine->queues, control->subject);
        if (queue && !own) sweep(queue);
        break;
    }
    case CONTROL_WIPE:
        if (!own) queues_wiped(engine);
        break;
    case CONTROL_STATE:
        if (!own) apply_state(engine, control);
        break;
    }
}

/* What was said meanwhile can't be read any more. */
static void ask_everything(Engine *engine) {
    engine_load_tokens(engine);
    duty_wake(engine, sweep_duty, engine_now_us(engine));
    if (engine->doubt) engine->doubt(engine->doubt_context);
}

void control_begin(Engine *engine, const Query *query) {
    int64_t last = query->last_control;
    engine->control_new = last;
    engine->control_last = last > CONTROLS_BEFORE ? last - CONTROLS_BEFORE : 0;
    engine->timeline = query->timeline;
    engine->looked_us = query->now_us;
}

void control_ask(Engine *engine, Query *query) {
    if (engine->node_state == NODE_HERE) {
        query->node = engine->options.node;
        query->node_instance = engine->options.instance;
    }
    query->clock_offset_us = engine->clock_offset_us;
    bool begun = engine->control_last != NOT_BEGUN;
    query->after = begun ? engine->control_last : INT64_MAX;
    query->limit = CONTROL_PAGE;
    JobKey *keys = NULL;
    query->key_count = watch_keys(engine, &query->arena, &keys);
    query->keys = keys;
}

/* Another server has taken the store's place, and may lack what was new: the numbers of what it lacked are
 * given again, to what is written from then on. */
static void begin_timeline(Engine *engine, const Query *query) {
    engine->timeline = query->timeline;
    engine->control_last = engine->control_new = 0;
    engine->control_since_us = engine->looked_us - BATCH_MOST_US;
    sessions_doubt(engine);
    ask_everything(engine);
    duty_wake(engine, look_duty, engine_now_us(engine));
}

static void apply_all(Engine *engine, const Query *query) {
    for (size_t i = 0; i < query->control_count; i++) {
        const ControlRow *control = &query->controls[i];
        if (control->number <= engine->control_last) continue;
        bool before = control->number <= engine->control_new; /* it began after that */
        bool recent = control->at_us + CANCEL_KEPT_US > query->now_us;
        bool wanted = before ? recent && control->kind == CONTROL_CANCEL
                             : control->at_us >= engine->control_since_us;
        engine->control_last = control->number;
        if (wanted) apply(engine, control);
    }
    if (!query->more && query->last_control > engine->control_last) {
        engine->control_last =
            query->last_control; /* of the same snapshot: none is left below it */
    }
}

/* Some of those that this node has not seen are kept no longer. */
static bool has_gap(const Engine *engine, const Query *query) {
    int64_t lowest = query->control_count > 0 ? query->controls[0].number : query->last_control + 1;
    int64_t seen =
        engine->control_last > engine->control_new ? engine->control_last : engine->control_new;
    return engine->control_since_us == 0 && lowest > seen + 1;
}

void control_looked(Engine *engine, const Query *query) {
    if (query->timeline > engine->timeline) {
        begin_timeline(engine, query);
        return;
    }
    engine->looked_us = query->now_us;
    if (has_gap(engine, query)) ask_everything(engine);
    apply_all(engine, query);
    forget_old_cancels(engine, query->now_us);
    if (query->more) {
        duty_wake(engine, look_duty, engine_now_us(engine));
    } else {
        engine->control_since_us = 0; /* all that is above what was read is new */
    }
    for (size_t i = 0; i < query->finished_count; i++) {
        watch_fire(engine, &query->finished[i]);
    }
}
