/* A server of the worker protocol for tests: hands out the jobs it is given, writes down every
 * line it gets, and misbehaves on demand. Runs in a thread; every function may be called from
 * the test's. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef struct FakeServer FakeServer;

/* Listens on a free port of the loopback; answers nothing before fake_server_start(), so that a
 * test may fork in between. `password` NULL: none. */
FakeServer *fake_server_new(const char *password);
void fake_server_start(FakeServer *server);
void fake_server_free(FakeServer *server);

int fake_server_port(const FakeServer *server);

/* Hands this job object to the next TFETCH. */
void fake_server_offer(FakeServer *server, const char *job);
/* Answers the parked BEAT with this jid to cancel, or this state. */
void fake_server_cancel(FakeServer *server, const char *jid);
void fake_server_tell_state(FakeServer *server, const char *state);
/* "OK" or "STALE" as the verdict on outcomes and logs; "OK" at first. */
void fake_server_judge(FakeServer *server, const char *verdict);
/* Takes lines and answers nothing. */
void fake_server_mute(FakeServer *server, bool mute);
/* Closes all connections; new ones are welcome. */
void fake_server_break(FakeServer *server);
/* Closes all connections, and new ones as soon as they stand. */
void fake_server_shun(FakeServer *server, bool shun);
/* The same without a word to the other side of what stands. false: that needs a right of root. */
bool fake_server_vanish(FakeServer *server);
/* Closes all connections and listens no more: new ones are refused. Listens again on false. */
void fake_server_leave(FakeServer *server, bool away);
/* The next command is not answered: its connection is closed. */
void fake_server_break_at(FakeServer *server, const char *verb);
/* Answers this verb with these bytes, once. */
void fake_server_answer(FakeServer *server, const char *verb, const char *reply);

/* Waits until the lines received so far hold the text; false after `patience_ms`. */
bool fake_server_saw(FakeServer *server, const char *text, int64_t patience_ms);
/* How often they hold it. */
int fake_server_count(FakeServer *server, const char *text);
