/* Keys, names of states and reasons, defaults and copies of jobs.
 *
 * Nothing here changes a job's life: that is core/job_change.c. The shown status is derived, never
 * stored; it depends on the time it is asked for. */
#include "core/job.h"

#include "base/hash.h"

#include <string.h>

static const char *const STATUS_NAMES[STATUS_COUNT] = {
    [STATUS_BLOCKED] = "blocked",   [STATUS_SCHEDULED] = "scheduled",
    [STATUS_PENDING] = "pending",   [STATUS_RUNNING] = "running",
    [STATUS_RETRYING] = "retrying", [STATUS_SUCCEEDED] = "succeeded",
    [STATUS_DEAD] = "dead",         [STATUS_CANCELLED] = "cancelled",
};

static const char *const REASON_NAMES[REASON_COUNT] = {
    [REASON_NONE] = "",
    [REASON_EXPIRED] = "expired",
    [REASON_PURGED] = "purged",
    [REASON_DISCARDED] = "discarded",
    [REASON_CANCELLED] = "cancelled",
    [REASON_WORKER_LOST] = "worker_lost",
    [REASON_ATTEMPTS_EXHAUSTED] = "attempts_exhausted",
    [REASON_NOT_RETRYABLE] = "not_retryable",
    [REASON_KILLED] = "killed",
};

enum { UUID_VERSION_HASHED = 8 };

JobKey job_key_from_id(Str id) {
    JobKey key;
    Uuid uuid;
    if (uuid_parse(id, &uuid) && uuid_version(&uuid) != UUID_VERSION_HASHED) {
        memcpy(key.bytes, uuid.bytes, sizeof key.bytes);
        return key;
    }
    uint8_t digest[SHA256_SIZE];
    hash_sha256(id, digest);
    memcpy(key.bytes, digest, sizeof key.bytes);
    key.bytes[6] = (uint8_t)(UUID_VERSION_HASHED << 4 | (key.bytes[6] & 0x0f));
    key.bytes[8] = (uint8_t)(0x80 | (key.bytes[8] & 0x3f)); /* the variant of RFC 9562 */
    return key;
}

JobKey job_key_from_uuid(const Uuid *uuid, char ret_text[UUID_TEXT_SIZE]) {
    JobKey key;
    memcpy(key.bytes, uuid->bytes, sizeof key.bytes);
    uuid_format(uuid, ret_text);
    return key;
}

bool job_key_eq(const JobKey *a, const JobKey *b) {
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

Str job_key_str(const JobKey *key) {
    return (Str){(const char *)key->bytes, sizeof key->bytes};
}

const char *job_status_name(JobStatus status) {
    check(status < STATUS_COUNT);
    return STATUS_NAMES[status];
}

bool job_status_parse(Str text, JobStatus *ret) {
    for (JobStatus status = 0; status < STATUS_COUNT; status++) {
        if (!str_eq(text, str_from(STATUS_NAMES[status]))) continue;
        *ret = status;
        return true;
    }
    return false;
}

const char *job_reason_name(JobReason reason) {
    check(reason < REASON_COUNT);
    return REASON_NAMES[reason];
}

bool job_is_finished(const Job *job) {
    return job->state >= JOB_SUCCEEDED;
}

static JobStatus status_waiting(const Job *job, int64_t now_us) {
    if (job->due_us <= now_us) return STATUS_PENDING;
    return job->failures > 0 ? STATUS_RETRYING : STATUS_SCHEDULED;
}

JobStatus job_status_at(const Job *job, int64_t now_us) {
    check(job->state >= 0 && job->state < JOB_STATES);
    switch ((JobState)job->state) {
    case JOB_BLOCKED: return STATUS_BLOCKED;
    case JOB_WAITING: return status_waiting(job, now_us);
    case JOB_PARKED: return STATUS_PENDING;
    case JOB_RUNNING: return STATUS_RUNNING;
    case JOB_SUCCEEDED: return STATUS_SUCCEEDED;
    case JOB_DEAD: return STATUS_DEAD;
    case JOB_CANCELLED:
    case JOB_STATES: break;
    }
    return STATUS_CANCELLED;
}

void job_copy(Job *job, Arena *arena) {
    for (size_t i = 0; i < job_field_count; i++) {
        if (job_fields[i].kind != FIELD_TEXT) continue;
        Str *text = job_field_text(&job_fields[i], job);
        *text = arena_str(arena, *text);
    }
}

Job job_default(void) {
    return (Job){
        .queue = STR("default"),
        .args = STR("[]"),
        .retry = retry_default(),
        .version = 1,
        .priority = 5,
        .max_lost = 3,
        .timeout_ms = INT64_C(30) * 60 * 1000,
        .run = 1,
    };
}

size_t job_size(const Job *job) {
    size_t size = sizeof *job;
    for (size_t i = 0; i < job_field_count; i++) {
        if (job_fields[i].kind != FIELD_TEXT) continue;
        Str text;
        memcpy(&text, (const char *)job + job_fields[i].offset, sizeof text);
        size += text.len;
    }
    return size;
}
