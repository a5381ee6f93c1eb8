/* takt token create and takt token revoke.
 *
 * A token is made offline, with the key itself, where the data directory is at hand and no server
 * was named; otherwise a server makes it. Only the token goes to stdout, so that it can be
 * captured. */
#include "base/clock.h"
#include "base/time.h"
#include "cli/remote.h"
#include "server/token_offline.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TTL_DEFAULT_MS (INT64_C(24) * 3600 * MS_PER_S)
#define SUBJECT_DEFAULT "cli"

typedef struct Wish {
    const char *roles[TOKEN_MAX_ROLES];
    Role role_numbers[TOKEN_MAX_ROLES];
    size_t role_count;
    Str queues[TOKEN_MAX_QUEUES];
    size_t queue_count;
    const char *subject; /* NULL: whoever makes it chooses; the same for ttl */
    const char *ttl;     /* as written */
    int64_t ttl_ms;
} Wish;

/* ---- what is asked for ---- */

static ExitCode read_roles(const Cli *cli, Wish *wish) {
    for (; cli_flag_at(cli, "role", wish->role_count); wish->role_count++) {
        size_t i = wish->role_count;
        if (i == TOKEN_MAX_ROLES) return cli_usage(cli, "more than %d roles", TOKEN_MAX_ROLES);
        wish->roles[i] = cli_flag_at(cli, "role", i);
        if (!role_parse(str_from(wish->roles[i]), &wish->role_numbers[i])) {
            return cli_usage(cli,
                             "--role '%s' is none of viewer, producer, operator, admin, worker",
                             wish->roles[i]);
        }
    }
    if (wish->role_count > 0) return EXIT_DONE;
    return cli_usage(cli, "--role is missing: viewer, producer, operator, admin or worker");
}

static ExitCode read_wish(const Cli *cli, Wish *wish) {
    ExitCode code = read_roles(cli, wish);
    if (code != EXIT_DONE) return code;
    for (Str rest = str_from(cli_flag(cli, "queues")); rest.ptr;) {
        Str queue = str_trim(str_split(&rest, ','));
        if (queue.len == 0) return cli_usage(cli, "--queues holds an empty name");
        if (wish->queue_count == TOKEN_MAX_QUEUES) {
            return cli_usage(cli, "more than %d queues", TOKEN_MAX_QUEUES);
        }
        wish->queues[wish->queue_count++] = queue;
    }
    Error error;
    wish->subject = cli_flag(cli, "subject");
    wish->ttl = cli_flag(cli, "ttl");
    wish->ttl_ms = TTL_DEFAULT_MS;
    if (wish->ttl && duration_parse(str_from(wish->ttl), &wish->ttl_ms, &error) != OK) {
        return cli_usage(cli, "--ttl: %s", error.message);
    }
    if (wish->ttl_ms < MS_PER_S) return cli_usage(cli, "--ttl '%s' is under 1s", wish->ttl);
    return EXIT_DONE;
}

/* ---- offline ---- */

/* `store` (else `directory`): whose key signs. */
static ExitCode create_offline(Cli *cli, const Wish *wish, const char *store,
                               const char *directory) {
    TokenGrant grant = {
        .subject = str_from(wish->subject ? wish->subject : SUBJECT_DEFAULT),
        .roles = wish->role_numbers,
        .role_count = wish->role_count,
        .queues = wish->queues,
        .queue_count = wish->queue_count,
        .ttl_s = wish->ttl_ms / MS_PER_S,
    };
    char id[TOKEN_ID_SIZE], expires[TIME_TEXT_SIZE];
    cleanup(buf_done) Buf token;
    Error error;
    int64_t now_us = clock_real_us();
    buf_init(&token, TOKEN_MAX_SIZE);
    Err err = store ? token_offline_mint_for(str_from(store), &grant, now_us, &token, id, &error)
                    : token_offline_mint(directory, &grant, now_us, &token, id, &error);
    if (err != OK) {
        ExitCode code = cli_failed(&error);
        return store ? code : EXIT_CONFIG;
    }
    time_format((now_us / US_PER_S + grant.ttl_s) * US_PER_S, expires);
    if (!cli->json) {
        fprintf(stderr, "id %s, until %s\n", id, expires);
        printf("%s\n", buf_cstr(&token));
        return EXIT_DONE;
    }
    printf("{\"id\":\"%s\",\"token\":\"%s\",\"expires_at\":\"%s\"}\n", id, buf_cstr(&token),
           expires);
    return EXIT_DONE;
}

/* The directory to take the key from; NULL: ask a server. */
static const char *find_directory(const Cli *cli) {
    const char *named = cli_flag(cli, "data");
    if (named) return named;
    if (cli_flag(cli, "server") || cli_flag(cli, "token") || getenv("TAKT_SERVER")) return NULL;
    const char *directory = remote_data_directory();
    return token_offline_is_possible(directory) ? directory : NULL;
}

/* ---- by a server ---- */

static void write_wish(const Wish *wish, Buf *body) {
    JsonWriter writer = json_writer(body);
    json_begin_object(&writer);
    if (wish->subject) json_put_string(&writer, "subject", str_from(wish->subject));
    json_write_key(&writer, STR("roles"));
    json_begin_array(&writer);
    for (size_t i = 0; i < wish->role_count; i++) {
        json_write_string(&writer, str_from(wish->roles[i]));
    }
    json_end_array(&writer);
    if (wish->queue_count > 0) {
        json_write_key(&writer, STR("queues"));
        json_begin_array(&writer);
        for (size_t i = 0; i < wish->queue_count; i++) {
            json_write_string(&writer, wish->queues[i]);
        }
        json_end_array(&writer);
    }
    if (wish->ttl) json_put_string(&writer, "ttl", str_from(wish->ttl));
    json_end_object(&writer);
}

static ExitCode create_by_server(Cli *cli, const Wish *wish) {
    cleanup(http_client_cleanup) HttpClient *client = NULL;
    cleanup(buf_done) Buf body;
    HttpAnswer answer;
    buf_init(&body, REMOTE_BODY_MAX);
    write_wish(wish, &body);
    ExitCode code = remote_open(cli, &client);
    if (code == EXIT_DONE) code = remote_post(client, STR("/v1/tokens"), buf_str(&body), &answer);
    if (code != EXIT_DONE) return code;
    if (cli->json) {
        remote_print(&answer);
        return EXIT_DONE;
    }
    Str id = cell_of(answer.json, "id", &cli->arena);
    Str expires = cell_of(answer.json, "expires_at", &cli->arena);
    Str token = cell_of(answer.json, "token", &cli->arena);
    fprintf(stderr, "id " STR_FMT ", until " STR_FMT "\n", STR_ARG(id), STR_ARG(expires));
    printf(STR_FMT "\n", STR_ARG(token));
    return EXIT_DONE;
}

ExitCode command_token_create(Cli *cli) {
    Wish wish = {0};
    ExitCode code = read_wish(cli, &wish);
    if (code != EXIT_DONE) return code;
    const char *store = cli_flag(cli, "store");
    if (store) return create_offline(cli, &wish, store, NULL);
    const char *directory = find_directory(cli);
    return directory ? create_offline(cli, &wish, NULL, directory) : create_by_server(cli, &wish);
}

ExitCode command_token_revoke(Cli *cli) {
    cleanup(http_client_cleanup) HttpClient *client = NULL;
    HttpAnswer answer;
    ExitCode code = remote_open(cli, &client);
    if (code != EXIT_DONE) return code;
    Str path = path_of(cli, "/v1/tokens/", cli->arguments[0], "");
    code = remote_call(client, &(HttpCall){.method = "DELETE", .path = path}, &answer);
    if (code != EXIT_DONE) return code;
    if (cli->json) {
        remote_print(&answer);
    } else {
        printf("token %s is revoked\n", cli->arguments[0]);
    }
    return EXIT_DONE;
}
