/* Arena and alloc: alignment, zeroing, what a reset keeps, copies, and the sizes at the edges. */
#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"

static void test_sizes(void **state) {
    (void)state;
    static const size_t sizes[] = {0, 1, 7, 16, 17, 1000, 4096, 65000, 65536, 70000, 1000000, 3};
    cleanup(arena_done) Arena arena = {0};
    char *memory[LENGTH(sizes)];
    for (size_t i = 0; i < LENGTH(sizes); i++) {
        memory[i] = arena_alloc(&arena, sizes[i]);
        assert_int_equal((uintptr_t)memory[i] % _Alignof(max_align_t), 0);
        memset(memory[i], (int)i + 1, sizes[i]);
    }
    size_t sum = 0;
    for (size_t i = 0; i < LENGTH(sizes); i++) {
        for (size_t at = 0; at < sizes[i]; at++) {
            assert_int_equal(memory[i][at], (int)i + 1);
        }
        sum += sizes[i];
    }
    assert_true(arena.used >= sum);
    assert_true(arena.used < sum + 16 * (LENGTH(sizes) + 1));
}

static void test_reset(void **state) {
    (void)state;
    Arena arena = {0};
    arena_reset(&arena);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 1000; i++) {
            unsigned char *zeroed = arena_zero(&arena, 10, 25);
            for (int at = 0; at < 250; at++) {
                assert_int_equal(zeroed[at], 0);
            }
            memset(zeroed, 0xff, 250);
        }
        arena_alloc(&arena, 200000);
        arena_reset(&arena);
        assert_int_equal(arena.used, 0);
    }
    const ArenaChunk *kept = arena.chunk;
    assert_non_null(kept);
    arena_alloc(&arena, 60000);
    assert_ptr_equal(arena.chunk, kept); /* the largest of at most 64 KiB was kept */
    arena_done(&arena);
    assert_null(arena.chunk);
    arena_done(&arena);
    arena_done(NULL);
}

static void test_copies(void **state) {
    (void)state;
    cleanup(arena_done) Arena arena = {0};
    char text[] = "abc";
    Str copy = arena_str(&arena, (Str){text, 2});
    text[0] = 'x';
    assert_int_equal(copy.len, 2);
    assert_string_equal(copy.ptr, "ab");
    assert_null(arena_str(&arena, (Str){0}).ptr);
    assert_string_equal(arena_str(&arena, STR("")).ptr, "");
    assert_string_equal(arena_cstr(&arena, (Str){0}), "");
    assert_string_equal(arena_cstr(&arena, STR("name")), "name");
    Str formatted = arena_format(&arena, "%s-%05d", "job", 42);
    assert_string_equal(formatted.ptr, "job-00042");
    assert_int_equal(formatted.len, 9);
    const int *number = arena_new(&arena, int);
    assert_int_equal(*number, 0);
}

static void test_alloc(void **state) {
    (void)state;
    cleanup(free_pointer) char *first = alloc(0);
    cleanup(free_pointer) char *second = alloc_zero(0, 8);
    assert_ptr_not_equal(first, second);
    cleanup(free_pointer) int *numbers = alloc_zero(3, sizeof(int));
    assert_int_equal(numbers[2], 0);
    numbers = alloc_again(numbers, 100, sizeof(int));
    numbers[99] = 1;
    numbers = alloc_again(numbers, 0, sizeof(int));
    cleanup(free_pointer) char *text = alloc_string("text");
    assert_string_equal(text, "text");
    char *moved = take(&text);
    assert_null(text);
    free(moved);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_reset),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_alloc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
