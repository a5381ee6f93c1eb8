/* The connections to Redis: commands under way and their answers, health, words of other nodes.
 *
 * One connection for scripts, one for the channel. A command that is not answered in 2 s takes the
 * connection with it. All on the loop thread. */
#pragma once

#include "base/buf.h"
#include "broker/redis/scripts.h"
#include "net/loop.h"
#include <hiredis/hiredis.h>

typedef struct RedisLink RedisLink;

typedef struct RedisAddress { /* texts owned; "" = none */
    char *host, *user, *password, *prefix;
    int port;
    int64_t database;
} RedisAddress;

/* reply NULL: the command could not be asked, or its answer was lost or an error. */
typedef void (*RedisDone)(void *context, const redisReply *reply);

typedef struct RedisLinkOptions {
    Loop *loop;
    const RedisAddress *address;            /* borrowed */
    const char *channel;                    /* likewise */
    void (*turned)(void *context);          /* redis_link_is_up() has changed */
    void (*tick)(void *context);            /* once a second while connected: ask something */
    void (*heard)(void *context, Str word); /* on the channel */
    void *context;
} RedisLinkOptions;

RedisLink *redis_link_new(const RedisLinkOptions *options) __attribute__((returns_nonnull));
/* Commands under way are answered with NULL first. Accepts NULL. */
void redis_link_free(RedisLink *link);

/* The arguments of one command, NUL safe. */
typedef struct RedisArguments {
    Buf bytes;
    size_t *ends; /* owned */
    size_t count, capacity;
} RedisArguments;

void arguments_init(RedisArguments *arguments);
void arguments_done(RedisArguments *arguments);
void arguments_add(RedisArguments *arguments, Str text);
void arguments_add_int(RedisArguments *arguments, int64_t number);

/* Runs a script with `keys` of the arguments being keys; takes the arguments over. `done` comes later, or at
 * once with NULL when there is no connection. */
void redis_link_run(RedisLink *link, RedisScript script, size_t keys, RedisArguments *arguments,
                    RedisDone done, void *context);
/* A plain command whose answer nobody needs. */
void redis_link_command(RedisLink *link, RedisArguments *arguments);
/* A tick was answered well, or not. */
void redis_link_ticked(RedisLink *link, bool well);

/* In touch, and for 5 s when it has been away before. `why` (NULL: not asked) gets words. */
bool redis_link_is_up(const RedisLink *link, Buf *why);
bool redis_link_is_connected(const RedisLink *link);
