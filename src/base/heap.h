/* An intrusive 4-ary min-heap over int64_t keys; ties come out in no particular order.
 *
 * The node lives in its owner and knows its place, so removal and re-keying are O(log n). */
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef struct HeapNode {
    int64_t key;
    size_t place; /* 1-based; 0 = in no heap */
} HeapNode;

typedef struct Heap {
    HeapNode **nodes;
    size_t count;
    size_t capacity;
} Heap;

void heap_done(Heap *heap); /* frees the table, not the nodes; zero Heap is valid and empty */
void heap_add(Heap *heap, HeapNode *node, int64_t key);  /* node in no heap */
void heap_move(Heap *heap, HeapNode *node, int64_t key); /* changes the key; adds when absent */
void heap_remove(Heap *heap, HeapNode *node);            /* nothing when absent */
HeapNode *heap_first(const Heap *heap);                  /* NULL when empty */
HeapNode *heap_pop(Heap *heap);                          /* NULL when empty */
