/* Working on jobs: fetch, settle, extend. The one invariant: what is handed out is one block of
 * memory with a bound known from the reply's length. */
#include "base/clock.h"
#include "base/time.h"
#include "client/client.h"
#include "proto/messages.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ENTRY_FIXED = 256, TEXTS_PER_JOB = 5 };

static takt_status need_worker(const takt_client *client, takt_error *error) {
    if (client->identity.wid.len > 0) return TAKT_OK;
    return client_fail(error, TAKT_ERR_INVALID, "this needs a client with a worker_id");
}

/* ---- fetch ---- */

/* Copies into a block that is large enough, with a NUL; NULL for an absent text. */
static const char *put_text(char **at, Str text) {
    if (!text.ptr) return NULL;
    char *copy = *at;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    *at += text.len + 1;
    return copy;
}

static takt_status read_jobs(Json array, size_t text_len, takt_batch **ret, takt_error *error) {
    size_t count = json_count(array);
    size_t head = sizeof(takt_batch) + count * sizeof(takt_job);
    char *block = calloc(1, head + text_len + count * TEXTS_PER_JOB + 1);
    if (!block) return client_fail(error, TAKT_ERR_MEMORY, "out of memory");
    takt_batch *batch = (void *)block;
    batch->count = count;
    batch->jobs = (void *)(block + sizeof *batch);
    char *at = block + head;
    cleanup(arena_done) Arena arena = {0};
    JsonIter iter = json_iter(array);
    Json entry;
    for (size_t i = 0; json_next(&iter, NULL, &entry); i++) {
        WireJob job;
        Error cause = {0};
        arena_reset(&arena);
        if (wire_job_read_leased(entry, &arena, &job, &cause) != OK) {
            free(block);
            return client_fail(error, TAKT_ERR_PROTOCOL, "%s", cause.message);
        }
        batch->jobs[i] = (takt_job){
            .id = put_text(&at, job.jid),
            .type = put_text(&at, job.jobtype),
            .queue = job.queue.ptr ? put_text(&at, job.queue) : "default",
            .args = job.args.text.ptr ? put_text(&at, job.args.text) : "null",
            .custom = put_text(&at, job.custom.text),
            .fence = job.fence,
            .lease_ms = job.lease_ms,
            .attempt = job.attempt,
            .timeout_ms = job.timeout_ms,
            .version = job.version,
        };
    }
    *ret = batch;
    return TAKT_OK;
}

/* The whole process may have been stopped between the answer and its reading. The server heard of
 * this worker when it got the request, and handed the jobs out by the end of the wait. */
static bool is_too_late(const takt_client *client, const takt_batch *batch, int64_t wait_ms) {
    int64_t waited_ms = (clock_mono_us() - client->sent_us) / US_PER_MS;
    for (size_t i = 0; i < batch->count; i++) {
        int64_t lease_ms = batch->jobs[i].lease_ms;
        if (lease_ms > 0 && waited_ms >= wait_ms + lease_ms * 4 / 5) return true;
    }
    return false;
}

takt_status takt_fetch(takt_client *client, const char *const *queues, size_t queue_count, int max,
                       int64_t wait_ms, takt_batch **ret_batch, takt_error *error) {
    takt_status status = need_worker(client, error);
    if (status != TAKT_OK) return status;
    if (queue_count == 0 || queue_count > TAKE_QUEUES_MAX || max < 1 || max > TAKE_MAX ||
        wait_ms < 0 || wait_ms > TAKE_WAIT_MAX_MS) {
        return client_fail(error, TAKT_ERR_INVALID,
                           "a fetch takes 1 to %d queues, 1 to %d jobs and waits 0 to %d ms",
                           TAKE_QUEUES_MAX, TAKE_MAX, TAKE_WAIT_MAX_MS);
    }
    size_t bound = ENTRY_FIXED;
    for (size_t i = 0; i < queue_count; i++)
        bound += client_string_bound(queues[i]) + 1;
    status = client_begin(client, STR("TFETCH"), bound, error);
    if (status != TAKT_OK) return status;
    Str *names = calloc(queue_count, sizeof *names);
    if (!names) return client_fail(error, TAKT_ERR_MEMORY, "out of memory");
    for (size_t i = 0; i < queue_count; i++)
        names[i] = str_from(queues[i]);
    const TakeRequest request = {
        .queues = names, .queue_count = queue_count, .n = max, .wait_ms = wait_ms};
    take_request_write(&client->request, &request);
    free(names);
    Str text;
    status = client_exchange_bulk(client, REPEAT_SAFE, wait_ms, &text, error);
    if (status != TAKT_OK) return status;
    Json root;
    Error cause = {0};
    if (json_check(text, &root, &cause) != OK || root.kind != JSON_ARRAY) {
        return client_fail(error, TAKT_ERR_PROTOCOL, "the server's answer is no array of jobs");
    }
    takt_batch *batch;
    status = read_jobs(root, text.len, &batch, error);
    if (status != TAKT_OK) return status;
    if (is_too_late(client, batch, wait_ms)) {
        free(batch);
        return client_fail(error, TAKT_ERR_UNAVAILABLE,
                           "the jobs were read so late that their lease may be over");
    }
    *ret_batch = batch;
    return TAKT_OK;
}

void takt_batch_free(takt_batch *batch) {
    free(batch);
}

/* ---- settle, extend ---- */

static size_t outcome_bound(const takt_outcome *outcome) {
    return ENTRY_FIXED + client_string_bound(outcome->id) +
           (outcome->result ? strlen(outcome->result) : 4) +
           client_string_bound(outcome->error_type) + client_string_bound(outcome->error_message) +
           2 * client_string_bound(outcome->backtrace);
}

static void write_error(JsonWriter *writer, const takt_outcome *outcome) {
    json_write_key(writer, STR("error"));
    json_begin_object(writer);
    json_put_string(writer, "type",
                    str_from(outcome->error_type ? outcome->error_type : "unknown"));
    json_put_string(writer, "message",
                    str_from(outcome->error_message ? outcome->error_message : "unknown"));
    if (outcome->backtrace) {
        Str lines = str_from(outcome->backtrace);
        json_write_key(writer, STR("backtrace"));
        json_begin_array(writer);
        while (lines.ptr)
            json_write_string(writer, str_split(&lines, '\n'));
        json_end_array(writer);
    }
    json_put_bool(writer, "retryable", !outcome->not_retryable);
    if (outcome->has_retry_after) {
        char text[32];
        int len = snprintf(text, sizeof text, "%lldms", (long long)outcome->retry_after_ms);
        json_put_string(writer, "retry_after", (Str){text, (size_t)len});
    }
    json_end_object(writer);
}

static takt_status write_outcome(JsonWriter *writer, const takt_outcome *outcome,
                                 takt_error *error) {
    if (!outcome->id || outcome->retry_after_ms < 0) {
        return client_fail(error, TAKT_ERR_INVALID, "an outcome needs an id, and no negative time");
    }
    json_begin_object(writer);
    json_put_string(writer, "jid", str_from(outcome->id));
    json_put_int(writer, "fence", outcome->fence);
    if (outcome->failed) {
        write_error(writer, outcome);
    } else {
        const char *result = outcome->result ? outcome->result : "null";
        takt_status status = client_put_json(writer, "result", result, JSON_NULL, error);
        if (status != TAKT_OK) return status;
    }
    json_end_object(writer);
    return TAKT_OK;
}

static takt_status exchange_object(takt_client *client, Json *ret, takt_error *error) {
    Str text;
    Error cause = {0};
    takt_status status = client_exchange_bulk(client, REPEAT_SAFE, 0, &text, error);
    if (status != TAKT_OK) return status;
    if (json_check(text, ret, &cause) != OK || ret->kind != JSON_OBJECT) {
        return client_fail(error, TAKT_ERR_PROTOCOL, "the server's answer is no object");
    }
    return TAKT_OK;
}

static takt_verdict verdict_of(Json answer, const char *id) {
    Str word = json_member(answer, str_from(id)).text;
    if (str_eq(word, STR("\"OK\""))) return TAKT_SETTLED;
    return str_eq(word, STR("\"STALE\"")) ? TAKT_STALE : TAKT_UNSETTLED;
}

takt_status takt_settle(takt_client *client, const takt_outcome *outcomes, size_t count,
                        takt_verdict *ret_verdicts, takt_error *error) {
    size_t bound = 2;
    for (size_t i = 0; i < count; i++)
        bound += outcome_bound(&outcomes[i]) + 1;
    takt_status status = client_begin(client, STR("TDONE"), bound, error);
    if (status != TAKT_OK) return status;
    JsonWriter writer = json_writer(&client->request);
    json_begin_array(&writer);
    for (size_t i = 0; i < count; i++) {
        status = write_outcome(&writer, &outcomes[i], error);
        if (status != TAKT_OK) return status;
    }
    json_end_array(&writer);
    Json answer;
    status = exchange_object(client, &answer, error);
    if (status != TAKT_OK) return status;
    for (size_t i = 0; ret_verdicts && i < count; i++) {
        ret_verdicts[i] = verdict_of(answer, outcomes[i].id);
    }
    return TAKT_OK;
}

takt_status takt_extend(takt_client *client, const takt_lease *leases, size_t count,
                        int64_t *ret_lease_ms, takt_error *error) {
    size_t bound = 2;
    for (size_t i = 0; i < count; i++)
        bound += ENTRY_FIXED + client_string_bound(leases[i].id);
    takt_status status = client_begin(client, STR("TEXTEND"), bound, error);
    if (status != TAKT_OK) return status;
    JsonWriter writer = json_writer(&client->request);
    json_begin_array(&writer);
    for (size_t i = 0; i < count; i++) {
        lease_ref_write(&writer, (LeaseRef){str_from(leases[i].id), leases[i].fence});
    }
    json_end_array(&writer);
    Json answer;
    status = exchange_object(client, &answer, error);
    if (status != TAKT_OK) return status;
    for (size_t i = 0; i < count; i++) {
        Json lease = json_member(answer, str_from(leases[i].id));
        if (!json_int64(lease, &ret_lease_ms[i])) ret_lease_ms[i] = -1;
    }
    return TAKT_OK;
}
