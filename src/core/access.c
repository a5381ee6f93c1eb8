/* The table of permissions and the three questions asked of it.
 *
 * An action lists the roles that hold it by the least one in the chain, and whether worker, which
 * is outside the chain, holds it too. */
#include "core/access.h"

#include "base/check.h"

#define BIT(role) (1u << (role))

static const struct {
    const char *name;
    RoleSet includes;
} ROLES[ROLE_COUNT] = {
    [ROLE_VIEWER] = {"viewer", BIT(ROLE_VIEWER)},
    [ROLE_PRODUCER] = {"producer", BIT(ROLE_VIEWER) | BIT(ROLE_PRODUCER)},
    [ROLE_OPERATOR] = {"operator", BIT(ROLE_VIEWER) | BIT(ROLE_PRODUCER) | BIT(ROLE_OPERATOR)},
    [ROLE_ADMIN] = {"admin",
                    BIT(ROLE_VIEWER) | BIT(ROLE_PRODUCER) | BIT(ROLE_OPERATOR) | BIT(ROLE_ADMIN)},
    [ROLE_WORKER] = {"worker", BIT(ROLE_WORKER)},
};

/* holders: any of these bits is enough, since a caller's set is closed over "includes". */
static const struct {
    const char *name;
    RoleSet holders;
} ACTIONS[ACTION_COUNT] = {
    [ACTION_UNSET] = {"unset", 0},
    [ACTION_PUBLIC] = {"public", 0},
    [ACTION_SELF] = {"self", 0},
    [ACTION_JOB_READ] = {"job:read", BIT(ROLE_VIEWER) | BIT(ROLE_WORKER)},
    [ACTION_JOB_LIST] = {"job:list", BIT(ROLE_VIEWER)},
    [ACTION_JOB_SUBMIT] = {"job:submit", BIT(ROLE_PRODUCER)},
    [ACTION_JOB_OPERATE] = {"job:operate", BIT(ROLE_OPERATOR)},
    [ACTION_QUEUE_READ] = {"queue:read", BIT(ROLE_VIEWER)},
    [ACTION_QUEUE_OPERATE] = {"queue:operate", BIT(ROLE_OPERATOR)},
    [ACTION_FLOW_OPERATE] = {"flow:operate", BIT(ROLE_OPERATOR)},
    [ACTION_WORKER_READ] = {"worker:read", BIT(ROLE_VIEWER)},
    [ACTION_WORKER_OPERATE] = {"worker:operate", BIT(ROLE_OPERATOR)},
    [ACTION_SCHEDULE_READ] = {"schedule:read", BIT(ROLE_VIEWER)},
    [ACTION_SCHEDULE_OPERATE] = {"schedule:operate", BIT(ROLE_OPERATOR)},
    [ACTION_WORKFLOW_READ] = {"workflow:read", BIT(ROLE_VIEWER)},
    [ACTION_WORKFLOW_SUBMIT] = {"workflow:submit", BIT(ROLE_PRODUCER)},
    [ACTION_WORKFLOW_OPERATE] = {"workflow:operate", BIT(ROLE_OPERATOR)},
    [ACTION_STATS_READ] = {"stats:read", BIT(ROLE_VIEWER)},
    [ACTION_LEASE] = {"lease", BIT(ROLE_WORKER)},
    [ACTION_ADMIN] = {"admin", BIT(ROLE_ADMIN)},
};

RoleSet role_bits(Role role) {
    check(role < ROLE_COUNT);
    return ROLES[role].includes;
}

const char *role_name(Role role) {
    check(role < ROLE_COUNT);
    return ROLES[role].name;
}

bool role_parse(Str name, Role *ret) {
    for (Role role = 0; role < ROLE_COUNT; role++) {
        if (!str_eq(name, str_from(ROLES[role].name))) continue;
        *ret = role;
        return true;
    }
    return false;
}

bool access_allows(const Principal *principal, Action action) {
    check(action < ACTION_COUNT);
    if (action == ACTION_PUBLIC) return true;
    if (!principal || principal->roles == 0) return false;
    if (action == ACTION_SELF) return true;
    return (principal->roles & ACTIONS[action].holders) != 0;
}

bool access_only_own_jobs(const Principal *principal) {
    return (principal->roles & BIT(ROLE_VIEWER)) == 0;
}

bool access_sees_queue(const Principal *principal, Str queue) {
    if (principal->queue_count == 0) return true;
    for (size_t i = 0; i < principal->queue_count; i++) {
        if (str_glob(principal->queues[i], queue)) return true;
    }
    return false;
}

const char *action_name(Action action) {
    check(action < ACTION_COUNT);
    return ACTIONS[action].name;
}

bool action_least_role(Action action, Role *ret) {
    check(action < ACTION_COUNT);
    for (Role role = 0; role < ROLE_COUNT; role++) {
        if ((ACTIONS[action].holders & BIT(role)) == 0) continue;
        *ret = role;
        return true;
    }
    return false;
}
