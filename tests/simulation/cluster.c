/* What one node does and the others are to hear of: who waits for a job's end, tokens that are revoked, and
 * whether every node is where the others can see it. */
#include "simulation/cluster.h"

#include "base/time.h"
#include "simulation/model.h"
#include "simulation/store_simulated_state.h"

enum { WAITS_MOST = 200, TOKENS_MOST = 200 };

typedef struct Waiting {
    Watch watch;
    Node *node;
    unsigned start; /* of the node: another one knows nothing of it */
    int64_t since_us;
    bool open;
} Waiting;

typedef struct Token {
    Str id;
    int64_t since_us; /* that it is revoked was answered then */
} Token;

struct Cluster {
    Simulation *simulation;
    Waiting *waits[WAITS_MOST];
    size_t wait_count;
    Token tokens[TOKENS_MOST];
    size_t token_count, tokens_asked;
};

Cluster *cluster_new(Simulation *simulation) {
    Cluster *cluster = arena_new(&simulation->arena, Cluster);
    cluster->simulation = simulation;
    return cluster;
}

/* How long a node may take to hear of something: a look every second, or twice where somebody waits. */
static int64_t heard_after_us(const Simulation *simulation, int64_t look_us) {
    return look_us + (simulation->slow ? 2 * US_PER_S : US_PER_S * 7 / 10);
}

/* Since when it has been itself and in touch with a store that is well. */
static int64_t well_since_us(const Node *node) {
    const Simulation *simulation = node->simulation;
    if (simulation->store_away || !node_is_ready(node)) return simulation->now_us;
    int64_t since_us = node->steady_us;
    if (since_us < node->shaken_us) since_us = node->shaken_us;
    if (since_us < simulation->struck_us) since_us = simulation->struck_us;
    return since_us;
}

/* It has had so long to hear of what happened then, and nothing was in the way. */
static bool must_know(const Node *node, int64_t at_us, int64_t look_us) {
    const Simulation *simulation = node->simulation;
    int64_t since_us = well_since_us(node);
    if (since_us < at_us) since_us = at_us;
    return since_us + heard_after_us(simulation, look_us) < simulation->now_us;
}

bool cluster_must_know(const Node *node, int64_t at_us) {
    return must_know(node, at_us, US_PER_S);
}

bool cluster_must_know_after(const Node *node, int64_t at_us, int64_t most_us) {
    return must_know(node, at_us, US_PER_S + most_us);
}

/* ---- waiting for a job's end ---- */

static void on_fired(Watch *watch) {
    Waiting *waiting = watch->context;
    waiting->open = false;
    waiting->node->simulation->tally.waits++;
}

void cluster_wait(Cluster *cluster, Node *node) {
    Simulation *simulation = cluster->simulation;
    JobKey key;
    if (cluster->wait_count == WAITS_MOST) return;
    if (!model_pick(simulation->model, random_next(&simulation->random), &key)) return;
    Waiting *waiting = arena_new(&simulation->arena, Waiting);
    *waiting = (Waiting){.watch = {.key = key, .fire = on_fired, .context = waiting},
                         .node = node,
                         .start = node->starts,
                         .since_us = simulation->now_us,
                         .open = true};
    cluster->waits[cluster->wait_count++] = waiting;
    engine_watch(node->engine, &waiting->watch);
}

void cluster_end_waits(Cluster *cluster) {
    for (size_t i = 0; i < cluster->wait_count; i++) {
        Waiting *waiting = cluster->waits[i];
        bool there = waiting->node->engine && waiting->node->starts == waiting->start;
        if (waiting->open && there) engine_watch_cancel(waiting->node->engine, &waiting->watch);
        waiting->open = false;
    }
}

static void check_waits(const Cluster *cluster) {
    Simulation *simulation = cluster->simulation;
    for (size_t i = 0; i < cluster->wait_count; i++) {
        const Waiting *waiting = cluster->waits[i];
        if (!waiting->open || waiting->node->starts != waiting->start) continue;
        const Entry *entry = state_newest(&simulation->disk->committed, &waiting->watch.key);
        const ModelJob *job = entry ? model_find_slot(simulation->model, entry->slot) : NULL;
        if (!job || !job_is_finished(&entry->job)) continue;
        int64_t at_us = job->changed_us > waiting->since_us ? job->changed_us : waiting->since_us;
        /* what was over before is seen by the first reading of who waits */
        if (!simulation->server && waiting->since_us >= job->changed_us) continue;
        if (must_know(waiting->node, at_us, US_PER_S / 2)) {
            simulation_fail(simulation, "node %u did not tell of the end of slot %lld",
                            waiting->node->number, (long long)entry->slot);
        }
    }
}

/* ---- revoked tokens ---- */

typedef struct Revoking {
    Request request;
    TokenRequest token;
    Cluster *cluster;
} Revoking;

static void on_revoked(Operation *operation) {
    Revoking *revoking = operation->context;
    Cluster *cluster = revoking->cluster;
    Simulation *simulation = cluster->simulation;
    Answer answer = request_end(&revoking->request, &operation->error);
    bool sure = answer == ANSWERED && request_is_sure(&revoking->request);
    if (!sure || cluster->token_count == TOKENS_MOST) return;
    cluster->tokens[cluster->token_count++] = (Token){revoking->token.token_id, simulation->now_us};
}

void cluster_revoke(Cluster *cluster, const Node *node) {
    Simulation *simulation = cluster->simulation;
    Revoking *revoking = arena_new(&simulation->arena, Revoking);
    revoking->cluster = cluster;
    request_begin(simulation, &revoking->request, node);
    revoking->token = (TokenRequest){
        .operation = {.done = on_revoked, .context = revoking},
        .token_id = arena_format(&simulation->arena, "token-%zu", ++cluster->tokens_asked),
        .until_us = simulation->now_us + 3600 * US_PER_S};
    engine_revoke_token(node->engine, &revoking->token);
}

static void check_tokens(const Cluster *cluster) {
    Simulation *simulation = cluster->simulation;
    for (size_t i = 0; i < cluster->token_count; i++) {
        const Token *token = &cluster->tokens[i];
        if (token->since_us <= simulation->failed_over_us) continue; /* perhaps forgotten */
        for (size_t n = 0; n < simulation->node_count; n++) {
            const Node *node = &simulation->nodes[n];
            if (!must_know(node, token->since_us, US_PER_S)) continue;
            if (engine_token_is_revoked(node->engine, token->id)) continue;
            simulation_fail(simulation, STR_FMT " was revoked, and node %u does not know it",
                            STR_ARG(token->id), node->number);
        }
    }
}

/* ---- nodes ---- */

static void check_nodes(const Cluster *cluster) {
    Simulation *simulation = cluster->simulation;
    for (size_t i = 0; simulation->server && i < simulation->node_count; i++) {
        const Node *node = &simulation->nodes[i];
        if (!must_know(node, 0, 2 * US_PER_S)) continue; /* a row that was lost is written anew */
        const NodeRow *row = state_node(&simulation->disk->committed, str_from(node->name));
        int64_t silent_us = row ? simulation->now_us - row->seen_us : INT64_MAX;
        if (silent_us > heard_after_us(simulation, US_PER_S)) {
            simulation_fail(simulation, "node %u is not seen by the others", node->number);
        }
    }
}

void cluster_check_taken(const Node *node) {
    if (must_know(node, 0, 2 * US_PER_S))
        simulation_fail(node->simulation, "node %u lost its name though it was well", node->number);
}

void cluster_check(const Cluster *cluster) {
    check_waits(cluster);
    check_tokens(cluster);
    check_nodes(cluster);
}
