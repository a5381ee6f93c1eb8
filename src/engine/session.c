/* Sessions: a worker's leases belong to its session, and live as long as it is heard.
 *
 * A session is in memory with its connections, and in the store so that a restart knows who held
 * what. It is written when it opens, closes or changes, and every 5 s while it is heard. A worker
 * is gone when it was silent for its lease, or, opted in, when its last connection has been
 * closed for 5 s; and only a node that has itself been connected to the store for as long may say
 * so. */
#include "engine/internal.h"

#include "base/alloc.h"
#include "base/crash.h"
#include <stdlib.h>
#include <string.h>

#define WRITE_EVERY_US (5 * US_PER_S)
#define LOOK_EVERY_US (US_PER_S / 4)
#define LOOK_AGAIN_US (US_PER_S / 2)

enum { REAPS_MOST = 2 }; /* at once: claims must find room in a batch beside them */

typedef struct CancelNote {
    ListNode node;
    Str id;
} CancelNote;

struct Session {
    SessionRow row; /* strings owned, in `text` */
    char *text;
    Str plain_info; /* as the worker said it; row.info tells other nodes of its state as well */
    char *state_info;
    SessionState state, told;
    unsigned connections;
    int64_t rss_kb;
    int64_t written_us; /* seen_us as last written */
    bool dirty;
    /* > 0: the store does not know yet that it was heard at this time, after a silence in which another
     * node may have begun to give its jobs away */
    int64_t unsure_us;
    List syncs; /* SessionSync: who waits for that */
    bool reaping;
    int64_t look_us; /* not to be reaped before: another node may have heard of it meanwhile */
    List cancels;
    List peers; /* the caller's */
    void (*wake)(void *context);
    void *wake_context;
};

/* A session that was stored in another state begins anew. In place. */
static Str without_state(char *text, size_t len) {
    Str info = {text, len}, prefix = STR("{\"state\":\"");
    if (!str_starts_with(info, prefix)) return info;
    const char *end = memchr(text + prefix.len, '"', len - prefix.len);
    if (!end || end + 1 == text + len) return info;
    size_t at = (size_t)(end + 1 - text); /* a comma, or the end of the object */
    if (text[at] == '}') at--;
    text[at] = '{';
    return (Str){text + at, len - at};
}

static Session *session_new(Engine *engine, const SessionRow *row) {
    Session *session = alloc_zero(1, sizeof *session);
    session->row = *row;
    size_t size = row->worker.len + row->info.len + 1;
    session->text = alloc(size);
    memcpy(session->text, row->worker.ptr, row->worker.len);
    if (row->info.len > 0) memcpy(session->text + row->worker.len, row->info.ptr, row->info.len);
    session->row.worker.ptr = session->text;
    if (row->info.ptr)
        session->row.info = without_state(session->text + row->worker.len, row->info.len);
    session->plain_info = session->row.info;
    session->row.node = engine->options.node;
    session->rss_kb = -1;
    list_init(&session->cancels);
    list_init(&session->peers);
    list_init(&session->syncs);
    map_put(&engine->sessions, session->row.worker, session);
    return session;
}

static void syncs_end(Session *session, const Error *error) {
    List syncs; /* the session may be gone with the first answer */
    list_init(&syncs);
    ListNode *node;
    while ((node = list_pop(&session->syncs))) {
        list_append(&syncs, node);
    }
    while ((node = list_pop(&syncs))) {
        SessionSync *sync = container_of(node, SessionSync, node);
        sync->done(sync, error);
    }
}

static void session_free(Session *session) {
    ListNode *node;
    Error error;
    error_code(&error, ERR_UNAVAILABLE, "store-unavailable", "the worker's session is over");
    syncs_end(session, &error);
    while ((node = list_pop(&session->cancels))) {
        free(container_of(node, CancelNote, node));
    }
    free(session->state_info);
    free(session->text);
    free(session);
}

void sessions_load(Engine *engine, const SessionRow *rows, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (!str_eq(rows[i].node, engine->options.node)) continue;
        if (engine_session_find(engine, rows[i].worker)) continue;
        Session *session = session_new(engine, &rows[i]);
        session->written_us = session->row.seen_us;
    }
}

void sessions_done(Engine *engine) {
    size_t at = 0;
    Session *session;
    while ((session = map_next(&engine->sessions, &at))) {
        session_free(session);
    }
    map_done(&engine->sessions);
}

void sessions_doubt(Engine *engine) {
    size_t at = 0;
    Session *session;
    while ((session = map_next(&engine->sessions, &at))) {
        session->dirty = session->row.lease_ms > 0;
        engine->sessions_dirty |= session->dirty;
    }
}

void sessions_forget_all(Engine *engine) {
    sessions_doubt(engine);
    duty_wake(engine, session_duty, engine_now_us(engine));
}

Session *engine_session_find(Engine *engine, Str worker) {
    return map_get(&engine->sessions, worker);
}

List *engine_session_peers(Session *session) {
    return &session->peers;
}

static void write_one(Engine *engine, Session *session);

static void wake(Session *session) {
    void (*function)(void *) = session->wake;
    session->wake = NULL;
    if (function) function(session->wake_context);
}

Session *engine_session_open(Engine *engine, const SessionInfo *info) {
    int64_t now_us = engine_now_us(engine);
    Session *session = engine_session_find(engine, info->worker);
    if (!session) {
        SessionRow row = {.worker = info->worker, .info = info->info};
        session = session_new(engine, &row);
    }
    if (session->connections == 0) {
        session->state = session->told = SESSION_RUNNING;
        session->row.info = session->plain_info;
        session->row.quick = info->quick;
        session->row.opened_us = now_us;
    }
    /* one opted-in connection is enough: the worker knows of leases and cancels */
    if (info->quick) {
        session->row.quick = true;
        session->row.lease_ms = LEASE_QUICK_MS;
    }
    bool back = session->connections++ == 0;
    session->row.closed_us = 0;
    session->row.seen_us = now_us;
    if (back) session->unsure_us = now_us;
    crash_point(SESSION_OPENED);
    /* without a lease there is nothing that a restart must know: its jobs have their own
     * deadlines */
    if (session->row.lease_ms > 0) write_one(engine, session);
    if (back) control_tell_cancels(engine, session->row.worker);
    return session;
}

void engine_session_beat(Engine *engine, Session *session, int64_t rss_kb) {
    session->row.seen_us = engine_now_us(engine);
    if (rss_kb >= 0) session->rss_kb = rss_kb;
    bool first = session->row.lease_ms == 0;
    if (first) session->row.lease_ms = LEASE_PLAIN_MS;
    /* after a long silence another node may be about to give its jobs away */
    bool late = session->row.seen_us - session->written_us > 2 * WRITE_EVERY_US;
    if (first || late) {
        session->unsure_us = session->row.seen_us;
        write_one(engine, session);
    }
}

void engine_session_close(Engine *engine, Session *session) {
    check(session->connections > 0);
    if (--session->connections > 0) return;
    crash_point(SESSION_CLOSED);
    session->row.closed_us = engine_now_us(engine);
    session->wake = NULL;
    if (session->row.lease_ms > 0) {
        write_one(engine, session);
    } else {
        map_remove(&engine->sessions, session->row.worker);
        session_free(session);
    }
}

static Str state_word(SessionState state) {
    return state == SESSION_TERMINATE ? STR("terminate") : STR("quiet");
}

/* The state as the first member of what is stored of the worker. */
static void note_state(Session *session) {
    Str info = session->plain_info, word = state_word(session->state);
    bool empty = info.len < 3 || info.ptr[0] != '{';
    Str rest = empty ? STR("}") : (Str){info.ptr + 1, info.len - 1};
    cleanup(buf_done) Buf text;
    buf_init(&text, info.len + 64);
    buf_format(&text, "{\"state\":\"" STR_FMT "\"%s" STR_FMT, STR_ARG(word), empty ? "" : ",",
               STR_ARG(rest));
    free(session->state_info);
    session->state_info = alloc(text.len + 1);
    memcpy(session->state_info, text.data, text.len);
    session->row.info = (Str){session->state_info, text.len};
}

static bool move_state(Engine *engine, Session *session, SessionState state) {
    if (state <= session->state) return false;
    session->state = state;
    if (engine->options.cluster) {
        note_state(session);
        if (session->row.lease_ms > 0) write_one(engine, session);
    }
    wake(session);
    return true;
}

void session_tell_state(Engine *engine, Str worker, SessionState state) {
    Session *session = engine_session_find(engine, worker);
    if (session) (void)move_state(engine, session, state);
}

/* ---- a state for the nodes where else the worker is connected ---- */

typedef struct StateNote {
    Operation operation;
    Engine *engine;
    Arena arena;
    Str worker;
    SessionState state;
} StateNote;

static Step state_step(Operation *operation, Batch *batch) {
    const StateNote *note = container_of(operation, StateNote, operation);
    control_put(note->engine, batch,
                &(ControlRow){.kind = CONTROL_STATE,
                              .subject = note->worker,
                              .detail = state_word(note->state)});
    return STEP_LAST;
}

static void state_done(Operation *operation) {
    StateNote *note = container_of(operation, StateNote, operation);
    arena_done(&note->arena);
    free(note);
}

static const OperationKind state_kind = {.name = "state", .step = state_step, .first = true};

void engine_session_set_state(Engine *engine, Session *session, SessionState state) {
    if (!move_state(engine, session, state) || !engine->options.cluster) return;
    StateNote *note = alloc_zero(1, sizeof *note);
    note->engine = engine;
    note->worker = arena_str(&note->arena, session->row.worker);
    note->state = state;
    note->operation.kind = &state_kind;
    note->operation.done = state_done;
    pipeline_submit(engine, &note->operation);
}

SessionState engine_session_state(const Session *session) {
    return session->state;
}

void session_tell_cancel(Engine *engine, Str worker, Str id) {
    Session *session = worker.ptr ? engine_session_find(engine, worker) : NULL;
    if (!session || !session->row.quick) return;
    list_each(&session->cancels, node) {
        if (str_eq(container_of(node, CancelNote, node)->id, id)) return;
    }
    CancelNote *note = alloc(sizeof *note + id.len);
    memcpy(note + 1, id.ptr, id.len);
    *note = (CancelNote){.id = {(char *)(note + 1), id.len}};
    list_append(&session->cancels, &note->node);
    wake(session);
}

void session_forget_cancel(Engine *engine, Str worker, Str id) {
    Session *session = engine_session_find(engine, worker);
    if (!session) return;
    list_each(&session->cancels, node) {
        CancelNote *note = container_of(node, CancelNote, node);
        if (!str_eq(note->id, id)) continue;
        list_remove(node);
        free(note);
    }
}

size_t engine_session_take_cancels(Engine *engine, Session *session, Arena *arena, Str **ret_ids) {
    (void)engine;
    size_t count = 0;
    list_each(&session->cancels, node) {
        count++;
    }
    *ret_ids = arena_zero(arena, count, sizeof **ret_ids);
    for (size_t i = 0; i < count; i++) {
        CancelNote *note = container_of(list_pop(&session->cancels), CancelNote, node);
        (*ret_ids)[i] = arena_str(arena, note->id);
        free(note);
    }
    return count;
}

void engine_session_park(Engine *engine, Session *session, void (*function)(void *context),
                         void *context) {
    (void)engine;
    void (*earlier)(void *) = session->wake;
    void *earlier_context = session->wake_context;
    session->wake = function;
    session->wake_context = context;
    if (earlier) earlier(earlier_context); /* may park the next one, which has called ours then */
    bool ours = session->wake == function && session->wake_context == context;
    if (function && ours && !list_is_empty(&session->cancels)) wake(session);
}

void engine_session_unpark(Session *session, const void *context) {
    if (session->wake_context == context) session->wake = NULL;
}

void engine_sessions_each(Engine *engine, void (*visit)(void *context, const SessionView *view),
                          void *context) {
    size_t at = 0;
    Session *session;
    while ((session = map_next(&engine->sessions, &at))) {
        if (session->connections == 0) continue;
        SessionView view = {
            .worker = session->row.worker,
            .info = session->row.info,
            .state = session->state,
            .connections = session->connections,
            .seen_us = session->row.seen_us,
            .opened_us = session->row.opened_us,
            .rss_kb = session->rss_kb,
        };
        visit(context, &view);
    }
}

/* ---- writing ---- */

typedef struct SessionsWrite {
    Operation operation;
    Engine *engine;
    Arena arena;
    SessionRow *rows;
    size_t count;
} SessionsWrite;

static Step write_step(Operation *operation, Batch *batch) {
    SessionsWrite *write = container_of(operation, SessionsWrite, operation);
    for (size_t i = 0; i < write->count; i++) {
        batch_session(batch, &write->rows[i], /* forget= */ false);
    }
    return STEP_LAST;
}

/* What is stored now is as new as what they wait for, or can't be stored. */
static void sync_end(Session *session, const SessionRow *row, const Error *error) {
    bool failed = error->err != OK;
    bool known = row->closed_us == 0 && row->seen_us >= session->unsure_us;
    if (!failed && !known) return;
    if (!failed) session->unsure_us = 0;
    syncs_end(session, failed ? error : NULL);
}

bool engine_session_sync(Engine *engine, Session *session, SessionSync *sync) {
    bool waits = engine->options.cluster && session->unsure_us > 0 && session->row.lease_ms > 0;
    if (waits) list_append(&session->syncs, &sync->node);
    return waits;
}

void engine_session_sync_cancel(SessionSync *sync) {
    list_remove(&sync->node);
}

static void write_done(Operation *operation) {
    crash_point(SESSION_WRITTEN);
    SessionsWrite *write = container_of(operation, SessionsWrite, operation);
    Engine *engine = write->engine;
    if (operation->error.err != OK) {
        for (size_t i = 0; i < write->count; i++) {
            Session *session = engine_session_find(engine, write->rows[i].worker);
            if (session) session->dirty = engine->sessions_dirty = true;
        }
    }
    for (size_t i = 0; i < write->count; i++) {
        Session *session = engine_session_find(engine, write->rows[i].worker);
        if (session) sync_end(session, &write->rows[i], &operation->error);
    }
    arena_done(&write->arena);
    free(write);
}

static const OperationKind write_kind = {.name = "sessions", .step = write_step, .first = true};

static SessionsWrite *write_new(Engine *engine, size_t most) {
    SessionsWrite *write = alloc_zero(1, sizeof *write);
    write->engine = engine;
    write->rows = arena_zero(&write->arena, most, sizeof *write->rows);
    return write;
}

static void write_add(SessionsWrite *write, Session *session) {
    session->dirty = false;
    session->written_us = session->row.seen_us;
    SessionRow *row = &write->rows[write->count++];
    *row = session->row;
    row->worker = arena_str(&write->arena, row->worker);
    row->info = arena_str(&write->arena, row->info);
}

static void write_submit(SessionsWrite *write) {
    if (write->engine->node_state == NODE_TAKEN) { /* the rows are another's by now */
        arena_done(&write->arena);
        free(write);
        return;
    }
    write->operation.kind = &write_kind;
    write->operation.done = write_done;
    write->operation.weight = write->count;
    pipeline_submit(write->engine, &write->operation);
}

/* At once, so that a session is in the store no later than the first job that it claims: a crash
 * between would leave a job running that belongs to nobody. */
static void write_one(Engine *engine, Session *session) {
    SessionsWrite *write = write_new(engine, 1);
    write_add(write, session);
    write_submit(write);
}

/* What was heard lately, and what could not be written. */
static void write_stale(Engine *engine, int64_t now_us) {
    SessionsWrite *write = write_new(engine, engine->sessions.count);
    size_t at = 0;
    Session *session;
    while ((session = map_next(&engine->sessions, &at))) {
        /* without a lease it would never be reaped, and its row would stay for ever */
        bool stale = session->row.lease_ms > 0 && session->row.seen_us > session->written_us &&
                     now_us > session->written_us + WRITE_EVERY_US;
        if (session->dirty || stale) write_add(write, session);
    }
    if (write->count > 0) {
        write_submit(write);
        return;
    }
    arena_done(&write->arena);
    free(write);
}

void sessions_write_dirty(Engine *engine) {
    engine->sessions_dirty = false;
    write_stale(engine, INT64_MIN);
}

/* ---- who is gone ---- */

static int64_t later(int64_t a, int64_t b) {
    return a > b ? a : b;
}

int64_t session_gone_at(const SessionRow *row, int64_t since_us, bool own) {
    int64_t at = INT64_MAX;
    if (row->lease_ms > 0) at = later(row->seen_us, since_us) + row->lease_ms * US_PER_MS;
    /* what another node heard is stored a little later */
    if (row->lease_ms > 0 && !own) at += WRITE_EVERY_US + US_PER_S;
    if (row->quick && row->closed_us > 0) {
        int64_t closed = later(row->closed_us, since_us) + SESSION_CLOSE_MS * US_PER_MS;
        if (closed < at) at = closed;
    }
    return at;
}

static int64_t gone_at(const Engine *engine, const Session *session) {
    return session_gone_at(&session->row, engine->connected_since_us, /* own= */ true);
}

void session_reaped(Engine *engine, Str worker, bool lost, bool forget, int64_t over_us) {
    engine->reaping--;
    duty_wake(engine, session_duty, engine_now_us(engine)); /* the next one may wait */
    Session *session = engine_session_find(engine, worker);
    if (!session) return;
    session->reaping = false;
    /* still silent with its connections open: not again before another lease has passed */
    if (lost) session->row.seen_us = engine_now_us(engine);
    session->look_us = later(engine_now_us(engine) + LOOK_AGAIN_US, over_us);
    if (forget && session->connections == 0) {
        map_remove(&engine->sessions, session->row.worker);
        session_free(session);
    } else if (forget) {
        /* it came back meanwhile: what was just deleted is to be written again */
        write_one(engine, session);
    }
}

void session_reap_on(Engine *engine, Str worker) {
    Session *session = engine_session_find(engine, worker);
    if (!session || gone_at(engine, session) > engine_now_us(engine)) {
        session_reaped(engine, worker, /* lost= */ false, /* forget= */ false, /* over_us= */ 0);
    } else {
        reap_session(engine, session, session->connections == 0);
    }
}

int64_t session_duty(Engine *engine, int64_t now_us) {
    size_t at = 0;
    Session *session;
    int64_t next_us = now_us + (engine->sessions.count > 0 ? LOOK_EVERY_US : WRITE_EVERY_US);
    /* one that drains refuses connections: its workers take it for dead, and can't be heard */
    bool hears = engine->store_up && engine->ready && !engine->draining;
    while (hears && (session = map_next(&engine->sessions, &at))) {
        if (session->reaping || session->look_us > now_us) continue;
        if (engine->reaping >= REAPS_MOST) break;
        if (gone_at(engine, session) > now_us) continue;
        session->reaping = true;
        engine->reaping++;
        reap_session(engine, session, session->connections == 0);
    }
    if (engine->store_up && engine->node_state != NODE_TAKEN) write_stale(engine, now_us);
    return next_us;
}

const SessionRow *session_row(const Session *session) {
    return &session->row;
}
