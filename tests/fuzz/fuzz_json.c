/* Fuzzes the JSON reader: whatever json_check() accepts can be walked to its leaves, compacts to a
 * document that is accepted again and no longer, and compacts no further.
 *
 * Built with clang -fsanitize=fuzzer,address,undefined. Also checks that a refused document has an
 * error with a code. */
#include "base/json.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Touches every byte of every leaf; recursion is bounded by JSON_MAX_DEPTH. */
static size_t walk(Json value, Arena *arena) {
    check(value.text.len > 0);
    if (value.kind == JSON_STRING) {
        Str text = json_string(value, arena);
        check(str_is_utf8(text) && text.len <= value.text.len);
        return 1;
    }
    int64_t whole;
    double number;
    bool is_whole = json_int64(value, &whole);
    bool is_number = json_double(value, &number);
    check(!is_whole || is_number);
    size_t leaves = 1;
    size_t count = 0;
    JsonIter iter = json_iter(value);
    Str key = {0};
    Json element;
    while (json_next(&iter, &key, &element)) {
        check(element.text.ptr > value.text.ptr);
        check(element.text.ptr + element.text.len < value.text.ptr + value.text.len);
        if (value.kind == JSON_OBJECT && count < 20) {
            check(json_member(value, json_key(key, arena)).text.ptr == element.text.ptr);
        }
        leaves += walk(element, arena);
        count++;
    }
    check(count == json_count(value));
    return leaves;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Error error = {0};
    Json root = {0};
    Err err = json_check((Str){(const char *)data, size}, &root, &error);
    if (err != OK) {
        check(error.err == err && error.code[0] && str_is_utf8(str_from(error.message)));
        return 0;
    }
    cleanup(arena_done) Arena arena = {0};
    size_t leaves = walk(root, &arena);

    cleanup(buf_done) Buf once;
    cleanup(buf_done) Buf twice;
    buf_init(&once, size);
    buf_init(&twice, size);
    json_compact(&once, root);
    check(!once.overflow && once.len > 0);
    Json again = {0};
    check(json_check(buf_str(&once), &again, &error) == OK);
    check(again.kind == root.kind && again.text.len == once.len);
    check(walk(again, &arena) == leaves);
    json_compact(&twice, again);
    check(str_eq(buf_str(&once), buf_str(&twice)));
    return 0;
}
