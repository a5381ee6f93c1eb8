/* What operators do to jobs: cancel, retry, delete, kill; one or many by id. Cancel and claim are
 * serialised by the row: either wins. */
#include "engine/internal.h"

#include "base/crash.h"

static bool is_visible(const ActRequest *request, Str queue) {
    if (!request->queue_globs) return true;
    for (size_t i = 0; i < request->queue_glob_count; i++) {
        if (str_glob(request->queue_globs[i], queue)) return true;
    }
    return false;
}

static ChangeResult apply(const ActRequest *request, Row *row, Batch *batch) {
    ChangeContext context = {batch->now_us, batch->random, &batch->arena};
    Job *job = &row->job;
    ChangeResult result = CHANGE_WRONG_STATE;
    switch (request->kind) {
    case ACT_CANCEL: result = job_cancel(job, request->reason, &context); break;
    case ACT_RETRY: result = job_retry(job, batch->now_us, &context); break;
    case ACT_KILL: result = job_kill(job, &context); break;
    case ACT_DELETE: result = job_is_finished(job) ? CHANGE_APPLIED : CHANGE_WRONG_STATE; break;
    }
    if (result != CHANGE_APPLIED) return result;
    if (request->kind == ACT_DELETE) {
        batch_delete(batch, row);
    } else {
        batch_update(batch, row);
    }
    return result;
}

static void decide(const ActRequest *request, Act *act, Batch *batch) {
    Row *row = act->row;
    if (row->status == ROW_MISSING || row->deleted ||
        (act->id.ptr && !str_eq(act->id, row->job.id))) {
        act->answer = ACT_NOT_FOUND;
        return;
    }
    if (!is_visible(request, row->job.queue)) {
        act->answer = ACT_HIDDEN;
        return;
    }
    act->status = job_status_at(&row->job, batch->now_us);
    bool wanted = request->statuses == 0 || (request->statuses & (1U << act->status));
    bool applied = wanted && apply(request, row, batch) == CHANGE_APPLIED;
    act->answer = applied ? ACT_APPLIED : ACT_WRONG_STATE;
}

static Step act_step(Operation *operation, Batch *batch) {
    ActRequest *request = container_of(operation, ActRequest, operation);
    bool more = false;
    for (size_t i = 0; i < request->count; i++) {
        Act *act = &request->acts[i];
        if (operation->phase == 0) {
            act->row = batch_row(batch, &act->key);
            act->decided = false;
        }
        if (act->decided) continue;
        if (!batch_load(batch, act->row)) {
            more = true;
            continue;
        }
        act->decided = true;
        decide(request, act, batch);
    }
    operation->phase = 1;
    return more ? STEP_MORE : STEP_LAST;
}

static void act_settle(Operation *operation, const Batch *batch) {
    crash_point(ACT_COMMITTED);
    ActRequest *request = container_of(operation, ActRequest, operation);
    (void)batch;
    if (!request->arena) return;
    for (size_t i = 0; i < request->count; i++) {
        Act *act = &request->acts[i];
        if (act->answer == ACT_NOT_FOUND || act->row->deleted) continue;
        act->result = act->row->job;
        job_copy(&act->result, request->arena);
    }
}

static const OperationKind act_kind = {.name = "act", .step = act_step, .settle = act_settle};

void engine_act(Engine *engine, ActRequest *request) {
    request->operation.kind = &act_kind;
    request->operation.weight = request->count;
    request->operation.bytes = 64 * request->count;
    pipeline_submit(engine, &request->operation);
}
