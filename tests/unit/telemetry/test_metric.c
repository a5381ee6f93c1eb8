/* The metrics: what a scrape shows, how label values fold, and that the table is whole. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "telemetry/metric.h"
#include "telemetry/metric_table.h"

static Buf page;

static int start(void **state) {
    (void)state;
    metric_reset();
    buf_init(&page, 16 << 20);
    return 0;
}

static int end(void **state) {
    (void)state;
    buf_done(&page);
    metric_reset();
    return 0;
}

static const char *scrape(void) {
    buf_clear(&page);
    metric_expose(&page);
    assert_false(page.overflow);
    return buf_cstr(&page);
}

static void assert_line(const char *line) {
    char whole[400];
    snprintf(whole, sizeof(whole), "\n%s\n", line);
    if (!strstr(scrape(), whole)) fail_msg("no line %s in\n%s", line, buf_cstr(&page));
}

static void assert_no(const char *text) {
    if (strstr(scrape(), text)) fail_msg("%s is shown", text);
}

static void the_table_is_whole_and_well_named(void **state) {
    (void)state;
    for (size_t i = 0; i < METRIC_COUNT; i++) {
        const MetricRow *row = &METRIC_TABLE[i];
        assert_non_null(row->name);
        assert_non_null(row->help);
        assert_int_equal(row->buckets != NULL, row->kind == METRIC_HISTOGRAM);
        size_t len = strlen(row->name);
        bool is_total = len > 6 && strcmp(row->name + len - 6, "_total") == 0;
        assert_int_equal(is_total, row->kind == METRIC_COUNTER);
        for (size_t j = 0; row->buckets && j + 1 < row->buckets->count; j++) {
            assert_true(row->buckets->bounds[j] < row->buckets->bounds[j + 1]);
        }
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(row->name, METRIC_TABLE[j].name);
    }
}

static void every_metric_has_its_help_and_type_before_any_value(void **state) {
    (void)state;
    const char *text = scrape();
    for (size_t i = 0; i < METRIC_COUNT; i++) {
        char line[200];
        snprintf(line, sizeof(line), "# TYPE %s ", METRIC_TABLE[i].name);
        const char *type = strstr(text, line);
        assert_non_null(type);
        assert_null(strstr(type + 1, line));
        snprintf(line, sizeof(line), "# HELP %s ", METRIC_TABLE[i].name);
        assert_non_null(strstr(text, line));
    }
    assert_line("# TYPE takt_job_run_seconds histogram");
    assert_line("takt_leases_expired_total 0");
    assert_line("takt_store_commit_seconds_bucket{le=\"+Inf\"} 0");
    assert_no("takt_store_up 0"); /* a gauge nobody has set says nothing */
}

static void counters_add_up_per_label_set(void **state) {
    (void)state;
    metric_add(METRIC_JOBS_ENQUEUED, LABELS(STR("default"), STR("mail")), 1);
    metric_add(METRIC_JOBS_ENQUEUED, LABELS(STR("default"), STR("mail")), 9);
    metric_add(METRIC_JOBS_ENQUEUED, LABELS(STR("default"), STR("m")), 2);
    metric_add(METRIC_STALE_ACKS, NULL, 3);
    assert_line("takt_jobs_enqueued_total{queue=\"default\",type=\"mail\"} 10");
    assert_line("takt_jobs_enqueued_total{queue=\"default\",type=\"m\"} 2");
    assert_line("takt_stale_acks_total 3");
    assert_true(metric_value(METRIC_JOBS_ENQUEUED, LABELS(STR("default"), STR("mail"))) == 10);
    assert_true(metric_value(METRIC_JOBS_ENQUEUED, LABELS(STR("x"), STR("mail"))) == 0);
}

static void label_values_are_escaped(void **state) {
    (void)state;
    metric_add(METRIC_AUTH_FAILURES, LABELS(STR("a\"b\\c\nd")), 1);
    assert_line("takt_auth_failures_total{reason=\"a\\\"b\\\\c\\nd\"} 1");
}

static void histograms_are_cumulative_with_inclusive_bounds(void **state) {
    (void)state;
    static const double VALUES[] = {1, 2, 3, 6000, -5};
    for (size_t i = 0; i < LENGTH(VALUES); i++) {
        metric_observe(METRIC_STORE_COMMIT_BATCH, NULL, VALUES[i]);
    }
    metric_observe(METRIC_JOB_WAIT, LABELS(STR("q")), 0.1);
    assert_line("takt_store_commit_batch_size_bucket{le=\"1\"} 2");
    assert_line("takt_store_commit_batch_size_bucket{le=\"2\"} 3");
    assert_line("takt_store_commit_batch_size_bucket{le=\"5\"} 4");
    assert_line("takt_store_commit_batch_size_bucket{le=\"5000\"} 4");
    assert_line("takt_store_commit_batch_size_bucket{le=\"+Inf\"} 5");
    assert_line("takt_store_commit_batch_size_sum 6006");
    assert_line("takt_store_commit_batch_size_count 5");
    assert_line("takt_job_wait_seconds_bucket{queue=\"q\",le=\"0.1\"} 1");
    assert_line("takt_job_wait_seconds_bucket{queue=\"q\",le=\"0.05\"} 0");
    assert_line("takt_job_wait_seconds_sum{queue=\"q\"} 0.1");
    assert_true(metric_value(METRIC_STORE_COMMIT_BATCH, NULL) == 5);
}

static void the_types_past_the_limit_become_other(void **state) {
    (void)state;
    for (int i = 0; i < METRIC_MAX_TYPES + 50; i++) {
        char type[16];
        snprintf(type, sizeof(type), "t%d", i);
        metric_add(METRIC_JOBS_ENQUEUED, LABELS(STR("q"), str_from(type)), 1);
    }
    metric_add(METRIC_JOB_RETRIES, LABELS(STR("q"), STR("t120")), 1);
    metric_add(METRIC_JOB_RETRIES, LABELS(STR("q"), STR("t5")), 1);
    assert_line("takt_jobs_enqueued_total{queue=\"q\",type=\"t99\"} 1");
    assert_line("takt_jobs_enqueued_total{queue=\"q\",type=\"other\"} 50");
    assert_line("takt_job_retries_total{queue=\"q\",type=\"other\"} 1");
    assert_line("takt_job_retries_total{queue=\"q\",type=\"t5\"} 1");
    assert_no("\"t100\"");
}

static void label_sets_past_the_limit_fold_but_keep_what_is_bounded(void **state) {
    (void)state;
    for (int i = 0; i < METRIC_MAX_CELLS + 10; i++) {
        char queue[16];
        snprintf(queue, sizeof(queue), "q%d", i);
        metric_add(METRIC_JOBS_FINISHED, LABELS(str_from(queue), STR("t"), STR("succeeded")), 1);
        metric_observe(METRIC_JOB_WAIT, LABELS(str_from(queue)), 1);
    }
    metric_add(METRIC_JOBS_FINISHED, LABELS(STR("q2000"), STR("t"), STR("dead")), 1);
    metric_add(METRIC_JOBS_FINISHED, LABELS(STR("q0"), STR("t"), STR("succeeded")), 1);
    assert_line(
        "takt_jobs_finished_total{queue=\"other\",type=\"other\",outcome=\"succeeded\"} 10");
    assert_line("takt_jobs_finished_total{queue=\"other\",type=\"other\",outcome=\"dead\"} 1");
    assert_line("takt_jobs_finished_total{queue=\"q0\",type=\"t\",outcome=\"succeeded\"} 2");
    assert_line("takt_job_wait_seconds_count{queue=\"other\"} 10");
}

static void fill_queues(void *context) {
    const int *count = context;
    for (int i = 0; i < *count; i++) {
        char queue[16];
        snprintf(queue, sizeof(queue), "q%d", i);
        metric_set(METRIC_QUEUE_JOBS, LABELS(str_from(queue), STR("pending")), 2);
    }
}

static void collected_gauges_are_filled_anew_at_each_scrape(void **state) {
    (void)state;
    int count = 2;
    metric_collect_with(fill_queues, &count);
    assert_line("takt_queue_jobs{queue=\"q1\",state=\"pending\"} 2");
    assert_line("takt_queue_jobs{queue=\"q1\",state=\"pending\"} 2");
    count = 1;
    assert_line("takt_queue_jobs{queue=\"q0\",state=\"pending\"} 2");
    assert_no("q1");
    count = METRIC_MAX_CELLS + 5;
    assert_line("takt_queue_jobs{queue=\"other\",state=\"pending\"} 10");
    assert_line("takt_queue_jobs{queue=\"other\",state=\"pending\"} 10");
}

static void gauges_that_are_not_collected_stay(void **state) {
    (void)state;
    metric_set(METRIC_BUILD_INFO, LABELS(STR("1.2.3")), 1);
    metric_set(METRIC_STORE_UP, NULL, 1);
    metric_set(METRIC_STORE_UP, NULL, 0);
    assert_line("takt_build_info{version=\"1.2.3\"} 1");
    assert_line("takt_build_info{version=\"1.2.3\"} 1");
    assert_line("takt_store_up 0");
}

static void the_process_tells_of_itself(void **state) {
    (void)state;
    static const MetricId ABOVE_ZERO[] = {METRIC_PROCESS_RESIDENT, METRIC_PROCESS_VIRTUAL,
                                          METRIC_PROCESS_OPEN_FDS, METRIC_PROCESS_MAX_FDS,
                                          METRIC_PROCESS_START};
    scrape();
    for (size_t i = 0; i < LENGTH(ABOVE_ZERO); i++) {
        assert_true(metric_value(ABOVE_ZERO[i], NULL) > 0);
    }
    assert_true(metric_value(METRIC_PROCESS_CPU, NULL) >= 0);
    double open_fds = metric_value(METRIC_PROCESS_OPEN_FDS, NULL);
    FILE *file = fopen("/dev/null", "r");
    scrape();
    assert_true(metric_value(METRIC_PROCESS_OPEN_FDS, NULL) == open_fds + 1);
    fclose(file);
    assert_true(metric_value(METRIC_PROCESS_START, NULL) > 1.5e9);
}

#define PAGE_TEST(test) cmocka_unit_test_setup_teardown(test, start, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_is_whole_and_well_named),
        PAGE_TEST(every_metric_has_its_help_and_type_before_any_value),
        PAGE_TEST(counters_add_up_per_label_set),
        PAGE_TEST(label_values_are_escaped),
        PAGE_TEST(histograms_are_cumulative_with_inclusive_bounds),
        PAGE_TEST(the_types_past_the_limit_become_other),
        PAGE_TEST(label_sets_past_the_limit_fold_but_keep_what_is_bounded),
        PAGE_TEST(collected_gauges_are_filled_anew_at_each_scrape),
        PAGE_TEST(gauges_that_are_not_collected_stay),
        PAGE_TEST(the_process_tells_of_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
