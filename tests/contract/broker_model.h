/* A naive store and a driver, for the broker's contract: jobs in a plain array, every query a
 * scan.
 *
 * Does what the engine does around a broker, through broker.h alone, so that the suite fits
 * any adapter: answers may come late. The array is the truth that the broker is compared with. */
#pragma once

#include "base/random.h"
#include "broker/broker.h"

typedef struct BrokerSuite {
    const char *name;
    Err (*open)(void *context, Broker **ret, Error *error); /* an empty broker */
    void (*wait)(void *context); /* runs the loop a little; NULL: answers come at once */
    bool slow;                   /* too slow for the walks over full windows */
    void *context;
} BrokerSuite;

typedef enum ModelState { MODEL_WAITING, MODEL_RUNNING } ModelState;

typedef struct ModelJob {
    Hint hint;
    ModelState state;
} ModelJob;

typedef struct Model {
    const BrokerSuite *suite;
    Broker *broker;
    Str queue;
    int64_t now_us;
    size_t page_limit;
    ModelJob *jobs; /* owned; a job's key holds its index */
    size_t count, capacity;
} Model;

typedef struct ModelPage {
    Hint *hints; /* owned */
    size_t count;
    bool complete;
    bool reading; /* begun, and not yet ended */
    int64_t lock;
} ModelPage;

void model_open(Model *model, const BrokerSuite *suite);
void model_close(Model *model);

/* Commits a job; the broker isn't told. */
Hint model_commit(Model *model, int64_t priority, int64_t due_us);
/* Commits jobs and tells the broker. */
void model_push(Model *model, int64_t priority, int64_t due_us);
void model_push_many(Model *model, const Hint *hints, size_t count);
ModelJob *model_job(Model *model, const JobKey *key);

/* One read, in two halves: the page is the store's snapshot at the beginning. */
ModelPage model_read(Model *model, WindowSet set);
void model_read_end(Model *model, WindowSet set, ModelPage *page);
void model_read_fails(Model *model, WindowSet set, ModelPage *page);
/* Reads until the broker asks for no more. */
void model_refill(Model *model, WindowSet set);

/* Asserts that the reply is in order. Hints are copied to ret (room for n). */
TakeReply model_take(Model *model, size_t n, Hint *ret);
PromoteReply model_promote(Model *model);
/* The guard of a start, then settle: true when the job was waiting and due. What is not due yet
 * is pushed again, as the engine does. */
bool model_start(Model *model, const Hint *hint);

/* Shows the broker every waiting row; returns how many it had to add. With no hint lost that
 * must be 0, which is I1 and I2 as seen from outside. */
size_t model_sweep(Model *model);
void model_check(Model *model);

/* Takes everything that is due, refilling as asked: asserts that each due job starts exactly
 * once, in order of score, and none is left. Returns how many. */
size_t model_drain(Model *model, size_t n);
