/* Promotion: delayed jobs become ready when they are due by the store's clock. No write:
 * 'scheduled' and 'pending' are derived from due, so promotion can't be done twice. The node
 * sleeps exactly until the next one is due. */
#include "engine/internal.h"

#include "base/crash.h"

void promote_at(EngineQueue *queue, int64_t due_us) {
    Engine *engine = queue->engine;
    if (queue->promote.place != 0 && queue->promote.key <= due_us) return;
    heap_move(&engine->promotions, &queue->promote, due_us);
    duty_wake(engine, promote_duty, due_us);
}

static void on_promoted(void *context, const PromoteReply *reply) {
    EngineQueue *queue = context;
    queue->promoting = false;
    if (reply->moved > 0) crash_point(PROMOTE_DUE);
    if (reply->next_us > 0) promote_at(queue, reply->next_us);
    if (queue->promote_again) promote_at(queue, engine_now_us(queue->engine));
    queue->promote_again = false;
    if (reply->low) refill(queue, WINDOW_DELAYED);
    /* whatever moved: a hint that came back from a claim may wait here as well */
    dispatch_queue(queue);
}

int64_t promote_duty(Engine *engine, int64_t now_us) {
    HeapNode *node;
    while ((node = heap_first(&engine->promotions)) && node->key <= now_us) {
        heap_pop(&engine->promotions);
        EngineQueue *queue = container_of(node, EngineQueue, promote);
        if (queue->promoting) {
            /* it is told what is due once it has answered */
            queue->promote_again = true;
            continue;
        }
        if (!broker_is_up(engine->broker, NULL)) {
            store_dispatch(queue); /* something falls due */
            continue;
        }
        queue->promoting = true;
        broker_promote(engine->broker, queue->name, now_us, on_promoted, queue);
    }
    node = heap_first(&engine->promotions);
    return node ? node->key : INT64_MAX;
}
