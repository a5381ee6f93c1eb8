/* Keys, names, derived states, and that the table of fields covers every byte of a job. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "core/fence.h"
#include "core/job.h"

#define NOW INT64_C(1800000000000000)

static void canonical_uuids_are_their_own_key(void **state) {
    (void)state;
    static const struct {
        const char *id;
        bool own;
    } rows[] = {
        {"0190a6e0-7c3b-7abc-8def-0123456789ab", true},
        {"0190a6e0-7c3b-4abc-8def-0123456789ab", true},
        {"0190a6e0-7c3b-8abc-8def-0123456789ab", false}, /* version 8 is that of hashed ids */
        {"0190A6E0-7C3B-7ABC-8DEF-0123456789AB", false},
        {"0190a6e07c3b7abc8def0123456789ab", false},
        {"order-4711", false},
    };
    static const uint8_t bytes[] = {0x01, 0x90, 0xa6, 0xe0, 0x7c, 0x3b};
    for (size_t i = 0; i < LENGTH(rows); i++) {
        JobKey key = job_key_from_id(str_from(rows[i].id));
        assert_int_equal(memcmp(key.bytes, bytes, sizeof bytes) == 0, rows[i].own);
        assert_int_equal(key.bytes[6] >> 4 == 8, !rows[i].own);
        for (size_t j = 0; j < i; j++) {
            JobKey other = job_key_from_id(str_from(rows[j].id));
            assert_false(job_key_eq(&key, &other));
        }
    }
}

static void hashed_keys_are_those_of_sha256(void **state) {
    (void)state;
    /* sha256("abc") = ba7816bf 8f01cfea 414140de 5dae2223 …; version and variant are put in */
    static const uint8_t bytes[16] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0x8f, 0xea,
                                      0x81, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23};
    JobKey key = job_key_from_id(STR("abc"));
    assert_memory_equal(key.bytes, bytes, sizeof bytes);
    Str text = job_key_str(&key);
    assert_ptr_equal(text.ptr, key.bytes);
    assert_int_equal(text.len, 16);
}

static void a_made_id_and_its_text_have_one_key(void **state) {
    (void)state;
    UuidMaker maker = {0};
    Random random;
    random_init(&random, 3);
    for (int i = 0; i < 100; i++) {
        Uuid uuid = uuid_make(&maker, NOW, &random);
        char text[UUID_TEXT_SIZE];
        JobKey made = job_key_from_uuid(&uuid, text);
        JobKey read = job_key_from_id(str_from(text));
        assert_true(job_key_eq(&made, &read));
    }
}

static void states_are_shown_by_due_and_failures(void **state) {
    (void)state;
    static const struct {
        JobState state;
        int64_t due_us, failures;
        JobStatus status;
        bool finished;
    } rows[] = {
        {JOB_BLOCKED, 0, 0, STATUS_BLOCKED, false},
        {JOB_WAITING, NOW, 0, STATUS_PENDING, false},
        {JOB_WAITING, NOW, 2, STATUS_PENDING, false},
        {JOB_WAITING, NOW + 1, 0, STATUS_SCHEDULED, false},
        {JOB_WAITING, NOW + 1, 1, STATUS_RETRYING, false},
        {JOB_PARKED, NOW - 1, 0, STATUS_PENDING, false},
        {JOB_RUNNING, NOW, 1, STATUS_RUNNING, false},
        {JOB_SUCCEEDED, NOW + 1, 1, STATUS_SUCCEEDED, true},
        {JOB_DEAD, NOW + 1, 1, STATUS_DEAD, true},
        {JOB_CANCELLED, NOW + 1, 1, STATUS_CANCELLED, true},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        Job job = {.state = rows[i].state, .due_us = rows[i].due_us, .failures = rows[i].failures};
        assert_int_equal(job_status_at(&job, NOW), rows[i].status);
        assert_int_equal(job_is_finished(&job), rows[i].finished);
    }
}

static void states_and_reasons_have_names(void **state) {
    (void)state;
    static const char *const statuses[] = {"blocked",  "scheduled", "pending", "running",
                                           "retrying", "succeeded", "dead",    "cancelled"};
    static const char *const reasons[] = {"",
                                          "expired",
                                          "purged",
                                          "discarded",
                                          "cancelled",
                                          "worker_lost",
                                          "attempts_exhausted",
                                          "not_retryable",
                                          "killed"};
    assert_int_equal(LENGTH(statuses), STATUS_COUNT);
    assert_int_equal(LENGTH(reasons), REASON_COUNT);
    for (JobStatus status = 0; status < STATUS_COUNT; status++) {
        JobStatus read;
        assert_string_equal(job_status_name(status), statuses[status]);
        assert_true(job_status_parse(str_from(statuses[status]), &read));
        assert_int_equal(read, status);
    }
    for (JobReason reason = 0; reason < REASON_COUNT; reason++) {
        assert_string_equal(job_reason_name(reason), reasons[reason]);
    }
    JobStatus read;
    assert_false(job_status_parse(STR("failed"), &read));
    assert_false(job_status_parse((Str){0}, &read));
}

static size_t field_size(FieldKind kind) {
    switch (kind) {
    case FIELD_INT: return sizeof(int64_t);
    case FIELD_TEXT: return sizeof(Str);
    case FIELD_KEY: return sizeof(JobKey);
    case FIELD_RETRY: return sizeof(RetryPolicy);
    }
    return 0;
}

static void no_member_is_forgotten(void **state) {
    (void)state;
    uint8_t covered[sizeof(Job)] = {0};
    for (size_t i = 0; i < job_field_count; i++) {
        const JobField *field = &job_fields[i];
        for (size_t at = 0; at < field_size(field->kind); at++) {
            covered[field->offset + at]++;
        }
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(field->name, job_fields[j].name);
        }
    }
    for (size_t at = 0; at < sizeof(Job); at++) {
        assert_int_equal(covered[at], 1);
    }
}

static void the_field_table_says_what_may_change(void **state) {
    (void)state;
    static const char *const changing[] = {
        "priority",    "state",         "reason",   "due_us",     "run_at_us",   "expires_us",
        "enqueued_us", "args",          "tags",     "started_us", "finished_us", "deadline_us",
        "fence",       "attempt",       "failures", "lost",       "run",         "worker",
        "outcome",     "failure_first", "result",   "progress",   "attempts",
    };
    size_t count = 0;
    for (size_t i = 0; i < job_field_count; i++) {
        bool listed = false;
        for (size_t j = 0; j < LENGTH(changing); j++) {
            if (strcmp(changing[j], job_fields[i].name) == 0) listed = true;
        }
        assert_int_equal(job_fields[i].changes, listed);
        if (listed) count++;
    }
    assert_int_equal(count, LENGTH(changing));
}

static void a_copy_shares_no_text(void **state) {
    (void)state;
    char texts[64][24] = {{0}};
    Job job = job_default();
    size_t bytes = sizeof job;
    for (size_t i = 0; i < job_field_count; i++) {
        if (job_fields[i].kind != FIELD_TEXT) continue;
        snprintf(texts[i], sizeof texts[i], "%zu", i);
        *job_field_text(&job_fields[i], &job) = str_from(texts[i]);
        bytes += strlen(texts[i]);
    }
    bytes -= job.notify.len;
    job.notify = (Str){0};
    *job_field_int(&job_fields[5], &job) = 7;
    assert_int_equal(job.priority, 7);
    assert_int_equal(job_size(&job), bytes);
    Arena arena = {0};
    Job copy = job;
    job_copy(&copy, &arena);
    memset(texts, 'x', sizeof texts);
    for (size_t i = 0; i < job_field_count; i++) {
        if (job_fields[i].kind != FIELD_TEXT) continue;
        Str text = *job_field_text(&job_fields[i], &copy);
        char expected[24];
        snprintf(expected, sizeof expected, "%zu", i);
        if (text.ptr) assert_string_equal(text.ptr, expected);
        assert_int_equal(!text.ptr, &job.notify == job_field_text(&job_fields[i], &job));
    }
    arena_done(&arena);
}

static void defaults_are_the_contracts(void **state) {
    (void)state;
    Job job = job_default();
    assert_true(str_eq(job.queue, STR("default")));
    assert_true(str_eq(job.args, STR("[]")));
    assert_int_equal(job.priority, 5);
    assert_int_equal(job.max_lost, 3);
    assert_int_equal(job.timeout_ms, 1800000);
    assert_int_equal(job.run, 1);
    assert_int_equal(job.version, 1);
    assert_int_equal(job.retry.max_attempts, 20);
    assert_null(job.id.ptr);
    assert_int_equal(job.state, JOB_BLOCKED);
}

static void fences_fit_a_double_and_rise_with_the_timeline(void **state) {
    (void)state;
    assert_int_equal(fence_make(0, 1), 1);
    assert_true(fence_make(1, 1) > fence_make(0, (INT64_C(1) << 43) - 1));
    int64_t last = fence_make(1023, (INT64_C(1) << 43) - 1);
    assert_int_equal(last, FENCE_MAX);
    assert_int_equal((int64_t)(double)last, last);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(canonical_uuids_are_their_own_key),
        cmocka_unit_test(hashed_keys_are_those_of_sha256),
        cmocka_unit_test(a_made_id_and_its_text_have_one_key),
        cmocka_unit_test(states_are_shown_by_due_and_failures),
        cmocka_unit_test(states_and_reasons_have_names),
        cmocka_unit_test(no_member_is_forgotten),
        cmocka_unit_test(the_field_table_says_what_may_change),
        cmocka_unit_test(a_copy_shares_no_text),
        cmocka_unit_test(defaults_are_the_contracts),
        cmocka_unit_test(fences_fit_a_double_and_rise_with_the_timeline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
