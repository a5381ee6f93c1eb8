/* What a worker fetches, and over which connection. One that opted in may fetch at another node than it beats
 * at, and give that connection up without its node knowing: what is sent over it then nobody reads. */
#include "simulation/worker.h"

#include "base/time.h"
#include "simulation/store_simulated_state.h"

#define NAMED_EVERY_US (10 * US_PER_S)

/* The store knows of this lease. */
static bool is_current(const Run *run, const Simulation *simulation) {
    const Entry *entry = state_newest(&simulation->disk->committed, &run->key);
    return entry && entry->job.state == JOB_RUNNING && entry->job.fence == run->fence;
}

/* ---- fetching ---- */

struct FetchCall {
    Request request;
    Node *node;
    unsigned link;
    Fetch fetch;
    ListNode place; /* in Simulation.fetches while open */
    Worker *worker;
    unsigned generation, lapses;
    int64_t begun_us;
    int64_t sent_us; /* the answer, by the node's clock */
    Str queues[QUEUES];
    Run runs[SLOTS_MOST];
    size_t count;
};

static Run *free_slot(Worker *worker) {
    for (size_t r = 0; r < worker->slots; r++) {
        if (!worker->runs[r].active) return &worker->runs[r];
    }
    return NULL;
}

static void on_fetch_learned(void *argument) {
    FetchCall *call = argument;
    Worker *worker = call->worker;
    Simulation *simulation = worker->simulation;
    /* what is left on a connection that it has closed it never reads */
    if (call->generation != worker->generation || call->link != worker->link) return;
    if (worker->frozen_us > simulation->now_us) {
        int64_t thaw_us = worker->frozen_us - simulation->now_us + between(simulation, 0, 5000);
        simulation_after(simulation, thaw_us, on_fetch_learned, call);
        return;
    }
    worker->fetch = NULL;
    worker->alone_us = call->sent_us;
    if (call->request.answer != ANSWERED) {
        worker->kept = false; /* there may have been jobs in it */
        return;
    }
    for (size_t i = 0; i < call->count; i++) {
        Run *run = free_slot(worker);
        check(run);
        *run = call->runs[i];
        run->fails = chance(simulation, 300);
        /* a lease that has lapsed since it was handed out is not the one that the worker has now */
        run->lapsed = !worker_holds(worker, run) || call->lapses != worker->lapses ||
                      model_was_cancelled(simulation->model, &run->key, run->fence);
        if (!request_is_sure(&call->request))
            run->lapsed = run->lapsed || !is_current(run, simulation);
        if (!run->lapsed && workers_hold(simulation, &run->key, run->fence, /* other= */ true)) {
            simulation_fail(simulation, "fence %lld was handed out while another held the job",
                            (long long)run->fence);
        }
        run_plan_end(worker, run, run_time_us(worker, run));
    }
}

static bool on_fetched(Fetch *fetch, const Job *jobs, size_t count, const Error *error) {
    FetchCall *call = fetch->context;
    Simulation *simulation = call->worker->simulation;
    list_remove(&call->place);
    call->sent_us = engine_now_us(call->node->engine);
    request_end(&call->request, error);
    if (count > fetch->max) simulation_fail(simulation, "a fetch got more jobs than it asked for");
    bool hung_up =
        !call->node->crashing && count > 0 && trouble(simulation, TROUBLE_NOT_DELIVERED, 50);
    if (hung_up) call->request.answer = LOST;
    for (size_t i = 0; i < count && i < SLOTS_MOST; i++) {
        const Job *job = &jobs[i];
        int64_t grace_ms = call->worker->style == QUICK ? GRACE_MS : 0;
        call->runs[i] =
            (Run){.active = true,
                  .key = job->key,
                  .fence = job->fence,
                  .deadline_us = job->started_us + (job->timeout_ms + grace_ms) * US_PER_MS};
        simulation_note(simulation, "fetched", (uint64_t)job->fence, call->worker->number);
    }
    call->count = count;
    simulation_after(simulation, request_delay_us(&call->request), on_fetch_learned, call);
    return !hung_up;
}

void worker_fetch(Worker *worker) {
    Simulation *simulation = worker->simulation;
    size_t wanted = 0;
    for (size_t r = 0; r < worker->slots; r++) {
        wanted += !worker->runs[r].active;
    }
    if (worker->fetch || wanted == 0) return;
    FetchCall *call = arena_new(&simulation->arena, FetchCall);
    call->worker = worker;
    Node *node = worker->fetch_node;
    if (worker->fetch_session) engine_session_beat(node->engine, worker->fetch_session, -1);
    call->node = node;
    call->link = worker->link;
    call->generation = worker->generation;
    call->lapses = worker->lapses;
    call->begun_us = simulation->now_us;
    for (size_t i = 0; i < worker->queue_count; i++) {
        call->queues[i] = worker->queues[i];
    }
    int64_t most_ms = worker->style == QUICK ? 10000 : 40000;
    call->fetch = (Fetch){.queues = call->queues,
                          .queue_count = worker->queue_count,
                          .max = wanted,
                          .worker = worker->wid,
                          .until_us = engine_now_us(node->engine) +
                                      between(simulation, 0, most_ms) * US_PER_MS,
                          .grace_ms = worker->style == QUICK ? GRACE_MS : 0,
                          .max_bytes = chance(simulation, 100) ? 1 : 0,
                          .done = on_fetched,
                          .context = call};
    worker->fetch = call;
    request_begin(simulation, &call->request, node);
    list_append(&simulation->fetches, &call->place);
    engine_fetch(node->engine, &call->fetch);
}

/* Nobody listens any more: the engine must not answer from now on. */
void fetch_hang_up(FetchCall *call) {
    if (!list_holds(&call->place)) return;
    Simulation *simulation = call->worker->simulation;
    engine_fetch_cancel(call->node->engine, &call->fetch);
    list_remove(&call->place);
    call->request.answered = true;
    simulation->open_requests--;
    if (call->worker->fetch == call) call->worker->fetch = NULL;
}

bool fetch_waits(const FetchCall *call) {
    return list_holds(&call->place);
}

void fetches_end(Node *node) {
    list_each(&node->simulation->fetches, place) {
        FetchCall *call = container_of(place, FetchCall, place);
        if (call->node == node) fetch_hang_up(call);
    }
}

bool workers_wait_for(const Simulation *simulation, Str queue, int64_t since_us,
                      int64_t steady_us) {
    list_each(&simulation->fetches, node) {
        const FetchCall *call = container_of(node, FetchCall, place);
        if (call->node->steady_us > steady_us) continue;
        for (size_t i = 0; call->begun_us <= since_us && i < call->fetch.queue_count; i++) {
            if (str_eq(call->fetch.queues[i], queue)) return true;
        }
    }
    return false;
}

/* ---- its connection ---- */

typedef struct LinkClosing {
    Node *node;
    Session *session;
    FetchCall *fetch;
} LinkClosing;

static void on_link_closed(void *argument) {
    const LinkClosing *closing = argument;
    if (closing->fetch) fetch_hang_up(closing->fetch);
    engine_session_close(closing->node->engine, closing->session);
}

void link_forget(Worker *worker) {
    worker->link++;
    worker->fetch_node = NULL;
    worker->fetch_session = NULL;
    worker->fetch = NULL;
}

static void link_give_up(Worker *worker, int64_t delay_us) {
    LinkClosing *closing = arena_new(&worker->simulation->arena, LinkClosing);
    *closing = (LinkClosing){worker->fetch_node, worker->fetch_session, worker->fetch};
    bool own = worker->fetch_session != NULL;
    link_forget(worker);
    if (own && delay_us == 0 && node_is_ready(closing->node)) {
        on_link_closed(closing);
    } else if (own) {
        node_later(closing->node, delay_us, on_link_closed, closing);
    }
}

void link_close(Worker *worker) {
    if (worker->fetch_node) link_give_up(worker, 0);
}

void link_open(Worker *worker) {
    Simulation *simulation = worker->simulation;
    Node *node = worker->split ? node_any(simulation) : worker->node;
    if (worker->fetch_node || !node) return;
    worker->link++;
    worker->fetch_node = node;
    if (worker->split) {
        SessionInfo info = {.worker = worker->wid, .info = STR("{}"), .quick = true};
        worker->fetch_session = engine_session_open(node->engine, &info);
    }
    worker->kept = false;
    worker->linked_us = simulation->now_us;
    worker->alone_us = engine_now_us(node->engine);
}

/* true: it can be used. */
bool link_look_after(Worker *worker) {
    Simulation *simulation = worker->simulation;
    if (worker->split && worker->fetch_node) {
        bool deaf = !node_is_ready(worker->fetch_node) && chance(simulation, 30);
        bool unheard = trouble(simulation, TROUBLE_FETCH_HANGS_UP, 10);
        if (deaf || unheard) {
            simulation_note(simulation, "gives up", worker->number, worker->link);
            link_give_up(worker, between(simulation, 1, 15000) * US_PER_MS);
        }
    }
    link_open(worker);
    return worker->fetch_node && node_is_ready(worker->fetch_node);
}

/* ---- what never arrived ---- */

typedef struct Keeping {
    Request request;
    KeepRequest keep;
    Worker *worker;
    int64_t held[SLOTS_MOST];
} Keeping;

static void on_kept(Operation *operation) {
    Keeping *keeping = operation->context;
    if (request_end(&keeping->request, &operation->error) != ANSWERED)
        keeping->worker->kept = false;
    simulation_note(keeping->request.simulation, "kept", keeping->keep.held_count,
                    keeping->keep.lost);
}

/* On a new connection it names what it has: the rest went with the last one. And again at times: what was
 * sent over one that it had given up. */
void worker_keep(Worker *worker) {
    Simulation *simulation = worker->simulation;
    bool again = worker->kept_us + NAMED_EVERY_US < simulation->now_us;
    if ((worker->kept && !again) || worker->style != QUICK || worker->fetch) return;
    worker->kept = true;
    worker->kept_us = simulation->now_us;
    Keeping *keeping = arena_new(&simulation->arena, Keeping);
    for (size_t r = 0; r < worker->slots; r++) {
        const Run *run = &worker->runs[r];
        if (run->active) keeping->held[keeping->keep.held_count++] = run->fence;
    }
    keeping->keep.operation = (Operation){.done = on_kept, .context = keeping};
    keeping->worker = worker;
    keeping->keep.worker = worker->wid;
    keeping->keep.held = keeping->held;
    keeping->keep.since_us = worker->alone_us;
    request_begin(simulation, &keeping->request, worker->fetch_node);
    engine_keep_only(worker->fetch_node->engine, &keeping->keep);
}
