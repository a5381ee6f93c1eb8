/* Who may do what: roles, the actions they allow, and the queues a caller sees.
 *
 * Pure. Every route and verb names one Action; the table in access.c says which roles hold it. A
 * zero Principal may do nothing but what is public. */
#pragma once

#include "base/str.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* viewer < producer < operator < admin, each including the ones before it; worker stands apart. */
typedef enum Role {
    ROLE_VIEWER,
    ROLE_PRODUCER,
    ROLE_OPERATOR,
    ROLE_ADMIN,
    ROLE_WORKER,
    ROLE_COUNT,
} Role;

/* A set of roles as bits, closed over "includes": build it with role_bits(). */
typedef unsigned RoleSet;

typedef enum Action {
    ACTION_UNSET, /* what a forgotten entry in a route table says: allowed to nobody */
    ACTION_PUBLIC,
    ACTION_SELF,     /* anybody with a valid proof */
    ACTION_JOB_READ, /* one job; a caller who is worker only: access_only_own_jobs() */
    ACTION_JOB_LIST,
    ACTION_JOB_SUBMIT,
    ACTION_JOB_OPERATE, /* cancel, retry, change, delete; the dead letters too */
    ACTION_QUEUE_READ,
    ACTION_QUEUE_OPERATE,
    ACTION_FLOW_OPERATE, /* pause and resume of everything */
    ACTION_WORKER_READ,
    ACTION_WORKER_OPERATE,
    ACTION_SCHEDULE_READ,
    ACTION_SCHEDULE_OPERATE,
    ACTION_WORKFLOW_READ,
    ACTION_WORKFLOW_SUBMIT,
    ACTION_WORKFLOW_OPERATE,
    ACTION_STATS_READ, /* nodes, totals, events, types */
    ACTION_LEASE,      /* leases and their outcomes */
    ACTION_ADMIN,      /* tokens, users, types, webhooks, audit, flush */
    ACTION_COUNT,
} Action;

/* A caller. The texts belong to whoever filled it in: a request's arena, or a session. */
typedef struct Principal {
    Str subject;
    RoleSet roles;
    const Str *queues; /* globs; every queue where queue_count is 0 */
    size_t queue_count;
    Str token_id;          /* absent without a token */
    int64_t expires_at_us; /* 0: never */
} Principal;

/* The role with all that it includes. */
RoleSet role_bits(Role role);

/* "viewer", "producer", …. Never NULL. */
const char *role_name(Role role);
bool role_parse(Str name, Role *ret);

/* True when one of the caller's roles holds the action. principal may be NULL: nobody in
 * particular. */
bool access_allows(const Principal *principal, Action action);

/* True for a caller who may read a job only while it is one that was leased to them. */
bool access_only_own_jobs(const Principal *principal);

/* True when the caller is bound to no queues or one of the globs matches. What is not seen is to be
 * answered as if it did not exist. */
bool access_sees_queue(const Principal *principal, Str queue);

/* "job:submit" and the like: the missing permission that a refusal names. Never NULL. */
const char *action_name(Action action);

/* The least role that holds the action, for the refusal's sentence and the API's document; false
 * for ACTION_UNSET, ACTION_PUBLIC and ACTION_SELF. */
bool action_least_role(Action action, Role *ret);
