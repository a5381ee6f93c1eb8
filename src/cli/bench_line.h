/* Inside the load over the worker protocol: one connection with one command under way, and what its
 * scenarios share. bench_line.c has the connections and the scenarios that go as fast as they can,
 * bench_paced.c those that go by the clock. */
#pragma once

#include "base/id.h"
#include "cli/bench.h"
#include "client/session.h"

typedef struct Line Line;
typedef struct LineBench LineBench;

typedef void Act(Line *line);
typedef void Hear(Line *line, const Reply *reply);

struct Line { /* one connection */
    LineBench *bench;
    Connection *connection;
    Session session;
    SessionIdentity identity;
    char wid[64];
    Act *begin;  /* the handshake is done */
    Hear *heard; /* what the next reply is for */
    int64_t sent_us;
    char *jids; /* of the batch under way: UUID_TEXT_SIZE each */
    size_t jid_count;
    Arena arena;
    LoopTimer timer;
    bool over;
};

struct LineBench {
    const BenchPlan *plan;
    BenchResult *result;
    Loop *loop;
    Line *lines;
    size_t line_count, lines_open;
    int64_t last_us;      /* when the last job was done: what comes after is waiting for nothing */
    int64_t issued;       /* jobs begun */
    int64_t first_due_us; /* storm: time of day */
    UuidMaker ids;
    Random random;
    Error error;
    Err err;
};

/* A command begins; write its argument, then send it off. */
Buf *line_command(Line *line, const char *verb);
void line_send(Line *line, Hear *heard);
void line_over(Line *line);
/* The reply is an error: counted, the first one shown, and the line is over. */
bool line_is_bad(Line *line, const Reply *reply);
void line_jobs_done(Line *line, size_t count);
/* The jobs of a TFETCH's reply are reported as succeeded. */
void line_settle(Line *line, const Reply *reply, Hear *settled);
/* A job as JSON; at_us > 0: due then (time of day), and its first argument. */
void line_put_job(Line *line, Buf *output, size_t number, int64_t at_us);
/* How many jobs the next batch may have; 0: all are begun. */
size_t line_claim(LineBench *bench);

Act paced_begin, storm_begin;
/* What the timer of a line is for. */
void line_on_pace(void *line);
