/* Outcomes: succeeded or failed, under a fence. The first report under the current fence wins.
 *
 * A success is blind: guarded by the statement. A missed guard loads the row, and then the same
 * outcome under the same fence gets the same answer again; anything else is stale and changes
 * nothing. */
#include "engine/internal.h"

#include "base/crash.h"
#include "core/attempt.h"
#include "telemetry/metric.h"

static void begin(JobOutcome *outcome, Batch *batch) {
    outcome->row = batch_row(batch, &outcome->key);
    outcome->decided = false;
    outcome->blind = !outcome->failed && batch_succeed(batch, outcome->row, &outcome->lease,
                                                       outcome->result, outcome->hash);
}

static ChangeResult apply(const JobOutcome *outcome, Row *row, const ChangeContext *context) {
    if (outcome->failed) return job_fail(&row->job, &outcome->lease, &outcome->failure, context);
    return job_succeed(&row->job, &outcome->lease, outcome->result, outcome->hash, context);
}

static bool decide(JobOutcome *outcome, Batch *batch) {
    Row *row = outcome->row;
    if (outcome->blind && row->hit) {
        outcome->answer = OUTCOME_OK;
        outcome->decided = true;
        return true;
    }
    outcome->blind = false;
    if (!batch_load(batch, row)) return false;
    outcome->decided = true;
    if (row->status == ROW_MISSING) {
        outcome->answer = OUTCOME_UNKNOWN_JOB;
        return true;
    }
    ChangeContext context = {batch->now_us, batch->random, &batch->arena};
    ChangeResult result = apply(outcome, row, &context);
    if (result == CHANGE_APPLIED) batch_update(batch, row);
    bool good = result == CHANGE_APPLIED || result == CHANGE_REPEATED;
    outcome->answer = good ? OUTCOME_OK : OUTCOME_STALE;
    return true;
}

static Step outcome_step(Operation *operation, Batch *batch) {
    OutcomeRequest *request = container_of(operation, OutcomeRequest, operation);
    bool more = false;
    for (size_t i = 0; i < request->count; i++) {
        JobOutcome *outcome = &request->outcomes[i];
        if (operation->phase == 0) begin(outcome, batch);
        if (operation->phase == 0 && outcome->blind) {
            more = true;
        } else if (!outcome->decided && !decide(outcome, batch)) {
            more = true;
        }
    }
    operation->phase = 1;
    return more ? STEP_MORE : STEP_LAST;
}

static void outcome_settle(Operation *operation, const Batch *batch) {
    crash_point(OUTCOME_COMMITTED);
    OutcomeRequest *request = container_of(operation, OutcomeRequest, operation);
    (void)batch;
    for (size_t i = 0; i < request->count; i++) {
        const JobOutcome *outcome = &request->outcomes[i];
        const Job *job = &outcome->row->job;
        if (outcome->answer != OUTCOME_OK) {
            metric_add(METRIC_STALE_ACKS, NULL, 1);
            request->engine->stats.stale_outcomes++;
        } else if (outcome->failed) {
            request->engine->stats.failed++;
            metric_add(METRIC_JOB_ATTEMPTS_FAILED, LABELS(job->queue, job->type, STR("error")), 1);
            bool again = job->state == JOB_WAITING;
            if (again) metric_add(METRIC_JOB_RETRIES, LABELS(job->queue, job->type), 1);
        }
    }
}

static const OperationKind outcome_kind = {
    .name = "outcome", .step = outcome_step, .settle = outcome_settle, .first = true};

void engine_settle(Engine *engine, OutcomeRequest *request) {
    size_t bytes = 0;
    for (size_t i = 0; i < request->count; i++) {
        JobOutcome *outcome = &request->outcomes[i];
        if (outcome->failed) {
            outcome->failure.hash = outcome_hash_failure(&outcome->failure.error, request->arena);
        } else {
            outcome->hash = outcome_hash_success(outcome->result, request->arena);
        }
        bytes += 128 + outcome->result.len + outcome->failure.error.backtrace.len;
    }
    request->engine = engine;
    request->operation.kind = &outcome_kind;
    request->operation.weight = request->count;
    request->operation.bytes = bytes;
    pipeline_submit(engine, &request->operation);
}
