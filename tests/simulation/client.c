/* Producers and operators: they submit, resend what got no answer, cancel, retry, delete, pause and resume. */
#include "simulation/cluster.h"

#include "base/time.h"

enum { ITEMS_MOST = 5, TRY_AGAIN_MS = 700 };

/* ---- producers ---- */

typedef struct Submit {
    Simulation *simulation;
    Job jobs[ITEMS_MOST];
    size_t count;
    bool own_ids, wire;
    bool once; /* not resent: then nothing is known of what got no answer */
} Submit;

typedef struct SubmitTry {
    Request request;
    EnqueueRequest enqueue;
    EnqueueItem items[ITEMS_MOST];
    Submit *submit;
} SubmitTry;

static void send_submit(void *argument);

static Job make_job(Simulation *simulation, bool own_id) {
    static unsigned char const attempts[] = {1, 1, 2, 3, 5};
    Job job = job_default();
    job.type = STR("task");
    job.queue = queue_names[between(simulation, 0, QUEUES - 1)];
    job.priority = between(simulation, 1, 9);
    job.retry.max_attempts = attempts[between(simulation, 0, LENGTH(attempts) - 1)];
    job.retry.base_ms = between(simulation, 10, 5000);
    job.retry.cap_ms = 10000;
    job.retry.discard = chance(simulation, 50);
    job.max_lost = between(simulation, 0, 3);
    job.timeout_ms = between(simulation, 2, chance(simulation, 50) ? 600 : 40) * MS_PER_S;
    if (chance(simulation, 400))
        job.run_at_us = simulation->now_us + between(simulation, 0, 30000) * US_PER_MS;
    if (chance(simulation, 120))
        job.expires_us = simulation->now_us + between(simulation, 1, 40) * US_PER_S;
    if (own_id) {
        /* from a small set, so that ids meet */
        job.id = arena_format(&simulation->arena, "job-%d", (int)between(simulation, 1, 40));
    }
    return job;
}

static void on_submit_learned(void *argument) {
    const SubmitTry *try = argument;
    Submit *submit = try->submit;
    if (try->request.answer == ANSWERED || submit->once) {
        submit->simulation->submits_open--;
    } else {
        send_submit(submit);
    }
}

static void on_submitted(Operation *operation) {
    SubmitTry *try = operation->context;
    Simulation *simulation = try->submit->simulation;
    request_end(&try->request, &operation->error);
    bool committed = operation->error.err == OK;
    simulation_note(simulation, "submitted", committed, try->enqueue.count);
    for (size_t i = 0; i < try->enqueue.count; i++) {
        const EnqueueItem *item = &try->items[i];
        bool known = committed || !try->request.node->crashing; /* else nobody ever learns it */
        if (known && request_is_sure(&try->request)) {
            model_submitted(simulation->model, &item->job.key, item->job.id, committed,
                            !try->submit->own_ids);
        }
        if (committed && item->duplicate && !try->submit->own_ids) {
            simulation_fail(simulation, "an id that was just made is a duplicate");
        }
    }
    simulation_after(simulation, request_delay_us(&try->request), on_submit_learned, try);
}

static void send_submit(void *argument) {
    Submit *submit = argument;
    Simulation *simulation = submit->simulation;
    Node *node = node_any(simulation);
    if (!node || simulation->dark) {
        simulation_after(simulation, TRY_AGAIN_MS * US_PER_MS, send_submit, submit);
        return;
    }
    SubmitTry *try = arena_new(&simulation->arena, SubmitTry);
    try->submit = submit;
    for (size_t i = 0; i < submit->count; i++) {
        try->items[i].job = submit->jobs[i];
    }
    try->enqueue = (EnqueueRequest){.operation = {.done = on_submitted, .context = try},
                                    .items = try->items,
                                    .count = submit->count,
                                    .wire = submit->wire,
                                    .need_result = chance(simulation, 500),
                                    .arena = &simulation->arena};
    request_begin(simulation, &try->request, node);
    engine_enqueue(node->engine, &try->enqueue);
}

static void produce(void *argument) {
    Simulation *simulation = argument;
    if (simulation->jobs_to_submit == 0) return;
    if (simulation->dark) {
        simulation_after(simulation, US_PER_S, produce, simulation);
        return;
    }
    Submit *submit = arena_new(&simulation->arena, Submit);
    submit->simulation = simulation;
    submit->count = chance(simulation, 700) ? 1 : (size_t)between(simulation, 2, ITEMS_MOST);
    if (submit->count > simulation->jobs_to_submit) submit->count = simulation->jobs_to_submit;
    submit->own_ids = chance(simulation, 500);
    submit->wire = chance(simulation, 500);
    submit->once = chance(simulation, 200);
    for (size_t i = 0; i < submit->count; i++) {
        submit->jobs[i] = make_job(simulation, submit->own_ids);
    }
    simulation->jobs_to_submit -= submit->count;
    simulation->submits_open++;
    send_submit(submit);
    simulation_after(simulation, between(simulation, 1, 5000) * US_PER_MS, produce, simulation);
}

/* ---- operators: one job ---- */

typedef struct Acting {
    Request request;
    ActRequest acts;
    Act act;
    Simulation *simulation;
} Acting;

static void on_acted(Operation *operation) {
    Acting *acting = operation->context;
    request_end(&acting->request, &operation->error);
    simulation_note(acting->simulation, "acted", acting->acts.kind, acting->act.answer);
}

static void act_on_one(Simulation *simulation, Node *node) {
    Acting *acting = arena_new(&simulation->arena, Acting);
    if (!model_pick(simulation->model, random_next(&simulation->random), &acting->act.key)) return;
    acting->simulation = simulation;
    ActKind kind = (ActKind)between(simulation, ACT_CANCEL, ACT_KILL);
    model_asked(simulation->model, &acting->act.key, kind);
    acting->acts = (ActRequest){.operation = {.done = on_acted, .context = acting},
                                .kind = kind,
                                .reason = kind == ACT_CANCEL ? REASON_CANCELLED : REASON_NONE,
                                .acts = &acting->act,
                                .count = 1,
                                .arena = &simulation->arena};
    request_begin(simulation, &acting->request, node);
    engine_act(node->engine, &acting->acts);
}

/* ---- operators: many jobs ---- */

typedef struct Massing {
    Request request;
    MassRequest mass;
} Massing;

static void on_massed(MassRequest *mass) {
    Massing *massing = mass->context;
    request_end(&massing->request, &mass->error);
    simulation_note(massing->request.simulation, "massed", (uint64_t)mass->matched, 0);
}

static void act_on_many(Simulation *simulation, Node *node) {
    Massing *massing = arena_new(&simulation->arena, Massing);
    ActKind kind = chance(simulation, 500) ? ACT_CANCEL : ACT_RETRY;
    bool dry_run = chance(simulation, 300);
    if (!dry_run) model_asked_all(simulation->model, kind);
    massing->mass = (MassRequest){
        .kind = kind,
        .reason = kind == ACT_CANCEL ? REASON_CANCELLED : REASON_NONE,
        .filter = {.queue = queue_names[between(simulation, 0, QUEUES - 1)],
                   .statuses = kind == ACT_CANCEL ? 1U << STATUS_SCHEDULED : 1U << STATUS_DEAD},
        .dry_run = dry_run,
        .done = on_massed,
        .context = massing};
    request_begin(simulation, &massing->request, node);
    engine_act_on_all(node->engine, &massing->mass);
}

/* ---- operators: queues ---- */

typedef struct Pausing {
    Request request;
    QueueRequest queue;
    size_t index;
} Pausing;

static void set_paused(Simulation *simulation, size_t index, bool paused);

static void resume(void *argument) {
    Pausing *pausing = argument;
    set_paused(pausing->request.simulation, pausing->index, /* paused= */ false);
}

static void on_paused(Operation *operation) {
    Pausing *pausing = operation->context;
    Simulation *simulation = pausing->request.simulation;
    Answer answer = request_end(&pausing->request, &operation->error);
    if (operation->error.err == OK)
        simulation_note(simulation, "paused", pausing->index, pausing->queue.paused);
    bool known = answer == ANSWERED && request_is_sure(&pausing->request);
    if (known && !pausing->queue.paused) {
        simulation->paused[pausing->index] = false;
        simulation->resumed_us[pausing->index] = simulation->now_us;
    } else {
        /* a pause ends after a while, and whoever resumes a queue does so until it knows that it is */
        simulation_after(simulation, between(simulation, 100, 9000) * US_PER_MS, resume, pausing);
    }
}

static void set_paused(Simulation *simulation, size_t index, bool paused) {
    Pausing *pausing = arena_new(&simulation->arena, Pausing);
    pausing->index = index;
    pausing->request.simulation = simulation;
    Node *node = node_any(simulation);
    if (!node || simulation->dark) {
        simulation_after(simulation, TRY_AGAIN_MS * US_PER_MS, resume, pausing);
        return;
    }
    request_begin(simulation, &pausing->request, node);
    pausing->queue = (QueueRequest){.operation = {.done = on_paused, .context = pausing},
                                    .queue = queue_names[index],
                                    .paused = paused};
    engine_queue_set_paused(node->engine, &pausing->queue);
}

static void pause_queue(Simulation *simulation) {
    size_t index = (size_t)between(simulation, 0, QUEUES - 1);
    if (simulation->paused[index]) return;
    simulation->paused[index] = true;
    set_paused(simulation, index, /* paused= */ true);
}

/* ---- operators: FLUSH ---- */

typedef struct Wiping {
    Request request;
    Operation operation;
} Wiping;

static void on_wiped(Operation *operation) {
    Wiping *wiping = operation->context;
    (void)request_end(&wiping->request, &operation->error);
    simulation_note(wiping->request.simulation, "wiped", operation->error.err == OK, 0);
}

static void wipe(Simulation *simulation, Node *node) {
    if (!chance(simulation, 50)) return;
    model_asked_wipe(simulation->model);
    Wiping *wiping = arena_new(&simulation->arena, Wiping);
    wiping->operation = (Operation){.done = on_wiped, .context = wiping};
    request_begin(simulation, &wiping->request, node);
    engine_wipe(node->engine, &wiping->operation);
}

static void operate(void *argument) {
    Simulation *simulation = argument;
    if (!simulation->faulty) return;
    int64_t most_ms = simulation->slow ? 1000 : 8000;
    simulation_after(simulation, between(simulation, 50, most_ms) * US_PER_MS, operate, simulation);
    Node *node = node_any(simulation);
    if (!node || simulation->dark) return;
    int64_t what = between(simulation, 0, 12);
    if (what < 7) {
        act_on_one(simulation, node);
    } else if (what < 8) {
        act_on_many(simulation, node);
    } else if (what < 10) {
        pause_queue(simulation);
    } else if (what < 11) {
        wipe(simulation, node);
    } else if (what < 12) {
        cluster_wait(simulation->cluster, node);
    } else {
        cluster_revoke(simulation->cluster, node);
    }
}

/* ---- both ---- */

void clients_begin(Simulation *simulation) {
    simulation_after(simulation, between(simulation, 0, 3000) * US_PER_MS, produce, simulation);
    simulation_after(simulation, between(simulation, 0, 8000) * US_PER_MS, operate, simulation);
}

/* What is still to be submitted comes soon now. */
void clients_heal(Simulation *simulation) {
    if (simulation->jobs_to_submit > 5) simulation->jobs_to_submit = 5;
    /* a failover may have taken a resume back, and nobody else would say it again */
    for (size_t i = 0; simulation->failed_over_us > 0 && i < QUEUES; i++) {
        set_paused(simulation, i, /* paused= */ false);
    }
}
