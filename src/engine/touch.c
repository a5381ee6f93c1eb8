/* During a run: the deadline moves on, progress and captured output are kept. Only the holder of
 * the current lease may. */
#include "engine/internal.h"

static void apply(const Touch *touch, Row *row, Batch *batch) {
    Job *job = &row->job;
    switch (touch->kind) {
    case TOUCH_EXTEND:
        if (touch->until_us > job->deadline_us) {
            job->deadline_us = touch->until_us;
            batch_update(batch, row);
        }
        break;
    case TOUCH_PROGRESS:
        job->progress = arena_str(&batch->arena, touch->text);
        if (touch->until_us > job->deadline_us) job->deadline_us = touch->until_us;
        batch_update(batch, row);
        break;
    case TOUCH_LOG: batch_log(batch, row, touch->text); break;
    }
}

static Step touch_step(Operation *operation, Batch *batch) {
    TouchRequest *request = container_of(operation, TouchRequest, operation);
    bool more = false;
    for (size_t i = 0; i < request->count; i++) {
        Touch *touch = &request->touches[i];
        if (operation->phase == 0) {
            touch->row = batch_row(batch, &touch->key);
            touch->decided = false;
        }
        if (touch->decided) continue;
        if (!batch_load(batch, touch->row)) {
            more = true;
            continue;
        }
        touch->decided = true;
        if (touch->row->status == ROW_MISSING) {
            touch->answer = OUTCOME_UNKNOWN_JOB;
        } else if (!job_is_held(&touch->row->job, &touch->lease)) {
            touch->answer = OUTCOME_STALE;
        } else {
            touch->answer = OUTCOME_OK;
            apply(touch, touch->row, batch);
        }
    }
    operation->phase = 1;
    return more ? STEP_MORE : STEP_LAST;
}

static const OperationKind touch_kind = {.name = "touch", .step = touch_step, .first = true};

void engine_touch(Engine *engine, TouchRequest *request) {
    size_t bytes = 0;
    for (size_t i = 0; i < request->count; i++) {
        bytes += 64 + request->touches[i].text.len;
    }
    request->operation.kind = &touch_kind;
    request->operation.weight = request->count;
    request->operation.bytes = bytes;
    pipeline_submit(engine, &request->operation);
}
