/* Heartbeats, progress and logs. The one invariant: all of them may be sent twice without harm
 * but for a log's lines, which then stand there twice. */
#include "client/client.h"
#include "proto/messages.h"
#include <stdlib.h>
#include <string.h>

enum { REQUEST_FIXED = 256, BEAT_WAIT_MAX_MS = 10000 };

static takt_status copy_answer(const BeatReply *reply, takt_beat_answer **ret, takt_error *error) {
    size_t head = sizeof(takt_beat_answer) + reply->cancel_count * sizeof(char *);
    size_t size = head;
    for (size_t i = 0; i < reply->cancel_count; i++)
        size += reply->cancel[i].len + 1;
    char *block = calloc(1, size);
    if (!block) return client_fail(error, TAKT_ERR_MEMORY, "out of memory");
    takt_beat_answer *answer = (void *)block;
    const char **ids = (void *)(block + sizeof *answer);
    char *at = block + head;
    for (size_t i = 0; i < reply->cancel_count; i++) {
        ids[i] = at;
        memcpy(at, reply->cancel[i].ptr, reply->cancel[i].len);
        at += reply->cancel[i].len + 1;
    }
    static const takt_worker_state states[] = {[WORKER_RUNNING] = TAKT_RUNNING,
                                               [WORKER_QUIET] = TAKT_QUIET,
                                               [WORKER_TERMINATE] = TAKT_TERMINATE};
    answer->state = states[reply->state];
    answer->cancel_count = reply->cancel_count;
    answer->cancel = ids;
    *ret = answer;
    return TAKT_OK;
}

takt_status takt_beat(takt_client *client, int64_t wait_ms, takt_beat_answer **ret_answer,
                      takt_error *error) {
    if (client->identity.wid.len == 0 || wait_ms < 0) {
        return client_fail(error, TAKT_ERR_INVALID,
                           "a beat needs a client with a worker_id, and no negative time");
    }
    if (wait_ms > BEAT_WAIT_MAX_MS) wait_ms = BEAT_WAIT_MAX_MS;
    takt_status status =
        client_begin(client, STR("BEAT"), REQUEST_FIXED + 6 * client->identity.wid.len, error);
    if (status != TAKT_OK) return status;
    const BeatRequest request = {.wid = client->identity.wid, .parked = true, .wait_ms = wait_ms};
    beat_request_write(&client->request, &request);
    Reply reply;
    status = client_exchange(client, REPEAT_SAFE, wait_ms, &reply, error);
    if (status != TAKT_OK) return status;
    if (reply.kind == REPLY_ERROR) return client_fail_refused(error, reply.text);
    cleanup(arena_done) Arena arena = {0};
    BeatReply answer = {0};
    Error cause = {0};
    if (reply.kind == REPLY_BULK && beat_reply_parse(reply.text, &arena, &answer, &cause) != OK) {
        return client_fail(error, TAKT_ERR_PROTOCOL, "%s", cause.message);
    }
    return copy_answer(&answer, ret_answer, error);
}

void takt_beat_free(takt_beat_answer *answer) {
    free(answer);
}

takt_status takt_progress(takt_client *client, const char *id, int64_t fence, int percent,
                          const char *message, takt_error *error) {
    if (!id || percent < 0 || percent > 100) {
        return client_fail(error, TAKT_ERR_INVALID, "progress needs an id and is 0 to 100");
    }
    size_t bound = REQUEST_FIXED + client_string_bound(id) + client_string_bound(message);
    takt_status status = client_begin(client, STR("TRACK SET"), bound, error);
    if (status != TAKT_OK) return status;
    const ProgressRequest request = {
        .jid = str_from(id), .fence = fence, .percent = percent, .desc = str_from(message)};
    progress_write(&client->request, &request);
    return client_exchange_plain(client, REPEAT_SAFE, error);
}

takt_status takt_log(takt_client *client, const char *id, int64_t fence, const void *bytes,
                     size_t len, takt_verdict *ret_verdict, takt_error *error) {
    if (!id || len > LOG_TEXT_MAX) {
        return client_fail(error, TAKT_ERR_INVALID, "a log needs an id and takes %d bytes at most",
                           LOG_TEXT_MAX);
    }
    size_t bound = REQUEST_FIXED + client_string_bound(id) + 6 * len;
    takt_status status = client_begin(client, STR("TLOG"), bound, error);
    if (status != TAKT_OK) return status;
    const LogRequest request = {
        .jid = str_from(id), .fence = fence, .data = {len ? bytes : "", len}};
    log_request_write(&client->request, &request);
    Reply reply;
    status = client_exchange(client, REPEAT_SAFE, 0, &reply, error);
    if (status != TAKT_OK) return status;
    if (reply.kind == REPLY_ERROR) return client_fail_refused(error, reply.text);
    if (ret_verdict) *ret_verdict = str_eq(reply.text, STR("STALE")) ? TAKT_STALE : TAKT_SETTLED;
    return TAKT_OK;
}
