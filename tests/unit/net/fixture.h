/* A loop and clients in one thread: the client's calls are followed by turns of the loop, so that a
 * test decides exactly what the server has seen. */
#pragma once

#include "base/buf.h"
#include "net/loop.h"

/* Turns the loop without waiting, often enough for what was sent to be answered. */
void pump(Loop *loop);

/* Turns the loop, waiting where needed, until *flag or for at most `ms`. Gives *flag. */
bool pump_until(Loop *loop, const bool *flag, int64_t ms);

/* Turns the loop for so long. */
void pump_for(Loop *loop, int64_t ms);

/* A non-blocking client connected to 127.0.0.1. */
int client_connect(Loop *loop, uint16_t port);
/* Sends all of it, turning the loop while the socket is full. */
void client_send(Loop *loop, int fd, Str bytes);
/* Appends what is there; true when the server has closed. */
bool client_receive(int fd, Buf *buf);
/* Closes at once (reset). */
void client_close(Loop *loop, int fd);
