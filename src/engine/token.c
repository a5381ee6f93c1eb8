/* Revoked access tokens: known in memory, kept in the store until they would have expired anyway.
 */
#include "engine/internal.h"

#include "base/alloc.h"
#include <stdlib.h>
#include <string.h>

typedef struct Revoked {
    Str id;
} Revoked;

static void remember(Engine *engine, Str id) {
    if (map_get(&engine->revoked, id)) return;
    Revoked *revoked = alloc(sizeof *revoked + id.len);
    memcpy(revoked + 1, id.ptr, id.len);
    revoked->id = (Str){(char *)(revoked + 1), id.len};
    map_put(&engine->revoked, revoked->id, revoked);
}

void tokens_load(Engine *engine, const struct RevokedToken *tokens, size_t count) {
    for (size_t i = 0; i < count; i++) {
        remember(engine, tokens[i].token_id);
    }
}

void tokens_done(Engine *engine) {
    size_t at = 0;
    Revoked *revoked;
    while ((revoked = map_next(&engine->revoked, &at))) {
        free(revoked);
    }
    map_done(&engine->revoked);
}

bool engine_token_is_revoked(const Engine *engine, Str token_id) {
    return map_get(&engine->revoked, token_id) != NULL;
}

static Step revoke_step(Operation *operation, Batch *batch) {
    TokenRequest *request = container_of(operation, TokenRequest, operation);
    batch_token(batch, request->token_id, request->until_us);
    ControlRow control = {
        .kind = CONTROL_REVOKE, .subject = request->token_id, .until_us = request->until_us};
    control_put(request->engine, batch, &control);
    return STEP_LAST;
}

static void revoke_settle(Operation *operation, const Batch *batch) {
    TokenRequest *request = container_of(operation, TokenRequest, operation);
    (void)batch;
    remember(request->engine, request->token_id);
}

static const OperationKind revoke_kind = {
    .name = "revoke", .step = revoke_step, .settle = revoke_settle, .first = true};

void engine_revoke_token(Engine *engine, TokenRequest *request) {
    request->operation.kind = &revoke_kind;
    request->engine = engine;
    pipeline_submit(engine, &request->operation);
}
