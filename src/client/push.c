/* Pushing jobs. The one invariant: every job that leaves has an id, so that pushing it again
 * makes no second one. */
#include "client/client.h"
#include "proto/wire_job.h"
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { JOB_FIXED = 512 }; /* keys, numbers and punctuation of one job */

static takt_status make_id(char ret_id[TAKT_ID_SIZE], takt_error *error) {
    uint8_t bytes[16];
    static const char digits[] = "0123456789abcdef";
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) {
        return client_fail(error, TAKT_ERR_UNAVAILABLE, "the system gives no randomness");
    }
    for (size_t i = 0; i < sizeof bytes; i++) {
        ret_id[2 * i] = digits[bytes[i] >> 4];
        ret_id[2 * i + 1] = digits[bytes[i] & 15];
    }
    ret_id[2 * sizeof bytes] = '\0';
    return TAKT_OK;
}

static size_t job_bound(const takt_new_job *job) {
    return JOB_FIXED + client_string_bound(job->type) + client_string_bound(job->queue) +
           client_string_bound(job->at) + 6 * (size_t)TAKT_ID_SIZE +
           (job->args ? strlen(job->args) : 2) + (job->custom ? strlen(job->custom) : 0);
}

static takt_status write_job(JsonWriter *writer, const takt_new_job *job, takt_error *error) {
    json_begin_object(writer);
    json_put_string(writer, "jid", str_from(job->id));
    json_put_string(writer, "jobtype", str_from(job->type));
    takt_status status =
        client_put_json(writer, "args", job->args ? job->args : "[]", JSON_ARRAY, error);
    if (status != TAKT_OK) return status;
    if (job->queue) json_put_string(writer, "queue", str_from(job->queue));
    if (job->at) json_put_string(writer, "at", str_from(job->at));
    if (job->priority) json_put_int(writer, "priority", job->priority);
    if (job->reserve_for_s) json_put_int(writer, "reserve_for", job->reserve_for_s);
    if (job->has_retry) json_put_int(writer, "retry", job->retry);
    if (job->custom) {
        status = client_put_json(writer, "custom", job->custom, JSON_OBJECT, error);
        if (status != TAKT_OK) return status;
    }
    json_end_object(writer);
    return TAKT_OK;
}

static takt_status check_job(takt_new_job *job, takt_error *error) {
    if (!job->type || !job->type[0]) {
        return client_fail(error, TAKT_ERR_INVALID, "a job needs a type");
    }
    if (job->priority < 0 || job->priority > 9) {
        return client_fail(error, TAKT_ERR_INVALID, "a job's priority is 1 to 9");
    }
    if (!memchr(job->id, '\0', sizeof job->id)) {
        return client_fail(error, TAKT_ERR_INVALID, "a job's id does not end");
    }
    return job->id[0] ? TAKT_OK : make_id(job->id, error);
}

takt_status takt_push(takt_client *client, takt_new_job *job, takt_error *error) {
    takt_status status = check_job(job, error);
    if (status != TAKT_OK) return status;
    status = client_begin(client, STR("PUSH"), job_bound(job), error);
    if (status != TAKT_OK) return status;
    JsonWriter writer = json_writer(&client->request);
    status = write_job(&writer, job, error);
    if (status != TAKT_OK) return status;
    return client_exchange_plain(client, REPEAT_UNSAFE, error);
}

/* Hands each id of {id: reason} out as C strings. */
static takt_status tell_refused(Str text, takt_refused_fn *refused, void *context,
                                size_t *ret_refused, takt_error *error) {
    Json root;
    Error cause = {0};
    if (json_check(text, &root, &cause) != OK || root.kind != JSON_OBJECT) {
        return client_fail(error, TAKT_ERR_PROTOCOL, "the server's answer is no object");
    }
    cleanup(arena_done) Arena arena = {0};
    JsonIter iter = json_iter(root);
    Str key;
    Json reason;
    size_t count = 0;
    for (; json_next(&iter, &key, &reason); count++) {
        if (!refused) continue;
        Str words = reason.kind == JSON_STRING ? json_string(reason, &arena) : reason.text;
        refused(arena_cstr(&arena, json_key(key, &arena)), arena_cstr(&arena, words), context);
        arena_reset(&arena);
    }
    if (ret_refused) *ret_refused = count;
    return TAKT_OK;
}

takt_status takt_push_bulk(takt_client *client, takt_new_job *jobs, size_t count,
                           takt_refused_fn *refused, void *context, size_t *ret_refused,
                           takt_error *error) {
    size_t bound = 2;
    takt_status status;
    for (size_t i = 0; i < count; i++) {
        status = check_job(&jobs[i], error);
        if (status != TAKT_OK) return status;
        bound += job_bound(&jobs[i]) + 1;
    }
    status = client_begin(client, STR("PUSHB"), bound, error);
    if (status != TAKT_OK) return status;
    JsonWriter writer = json_writer(&client->request);
    json_begin_array(&writer);
    for (size_t i = 0; i < count; i++) {
        status = write_job(&writer, &jobs[i], error);
        if (status != TAKT_OK) return status;
    }
    json_end_array(&writer);
    Str text;
    status = client_exchange_bulk(client, REPEAT_UNSAFE, 0, &text, error);
    if (status != TAKT_OK) return status;
    return tell_refused(text, refused, context, ret_refused, error);
}
