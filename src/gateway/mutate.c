/* MUTATE: kill, requeue or discard scheduled, retried or dead jobs by filter. */
#include "gateway/call.h"

#include "proto/members.h"

typedef struct MutateCall {
    MassRequest mass;
    Call *call;
} MutateCall;

static void mutate_done(MassRequest *mass) {
    MutateCall *state = container_of(mass, MutateCall, mass);
    if (mass->error.err != OK) {
        call_error(state->call, &mass->error);
    } else {
        call_ok(state->call);
    }
}

static Err read_filter(Json filter, Arena *arena, JobFilter *ret, Error *error) {
    Str regexp = {0};
    Json jids = {0};
    const Member members[] = {
        MEMBER_STR("jobtype", &ret->type),
        MEMBER_STR("regexp", &regexp),
        MEMBER_ARRAY("jids", &jids),
    };
    TRY(members_read(filter, members, LENGTH(members), arena, error));
    if (jids.text.ptr && json_count(jids) > 0) {
        ret->type = (Str){0};
        ret->id_list_json = jids.text;
    } else if (regexp.len > 0 && !str_eq(regexp, STR("*"))) {
        return error_set(error, ERR_INVALID,
                         "a filter by regexp is not available; use jids or jobtype");
    }
    return OK;
}

static Err read_mutation(Call *call, MassRequest *ret, Error *error) {
    Json object, filter = {0};
    Str command = {0}, target = {0};
    const Member members[] = {
        MEMBER_STR("cmd", &command),
        MEMBER_STR("target", &target),
        MEMBER_OBJECT("filter", &filter),
    };
    if (json_check(call->argument, &object, NULL) != OK ||
        members_read(object, members, LENGTH(members), &call->arena, NULL) != OK) {
        return error_set(error, ERR_INVALID, "invalid format");
    }
    if (str_eq(target, STR("scheduled"))) {
        ret->filter.statuses = 1U << STATUS_SCHEDULED;
    } else if (str_eq(target, STR("retries"))) {
        ret->filter.statuses = 1U << STATUS_RETRYING;
    } else if (str_eq(target, STR("dead"))) {
        ret->filter.statuses = 1U << STATUS_DEAD;
    } else {
        return error_set(error, ERR_INVALID, "invalid target for mutation command");
    }
    bool dead = str_eq(target, STR("dead"));
    bool clear = str_eq(command, STR("clear"));
    if (str_eq(command, STR("requeue"))) {
        ret->kind = ACT_RETRY;
    } else if (str_eq(command, STR("kill"))) {
        ret->kind = ACT_KILL;
    } else if (clear || str_eq(command, STR("discard"))) {
        ret->kind = dead ? ACT_DELETE : ACT_CANCEL;
        ret->reason = REASON_CANCELLED;
    } else {
        return error_set(error, ERR_INVALID, "unknown mutate operation");
    }
    return filter.text.ptr && !clear ? read_filter(filter, &call->arena, &ret->filter, error) : OK;
}

/* The token's queues, copied: the act goes on when the connection closes. */
static void bind_to_queues(Call *call, JobFilter *ret) {
    const Principal *principal = &call->peer->principal;
    if (principal->queue_count == 0) return;
    Str *globs = arena_zero(&call->arena, principal->queue_count, sizeof *globs);
    for (size_t i = 0; i < principal->queue_count; i++) {
        globs[i] = arena_str(&call->arena, principal->queues[i]);
    }
    ret->queue_globs = globs;
    ret->queue_glob_count = principal->queue_count;
}

void verb_mutate(Call *call) {
    MutateCall *state = arena_new(&call->arena, MutateCall);
    state->call = call;
    Error error;
    if (read_mutation(call, &state->mass, &error) != OK) {
        call_error(call, &error);
        return;
    }
    bind_to_queues(call, &state->mass.filter);
    state->mass.done = mutate_done;
    engine_act_on_all(call->gateway->engine, &state->mass);
}
