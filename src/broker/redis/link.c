/* See link.h. */
#include "broker/redis/link.h"

#include "base/alloc.h"
#include "base/list.h"
#include "base/time.h"
#include "telemetry/log.h"

#include <hiredis/async.h>
#include <hiredis/adapters/libevent.h>
#include <stdlib.h>
#include <string.h>

#define COMMAND_MOST_US (2 * US_PER_S)
#define TICK_US US_PER_S
#define LOOK_US (US_PER_S / 4)
#define AGAIN_LEAST_US (US_PER_S / 10)
#define AGAIN_MOST_US US_PER_S

enum { WELL_TICKS = 5, WHY_MOST = 200, BYTES_MOST = 64 * 1024 * 1024 };

typedef struct Command {
    ListNode node; /* in `calls`, oldest first */
    RedisLink *link;
    RedisDone done;
    void *context;
    RedisScript script; /* REDIS_SCRIPTS: a plain command */
    size_t keys;
    RedisArguments arguments;
    int64_t sent_us;
    bool whole; /* sent with its text */
} Command;

struct RedisLink {
    RedisLinkOptions options;
    redisAsyncContext *commands, *words;
    bool connected; /* greeted */
    bool up, was_up;
    unsigned well; /* ticks in a row */
    char why[WHY_MOST];
    List calls;
    LoopTimer again, look;
    int64_t again_us, ticked_us;
    bool closing;
};

static void connect_now(RedisLink *link);

/* ---- arguments ---- */

void arguments_init(RedisArguments *arguments) {
    *arguments = (RedisArguments){0};
    buf_init(&arguments->bytes, BYTES_MOST);
}

void arguments_done(RedisArguments *arguments) {
    buf_done(&arguments->bytes);
    free(arguments->ends);
    arguments->ends = NULL;
}

void arguments_add(RedisArguments *arguments, Str text) {
    if (arguments->count == arguments->capacity) {
        arguments->capacity = arguments->capacity ? 2 * arguments->capacity : 16;
        arguments->ends =
            alloc_again(arguments->ends, arguments->capacity, sizeof *arguments->ends);
    }
    buf_add(&arguments->bytes, text);
    check(!arguments->bytes.overflow);
    arguments->ends[arguments->count++] = arguments->bytes.len;
}

void arguments_add_int(RedisArguments *arguments, int64_t number) {
    buf_add_int(&arguments->bytes, number);
    arguments_add(arguments, STR(""));
}

/* ---- up and away ---- */

static void turn(RedisLink *link) {
    if (link->up == link->was_up) return;
    link->was_up = link->up;
    if (!link->closing && link->options.turned) link->options.turned(link->options.context);
}

static void away(RedisLink *link, const char *why) {
    snprintf(link->why, sizeof link->why, "%s", why);
    link->up = false;
    link->well = 0;
    turn(link);
}

void redis_link_ticked(RedisLink *link, bool well) {
    if (!well) {
        if (link->up) away(link, "Redis does not answer");
        return;
    }
    link->well++;
    bool first = link->why[0] == '\0'; /* it has not been away yet */
    if (!link->up && (first || link->well >= WELL_TICKS)) {
        link->up = true;
        turn(link);
    }
}

bool redis_link_is_up(const RedisLink *link, Buf *why) {
    if (link->up || !why) return link->up;
    if (link->why[0] == '\0') {
        buf_add(why, STR("Redis has not answered yet"));
    } else if (link->connected && link->well > 0) {
        buf_format(why, "Redis is back, but not for 5 s yet; before: %s", link->why);
    } else {
        buf_format(why, "%s", link->why);
    }
    return false;
}

bool redis_link_is_connected(const RedisLink *link) {
    return link->connected;
}

/* ---- commands ---- */

static void command_end(Command *command, const redisReply *reply) {
    list_remove(&command->node);
    RedisDone done = command->done;
    void *context = command->context;
    arguments_done(&command->arguments);
    free(command);
    if (done) done(context, reply);
}

static bool send_command(Command *command);

static bool starts_with(const char *text, const char *prefix) {
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* What an error says of the server. WRONGTYPE: somebody else's keys, which are taken away; the window begins
 * anew. */
static void heed_error(Command *command, const char *text) {
    RedisLink *link = command->link;
    if (starts_with(text, "WRONGTYPE") || strstr(text, "WRONGTYPE")) {
        RedisArguments del;
        arguments_init(&del);
        arguments_add(&del, STR("DEL"));
        size_t begin = 0;
        for (size_t i = 0; i < command->keys && i < 5; i++) {
            size_t end = command->arguments.ends[i];
            arguments_add(&del, (Str){command->arguments.bytes.data + begin, end - begin});
            begin = end;
        }
        redis_link_command(link, &del);
        return;
    }
    char why[WHY_MOST];
    snprintf(why, sizeof why, "Redis refuses commands: %s", text);
    away(link, why);
}

static void on_reply(redisAsyncContext *context, void *answer, void *owner) {
    (void)context;
    Command *command = owner;
    const redisReply *reply = answer;
    if (reply && reply->type == REDIS_REPLY_ERROR) {
        bool unknown = starts_with(reply->str, "NOSCRIPT");
        if (unknown && !command->whole && command->script < REDIS_SCRIPTS) {
            command->whole = true;
            if (send_command(command)) return;
        } else {
            heed_error(command, reply->str);
        }
        reply = NULL;
    }
    command_end(command, reply);
}

static bool send_command(Command *command) {
    RedisLink *link = command->link;
    const RedisArguments *arguments = &command->arguments;
    size_t front = command->script < REDIS_SCRIPTS ? 3 : 0, count = arguments->count + front;
    const char **texts = alloc(count * sizeof *texts);
    size_t *lengths = alloc(count * sizeof *lengths);
    char keys[24];
    if (front) {
        texts[0] = command->whole ? "EVAL" : "EVALSHA";
        texts[1] =
            command->whole ? redis_script_text(command->script) : redis_script_sha(command->script);
        snprintf(keys, sizeof keys, "%zu", command->keys);
        texts[2] = keys;
        for (size_t i = 0; i < front; i++)
            lengths[i] = strlen(texts[i]);
    }
    size_t begin = 0;
    for (size_t i = 0; i < arguments->count; i++) {
        texts[front + i] = arguments->bytes.data + begin;
        lengths[front + i] = arguments->ends[i] - begin;
        begin = arguments->ends[i];
    }
    int rc = redisAsyncCommandArgv(link->commands, on_reply, command, (int)count, texts, lengths);
    free(texts);
    free(lengths);
    return rc == REDIS_OK;
}

static void run(RedisLink *link, RedisScript script, size_t keys, RedisArguments *arguments,
                RedisDone done, void *context) {
    if (!link->connected || link->closing) {
        arguments_done(arguments);
        if (done) done(context, NULL);
        return;
    }
    Command *command = alloc_zero(1, sizeof *command);
    *command = (Command){.link = link,
                         .done = done,
                         .context = context,
                         .script = script,
                         .keys = keys,
                         .arguments = *arguments,
                         .sent_us = loop_now_us(link->options.loop)};
    list_append(&link->calls, &command->node);
    if (!send_command(command)) command_end(command, NULL);
}

void redis_link_run(RedisLink *link, RedisScript script, size_t keys, RedisArguments *arguments,
                    RedisDone done, void *context) {
    run(link, script, keys, arguments, done, context);
}

void redis_link_command(RedisLink *link, RedisArguments *arguments) {
    run(link, REDIS_SCRIPTS, arguments->count > 1 ? arguments->count - 1 : 0, arguments, NULL,
        NULL);
}

/* ---- the connection ---- */

static void drop(RedisLink *link) {
    redisAsyncContext *commands = link->commands, *words = link->words;
    link->commands = link->words = NULL;
    link->connected = false;
    if (commands) redisAsyncFree(commands); /* answers what is under way with NULL */
    if (words) redisAsyncFree(words);
}

static void try_again(RedisLink *link) {
    if (link->closing) return;
    loop_timer_after(&link->again, link->again_us);
    link->again_us = link->again_us * 2 > AGAIN_MOST_US ? AGAIN_MOST_US : link->again_us * 2;
}

static void give_up(RedisLink *link, const char *why) {
    drop(link);
    away(link, why);
    try_again(link);
}

static void lost(RedisLink *link, const redisAsyncContext *context) {
    char why[WHY_MOST];
    snprintf(why, sizeof why, "Redis can't be reached: %s",
             context->errstr && context->errstr[0] ? context->errstr : "the connection was closed");
    away(link, why);
}

static void on_disconnected(const redisAsyncContext *context, int status) {
    RedisLink *link = context->data;
    (void)status;
    if (link->closing || (context != link->commands && context != link->words)) return;
    lost(link, context);
    /* hiredis frees this one itself */
    if (context == link->commands) {
        link->commands = NULL;
        link->connected = false;
    } else {
        link->words = NULL;
    }
    drop(link);
    try_again(link);
}

static void on_connected(const redisAsyncContext *context, int status) {
    RedisLink *link = context->data;
    if (status == REDIS_OK || link->closing) return;
    if (context != link->commands && context != link->words) return;
    lost(link, context);
    if (context == link->commands) {
        link->commands = NULL;
    } else {
        link->words = NULL;
    }
    drop(link);
    try_again(link);
}

static void on_word(redisAsyncContext *context, void *answer, void *owner) {
    RedisLink *link = owner;
    const redisReply *reply = answer;
    if (context != link->words || !reply || reply->type != REDIS_REPLY_ARRAY) return;
    if (reply->elements != 3 || !reply->element[2]->str) return;
    if (strcmp(reply->element[0]->str, "message") != 0) return;
    link->options.heard(link->options.context,
                        (Str){reply->element[2]->str, (size_t)reply->element[2]->len});
}

static void on_greeted(redisAsyncContext *context, void *answer, void *owner) {
    RedisLink *link = owner;
    const redisReply *reply = answer;
    if (context != link->commands || !reply) return;
    if (reply->type == REDIS_REPLY_ERROR) {
        char why[WHY_MOST];
        snprintf(why, sizeof why, "Redis refuses the login: %s", reply->str);
        away(link, why);
        /* not from inside its callback: the look drops it */
        link->ticked_us = INT64_MAX;
        return;
    }
    for (RedisScript script = 0; script < REDIS_SCRIPTS; script++) {
        redisAsyncCommand(context, NULL, NULL, "SCRIPT LOAD %s", redis_script_text(script));
    }
    link->connected = true;
    link->again_us = AGAIN_LEAST_US;
    link->ticked_us = loop_now_us(link->options.loop);
    link->options.tick(link->options.context);
}

static redisAsyncContext *open_context(RedisLink *link) {
    const RedisAddress *address = link->options.address;
    redisAsyncContext *context = redisAsyncConnect(address->host, address->port);
    check(context);
    if (context->err) {
        lost(link, context);
        redisAsyncFree(context);
        return NULL;
    }
    context->data = link;
    check(redisLibeventAttach(context, loop_base(link->options.loop)) == REDIS_OK);
    redisAsyncSetConnectCallback(context, on_connected);
    redisAsyncSetDisconnectCallback(context, on_disconnected);
    return context;
}

static void log_in(RedisLink *link, redisAsyncContext *context) {
    const RedisAddress *address = link->options.address;
    (void)link;
    if (address->password[0] && address->user[0]) {
        redisAsyncCommand(context, NULL, NULL, "AUTH %s %s", address->user, address->password);
    } else if (address->password[0]) {
        redisAsyncCommand(context, NULL, NULL, "AUTH %s", address->password);
    }
}

static void connect_now(RedisLink *link) {
    link->commands = open_context(link);
    if (link->commands) link->words = open_context(link);
    if (!link->commands || !link->words) {
        drop(link);
        try_again(link);
        return;
    }
    log_in(link, link->commands);
    log_in(link, link->words);
    /* also tells whether the login was good */
    redisAsyncCommand(link->commands, on_greeted, link, "SELECT %lld",
                      (long long)link->options.address->database);
    redisAsyncCommand(link->words, on_word, link, "SUBSCRIBE %s", link->options.channel);
    link->ticked_us = loop_now_us(link->options.loop);
}

static void on_again(void *owner) {
    RedisLink *link = owner;
    if (!link->commands) connect_now(link);
}

static void on_look(void *owner) {
    RedisLink *link = owner;
    int64_t now_us = loop_now_us(link->options.loop);
    loop_timer_after(&link->look, LOOK_US);
    if (!link->commands) return;
    ListNode *node = list_first(&link->calls);
    const Command *oldest = node ? container_of(node, Command, node) : NULL;
    bool mute = oldest && oldest->sent_us + COMMAND_MOST_US <= now_us;
    bool ungreeted = !link->connected && link->ticked_us + COMMAND_MOST_US <= now_us;
    if (link->ticked_us == INT64_MAX) {
        char why[WHY_MOST];
        memcpy(why, link->why, sizeof why);
        link->ticked_us = 0;
        give_up(link, why);
    } else if (mute || ungreeted) {
        give_up(link, "Redis does not answer in time");
    } else if (link->connected && link->ticked_us + TICK_US <= now_us) {
        link->ticked_us = now_us;
        link->options.tick(link->options.context);
    }
}

RedisLink *redis_link_new(const RedisLinkOptions *options) {
    RedisLink *link = alloc_zero(1, sizeof *link);
    link->options = *options;
    link->again_us = AGAIN_LEAST_US;
    list_init(&link->calls);
    loop_timer_init(&link->again, options->loop, on_again, link);
    loop_timer_init(&link->look, options->loop, on_look, link);
    loop_timer_after(&link->again, 0);
    loop_timer_after(&link->look, LOOK_US);
    return link;
}

void redis_link_free(RedisLink *link) {
    if (!link) return;
    link->closing = true;
    loop_timer_cancel(&link->again);
    loop_timer_cancel(&link->look);
    drop(link);
    free(link);
}
