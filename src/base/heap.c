/* An intrusive 4-ary min-heap: see heap.h.
 *
 * Node i (0-based) has the children 4i+1 … 4i+4, and nodes[i]->place == i + 1 always. Four children
 * to a node make the tree half as deep and read one cache line of pointers per level. */
#include "base/heap.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/check.h"

enum { CHILDREN = 4, FIRST_CAPACITY = 16 };

void heap_done(Heap *heap) {
    if (!heap) return;
    free(heap->nodes);
    *heap = (Heap){0};
}

static void set(Heap *heap, size_t index, HeapNode *node) {
    heap->nodes[index] = node;
    node->place = index + 1;
}

static void rise(Heap *heap, size_t index, HeapNode *node) {
    while (index > 0) {
        size_t parent = (index - 1) / CHILDREN;
        if (heap->nodes[parent]->key <= node->key) break;
        set(heap, index, heap->nodes[parent]);
        index = parent;
    }
    set(heap, index, node);
}

static void sink(Heap *heap, size_t index, HeapNode *node) {
    for (;;) {
        size_t first = index * CHILDREN + 1;
        if (first >= heap->count) break;
        size_t last = first + CHILDREN < heap->count ? first + CHILDREN : heap->count;
        size_t least = first;
        for (size_t child = first + 1; child < last; child++) {
            if (heap->nodes[child]->key < heap->nodes[least]->key) least = child;
        }
        if (heap->nodes[least]->key >= node->key) break;
        set(heap, index, heap->nodes[least]);
        index = least;
    }
    set(heap, index, node);
}

static void settle(Heap *heap, size_t index, HeapNode *node) {
    if (index > 0 && heap->nodes[(index - 1) / CHILDREN]->key > node->key) {
        rise(heap, index, node);
    } else {
        sink(heap, index, node);
    }
}

void heap_add(Heap *heap, HeapNode *node, int64_t key) {
    check(node->place == 0);
    if (heap->count == heap->capacity) {
        heap->capacity = heap->capacity ? 2 * heap->capacity : FIRST_CAPACITY;
        heap->nodes = alloc_again(heap->nodes, heap->capacity, sizeof(HeapNode *));
    }
    node->key = key;
    rise(heap, heap->count++, node);
}

static void check_is_here(const Heap *heap, const HeapNode *node) {
    check(node->place <= heap->count && heap->nodes[node->place - 1] == node);
}

void heap_move(Heap *heap, HeapNode *node, int64_t key) {
    if (node->place == 0) {
        heap_add(heap, node, key);
        return;
    }
    check_is_here(heap, node);
    node->key = key;
    settle(heap, node->place - 1, node);
}

void heap_remove(Heap *heap, HeapNode *node) {
    if (node->place == 0) return;
    check_is_here(heap, node);
    size_t index = node->place - 1;
    node->place = 0;
    HeapNode *last = heap->nodes[--heap->count];
    if (last != node) settle(heap, index, last);
}

HeapNode *heap_first(const Heap *heap) {
    return heap->count ? heap->nodes[0] : NULL;
}

HeapNode *heap_pop(Heap *heap) {
    HeapNode *first = heap_first(heap);
    if (first) heap_remove(heap, first);
    return first;
}
