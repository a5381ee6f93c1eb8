/* Trouble: every fault of a history, decided in one place from a stream of chance of its own.
 *
 * Each history draws which kinds it may meet (swarm testing: Groce et al., ISSTA 2012), so that faults
 * don't hide one another. What bites is numbered; a history can be run again with only some of the
 * numbers allowed, which is how a failing one is made small. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Simulation Simulation;

typedef enum Trouble {
    TROUBLE_CRASH,          /* a node dies, at any point */
    TROUBLE_FREEZE,         /* a node stops for a while and goes on */
    TROUBLE_WALL_CLOCK,     /* a node's wall clock jumps */
    TROUBLE_STORE_AWAY,     /* nobody reaches the store for a while */
    TROUBLE_STORE_ERROR,    /* a statement fails, or the disk is full */
    TROUBLE_STORE_CONFLICT, /* a transaction is to begin again */
    TROUBLE_STORE_RESTART,  /* every transaction is cut */
    TROUBLE_COMMIT_UNKNOWN, /* the connection breaks while the commit is on its way */
    TROUBLE_FAIL_OVER,      /* a standby that lags behind becomes the store */
    TROUBLE_BROKER_WIPE,
    TROUBLE_BROKER_ROLL_BACK,
    TROUBLE_BROKER_SLOW, /* commands take their time */
    TROUBLE_HINT_LOST,
    TROUBLE_WORD_LOST,     /* another node does not hear of a push */
    TROUBLE_ANSWER_LOST,   /* a client does not hear what was done */
    TROUBLE_SAID_TWICE,    /* a client says it again though it was answered, or before */
    TROUBLE_NOT_DELIVERED, /* the fetcher hangs up while it is handed jobs */
    TROUBLE_BEAT_LOST,
    TROUBLE_WORKER_VANISHES,
    TROUBLE_WORKER_FREEZES,
    TROUBLE_WORKER_HANGS_UP,
    TROUBLE_FETCH_HANGS_UP,
    TROUBLE_DARK, /* the store is away, every worker vanishes and nobody asks for anything */
    TROUBLES,
} Trouble;

const char *trouble_name(Trouble kind);

typedef struct Bite {
    Trouble kind;
    int64_t at_us;
} Bite;

/* Which bites are allowed, by number; NULL: all. */
typedef struct TroublePlan {
    const bool *allowed;
    size_t count; /* those behind it are not allowed */
} TroublePlan;

/* Draws the kinds of this history. */
void troubles_begin(Simulation *simulation);
/* Whether this kind of trouble comes now; false for ever once the history has healed. */
bool trouble(Simulation *simulation, Trouble kind, unsigned per_mille);
bool has_trouble(const Simulation *simulation, Trouble kind);
/* For how it goes, so that the rest of the history does not hang on it; both included. */
int64_t trouble_between(Simulation *simulation, int64_t low, int64_t high);

/* The troubles that come at a time rather than at a point: see trouble.c. */
void troubles_plan(Simulation *simulation);
void troubles_end(Simulation *simulation);
