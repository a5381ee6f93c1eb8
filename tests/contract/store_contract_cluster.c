/* The store's contract, for a cluster: ready rows for who dispatches from the store, nodes, controls, and
 * the look of every second. */
#include "store_contract.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/time.h"

/* ---- ready rows ---- */

typedef struct Dispatch {
    Str queue;
    int64_t until_us;
    size_t limit;
    const JobKey *held; /* a row that the batch knows already */
    Ask *ask, *again;
    bool start;
} Dispatch;

static void ask_ready(Batch *batch, void *context) {
    Dispatch *dispatch = context;
    if (dispatch->held) batch_row(batch, dispatch->held);
    dispatch->ask =
        batch_ask(batch, ASK_READY, dispatch->queue, dispatch->until_us, dispatch->limit);
}

static void start_ready(Batch *batch, void *context) {
    Dispatch *dispatch = context;
    for (size_t i = 0; i < dispatch->ask->count; i++) {
        Row *row = dispatch->ask->rows[i];
        assert_int_equal(row->status, ROW_UNKNOWN);
        if (dispatch->start) assert_true(batch_start(batch, row, dispatch->queue, STR("w1"), 0));
    }
    dispatch->again = batch_ask(batch, ASK_READY, dispatch->queue, dispatch->until_us, 100);
}

static void run_dispatch(StoreTest *test, Batch *batch, Dispatch *dispatch) {
    Script script = {.first = ask_ready, .second = start_ready, .context = dispatch};
    assert_int_equal(store_test_run(test, batch, &script), OK);
}

static void add_ready(StoreTest *test, Job jobs[9]) {
    int64_t now_us = test->now_us;
    static const struct {
        int64_t priority, due, expires;
    } PLACES[9] = {{5, -30, 0}, {5, -40, 0}, {9, -10, 0}, {1, -99, 0}, {5, -30, 90},
                   {5, -60, 0}, {9, 1, 0},   {5, -50, 0}, {9, 0, 0}};
    for (size_t i = 0; i < 9; i++) {
        jobs[i] = test_job(test);
        jobs[i].queue = i == 5 ? STR("other") : STR("q");
        jobs[i].priority = PLACES[i].priority;
        jobs[i].due_us = now_us + PLACES[i].due;
        jobs[i].expires_us = PLACES[i].expires ? now_us + PLACES[i].expires : 0;
        if (i == 7) jobs[i].expires_us = now_us; /* expired */
        store_test_add(test, &jobs[i]);
    }
}

static void check_rows(const Ask *ask, const Job *jobs, const size_t *want, size_t count) {
    assert_int_equal(ask->count, count);
    for (size_t i = 0; i < count; i++)
        assert_true(job_key_eq(&ask->rows[i]->key, &jobs[want[i]].key));
}

static void ready_rows_in_order(StoreTest *test) {
    Job jobs[9];
    add_ready(test, jobs);
    Batch batch;
    Dispatch dispatch = {.queue = STR("q"), .until_us = test->now_us, .limit = 3, .start = true};
    run_dispatch(test, &batch, &dispatch);
    check_rows(dispatch.ask, jobs, (size_t[]){2, 8, 1}, 3);
    for (size_t i = 0; i < 3; i++)
        assert_true(dispatch.ask->rows[i]->hit);
    /* the same batch is not given what it has; two of one score in any order, the lower priority last */
    assert_int_equal(dispatch.again->count, 3);
    assert_true(job_key_eq(&dispatch.again->rows[2]->key, &jobs[3].key));
    batch_done(&batch);
}

static void ready_rows_that_the_batch_holds(StoreTest *test) {
    Job jobs[9];
    add_ready(test, jobs);
    Batch batch;
    Dispatch dispatch = {
        .queue = STR("q"), .until_us = test->now_us - 40, .limit = 9, .held = &jobs[1].key};
    run_dispatch(test, &batch, &dispatch);
    check_rows(dispatch.ask, jobs, (size_t[]){3}, 1);
    assert_int_equal(dispatch.again->count, 0);
    batch_done(&batch);
    assert_int_equal(store_test_job(test, &jobs[3].key).state, JOB_WAITING); /* only locked */
    dispatch.queue = STR("nothing");
    run_dispatch(test, &batch, &dispatch);
    assert_int_equal(dispatch.ask->count, 0);
    batch_done(&batch);
}

/* ---- writing and asking beside the jobs ---- */

typedef struct Beside {
    NodeRow node;
    bool forget;
    const ControlRow *controls;
    size_t control_count;
    Str ask_node;
    Ask *ask;
} Beside;

static void write_beside(Batch *batch, void *context) {
    Beside *beside = context;
    if (beside->node.name.ptr) batch_node(batch, &beside->node, beside->forget);
    for (size_t i = 0; i < beside->control_count; i++)
        batch_control(batch, &beside->controls[i]);
    if (beside->ask_node.ptr) beside->ask = batch_ask(batch, ASK_NODE, beside->ask_node, 0, 1);
}

static Err try_beside(StoreTest *test, Beside beside) {
    Batch batch;
    Script script = {.first = write_beside, .context = &beside};
    Err err = store_test_run(test, &batch, &script);
    batch_done(&batch);
    return err;
}

static void put_beside(StoreTest *test, Beside beside) {
    assert_int_equal(try_beside(test, beside), OK);
}

static Query every(StoreTest *test, Query query) {
    query.kind = QUERY_EVERY;
    if (query.limit == 0) query.limit = 100;
    store_test_query(test, &query);
    return query;
}

/* ---- nodes ---- */

static NodeRow node_row(const char *name, const char *instance) {
    return (NodeRow){.name = str_from(name),
                     .instance = str_from(instance),
                     .version = STR("1.2.3"),
                     .info = STR("{\"pid\":7}"),
                     .started_us = 11,
                     .clock_offset_us = -5,
                     .draining = true};
}

static void check_node(const NodeRow *a, const NodeRow *b, int64_t seen_us) {
    assert_true(str_eq(a->name, b->name) && str_eq(a->instance, b->instance) &&
                str_eq(a->version, b->version) && str_eq(a->info, b->info));
    assert_int_equal(a->started_us, b->started_us);
    assert_int_equal(a->clock_offset_us, b->clock_offset_us);
    assert_int_equal(a->draining, b->draining);
    assert_int_equal(a->seen_us, seen_us);
}

static Query all_nodes(StoreTest *test) {
    Query query = {.kind = QUERY_NODES};
    store_test_query(test, &query);
    return query;
}

static void nodes_are_kept(StoreTest *test) {
    NodeRow a = node_row("a", "i1"), b = node_row("b", "i2");
    b.draining = false;
    put_beside(test, (Beside){.node = b});
    test->now_us += 10;
    put_beside(test, (Beside){.node = a});
    store_test_reopen(test);
    Batch wipe;
    assert_int_equal(store_test_run(test, &wipe, &(Script){.wipe = true}), OK);
    batch_done(&wipe);
    Query query = all_nodes(test);
    assert_int_equal(query.count, 2);
    check_node(&query.nodes[0], &a, TEST_NOW_US + 10);
    check_node(&query.nodes[1], &b, TEST_NOW_US);
    arena_done(&query.arena);
}

static void a_node_is_taken_over(StoreTest *test) {
    NodeRow old = node_row("a", "i1"), new = node_row("a", "i2");
    new.version = STR("2");
    new.info = STR("{}");
    new.started_us = 99;
    new.draining = false;
    new.clock_offset_us = 0;
    put_beside(test, (Beside){.node = old});
    test->now_us++;
    put_beside(test, (Beside){.node = new});
    put_beside(test, (Beside){.node = old, .forget = true}); /* no longer its own */
    Query query = all_nodes(test);
    assert_int_equal(query.count, 1);
    check_node(&query.nodes[0], &new, TEST_NOW_US + 1);
    arena_done(&query.arena);
    put_beside(test, (Beside){.node = new, .forget = true});
    put_beside(test, (Beside){.node = new, .forget = true});
    query = all_nodes(test);
    assert_int_equal(query.count, 0);
    arena_done(&query.arena);
}

static void a_node_is_asked_for(StoreTest *test) {
    NodeRow row = node_row("a", "i1");
    put_beside(test, (Beside){.node = row});
    for (int there = 0; there < 2; there++) {
        Beside beside = {.ask_node = there ? STR("a") : STR("b")};
        Batch batch;
        Script script = {.first = write_beside, .context = &beside};
        assert_int_equal(store_test_run(test, &batch, &script), OK);
        assert_int_equal(beside.ask->node != NULL, there);
        if (there) check_node(beside.ask->node, &row, TEST_NOW_US);
        batch_done(&batch);
    }
}

static void a_node_is_seen(StoreTest *test) {
    NodeRow row = node_row("a", "i1");
    put_beside(test, (Beside){.node = row});
    static const struct {
        const char *node, *instance;
        bool known;
    } CASES[] = {{"a", "i2", false}, {"b", "i1", false}, {NULL, NULL, false}, {"a", "i1", true}};
    for (size_t i = 0; i < LENGTH(CASES); i++) {
        test->now_us += US_PER_S;
        Query query = every(test, (Query){.node = str_from(CASES[i].node),
                                          .node_instance = str_from(CASES[i].instance),
                                          .clock_offset_us = 77});
        assert_int_equal(query.node_known, CASES[i].known);
        assert_int_equal(query.now_us, test->now_us);
        arena_done(&query.arena);
        query = all_nodes(test);
        row.clock_offset_us = CASES[i].known ? 77 : -5;
        check_node(&query.nodes[0], &row, CASES[i].known ? test->now_us : TEST_NOW_US);
        arena_done(&query.arena);
    }
}

/* ---- controls ---- */

static void check_control(const ControlRow *a, const ControlRow *b, int64_t number, int64_t at_us) {
    assert_int_equal(a->number, number);
    assert_int_equal(a->kind, b->kind);
    assert_true(str_eq(a->node, b->node) && str_eq(a->subject, b->subject) &&
                str_eq(a->detail, b->detail));
    assert_int_equal(a->until_us, b->until_us);
    assert_int_equal(a->at_us, at_us);
}

static const ControlRow CONTROLS[] = {
    {.kind = CONTROL_CANCEL,
     .node = {"n1", 2},
     .subject = {"w1", 2},
     .detail = {"job-1", 5},
     .until_us = 5},
    {.kind = CONTROL_CANCEL, .node = {"n1", 2}, .subject = {"w1", 2}, .detail = {"job-2", 5}},
    {.kind = CONTROL_WIPE, .node = {"n1", 2}},
    {.kind = CONTROL_STATE, .node = {"n2", 2}, .subject = {"q", 1}},
    {.kind = CONTROL_SWEEP, .node = {"n2", 2}, .subject = {"q", 1}},
};

static void controls_are_numbered(StoreTest *test) {
    ControlRow twice[] = {CONTROLS[0], CONTROLS[1], CONTROLS[0]};
    put_beside(test, (Beside){.controls = twice, .control_count = 3});
    store_test_reopen(test);
    test->now_us += 3;
    Batch wipe;
    Beside beside = {.controls = &CONTROLS[2], .control_count = 1};
    Script script = {.wipe = true, .first = write_beside, .context = &beside};
    assert_int_equal(store_test_run(test, &wipe, &script), OK);
    batch_done(&wipe);
    put_beside(test, (Beside){.controls = &CONTROLS[3], .control_count = 2});
    Query query = every(test, (Query){.after = 0});
    assert_int_equal(query.control_count, 5);
    assert_int_equal(query.last_control, 5);
    assert_false(query.more);
    for (size_t i = 0; i < 5; i++) {
        int64_t at_us = i < 2 ? TEST_NOW_US : TEST_NOW_US + 3;
        check_control(&query.controls[i], &CONTROLS[i], (int64_t)i + 1, at_us);
    }
    arena_done(&query.arena);
}

static void controls_are_read_by_pages(StoreTest *test) {
    put_beside(test, (Beside){.controls = CONTROLS, .control_count = 5});
    static const struct {
        int64_t after;
        size_t limit, count;
        bool more;
    } CASES[] = {{0, 2, 2, true},  {2, 2, 2, true},  {4, 2, 1, false},
                 {3, 2, 2, false}, {5, 2, 0, false}, {9, 2, 0, false}};
    for (size_t i = 0; i < LENGTH(CASES); i++) {
        Query query = every(test, (Query){.after = CASES[i].after, .limit = CASES[i].limit});
        assert_int_equal(query.control_count, CASES[i].count);
        assert_int_equal(query.more, CASES[i].more);
        assert_int_equal(query.last_control, 5);
        for (size_t j = 0; j < query.control_count; j++)
            assert_int_equal(query.controls[j].number, CASES[i].after + 1 + (int64_t)j);
        arena_done(&query.arena);
    }
}

static void controls_are_kept_an_hour(StoreTest *test) {
    put_beside(test, (Beside){.controls = &CONTROLS[0], .control_count = 1});
    test->now_us += 55 * 60 * US_PER_S;
    put_beside(test, (Beside){.controls = &CONTROLS[1], .control_count = 1});
    test->now_us += 10 * 60 * US_PER_S;
    put_beside(test, (Beside){.controls = &CONTROLS[2], .control_count = 1});
    Query query = every(test, (Query){.after = 0});
    assert_int_equal(query.control_count, 2);
    assert_int_equal(query.controls[0].number, 2);
    assert_int_equal(query.last_control, 3);
    arena_done(&query.arena);
    store_test_reopen(test);
    test->now_us += 120 * 60 * US_PER_S;
    put_beside(test, (Beside){.controls = &CONTROLS[3], .control_count = 1});
    query = every(test, (Query){.after = 0});
    assert_int_equal(query.control_count, 1);
    check_control(&query.controls[0], &CONTROLS[3], 4, test->now_us);
    arena_done(&query.arena);
}

/* A reader that has seen a number has seen all below it: a batch that failed leaves no hole. */
static void a_failed_commit_takes_no_number(StoreTest *test) {
    put_beside(test, (Beside){.controls = &CONTROLS[0], .control_count = 1});
    if (!test->suite->fail_next) return;
    test->suite->fail_next(test->suite->context);
    Beside lost = {.controls = &CONTROLS[1], .control_count = 2, .node = node_row("a", "i1")};
    assert_int_equal(try_beside(test, lost), ERR_UNAVAILABLE);
    put_beside(test, (Beside){.controls = &CONTROLS[3], .control_count = 1});
    Query query = every(test, (Query){.after = 0, .node = STR("a"), .node_instance = STR("i1")});
    assert_int_equal(query.control_count, 2);
    check_control(&query.controls[1], &CONTROLS[3], 2, TEST_NOW_US);
    assert_int_equal(query.last_control, 2);
    assert_false(query.node_known);
    arena_done(&query.arena);
}

/* ---- the rest of the look ---- */

static void every_tells_what_next_tells(StoreTest *test) {
    static const JobState STATES[] = {JOB_RUNNING, JOB_WAITING, JOB_CANCELLED, JOB_DEAD};
    for (int i = 0; i < 4; i++) {
        Job job = test_job(test);
        job.state = STATES[i];
        job.worker = i == 0 ? STR("w1") : (Str){0};
        if (i == 0) job.deadline_us = test->now_us + 1;
        if (i == 1) job.expires_us = test->now_us + 2;
        if (i > 1) job.finished_us = test->now_us + 1 + i;
        store_test_add(test, &job);
    }
    Query query = every(test, (Query){.after = 0});
    assert_int_equal(query.next_deadline_us, test->now_us + 1);
    assert_int_equal(query.next_expiry_us, test->now_us + 2);
    assert_int_equal(query.next_finished_us, test->now_us + 3);
    assert_int_equal(query.next_dead_us, test->now_us + 4);
    assert_int_equal(query.count, 0);
    arena_done(&query.arena);
}

static void pause_and_beat(Batch *batch, void *context) {
    (void)context;
    batch_queue(batch, STR("paused"), true);
    batch_queue(batch, STR("not"), false);
    SessionRow session = {.worker = STR("w1"), .node = STR("n1"), .info = STR("{}"), .seen_us = 7};
    batch_session(batch, &session, false);
}

static void every_tells_pauses_and_sessions(StoreTest *test) {
    Batch batch;
    Script script = {.first = pause_and_beat};
    assert_int_equal(store_test_run(test, &batch, &script), OK);
    batch_done(&batch);
    Query query = every(test, (Query){.after = 0});
    assert_int_equal(query.count, 1);
    assert_true(str_eq(query.queues[0].name, STR("paused")));
    assert_int_equal(query.oldest_seen_us, 7);
    arena_done(&query.arena);
}

static void every_tells_what_is_finished(StoreTest *test) {
    Job jobs[5];
    JobKey keys[6];
    static const JobState STATES[] = {JOB_SUCCEEDED, JOB_RUNNING, JOB_DEAD, JOB_CANCELLED,
                                      JOB_WAITING};
    for (size_t i = 0; i < 5; i++) {
        jobs[i] = test_job(test);
        jobs[i].state = STATES[i];
        if (i != 1 && i != 4) jobs[i].finished_us = test->now_us;
        if (i == 1) jobs[i].worker = STR("w1");
        store_test_add(test, &jobs[i]);
        keys[i] = jobs[i].key;
    }
    jobs[3].state = JOB_WAITING; /* its id lives again */
    jobs[3].finished_us = 0;
    store_test_add(test, &jobs[3]);
    keys[5] = test_job(test).key; /* nobody's */
    Query query = every(test, (Query){.keys = keys, .key_count = 6});
    assert_int_equal(query.finished_count, 2);
    bool first = job_key_eq(&query.finished[0], &keys[0]);
    assert_true(job_key_eq(&query.finished[first ? 0 : 1], &keys[0]));
    assert_true(job_key_eq(&query.finished[first ? 1 : 0], &keys[2]));
    arena_done(&query.arena);
}

const StoreCase store_cluster_cases[] = {
    {"ready rows in order", ready_rows_in_order},
    {"ready rows that the batch holds", ready_rows_that_the_batch_holds},
    {"nodes are kept", nodes_are_kept},
    {"a node is taken over", a_node_is_taken_over},
    {"a node is asked for", a_node_is_asked_for},
    {"a node is seen", a_node_is_seen},
    {"controls are numbered", controls_are_numbered},
    {"controls are read by pages", controls_are_read_by_pages},
    {"controls are kept an hour", controls_are_kept_an_hour},
    {"a failed commit takes no number", a_failed_commit_takes_no_number},
    {"every tells what next tells", every_tells_what_next_tells},
    {"every tells pauses and sessions", every_tells_pauses_and_sessions},
    {"every tells what is finished", every_tells_what_is_finished},
};
const size_t store_cluster_case_count = LENGTH(store_cluster_cases);
