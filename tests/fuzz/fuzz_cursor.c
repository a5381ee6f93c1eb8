/* Fuzzes the cursors of lists, and the base64url beneath them. The first line of the input is the
 * scope, the rest is offered as a cursor, and says how a true one is changed.
 *
 * Checked: a cursor opens where, when and as it was sealed, and to its position; nothing else opens,
 * and leaves the position alone; base64url has one text for each value. */
#include "api/cursor.h"

#include "base/hash.h"
#include "base/time.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW_US INT64_C(1800000000000000)
enum { UNTOUCHED = 4711 };

static const uint8_t KEY[CURSOR_KEY_SIZE] = {1, 2, 3};
static const uint8_t OTHER_KEY[CURSOR_KEY_SIZE] = {1, 2, 4};
/* Seals nothing here: the fuzzer sees what is compared, and would offer a true cursor one day. */
static const uint8_t THIRD_KEY[CURSOR_KEY_SIZE] = {1, 2, 5};

static void check_refused(const uint8_t *key, Str scope, Str text, int64_t now_us) {
    int64_t position = UNTOUCHED;
    Error error;
    check(cursor_open(key, scope, text, now_us, &position, &error) == ERR_INVALID);
    check(position == UNTOUCHED && error.message[0]);
    check(strcmp(error.code, "invalid-cursor") == 0);
}

static void check_base64(Str text) {
    Buf bytes, again;
    buf_init(&bytes, text.len);
    buf_init(&again, text.len + 4);
    if (base64url_decode(&bytes, text)) {
        base64url_encode(&again, bytes.data, bytes.len);
        check(str_eq(buf_str(&again), text));
    }
    buf_clear(&bytes);
    buf_clear(&again);
    Buf encoded;
    buf_init(&encoded, 2 * text.len + 4);
    base64url_encode(&encoded, text.ptr, text.len);
    check(!encoded.overflow && base64url_decode(&again, buf_str(&encoded)));
    check(str_eq(buf_str(&again), text));
    buf_done(&encoded);
    buf_done(&bytes);
    buf_done(&again);
}

/* A number out of the first bytes of a text. */
static int64_t number_of(Str text) {
    uint64_t number = 0;
    for (size_t i = 0; i < text.len && i < 8; i++) {
        number = number << 8 | (uint8_t)text.ptr[i];
    }
    return (int64_t)number;
}

static void check_true_one(Str scope, Str changes, int64_t position, Arena *arena) {
    int64_t back = UNTOUCHED;
    Error error;
    Str text = cursor_seal(KEY, scope, position, NOW_US, arena);
    check(cursor_open(KEY, scope, text, NOW_US, &back, &error) == OK && back == position);
    int64_t last_us = NOW_US + CURSOR_TTL_S * US_PER_S;
    check(cursor_open(KEY, scope, text, last_us, &back, &error) == OK && back == position);
    check_refused(KEY, scope, text, last_us + US_PER_S);
    check_refused(OTHER_KEY, scope, text, NOW_US);
    check_refused(KEY, arena_format(arena, "x" STR_FMT, STR_ARG(scope)), text, NOW_US);
    check_refused(KEY, scope, (Str){text.ptr, text.len - 1}, NOW_US);
    check_refused(KEY, scope, arena_format(arena, STR_FMT "A", STR_ARG(text)), NOW_US);
    for (size_t i = 0; i + 1 < changes.len; i += 2) {
        char *changed = arena_cstr(arena, text);
        changed[(uint8_t)changes.ptr[i] % text.len] = changes.ptr[i + 1];
        if (memcmp(changed, text.ptr, text.len) == 0) continue;
        check_refused(KEY, scope, (Str){changed, text.len}, NOW_US);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    enum { SIZE_MOST = 1024 };
    if (size > SIZE_MOST) return 0;
    Arena arena = {0};
    Str rest = {(const char *)data, size};
    Str scope = str_split(&rest, '\n');
    Str text = rest.ptr ? rest : STR("");
    int64_t position = number_of(text);
    check_base64(text);
    check_true_one(scope, text, position != 0 ? position : 1, &arena);
    Str sealed = cursor_seal(OTHER_KEY, scope, 1, NOW_US, &arena);
    check_refused(KEY, scope, sealed, NOW_US);
    check_refused(THIRD_KEY, scope, text, NOW_US); /* 2^-128 */
    arena_done(&arena);
    return 0;
}
