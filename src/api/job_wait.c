/* GET of one job, with `wait`: watched first, then read, so that no end falls in between.
 *
 * A Wait is in one of two phases: reading (the store has the query; nothing else may end it) or
 * waiting (watch and timer are set). Whatever ends the waiting leads to a last reading and the
 * answer. */
#include "api/handlers.h"

#include "api/job_output.h"
#include "base/time.h"

enum { WAIT_MAX_MS = 10 * 60 * 1000 };

typedef struct Wait {
    ListNode node; /* Api.waits, while waiting */
    Exchange *exchange;
    Query query;
    Watch watch;
    LoopTimer timer;
    int64_t until_us; /* of the loop; 0: answer at once */
    bool last;        /* no more waiting: the next reading is answered */
} Wait;

static void read_job(Wait *wait);

static void stop_waiting(Wait *wait) {
    list_remove(&wait->node);
    loop_timer_cancel(&wait->timer);
    engine_watch_cancel(wait->exchange->engine, &wait->watch);
}

/* While a reading is under way this only makes it the last but one. */
static void end_wait(Wait *wait) {
    bool reading = !list_holds(&wait->node);
    wait->last = true;
    if (reading) return;
    stop_waiting(wait);
    read_job(wait);
}

static void on_fired(Watch *watch) {
    end_wait(watch->context);
}

static void on_time(void *owner) {
    end_wait(owner);
}

static void on_abort(Exchange *exchange) {
    end_wait(exchange->state);
}

void waits_end(Api *api) {
    list_each(&api->waits, node) {
        end_wait(container_of(node, Wait, node));
    }
}

static void answer(Wait *wait) {
    Exchange *exchange = wait->exchange;
    const Query *query = &wait->query;
    cleanup(buf_done) Buf body;
    buf_init(&body, ANSWER_MAX);
    JsonWriter writer = json_writer(&body);
    job_output(&writer, &query->jobs[0], job_fields_all(), /* duplicate= */ false,
               engine_now_us(exchange->engine));
    arena_done(&wait->query.arena);
    exchange_json(exchange, 200, &body);
}

static void start_waiting(Wait *wait) {
    arena_done(&wait->query.arena);
    list_append(&wait->exchange->api->waits, &wait->node);
    loop_timer_at(&wait->timer, wait->until_us);
}

static void on_read(Query *query) {
    Wait *wait = query->context;
    Exchange *exchange = wait->exchange;
    bool waits = wait->until_us > 0;
    bool found = query->outcome == OK && query->count > 0 &&
                 str_eq(query->jobs[0].id, exchange->job_id) &&
                 job_is_visible(exchange, &query->jobs[0]);
    if (found && waits && !job_is_finished(&query->jobs[0])) {
        if (!wait->last) {
            start_waiting(wait);
            return;
        }
        /* it may have ended after this reading was begun */
        wait->until_us = 0;
        arena_done(&query->arena);
        engine_watch_cancel(exchange->engine, &wait->watch);
        read_job(wait);
        return;
    }
    if (waits) engine_watch_cancel(exchange->engine, &wait->watch);
    if (found) {
        answer(wait);
        return;
    }
    Err outcome = query->outcome;
    Error error = query->error;
    arena_done(&query->arena);
    if (outcome != OK) {
        exchange_error(exchange, &error);
    } else {
        job_not_found(exchange);
    }
}

static void read_job(Wait *wait) {
    if (wait->last) wait->until_us = 0;
    wait->query = (Query){
        .kind = QUERY_JOB,
        .key = wait->watch.key,
        .done = on_read,
        .context = wait,
    };
    engine_read(wait->exchange->engine, &wait->query);
}

/* false: answered. */
static bool read_wait(Exchange *exchange, int64_t *ret_ms) {
    Str text = http_request_parameter(exchange->request, STR("wait"));
    Error error;
    *ret_ms = 0;
    if (!text.ptr) return true;
    FieldErrors *errors = field_errors_new(exchange->arena);
    if (duration_parse(text, ret_ms, &error) != OK) {
        field_errors_add_error(errors, STR("/wait"), &error);
    } else if (*ret_ms > WAIT_MAX_MS) {
        field_errors_add(errors, STR("/wait"), "out-of-range", "wait must be at most %dm",
                         WAIT_MAX_MS / 60000);
    }
    if (errors->count == 0) return true;
    exchange_fields(exchange, errors);
    return false;
}

void handle_job_get(Exchange *exchange) {
    Str id;
    int64_t wait_ms;
    if (!exchange_job_id(exchange, &id) || !read_wait(exchange, &wait_ms)) return;
    Loop *loop = exchange->api->options.loop;
    Wait *wait = arena_new(exchange->arena, Wait);
    wait->exchange = exchange;
    wait->watch = (Watch){.key = job_key_from_id(id), .fire = on_fired, .context = wait};
    loop_timer_init(&wait->timer, loop, on_time, wait);
    if (wait_ms > 0 && !exchange->api->draining) {
        wait->until_us = loop_now_us(loop) + wait_ms * US_PER_MS;
        exchange->state = wait;
        exchange->abort = on_abort;
        engine_watch(exchange->engine, &wait->watch);
    }
    read_job(wait);
}
