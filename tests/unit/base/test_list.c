/* List: order, removal from anywhere, and a walk whose body removes. */
#include "base/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"

typedef struct Item {
    int number;
    ListNode node;
} Item;

static int sum_of(const List *list) {
    int sum = 0;
    list_each(list, node) {
        sum = sum * 10 + container_of(node, Item, node)->number;
    }
    return sum;
}

static void test_list(void **state) {
    (void)state;
    List list;
    list_init(&list);
    assert_true(list_is_empty(&list));
    assert_null(list_first(&list));
    assert_null(list_pop(&list));
    Item items[] = {{.number = 1}, {.number = 2}, {.number = 3}, {.number = 4}};
    for (size_t i = 0; i < LENGTH(items); i++) {
        assert_false(list_holds(&items[i].node));
        list_append(&list, &items[i].node);
        assert_true(list_holds(&items[i].node));
    }
    assert_int_equal(sum_of(&list), 1234);
    list_remove(&items[1].node);
    list_remove(&items[1].node);
    assert_int_equal(sum_of(&list), 134);
    list_prepend(&list, &items[1].node);
    assert_int_equal(sum_of(&list), 2134);
    assert_ptr_equal(list_pop(&list), &items[1].node);
    list_each(&list, node) {
        if (container_of(node, Item, node)->number != 3) list_remove(node);
    }
    assert_int_equal(sum_of(&list), 3);
    assert_ptr_equal(list_first(&list), &items[2].node);
    list_remove(&items[2].node);
    assert_true(list_is_empty(&list));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_list)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
