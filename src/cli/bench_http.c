/* Load over HTTP: keep-alive connections with one request under way each. */
#include "cli/bench.h"

#include "base/alloc.h"
#include "base/clock.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Bench Bench;

typedef struct Client {
    Bench *bench;
    Connection *connection;
    int64_t sent_us;
    size_t count; /* jobs of the request under way */
    bool over;
} Client;

struct Bench {
    const BenchPlan *plan;
    BenchResult *result;
    Loop *loop;
    Client *clients;
    size_t open;
    int64_t issued;
    Buf body;
    Error error;
    Err err;
};

static void client_over(Client *client) {
    if (client->over) return;
    client->over = true;
    if (--client->bench->open == 0) loop_stop(client->bench->loop);
}

static void put_job(Bench *bench) {
    buf_add(&bench->body, STR("{\"type\":\"bench\",\"queue\":\"bench\",\"args\":"));
    bench_args(&bench->body, bench->plan, bench->issued);
    buf_add_char(&bench->body, '}');
}

static void send_request(Client *client) {
    Bench *bench = client->bench;
    int64_t left = bench->plan->jobs - bench->issued;
    if (left <= 0) {
        client_over(client);
        return;
    }
    bool bulk = bench->plan->batch > 1;
    client->count = (size_t)(left < bench->plan->batch ? left : bench->plan->batch);
    buf_clear(&bench->body);
    for (size_t i = 0; i < client->count; i++) {
        bench->issued++;
        put_job(bench);
        if (bulk) buf_add_char(&bench->body, '\n');
    }
    Buf *output = connection_output(client->connection);
    buf_format(output,
               "POST %s HTTP/1.1\r\nHost: %s:%u\r\nAuthorization: Bearer " STR_FMT
               "\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n",
               bulk ? "/v1/jobs/bulk" : "/v1/jobs", bench->plan->host, bench->plan->port,
               STR_ARG(bench->plan->token), bulk ? "application/x-ndjson" : "application/json",
               bench->body.len);
    buf_add(output, buf_str(&bench->body));
    client->sent_us = clock_mono_us();
    connection_written(client->connection);
}

/* Length of a whole response at the start of the input, 0 while it is not there; answers always
 * carry a Content-Length. */
static size_t response_size(Str input, unsigned *ret_status) {
    const char *end = memmem(input.ptr, input.len, "\r\n\r\n", 4);
    if (!end) return 0;
    Str head = {input.ptr, (size_t)(end - input.ptr) + 4};
    int64_t status = 0, length = 0;
    if (head.len < 12 || !str_to_int64((Str){head.ptr + 9, 3}, &status)) return 0;
    *ret_status = (unsigned)status;
    const char *field = memmem(head.ptr, head.len, "Content-Length: ", 16);
    if (field) {
        Str rest = {field + 16, head.len - (size_t)(field + 16 - head.ptr)};
        if (!str_to_int64(str_split(&rest, '\r'), &length)) return 0;
    }
    size_t size = head.len + (size_t)length;
    return size <= input.len ? size : 0;
}

static void on_data(Connection *connection, void *owner) {
    Client *client = owner;
    BenchResult *result = client->bench->result;
    unsigned status = 0;
    size_t size;
    while ((size = response_size(connection_input(connection), &status)) > 0) {
        if (status == 201 || status == 200) {
            result->jobs += (int64_t)client->count;
        } else if (result->errors++ == 0) {
            Str input = connection_input(connection);
            fprintf(stderr, "takt: the node said: %.*s\n", (int)(size < 600 ? size : 600),
                    input.ptr);
        }
        samples_add(&result->samples, clock_mono_us() - client->sent_us);
        connection_consume(connection, size);
        send_request(client);
    }
}

static void on_close(Connection *connection, void *owner, ConnectionEnd why) {
    Client *client = owner;
    Bench *bench = client->bench;
    (void)connection, (void)why;
    client->connection = NULL;
    bench->err = error_set(&bench->error, ERR_UNAVAILABLE, "the node closed the connection");
    loop_stop(bench->loop);
}

static const ConnectionHandler client_handler = {.on_data = on_data, .on_close = on_close};

static Err open_clients(Bench *bench, Error *error) {
    ConnectionLimits limits = {.input_max = 64 * 1024 * 1024};
    for (int64_t i = 0; i < bench->plan->connections; i++) {
        Client *client = &bench->clients[i];
        int fd = -1;
        TRY(bench_connect(bench->plan, &fd, error));
        client->bench = bench;
        client->connection = connection_adopt(bench->loop, fd, &limits, &client_handler, client);
        bench->open++;
    }
    return OK;
}

Err bench_http_run(const BenchPlan *plan, BenchResult *ret, Error *error) {
    Bench bench = {.plan = plan, .result = ret, .loop = loop_new()};
    bench.clients = alloc_zero((size_t)plan->connections, sizeof *bench.clients);
    buf_init(&bench.body, 64 * 1024 * 1024);
    Err err = open_clients(&bench, error);
    if (err == OK) {
        int64_t begun_us = clock_mono_us();
        for (int64_t i = 0; i < plan->connections; i++) {
            send_request(&bench.clients[i]);
        }
        loop_run(bench.loop);
        ret->elapsed_us = clock_mono_us() - begun_us;
        err = bench.err;
        if (err != OK) *error = bench.error;
    }
    for (int64_t i = 0; i < plan->connections; i++) {
        if (bench.clients[i].connection) connection_free(bench.clients[i].connection);
    }
    free(bench.clients);
    buf_done(&bench.body);
    loop_free(bench.loop);
    return err;
}
