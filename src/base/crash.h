/* Crash points: labelled places at which a test build can be told to die as by kill -9.
 *
 * TAKT_CRASH_AT=POINT:N ends the process with SIGKILL when it passes POINT for the Nth time;
 * TAKT_CRASH_AT=list prints the table. Only in builds with -Dcrash_points=true: elsewhere a point
 * is nothing at all, and so is this header. The table is the only place that knows the points:
 * tests/faults/kill_node visits each of its rows. Any thread may pass one. */
#pragma once

#ifdef TAKT_CRASH_POINTS

/* When a node passes it:
 *   FRESH  once, in its first start on an empty data directory
 *   START  once, in every start
 *   LOAD   again and again, under load
 *   WIPE   with every FLUSH
 *   STOP   once, when it is told to end
 */
/* clang-format off */
#define CRASH_POINTS(X)                                                                            \
    X(DATA_MADE, "data.made", FRESH, "the data directory is there and empty")                      \
    X(KEY_WRITTEN, "key.written", FRESH, "the signing key is synced under another name")           \
    X(KEY_LINKED, "key.linked", FRESH, "it has its name; the other name is still there")           \
    X(STORE_FILE_MADE, "store.file-made", FRESH, "the store's file is there and empty")            \
    X(SCHEMA_MADE, "schema.made", FRESH, "the tables are made, not committed")                     \
    X(SCHEMA_COMMITTED, "schema.committed", FRESH, "the tables are committed")                     \
    X(TOKEN_WRITTEN, "token.written", FRESH, "the admin's token is synced under another name")     \
                                                                                                   \
    X(STORE_LOCKED, "store.locked", START, "the store is locked, not yet opened")                  \
    X(STORE_SETTLED, "store.settled", START, "the store is open, its log recovered")               \
    X(ENGINE_LOADED, "engine.loaded", START, "queues and sessions are read, no duty has run")      \
    X(PORTS_OPEN, "ports.open", START, "both ports accept, nothing is answered yet")               \
                                                                                                   \
    X(STORE_TAKEN, "store.taken", LOAD, "the writer has a batch, no transaction is open")          \
    X(STORE_BEGUN, "store.begun", LOAD, "the transaction is open, nothing is written")             \
    X(STORE_FLUSHED, "store.flushed", LOAD, "a round's changes are written, not committed")        \
    X(STORE_WRITTEN, "store.written", LOAD, "all is written, COMMIT comes next")                   \
    X(STORE_COMMITTED, "store.committed", LOAD, "COMMIT has returned, nobody knows")               \
    X(STORE_POSTED, "store.posted", LOAD, "the answer is on its way to the loop thread")           \
    X(STORE_CHECKPOINT, "store.checkpoint", LOAD, "the log is full, not yet copied")               \
    X(STORE_CHECKPOINTED, "store.checkpointed", LOAD, "the log is copied into the file")           \
                                                                                                   \
    X(PIPELINE_FILLED, "pipeline.filled", LOAD, "a batch is filled, the store doesn't have it")    \
    X(PIPELINE_COMMITTED, "pipeline.committed", LOAD, "it is committed, nobody is answered")       \
    X(PIPELINE_ANSWERED, "pipeline.answered", LOAD, "answers are made, hints not published")       \
    X(PIPELINE_PUBLISHED, "pipeline.published", LOAD, "hints are published")                       \
                                                                                                   \
    X(CLAIM_TAKEN, "claim.taken", LOAD, "hints are taken from the broker, nothing is claimed")     \
    X(CLAIM_COMMITTED, "claim.committed", LOAD, "jobs are leased, their worker doesn't know")      \
    X(CLAIM_UNDONE, "claim.undone", LOAD, "leases of a worker that hung up are given back")        \
    X(OUTCOME_COMMITTED, "outcome.committed", LOAD, "outcomes are in, their worker isn't told")    \
    X(ACT_COMMITTED, "act.committed", LOAD, "a cancel, retry or delete is in, not answered")       \
    X(MASS_ACTED, "mass.acted", LOAD, "a page of an act on many jobs is in, more may follow")      \
    X(PAUSE_COMMITTED, "pause.committed", LOAD, "a queue is paused or not, the engine not told")   \
                                                                                                   \
    X(SESSION_OPENED, "session.opened", LOAD, "a worker said HELLO, its row isn't written")        \
    X(SESSION_WRITTEN, "session.written", LOAD, "rows of sessions are committed")                  \
    X(SESSION_CLOSED, "session.closed", LOAD, "a worker has gone, its row doesn't say so")         \
    X(REAP_BEGUN, "reap.begun", LOAD, "a worker counts as gone, its jobs still run")               \
    X(REAP_COMMITTED, "reap.committed", LOAD, "its jobs wait again, its session isn't forgotten")  \
    X(REAP_OVERDUE, "reap.overdue", LOAD, "attempts past their deadline are ended")                \
    X(REAP_KEPT, "reap.kept", LOAD, "what a worker doesn't hold is given to others")               \
                                                                                                   \
    X(REFILL_READ, "refill.read", LOAD, "a page of hints is read, the broker doesn't have it")     \
    X(SWEEP_READ, "sweep.read", LOAD, "a page of a sweep is read, nothing is repaired")            \
    X(PROMOTE_DUE, "promote.due", LOAD, "a delayed job is due, not yet ready")                     \
    X(EXPIRE_DECIDED, "expire.decided", LOAD, "what wasn't started in time is cancelled in memory")\
    X(PRUNE_DECIDED, "prune.decided", LOAD, "ended jobs are to be deleted, nothing is")            \
                                                                                                   \
    X(HTTP_READ, "http.read", LOAD, "a request is read, its handler not called")                   \
    X(HTTP_ANSWER, "http.answer", LOAD, "a request is done, its answer not written")               \
    X(WIRE_PUSH, "wire.push", LOAD, "a PUSH is read, no batch has it")                             \
    X(WIRE_TAKE, "wire.take", LOAD, "a TFETCH is read, nothing is asked for")                      \
    X(WIRE_JOBS, "wire.jobs", LOAD, "the reply with jobs is made, no byte of it is out")           \
    X(WIRE_DONE, "wire.done", LOAD, "a TDONE is read, no batch has it")                            \
    X(NET_SEND, "net.send", LOAD, "bytes wait for the socket")                                     \
    X(NET_SENT, "net.sent", LOAD, "the socket has them")                                           \
                                                                                                   \
    X(WIPE_DELETED, "wipe.deleted", WIPE, "everything is deleted, not committed")                  \
    X(WIPE_COMMITTED, "wipe.committed", WIPE, "it is committed, the broker has its hints")         \
    X(WIPE_DONE, "wipe.done", WIPE, "the broker is wiped too, nothing is answered")                \
                                                                                                   \
    X(DRAIN_BEGUN, "drain.begun", STOP, "the node was told to end, ports still accept")            \
    X(DRAIN_OVER, "drain.over", STOP, "the loop has ended, all is still open")                     \
    X(STOP_SETTLED, "stop.settled", STOP, "connections are closed, the store is idle")             \
    X(STOP_CLOSED, "stop.closed", STOP, "the store is closed")
/* clang-format on */

#define CRASH_CONSTANT(constant, name, when, meaning) CRASH_##constant,
typedef enum CrashPoint { CRASH_POINTS(CRASH_CONSTANT) CRASH_COUNT_ } CrashPoint;

/* Reads TAKT_CRASH_AT, before there are threads. Ends the process with the list of points when it
 * asks for that (exit 0) or can't be understood (exit 2). */
void crash_setup(void);
void crash_pass(CrashPoint point);

#define crash_point(point) crash_pass(CRASH_##point)

#else
#define crash_setup() ((void)0)
#define crash_point(point) ((void)0)
#endif
