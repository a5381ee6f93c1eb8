/* How the node is: alive, ready, its metrics, and the API's own document. */
#include "api/handlers.h"

#include "base/time.h"
#include "telemetry/metric.h"
#include <string.h>

typedef struct Part {
    const char *name;
    Str state;
} Part;

/* `part` (NULL: none): what is to be told beside the status. */
static void answer_status(Exchange *exchange, unsigned http_status, const char *status,
                          const Part *part) {
    cleanup(buf_done) Buf body;
    buf_init(&body, ANSWER_MAX);
    JsonWriter writer = json_writer(&body);
    json_begin_object(&writer);
    json_put_string(&writer, "status", str_from(status));
    if (part) json_put_string(&writer, part->name, part->state);
    json_end_object(&writer);
    HttpPair retry = {STR("Retry-After"), STR("1")};
    exchange_answer(exchange, http_status, "application/json", buf_str(&body), &retry,
                    http_status == 503);
}

void handle_health(Exchange *exchange) {
    answer_status(exchange, 200, "ok", NULL);
}

/* ---- ready ---- */

typedef struct Probe {
    ActRequest request;
    Act act;
} Probe;

static void on_probed(Operation *operation) {
    Exchange *exchange = operation->context;
    const Part up = {"store", STR("up")}, down = {"store", STR("down")};
    const Part broker = {"broker", STR("down")};
    bool degraded =
        exchange->api->options.has_broker && !engine_broker_is_up(exchange->engine, NULL);
    if (operation->error.err == OK && degraded) {
        answer_status(exchange, 200, "degraded", &broker);
    } else if (operation->error.err == OK) {
        answer_status(exchange, 200, "ready", &up);
    } else if (strcmp(operation->error.code, "overloaded") == 0) {
        answer_status(exchange, 503, "overloaded", &up);
    } else {
        answer_status(exchange, 503, "unavailable", &down);
    }
}

/* It must not schedule, for a reason of its own. */
static bool is_refused(Exchange *exchange) {
    const ApiOptions *options = &exchange->api->options;
    Part reason = {"reason",
                   options->refusal ? options->refusal(options->refusal_context) : (Str){0}};
    if (!reason.state.ptr) return false;
    answer_status(exchange, 503, "refused", &reason);
    return true;
}

/* Asks the store the way a submit does, through a batch, by an act on a job that can't exist. So
 * a store that was away is found again even when nobody submits because of this answer. */
void handle_ready(Exchange *exchange) {
    if (exchange->api->draining) {
        answer_status(exchange, 503, "draining", NULL);
        return;
    }
    if (is_refused(exchange)) return;
    if (!engine_ready(exchange->engine)) {
        answer_status(exchange, 503, "starting", NULL);
        return;
    }
    char text[UUID_TEXT_SIZE];
    Probe *probe = arena_new(exchange->arena, Probe);
    probe->act.key = engine_make_key(exchange->engine, text);
    probe->request = (ActRequest){
        .operation = {.done = on_probed, .context = exchange},
        .kind = ACT_CANCEL,
        .acts = &probe->act,
        .count = 1,
    };
    engine_act(exchange->engine, &probe->request);
}

/* ---- metrics ---- */

static void collect_queue(const QueueInfo *queue, int64_t now_us) {
    for (JobStatus status = 0; status < STATUS_COUNT; status++) {
        metric_set(METRIC_QUEUE_JOBS, LABELS(queue->name, str_from(job_status_name(status))),
                   (double)queue->counts[status]);
    }
    int64_t oldest_us = queue->oldest_pending_us;
    bool waits = oldest_us > 0 && oldest_us < now_us;
    metric_set(METRIC_QUEUE_OLDEST_PENDING, LABELS(queue->name),
               waits ? (double)(now_us - oldest_us) / (double)US_PER_S : 0);
    metric_set(METRIC_QUEUE_PAUSED, LABELS(queue->name), queue->paused ? 1 : 0);
}

static void count_session(void *context, const SessionView *view) {
    size_t *counts = context;
    counts[view->state]++;
}

static void collect_workers(Engine *engine) {
    size_t counts[SESSION_TERMINATE + 1] = {0};
    engine_sessions_each(engine, count_session, counts);
    metric_set(METRIC_WORKERS, LABELS(STR("running")), (double)counts[SESSION_RUNNING]);
    metric_set(METRIC_WORKERS, LABELS(STR("quiet")), (double)counts[SESSION_QUIET]);
    metric_set(METRIC_WORKERS, LABELS(STR("terminating")), (double)counts[SESSION_TERMINATE]);
}

void collect_gauges(void *owner) {
    const Api *api = owner;
    Engine *engine = api->options.engine;
    double busy = 0;
    if (api->collected) {
        for (size_t i = 0; i < api->collected->count; i++) {
            collect_queue(&api->collected->queues[i], api->collected->now_us);
            busy += (double)api->collected->queues[i].counts[STATUS_RUNNING];
        }
    }
    collect_workers(engine);
    metric_set(METRIC_WORKER_SLOTS, LABELS(STR("busy")), busy);
    metric_set(METRIC_WORKER_SLOTS, LABELS(STR("waiting")),
               (double)engine_stats(engine).fetches_parked);
    metric_set(METRIC_STORE_UP, NULL, engine_store_is_up(engine) ? 1 : 0);
    metric_set(METRIC_BROKER_UP, NULL,
               !api->options.has_broker || engine_broker_is_up(engine, NULL) ? 1 : 0);
    metric_set(METRIC_BUILD_INFO, LABELS(str_from(api->options.version)), 1);
    if (api->options.collect) api->options.collect(api->options.context);
}

static void on_counted(Query *query) {
    Exchange *exchange = query->context;
    Api *api = exchange->api;
    cleanup(buf_done) Buf body;
    buf_init(&body, ANSWER_MAX);
    if (query->outcome == OK) api->collected = query;
    metric_expose(&body);
    api->collected = NULL;
    arena_done(&query->arena);
    exchange_answer(exchange, 200, METRIC_CONTENT_TYPE, buf_str(&body), NULL, 0);
}

/* Without the store's answer everything but the queues is shown: that is when metrics matter
 * most. */
void handle_metrics(Exchange *exchange) {
    Query *query = arena_new(exchange->arena, Query);
    query->kind = QUERY_QUEUES;
    query->until_us = exchange->now_us;
    query->done = on_counted;
    query->context = exchange;
    engine_read(exchange->engine, query);
}

void handle_openapi(Exchange *exchange) {
    exchange_json(exchange, 200, &exchange->api->openapi);
}
