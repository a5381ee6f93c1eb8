/* Connecting, and one exchange with the server. The one invariant: between calls the connection is
 * either open with nothing under way, or closed. */
#include "client/client.h"

#include "base/clock.h"
#include "base/time.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    TIMEOUT_DEFAULT_MS = 5000,
    ATTEMPTS_DEFAULT = 5,
    PAUSE_FIRST_MS = 100,
    PAUSE_MOST_MS = 2000,
    READ_SIZE = 65536,
    HELLO_MAX = 1 << 20,
};

/* ---- errors ---- */

const char *takt_status_name(takt_status status) {
    switch (status) {
    case TAKT_OK: return "ok";
    case TAKT_ERR_INVALID: return "invalid";
    case TAKT_ERR_REFUSED: return "refused";
    case TAKT_ERR_NOT_UNIQUE: return "not-unique";
    case TAKT_ERR_DENIED: return "denied";
    case TAKT_ERR_UNAVAILABLE: return "unavailable";
    case TAKT_ERR_UNCERTAIN: return "uncertain";
    case TAKT_ERR_PROTOCOL: return "protocol";
    case TAKT_ERR_MEMORY: return "memory";
    }
    return "unknown";
}

takt_status client_fail(takt_error *error, takt_status status, const char *format, ...) {
    if (!error) return status;
    va_list arguments;
    va_start(arguments, format);
    error->status = status;
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    return status;
}

takt_status client_fail_with(takt_error *error, const Error *cause) {
    takt_status status = TAKT_ERR_UNAVAILABLE;
    if (cause->err == ERR_DENIED) status = TAKT_ERR_DENIED;
    if (cause->err == ERR_INVALID) status = TAKT_ERR_PROTOCOL;
    return client_fail(error, status, "%s", cause->message);
}

takt_status client_fail_refused(takt_error *error, Str reply) {
    takt_status status = TAKT_ERR_REFUSED;
    if (str_starts_with(reply, STR("NOTUNIQUE"))) status = TAKT_ERR_NOT_UNIQUE;
    if (str_starts_with(reply, STR("ERR "))) reply = (Str){reply.ptr + 4, reply.len - 4};
    int shown = reply.len > 250 ? 250 : (int)reply.len;
    return client_fail(error, status, "%.*s", shown, reply.ptr);
}

/* ---- connection ---- */

static void disconnect(takt_client *client) {
    wire_close(&client->wire);
    client->session.state = SESSION_BROKEN;
    client->input_len = client->input_used = 0;
}

static bool make_room(takt_client *client) {
    size_t missing = reply_missing(&client->session.scan, (Str){client->input, client->input_len});
    size_t wanted = client->input_len + (missing > READ_SIZE ? missing : READ_SIZE);
    if (wanted <= client->input_capacity) return true;
    char *grown = realloc(client->input, wanted);
    if (!grown) return false;
    client->input = grown;
    client->input_capacity = wanted;
    return true;
}

static void drop_used(takt_client *client) {
    client->input_len -= client->input_used;
    if (client->input_len > 0) {
        memmove(client->input, client->input + client->input_used, client->input_len);
    }
    client->input_used = 0;
}

/* Steps the session until it says READY or REPLY. */
static takt_status advance(takt_client *client, int64_t deadline_us, Reply *ret,
                           takt_error *error) {
    cleanup(buf_done) Buf hello;
    buf_init(&hello, HELLO_MAX);
    Error cause = {0};
    for (;;) {
        drop_used(client);
        SessionEvent event = session_step(&client->session, (Str){client->input, client->input_len},
                                          &hello, &client->input_used, ret, &cause);
        if (event == SESSION_READY || event == SESSION_REPLY) return TAKT_OK;
        if (event == SESSION_FAILED) return client_fail_with(error, &cause);
        drop_used(client);
        if (hello.len > 0) {
            Err err = wire_write(&client->wire, hello.data, hello.len, deadline_us, &cause);
            if (err != OK) return client_fail_with(error, &cause);
            buf_clear(&hello);
        }
        if (!make_room(client)) return client_fail(error, TAKT_ERR_MEMORY, "out of memory");
        size_t len;
        if (wire_read(&client->wire, client->input + client->input_len,
                      client->input_capacity - client->input_len, deadline_us, &len,
                      &cause) != OK) {
            return client_fail_with(error, &cause);
        }
        client->input_len += len;
    }
}

static takt_status connect_once(takt_client *client, takt_error *error) {
    int64_t deadline_us = clock_mono_us() + client->timeout_ms * US_PER_MS;
    Error cause = {0};
    Reply reply;
    if (wire_open(&client->wire, &client->address, client->ca_file, deadline_us, &cause) != OK) {
        return client_fail_with(error, &cause);
    }
    if (client->identity.wid.len > 0) wire_probe(&client->wire);
    session_init(&client->session, &client->identity);
    takt_status status = advance(client, deadline_us, &reply, error);
    if (status != TAKT_OK) disconnect(client);
    return status;
}

static void pause_before(int attempt) {
    int64_t ms = PAUSE_FIRST_MS;
    for (int i = 1; i < attempt && ms < PAUSE_MOST_MS; i++)
        ms *= 2;
    if (attempt > 0) usleep((useconds_t)((ms < PAUSE_MOST_MS ? ms : PAUSE_MOST_MS) * US_PER_MS));
}

static takt_status connect_again(takt_client *client, takt_error *error) {
    takt_status status = TAKT_ERR_UNAVAILABLE;
    for (int i = 0; i < client->attempts; i++) {
        pause_before(i);
        status = connect_once(client, error);
        if (status != TAKT_ERR_UNAVAILABLE) return status;
    }
    return status;
}

/* ---- requests ---- */

size_t client_string_bound(const char *text) {
    return text ? 6 * strlen(text) + 3 : 4;
}

takt_status client_begin(takt_client *client, Str verb, size_t bound, takt_error *error) {
    size_t max = verb.len + bound + sizeof " \r\n";
    if (client->request.capacity < max + 1) {
        char *grown = realloc(client->request.data, max + 1);
        if (!grown) return client_fail(error, TAKT_ERR_MEMORY, "out of memory");
        client->request.data = grown;
        client->request.capacity = max + 1;
        client->request.max = max;
    }
    buf_clear(&client->request);
    buf_add(&client->request, verb);
    buf_add_char(&client->request, ' ');
    return TAKT_OK;
}

takt_status client_put_json(JsonWriter *writer, const char *key, const char *text, JsonKind kind,
                            takt_error *error) {
    Json root;
    Error cause = {0};
    if (json_check(str_from(text), &root, &cause) != OK) {
        return client_fail(error, TAKT_ERR_INVALID, "%s: %s", key, cause.message);
    }
    if (kind != JSON_NULL && root.kind != kind) {
        return client_fail(error, TAKT_ERR_INVALID, "%s must be %s", key,
                           kind == JSON_ARRAY ? "a JSON array" : "a JSON object");
    }
    json_write_key(writer, str_from(key));
    /* one line, whatever blanks the text has; the writer places no comma inside */
    json_write_raw(writer, STR(""));
    json_compact(writer->buf, root);
    return TAKT_OK;
}

static takt_status send_and_wait(takt_client *client, int64_t wait_ms, Reply *ret,
                                 takt_error *error) {
    int64_t deadline_us = clock_mono_us() + (client->timeout_ms + wait_ms) * US_PER_MS;
    Error cause = {0};
    drop_used(client);
    session_expect(&client->session);
    client->sent_us = clock_mono_us();
    if (wire_write(&client->wire, client->request.data, client->request.len, deadline_us, &cause) !=
        OK) {
        return client_fail_with(error, &cause);
    }
    return advance(client, deadline_us, ret, error);
}

takt_status client_exchange(takt_client *client, Repeat repeat, int64_t wait_ms, Reply *ret,
                            takt_error *error) {
    buf_add(&client->request, STR("\r\n"));
    check(!client->request.overflow);
    for (int attempt = 0;; attempt++) {
        if (client->session.state != SESSION_OPEN) {
            takt_status status = connect_again(client, error);
            if (status != TAKT_OK) return status;
        }
        takt_status status = send_and_wait(client, wait_ms, ret, error);
        if (status == TAKT_OK) return TAKT_OK;
        disconnect(client);
        if (status != TAKT_ERR_UNAVAILABLE) return status;
        if (repeat == REPEAT_UNSAFE) {
            return client_fail(error, TAKT_ERR_UNCERTAIN,
                               "the connection broke before the answer came");
        }
        if (attempt + 1 >= client->attempts) return status;
    }
}

takt_status client_exchange_plain(takt_client *client, Repeat repeat, takt_error *error) {
    Reply reply;
    takt_status status = client_exchange(client, repeat, 0, &reply, error);
    if (status != TAKT_OK) return status;
    return reply.kind == REPLY_ERROR ? client_fail_refused(error, reply.text) : TAKT_OK;
}

takt_status client_exchange_bulk(takt_client *client, Repeat repeat, int64_t wait_ms, Str *ret,
                                 takt_error *error) {
    Reply reply;
    takt_status status = client_exchange(client, repeat, wait_ms, &reply, error);
    if (status != TAKT_OK) return status;
    if (reply.kind == REPLY_ERROR) return client_fail_refused(error, reply.text);
    if (reply.kind != REPLY_BULK) {
        return client_fail(error, TAKT_ERR_PROTOCOL, "the server answered with something else");
    }
    *ret = reply.text;
    return TAKT_OK;
}

/* ---- life ---- */

/* A copy that the client owns; NULL stays NULL. */
static bool own(takt_client *client, size_t i, const char *text, Str *ret) {
    if (!text) return true;
    client->owned[i] = strdup(text);
    *ret = str_from(client->owned[i]);
    return client->owned[i] != NULL;
}

static bool own_labels(takt_client *client, const takt_options *options) {
    size_t bound = 16;
    for (size_t i = 0; i < options->label_count; i++) {
        bound += client_string_bound(options->labels[i]) + 1;
    }
    Buf text = {.data = malloc(bound + 1), .capacity = bound + 1, .max = bound};
    client->labels = text.data;
    if (!text.data) return false;
    JsonWriter writer = json_writer(&text);
    json_begin_array(&writer);
    for (size_t i = 0; i < options->label_count; i++) {
        json_write_string(&writer, str_from(options->labels[i]));
    }
    json_end_array(&writer);
    client->identity.labels = (Json){.kind = JSON_ARRAY, .text = buf_str(&text)};
    return true;
}

static takt_status configure(takt_client *client, const takt_options *options, takt_error *error) {
    const char *url = options->url;
    if (!url) url = getenv("TAKT_URL");
    if (!url) url = getenv("FAKTORY_URL");
    if (!url) url = "tcp://localhost:" ADDRESS_PORT;
    Error cause = {0};
    if (server_address_parse(str_from(url), &client->address, &cause) != OK) {
        return client_fail(error, TAKT_ERR_INVALID, "%s", cause.message);
    }
    char host[256] = "";
    if (gethostname(host, sizeof host - 1) != 0) host[0] = '\0';
    const char *password = options->password;
    if (!password && client->address.password[0]) password = client->address.password;
    Str ca_file = {0};
    bool owned = own(client, 0, password, &client->identity.password) &&
                 own(client, 1, options->token, &client->identity.token) &&
                 own(client, 2, options->worker_id, &client->identity.wid) &&
                 own(client, 3, host, &client->identity.hostname) &&
                 own(client, 4, options->ca_file, &ca_file) && own_labels(client, options);
    if (!owned) return client_fail(error, TAKT_ERR_MEMORY, "out of memory");
    client->ca_file = client->owned[4];
    client->identity.pid = getpid();
    client->timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : TIMEOUT_DEFAULT_MS;
    client->attempts = options->attempts > 0 ? options->attempts : ATTEMPTS_DEFAULT;
    return TAKT_OK;
}

takt_status takt_connect(const takt_options *options, takt_client **ret_client, takt_error *error) {
    const takt_options defaults = {0};
    takt_client *client = calloc(1, sizeof *client);
    if (!client) return client_fail(error, TAKT_ERR_MEMORY, "out of memory");
    client->wire.fd = -1;
    client->session.state = SESSION_BROKEN;
    takt_status status = configure(client, options ? options : &defaults, error);
    if (status == TAKT_OK) status = connect_again(client, error);
    if (status != TAKT_OK) {
        takt_close(client);
        return status;
    }
    *ret_client = client;
    return TAKT_OK;
}

void takt_close(takt_client *client) {
    if (!client) return;
    if (client->session.state == SESSION_OPEN) {
        Error ignored;
        int64_t deadline_us = clock_mono_us() + US_PER_S;
        Err err = wire_write(&client->wire, "END\r\n", 5, deadline_us, &ignored);
        (void)err; /* closing says the same */
    }
    wire_close(&client->wire);
    if (client->owned[0]) explicit_bzero(client->owned[0], strlen(client->owned[0]));
    if (client->owned[1]) explicit_bzero(client->owned[1], strlen(client->owned[1]));
    explicit_bzero(&client->address, sizeof client->address);
    for (size_t i = 0; i < LENGTH(client->owned); i++)
        free(client->owned[i]);
    free(client->labels);
    free(client->request.data);
    free(client->input);
    free(client);
}
