/* Heap against a linear search for the least key, through random additions, moves and removals. */
#include "base/heap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/random.h"

enum { NODES = 300 };

static void assert_first_is_least(const Heap *heap, const HeapNode *nodes) {
    const HeapNode *least = NULL;
    size_t count = 0;
    for (int i = 0; i < NODES; i++) {
        if (nodes[i].place == 0) continue;
        assert_ptr_equal(heap->nodes[nodes[i].place - 1], &nodes[i]);
        if (!least || nodes[i].key < least->key) least = &nodes[i];
        count++;
    }
    assert_int_equal(heap->count, count);
    const HeapNode *first = heap_first(heap);
    assert_int_equal(first == NULL, least == NULL);
    if (first) assert_int_equal(first->key, least->key);
}

static void test_model(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 5; seed++) {
        Random random;
        random_init(&random, seed);
        HeapNode nodes[NODES] = {{0}};
        Heap heap = {0};
        for (int i = 0; i < 5000; i++) {
            HeapNode *node = &nodes[random_below(&random, NODES)];
            int64_t key = (int64_t)random_below(&random, 200) - 100;
            switch (random_below(&random, 5)) {
            case 0:
            case 1: heap_move(&heap, node, key); break;
            case 2: heap_remove(&heap, node); break;
            case 3: heap_pop(&heap); break;
            default:
                if (node->place == 0) heap_add(&heap, node, key);
                break;
            }
            assert_first_is_least(&heap, nodes);
        }
        heap_done(&heap);
    }
}

static void test_sorts(void **state) {
    (void)state;
    Random random;
    random_init(&random, 9);
    HeapNode nodes[NODES] = {{0}};
    Heap heap = {0};
    for (int i = 0; i < NODES; i++) {
        heap_add(&heap, &nodes[i], (int64_t)random_next(&random));
    }
    int64_t last = INT64_MIN;
    for (int i = 0; i < NODES; i++) {
        const HeapNode *node = heap_pop(&heap);
        assert_non_null(node);
        assert_true(node->key >= last);
        assert_int_equal(node->place, 0);
        last = node->key;
    }
    assert_null(heap_pop(&heap));
    assert_null(heap_first(&heap));
    heap_done(&heap);
    heap_done(&heap);
    heap_done(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_sorts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
