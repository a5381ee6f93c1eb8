/* An intrusive doubly linked list: the node lives in its owner (container_of, check.h). A zero
 * node is in no list; a List must be initialised. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

typedef struct ListNode {
    struct ListNode *next;
    struct ListNode *previous;
} ListNode;

typedef struct List {
    ListNode head; /* next = first, previous = last */
} List;

static inline void list_init(List *list) {
    list->head.next = list->head.previous = &list->head;
}
static inline bool list_is_empty(const List *list) {
    return list->head.next == &list->head;
}
static inline bool list_holds(const ListNode *node) {
    return node->next != NULL;
}
static inline void list_append(List *list, ListNode *node) {
    node->previous = list->head.previous;
    node->next = &list->head;
    list->head.previous->next = node;
    list->head.previous = node;
}
static inline void list_prepend(List *list, ListNode *node) {
    node->next = list->head.next;
    node->previous = &list->head;
    list->head.next->previous = node;
    list->head.next = node;
}
/* Does nothing when the node is in no list. */
static inline void list_remove(ListNode *node) {
    if (!node->next) return;
    node->previous->next = node->next;
    node->next->previous = node->previous;
    node->next = node->previous = NULL;
}
/* NULL when empty. */
static inline ListNode *list_first(const List *list) {
    return list_is_empty(list) ? NULL : list->head.next;
}
static inline ListNode *list_pop(List *list) {
    ListNode *node = list_first(list);
    if (node) list_remove(node);
    return node;
}

/* Walks a list; the body may remove `node`. */
#define list_each(list, node)                                                                      \
    for (ListNode *node = (list)->head.next, *node##_next = node->next; node != &(list)->head;     \
         node = node##_next, node##_next = node->next)
