/* Inside the simulation: what nodes are to hear of each other (cluster.c). */
#pragma once

#include "simulation/simulation.h"

/* Lives as long as the history. */
Cluster *cluster_new(Simulation *simulation);
/* Somebody waits at this node for the end of some job. */
void cluster_wait(Cluster *cluster, Node *node);
/* Nobody waits any more. */
void cluster_end_waits(Cluster *cluster);
/* Somebody revokes a token there. */
void cluster_revoke(Cluster *cluster, const Node *node);
/* It has had the time to hear of what happened at another node then, and nothing was in the way. */
bool cluster_must_know(const Node *node, int64_t at_us);
/* The same for what takes up to so long from the hearing on. */
bool cluster_must_know_after(const Node *node, int64_t at_us, int64_t most_us);
/* Its name was taken over: it had not been heard of for long enough. */
void cluster_check_taken(const Node *node);
/* Now and then: whoever is well has heard of what was done elsewhere. */
void cluster_check(const Cluster *cluster);
