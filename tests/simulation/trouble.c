/* See trouble.h: what decides, and the troubles that come at a time. */
#include "simulation/trouble.h"

#include "base/time.h"
#include "simulation/cluster.h"

static const char *const NAMES[TROUBLES] = {
    [TROUBLE_CRASH] = "crash",
    [TROUBLE_FREEZE] = "freeze",
    [TROUBLE_WALL_CLOCK] = "wall-clock",
    [TROUBLE_STORE_AWAY] = "store-away",
    [TROUBLE_STORE_ERROR] = "store-error",
    [TROUBLE_STORE_CONFLICT] = "store-conflict",
    [TROUBLE_STORE_RESTART] = "store-restart",
    [TROUBLE_COMMIT_UNKNOWN] = "commit-unknown",
    [TROUBLE_FAIL_OVER] = "fail-over",
    [TROUBLE_BROKER_WIPE] = "broker-wipe",
    [TROUBLE_BROKER_ROLL_BACK] = "broker-roll-back",
    [TROUBLE_BROKER_SLOW] = "broker-slow",
    [TROUBLE_HINT_LOST] = "hint-lost",
    [TROUBLE_WORD_LOST] = "word-lost",
    [TROUBLE_ANSWER_LOST] = "answer-lost",
    [TROUBLE_SAID_TWICE] = "said-twice",
    [TROUBLE_NOT_DELIVERED] = "not-delivered",
    [TROUBLE_BEAT_LOST] = "beat-lost",
    [TROUBLE_WORKER_VANISHES] = "worker-vanishes",
    [TROUBLE_WORKER_FREEZES] = "worker-freezes",
    [TROUBLE_WORKER_HANGS_UP] = "worker-hangs-up",
    [TROUBLE_FETCH_HANGS_UP] = "fetch-hangs-up",
    [TROUBLE_DARK] = "dark",
};

#define IDLE_US (50 * US_PER_S)  /* of it, at its end */
#define DARK_US (200 * US_PER_S) /* longer than two leases, shorter than some timeouts */

const char *trouble_name(Trouble kind) {
    return NAMES[kind];
}

/* ---- what decides ---- */

void troubles_begin(Simulation *simulation) {
    random_init(&simulation->trouble_random, simulation->seed ^ UINT64_C(0x9e3779b97f4a7c15));
    uint64_t whole = random_below(&simulation->trouble_random, 10);
    uint64_t some = random_next(&simulation->trouble_random);
    unsigned all = (1U << TROUBLES) - 1;
    simulation->enabled = whole == 0 ? 0 : whole == 1 ? all : (unsigned)some & all;
    if (!simulation->server) {
        /* a broker in the node's own memory has none of these, and a store in a file no standby */
        simulation->enabled &=
            ~(1U << TROUBLE_FAIL_OVER | 1U << TROUBLE_BROKER_WIPE | 1U << TROUBLE_BROKER_ROLL_BACK |
              1U << TROUBLE_BROKER_SLOW | 1U << TROUBLE_HINT_LOST | 1U << TROUBLE_WORD_LOST);
    }
}

bool has_trouble(const Simulation *simulation, Trouble kind) {
    return (simulation->enabled & 1U << kind) != 0;
}

static bool is_allowed(const TroublePlan *plan, size_t number) {
    return !plan || (number < plan->count && plan->allowed[number]);
}

bool trouble(Simulation *simulation, Trouble kind, unsigned per_mille) {
    if (!simulation->faulty || !has_trouble(simulation, kind)) return false;
    if (random_below(&simulation->trouble_random, 1000) >= per_mille) return false;
    size_t number = simulation->bite_number++;
    if (!is_allowed(simulation->plan, number)) return false;
    simulation->tally.bites[kind]++;
    if (number < BITES_MOST) {
        simulation->bites[number] = (Bite){kind, simulation->now_us};
        simulation->bite_count = number + 1;
    }
    if (simulation->verbose) simulation_note(simulation, NAMES[kind], number, 0);
    return true;
}

int64_t trouble_between(Simulation *simulation, int64_t low, int64_t high) {
    return low + (int64_t)random_below(&simulation->trouble_random, (uint64_t)(high - low + 1));
}

/* ---- troubles at a time ---- */

static void again(Simulation *simulation, int64_t low_us, int64_t high_us, void (*run)(void *)) {
    simulation_after(simulation, trouble_between(simulation, low_us, high_us), run, simulation);
}

static Node *some_node(Simulation *simulation) {
    return &simulation->nodes[trouble_between(simulation, 0, (int64_t)simulation->node_count - 1)];
}

static void plan_crash(void *argument) {
    Simulation *simulation = argument;
    Node *node = some_node(simulation);
    if (node->engine && trouble(simulation, TROUBLE_CRASH, 1000)) node->crash_planned = true;
    if (simulation->faulty) again(simulation, US_PER_S, 60 * US_PER_S, plan_crash);
}

static void plan_freeze(void *argument) {
    Simulation *simulation = argument;
    Node *node = some_node(simulation);
    if (node->engine && trouble(simulation, TROUBLE_FREEZE, 1000)) {
        int64_t most_us = trouble_between(simulation, 0, 2) == 0 ? 60 * US_PER_S : 8 * US_PER_S;
        node_freeze(node,
                    simulation->now_us + trouble_between(simulation, US_PER_S / 100, most_us));
    }
    if (simulation->faulty) again(simulation, US_PER_S, 90 * US_PER_S, plan_freeze);
}

static void plan_wall_clock(void *argument) {
    Simulation *simulation = argument;
    Node *node = some_node(simulation);
    if (trouble(simulation, TROUBLE_WALL_CLOCK, 1000)) {
        node->wall_us = trouble_between(simulation, -3600, 3600) * US_PER_S;
    }
    if (simulation->faulty) again(simulation, US_PER_S, 60 * US_PER_S, plan_wall_clock);
}

static void store_has_been_away(Simulation *simulation) {
    simulation_struck(simulation, simulation->now_us);
    for (size_t i = 0; i < simulation->node_count; i++) {
        Node *node = &simulation->nodes[i];
        if (node->shaken_us < simulation->now_us) node->shaken_us = simulation->now_us;
    }
}

static void plan_outage(void *argument) {
    Simulation *simulation = argument;
    bool away = !simulation->store_away && trouble(simulation, TROUBLE_STORE_AWAY, 1000);
    if (away || simulation->store_away) store_has_been_away(simulation);
    simulation->store_away = away;
    simulation_note(simulation, "store", away, 0);
    if (!simulation->faulty) return;
    int64_t most_us = away ? 8 * US_PER_S : 50 * US_PER_S;
    if (away && trouble_between(simulation, 0, 9) == 0) most_us = 70 * US_PER_S;
    again(simulation, US_PER_S / 20, most_us, plan_outage);
}

static void plan_store_restart(void *argument) {
    Simulation *simulation = argument;
    if (trouble(simulation, TROUBLE_STORE_RESTART, 1000)) {
        simulated_restart(simulation->disk);
        store_has_been_away(simulation);
    }
    if (simulation->faulty) again(simulation, US_PER_S, 40 * US_PER_S, plan_store_restart);
}

/* The standby has what was committed at this moment; some seconds later it takes over. */
static void fail_over(void *argument) {
    Simulation *simulation = argument;
    if (!simulation->faulty) return;
    simulated_fail_over(simulation->disk);
    simulation->hints_struck_us = simulation->failed_over_us = simulation->now_us;
    simulation_struck(simulation, simulation->now_us);
    for (size_t i = 0; i < QUEUES; i++)
        simulation->paused[i] = true; /* perhaps: see clients_heal() */
    model_roll_back(simulation->model);
    workers_fail_over(simulation);
    simulation_note(simulation, "fail over", 0, 0);
}

static void plan_fail_over(void *argument) {
    Simulation *simulation = argument;
    if (trouble(simulation, TROUBLE_FAIL_OVER, 1000)) {
        simulated_replicate(simulation->disk);
        model_save(simulation->model);
        again(simulation, 1, 3 * US_PER_S, fail_over);
    }
    if (simulation->faulty) again(simulation, 5 * US_PER_S, 60 * US_PER_S, plan_fail_over);
}

static void plan_wipe(void *argument) {
    Simulation *simulation = argument;
    if (trouble(simulation, TROUBLE_BROKER_WIPE, 1000)) {
        simulated_broker_wipe(simulation->server);
        windows_check_wiped(simulation->model);
        simulation->hints_struck_us = simulation->now_us;
    }
    if (simulation->faulty) again(simulation, US_PER_S, 60 * US_PER_S, plan_wipe);
}

static void roll_back_broker(void *argument) {
    Simulation *simulation = argument;
    if (!simulation->faulty) return;
    simulated_broker_roll_back(simulation->server);
    simulation->hints_struck_us = simulation->now_us;
}

static void plan_broker_roll_back(void *argument) {
    Simulation *simulation = argument;
    if (trouble(simulation, TROUBLE_BROKER_ROLL_BACK, 1000)) {
        simulated_broker_save(simulation->server);
        again(simulation, 1, 10 * US_PER_S, roll_back_broker);
    }
    if (simulation->faulty) again(simulation, 11 * US_PER_S, 60 * US_PER_S, plan_broker_roll_back);
}

/* Nobody has asked for anything for long, and nothing runs: a node looks once a second, and now and then after
 * workers that have not hung up. */
static void begin_idle(void *argument) {
    Simulation *simulation = argument;
    for (size_t i = 0; i < simulation->node_count; i++) {
        Node *node = &simulation->nodes[i];
        node->asked_then = node->asked;
        node->start_then = node->starts;
        if (model_runs(simulation->model)) node->start_then++; /* it looks twice as often */
    }
}

static void check_idle(Simulation *simulation) {
    bool calm = simulation->struck_us < simulation->now_us - IDLE_US - 10 * US_PER_S;
    for (size_t i = 0; calm && !simulation->store_away && i < simulation->node_count; i++) {
        const Node *node = &simulation->nodes[i];
        if (!node_is_ready(node) || node->starts != node->start_then) continue;
        uint64_t asked = node->asked - node->asked_then;
        if (asked > IDLE_US / US_PER_S * 9 / 5) {
            simulation_fail(simulation, "idle node %u asked the store %llu times in %lld s",
                            node->number, (unsigned long long)asked,
                            (long long)(IDLE_US / US_PER_S));
        }
    }
}

/* All workers vanish while the store is away, and nobody asks for anything: it is for the nodes alone to
 * find out that the store is back and that leases have run out. */
static void end_dark(void *argument) {
    Simulation *simulation = argument;
    model_check_reaped(simulation->model);
    check_idle(simulation);
    simulation->dark = false;
}

static void begin_dark(void *argument) {
    Simulation *simulation = argument;
    if (!trouble(simulation, TROUBLE_DARK, 300)) return;
    simulation->dark = true;
    cluster_end_waits(simulation->cluster);
    simulation->store_away = has_trouble(simulation, TROUBLE_STORE_AWAY);
    workers_vanish(simulation);
    simulation_after(simulation, DARK_US - IDLE_US, begin_idle, simulation);
    simulation_after(simulation, DARK_US, end_dark, simulation);
}

static void heal(void *argument) {
    Simulation *simulation = argument;
    simulation->faulty = false;
    simulation->store_away = false;
    store_has_been_away(simulation);
    simulation_note(simulation, "heal", 0, 0);
    for (size_t i = 0; i < simulation->node_count; i++) {
        Node *node = &simulation->nodes[i];
        node->crash_planned = false;
        if (!node->engine) node_start(node);
    }
    clients_heal(simulation);
}

void troubles_plan(Simulation *simulation) {
    int64_t calm_us = between(simulation, 20 * US_PER_S, 80 * US_PER_S);
    simulation_after(simulation, calm_us, heal, simulation);
    simulation_after(simulation, calm_us - between(simulation, 0, 4 * US_PER_S), begin_dark,
                     simulation);
    static const struct {
        Trouble kind;
        void (*plan)(void *);
    } PLANS[] = {
        {TROUBLE_CRASH, plan_crash},
        {TROUBLE_FREEZE, plan_freeze},
        {TROUBLE_WALL_CLOCK, plan_wall_clock},
        {TROUBLE_STORE_AWAY, plan_outage},
        {TROUBLE_STORE_RESTART, plan_store_restart},
        {TROUBLE_FAIL_OVER, plan_fail_over},
        {TROUBLE_BROKER_WIPE, plan_wipe},
        {TROUBLE_BROKER_ROLL_BACK, plan_broker_roll_back},
    };
    for (size_t i = 0; i < LENGTH(PLANS); i++) {
        if (!has_trouble(simulation, PLANS[i].kind)) continue;
        again(simulation, US_PER_S, 50 * US_PER_S, PLANS[i].plan);
    }
}
