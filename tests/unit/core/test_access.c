/* Every role against every action, the queues a caller sees, and the callers with nothing at all.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "base/check.h"
#include "core/access.h"

/* One letter per role that holds the action: viewer, producer, operator, admin, worker. */
static const struct {
    Action action;
    const char *name;
    const char *holders;
} MATRIX[] = {
    {ACTION_UNSET, "unset", ""},
    {ACTION_PUBLIC, "public", "vpoaw"},
    {ACTION_SELF, "self", "vpoaw"},
    {ACTION_JOB_READ, "job:read", "vpoaw"},
    {ACTION_JOB_LIST, "job:list", "vpoa"},
    {ACTION_JOB_SUBMIT, "job:submit", "poa"},
    {ACTION_JOB_OPERATE, "job:operate", "oa"},
    {ACTION_QUEUE_READ, "queue:read", "vpoa"},
    {ACTION_QUEUE_OPERATE, "queue:operate", "oa"},
    {ACTION_FLOW_OPERATE, "flow:operate", "oa"},
    {ACTION_WORKER_READ, "worker:read", "vpoa"},
    {ACTION_WORKER_OPERATE, "worker:operate", "oa"},
    {ACTION_SCHEDULE_READ, "schedule:read", "vpoa"},
    {ACTION_SCHEDULE_OPERATE, "schedule:operate", "oa"},
    {ACTION_WORKFLOW_READ, "workflow:read", "vpoa"},
    {ACTION_WORKFLOW_SUBMIT, "workflow:submit", "poa"},
    {ACTION_WORKFLOW_OPERATE, "workflow:operate", "oa"},
    {ACTION_STATS_READ, "stats:read", "vpoa"},
    {ACTION_LEASE, "lease", "w"},
    {ACTION_ADMIN, "admin", "a"},
};

static void each_role_holds_what_the_contract_says(void **state) {
    (void)state;
    assert_int_equal(LENGTH(MATRIX), ACTION_COUNT);
    for (size_t i = 0; i < LENGTH(MATRIX); i++) {
        assert_string_equal(action_name(MATRIX[i].action), MATRIX[i].name);
        for (Role role = 0; role < ROLE_COUNT; role++) {
            Principal principal = {.roles = role_bits(role)};
            bool expected = strchr(MATRIX[i].holders, "vpoaw"[role]) != NULL;
            if (access_allows(&principal, MATRIX[i].action) != expected) {
                fail_msg("%s for %s", MATRIX[i].name, role_name(role));
            }
        }
    }
}

static void nobody_may_do_only_what_is_public(void **state) {
    (void)state;
    Principal zero = {0};
    for (Action action = 0; action < ACTION_COUNT; action++) {
        assert_int_equal(access_allows(NULL, action), action == ACTION_PUBLIC);
        assert_int_equal(access_allows(&zero, action), action == ACTION_PUBLIC);
    }
}

static void roles_of_one_caller_add_up(void **state) {
    (void)state;
    Principal both = {.roles = role_bits(ROLE_PRODUCER) | role_bits(ROLE_WORKER)};
    assert_true(access_allows(&both, ACTION_LEASE));
    assert_true(access_allows(&both, ACTION_JOB_SUBMIT));
    assert_false(access_allows(&both, ACTION_JOB_OPERATE));
    assert_false(access_only_own_jobs(&both));
    Principal worker = {.roles = role_bits(ROLE_WORKER)};
    assert_true(access_only_own_jobs(&worker));
}

static void names_of_roles_are_read_exactly(void **state) {
    (void)state;
    static const Str BAD[] = {{"", 0}, {"Admin", 5}, {"admin ", 6}, {"adm", 3}, {NULL, 0}};
    Role role = ROLE_COUNT;
    for (Role each = 0; each < ROLE_COUNT; each++) {
        assert_true(role_parse(str_from(role_name(each)), &role));
        assert_int_equal(role, each);
    }
    for (size_t i = 0; i < LENGTH(BAD); i++)
        assert_false(role_parse(BAD[i], &role));
}

static void the_least_role_is_the_lowest_in_the_chain(void **state) {
    (void)state;
    static const struct {
        Action action;
        bool has;
        Role role;
    } CASES[] = {
        {ACTION_JOB_READ, true, ROLE_VIEWER},      {ACTION_JOB_SUBMIT, true, ROLE_PRODUCER},
        {ACTION_JOB_OPERATE, true, ROLE_OPERATOR}, {ACTION_ADMIN, true, ROLE_ADMIN},
        {ACTION_LEASE, true, ROLE_WORKER},         {ACTION_PUBLIC, false, ROLE_VIEWER},
        {ACTION_SELF, false, ROLE_VIEWER},         {ACTION_UNSET, false, ROLE_VIEWER},
    };
    for (size_t i = 0; i < LENGTH(CASES); i++) {
        Role role = ROLE_VIEWER;
        assert_int_equal(action_least_role(CASES[i].action, &role), CASES[i].has);
        assert_int_equal(role, CASES[i].role);
    }
}

static void a_bound_caller_sees_only_matching_queues(void **state) {
    (void)state;
    static const Str GLOBS[] = {{"billing.*", 9}, {"mail", 4}};
    static const struct {
        const char *queue;
        bool seen;
    } CASES[] = {
        {"billing.eu", true}, {"billing.", true}, {"billing", false}, {"mail", true},
        {"mails", false},     {"default", false}, {"", false},        {"xbilling.eu", false},
    };
    Principal bound = {.roles = role_bits(ROLE_ADMIN), .queues = GLOBS, .queue_count = 2};
    Principal unbound = {.roles = role_bits(ROLE_VIEWER)};
    for (size_t i = 0; i < LENGTH(CASES); i++) {
        assert_int_equal(access_sees_queue(&bound, str_from(CASES[i].queue)), CASES[i].seen);
        assert_true(access_sees_queue(&unbound, str_from(CASES[i].queue)));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_role_holds_what_the_contract_says),
        cmocka_unit_test(nobody_may_do_only_what_is_public),
        cmocka_unit_test(roles_of_one_caller_add_up),
        cmocka_unit_test(names_of_roles_are_read_exactly),
        cmocka_unit_test(the_least_role_is_the_lowest_in_the_chain),
        cmocka_unit_test(a_bound_caller_sees_only_matching_queues),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
