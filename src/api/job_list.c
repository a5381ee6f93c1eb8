/* Lists of jobs, newest first, page by page. */
#include "api/handlers.h"

#include "api/job_filter.h"
#include "api/job_output.h"

typedef struct JobList {
    Exchange *exchange;
    Query query;
    JobFilterInput input;
    Page page;
    JobFields fields;
} JobList;

/* `fields` names what is shown, those that lists leave out as well; the id always. */
static void read_fields(const Exchange *exchange, FieldErrors *errors, JobFields *ret) {
    Str names = http_request_parameter(exchange->request, STR("fields"));
    *ret = job_fields_list();
    if (!names.ptr) return;
    *ret = 0;
    (void)job_fields_add(ret, STR("id"));
    while (names.ptr) {
        Str name = str_trim(str_split(&names, ','));
        if (job_fields_add(ret, name)) continue;
        Input input = {errors, exchange->arena, STR("")};
        input_fail(&input, STR("fields"), "unknown-field",
                   "a job has no field of this name: '%.*s'", (int)(name.len < 40 ? name.len : 40),
                   name.ptr);
    }
}

static void on_page(Query *query);

static void read_page(JobList *list, size_t limit) {
    list->query = (Query){
        .kind = QUERY_JOBS,
        .filter = list->input.filter,
        .until_us = list->exchange->now_us,
        .cursor = list->page.position,
        .limit = limit,
        .done = on_page,
        .context = list,
    };
    list->query.filter.with_bodies = job_fields_have_bodies(list->fields);
    engine_read(list->exchange->engine, &list->query);
}

/* How many jobs fit in a page; all of them are written when that is query->count. */
static size_t write_jobs(const JobList *list, Buf *body) {
    const Query *query = &list->query;
    JsonWriter writer = json_writer(body);
    json_begin_object(&writer);
    json_write_key(&writer, STR("items"));
    json_begin_array(&writer);
    for (size_t i = 0; i < query->count; i++) {
        job_output(&writer, &query->jobs[i], list->fields, /* duplicate= */ false,
                   list->exchange->now_us);
        if (body->len > PAGE_MAX && i + 1 < query->count) return i + 1;
    }
    json_end_array(&writer);
    exchange_next(list->exchange, &list->page, query->next_cursor, &writer);
    json_end_object(&writer);
    return query->count;
}

static void on_page(Query *query) {
    JobList *list = query->context;
    if (query->outcome != OK) {
        Error error = query->error;
        arena_done(&query->arena);
        exchange_error(list->exchange, &error);
        return;
    }
    cleanup(buf_done) Buf body;
    buf_init(&body, ANSWER_MAX);
    size_t count = query->count;
    size_t fitting = write_jobs(list, &body);
    arena_done(&query->arena);
    if (fitting < count) {
        /* only the store knows the cursor behind a job: the shorter page is asked for */
        read_page(list, fitting);
    } else {
        exchange_json(list->exchange, 200, &body);
    }
}

static void list_jobs(Exchange *exchange, unsigned statuses) {
    JobList *list = arena_new(exchange->arena, JobList);
    FieldErrors *errors = field_errors_new(exchange->arena);
    Error error;
    list->exchange = exchange;
    (void)job_filter_from_query(exchange->request, &exchange->principal, errors, &list->input);
    if (statuses != 0) list->input.filter.statuses = statuses;
    read_fields(exchange, errors, &list->fields);
    Err cursor = exchange_page(exchange, errors, &list->page, &error);
    if (errors->count > 0) {
        exchange_fields(exchange, errors);
    } else if (cursor != OK) {
        exchange_error(exchange, &error);
    } else {
        read_page(list, list->page.limit);
    }
}

void handle_job_list(Exchange *exchange) {
    list_jobs(exchange, 0);
}

void handle_dead_list(Exchange *exchange) {
    list_jobs(exchange, 1U << STATUS_DEAD);
}
