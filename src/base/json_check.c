/* Validates a JSON document: json_check() of json.h.
 *
 * A loop over tokens with an explicit stack, so that depth costs no C stack. Keys of all objects
 * that are open lie on one key stack (json_keys.h), each object's from Frame.first_key on; they are
 * compared when the object closes. */
#include "base/json.h"

#include <string.h>

#include "base/json_keys.h"
#include "base/json_scan.h"

enum { POINTER_MAX = 180 }; /* bytes of a JSON pointer in an error */

typedef struct Frame {
    size_t first_key;
    size_t element; /* arrays: the index we are at */
    bool is_object;
} Frame;

typedef enum Expect {
    EXPECT_VALUE,
    EXPECT_VALUE_OR_END,
    EXPECT_KEY,
    EXPECT_KEY_OR_END,
    EXPECT_COMMA_OR_END,
    EXPECT_NOTHING,
} Expect;

typedef struct Checker {
    const char *begin;
    const char *at;
    const char *end;
    Error *error;
    size_t depth;
    Frame frames[JSON_MAX_DEPTH];
    JsonKeys keys;
} Checker;

/* ---- errors ---- */

static Err fail_at(const Checker *checker, const char *at, Err err, const char *code,
                   const char *problem) {
    size_t line = 1;
    size_t column = 1;
    for (const char *byte = checker->begin; byte < at; byte++) {
        if (*byte == '\n') {
            line++;
            column = 1;
        } else if (!utf8_is_continuation(*byte)) {
            column++;
        }
    }
    return error_code(checker->error, err, code, "line %zu column %zu: %s", line, column, problem);
}

static Err fail_syntax(const Checker *checker, const char *at, const char *problem) {
    bool broken = at < checker->end && utf8_sequence(at, checker->end) == 0;
    if (broken) return fail_at(checker, at, ERR_INVALID, "invalid-utf8", "the bytes are not UTF-8");
    return fail_at(checker, at, ERR_INVALID, "invalid-json", problem);
}

static void add_pointer_key(Buf *buf, const JsonKey *key) {
    buf_add_char(buf, '/');
    const char *at = key->text.ptr;
    const char *end = key->text.ptr + key->text.len;
    while (at < end && !buf->overflow) {
        size_t len = *at == '\\' ? 0 : utf8_sequence(at, end);
        char bytes[4];
        if (len == 0) {
            len = json_unescape_step(&at, bytes);
        } else {
            memcpy(bytes, at, len);
            at += len;
        }
        bool control = (uint8_t)bytes[0] < 0x20 || bytes[0] == 0x7f;
        if (bytes[0] == '~') {
            buf_add(buf, STR("~0"));
        } else if (bytes[0] == '/') {
            buf_add(buf, STR("~1"));
        } else {
            buf_add_bytes(buf, control ? "?" : bytes, len);
        }
    }
}

static Err fail_duplicate(const Checker *checker, const JsonKey *key) {
    Buf pointer;
    buf_init(&pointer, POINTER_MAX);
    for (size_t i = 0; i + 1 < checker->depth; i++) {
        if (checker->frames[i].is_object) {
            add_pointer_key(&pointer, &checker->keys.stack[checker->frames[i + 1].first_key - 1]);
        } else {
            buf_format(&pointer, "/%zu", checker->frames[i].element);
        }
    }
    add_pointer_key(&pointer, key);
    const char *cut = pointer.overflow ? "…" : "";
    Err err = error_code(checker->error, ERR_INVALID, "duplicate-key",
                         "the key " STR_FMT "%s is there twice", STR_ARG(buf_str(&pointer)), cut);
    buf_done(&pointer);
    return err;
}

/* ---- tokens ---- */

/* `at` is behind "\u". Moves it behind the escape, both halves of a pair included. */
static Err read_unicode_escape(Checker *checker) {
    const char *at = checker->at;
    const char *escape = at - 2;
    uint32_t point = checker->end - at < 4 ? UINT32_MAX : json_hex4(at);
    if (point == UINT32_MAX) return fail_syntax(checker, at, "expected four hexadecimal digits");
    checker->at = at + 4;
    if (point < 0xd800 || point > 0xdfff) return OK;
    bool has_low = point < 0xdc00 && checker->end - at >= 10 && at[4] == '\\' && at[5] == 'u';
    uint32_t low = has_low ? json_hex4(at + 6) : 0;
    if (low < 0xdc00 || low > 0xdfff) {
        return fail_at(checker, escape, ERR_INVALID, "invalid-utf8", "half a surrogate pair");
    }
    checker->at = at + 10;
    return OK;
}

static Err read_escape(Checker *checker) {
    const char *at = checker->at + 1;
    if (at == checker->end) return fail_syntax(checker, at, "the string does not end");
    switch (*at) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't': checker->at = at + 1; return OK;
    case 'u': checker->at = at + 1; return read_unicode_escape(checker);
    default: return fail_syntax(checker, at, "no such escape");
    }
}

/* `at` is on the opening quote and comes to lie behind the closing one. */
static inline Err read_string(Checker *checker, bool *ret_escaped) {
    checker->at++;
    for (;;) {
        const char *at = checker->at = json_skip_plain(checker->at, checker->end);
        if (at == checker->end) return fail_syntax(checker, at, "the string does not end");
        if (*at == '"') {
            checker->at++;
            return OK;
        }
        if (*at == '\\') {
            *ret_escaped = true;
            TRY(read_escape(checker));
        } else if ((uint8_t)*at < 0x20) {
            return fail_syntax(checker, at, "a control character in a string must be escaped");
        } else {
            size_t len = utf8_sequence(at, checker->end);
            if (len == 0) return fail_syntax(checker, at, "the bytes are not UTF-8");
            checker->at += len;
        }
    }
}

static const char *skip_digits(const char *at, const char *end) {
    while (at < end && *at >= '0' && *at <= '9') {
        at++;
    }
    return at;
}

static Err read_number(Checker *checker) {
    const char *begin = checker->at;
    const char *end = checker->end;
    const char *at = *begin == '-' ? begin + 1 : begin;
    const char *digits = at;
    at = at < end && *at == '0' ? at + 1 : skip_digits(at, end);
    if (at == digits) return fail_syntax(checker, at, "expected a digit");
    if (at < end && *at == '.') {
        digits = at + 1;
        at = skip_digits(digits, end);
        if (at == digits) return fail_syntax(checker, at, "expected a digit");
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        digits = at + 1;
        if (digits < end && (*digits == '+' || *digits == '-')) digits++;
        at = skip_digits(digits, end);
        if (at == digits) return fail_syntax(checker, at, "expected a digit");
    }
    if (at - begin > JSON_MAX_NUMBER) {
        return fail_at(checker, begin, ERR_LIMIT, "too-large",
                       "a number of more than 330 characters");
    }
    checker->at = at;
    return OK;
}

static Err read_word(Checker *checker, Str word) {
    bool found = (size_t)(checker->end - checker->at) >= word.len &&
                 memcmp(checker->at, word.ptr, word.len) == 0;
    if (!found) return fail_syntax(checker, checker->at, "expected a value");
    checker->at += word.len;
    return OK;
}

/* ---- structure ---- */

static Expect after_value(const Checker *checker) {
    return checker->depth > 0 ? EXPECT_COMMA_OR_END : EXPECT_NOTHING;
}

static Err open_container(Checker *checker, Expect *expect) {
    if (checker->depth == JSON_MAX_DEPTH) {
        return fail_at(checker, checker->at, ERR_INVALID, "json-too-deep",
                       "nested more than 64 deep");
    }
    bool is_object = *checker->at == '{';
    checker->frames[checker->depth++] =
        (Frame){.first_key = checker->keys.count, .is_object = is_object};
    checker->at++;
    *expect = is_object ? EXPECT_KEY_OR_END : EXPECT_VALUE_OR_END;
    return OK;
}

static Err close_object(Checker *checker) {
    size_t first = checker->frames[checker->depth - 1].first_key;
    const JsonKey *twin = json_keys_twin(&checker->keys, first);
    if (twin) return fail_duplicate(checker, twin);
    checker->keys.count = first;
    return OK;
}

static Err close_container(Checker *checker, Expect *expect) {
    if (checker->frames[checker->depth - 1].is_object) TRY(close_object(checker));
    checker->depth--;
    checker->at++;
    *expect = after_value(checker);
    return OK;
}

static Err read_value(Checker *checker, Expect *expect) {
    bool escaped = false;
    switch (*checker->at) {
    case '{':
    case '[': return open_container(checker, expect);
    case '"': TRY(read_string(checker, &escaped)); break;
    case 't': TRY(read_word(checker, STR("true"))); break;
    case 'f': TRY(read_word(checker, STR("false"))); break;
    case 'n': TRY(read_word(checker, STR("null"))); break;
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9': TRY(read_number(checker)); break;
    default: return fail_syntax(checker, checker->at, "expected a value");
    }
    *expect = after_value(checker);
    return OK;
}

static Err read_key(Checker *checker, Expect *expect) {
    if (*checker->at != '"') return fail_syntax(checker, checker->at, "expected a key in quotes");
    const char *text = checker->at + 1;
    bool escaped = false;
    TRY(read_string(checker, &escaped));
    if (checker->keys.count - checker->frames[checker->depth - 1].first_key == JSON_MAX_MEMBERS) {
        return fail_at(checker, text - 1, ERR_LIMIT, "too-large", "more than 10000 members");
    }
    Str key = {text, (size_t)(checker->at - 1 - text)};
    json_keys_push(&checker->keys, key, escaped, checker->end);
    checker->at = json_skip_blanks(checker->at, checker->end);
    if (checker->at == checker->end || *checker->at != ':') {
        return fail_syntax(checker, checker->at, "expected ':'");
    }
    checker->at++;
    *expect = EXPECT_VALUE;
    return OK;
}

static Err read_comma(Checker *checker, Expect *expect) {
    Frame *frame = &checker->frames[checker->depth - 1];
    if (*checker->at != ',') {
        return fail_syntax(checker, checker->at,
                           frame->is_object ? "expected ',' or '}'" : "expected ',' or ']'");
    }
    checker->at++;
    frame->element++;
    *expect = frame->is_object ? EXPECT_KEY : EXPECT_VALUE;
    return OK;
}

static Err read_token(Checker *checker, Expect *expect) {
    char byte = *checker->at;
    switch (*expect) {
    case EXPECT_VALUE_OR_END:
        return byte == ']' ? close_container(checker, expect) : read_value(checker, expect);
    case EXPECT_VALUE: return read_value(checker, expect);
    case EXPECT_KEY_OR_END:
        return byte == '}' ? close_container(checker, expect) : read_key(checker, expect);
    case EXPECT_KEY: return read_key(checker, expect);
    case EXPECT_COMMA_OR_END: {
        char closing = checker->frames[checker->depth - 1].is_object ? '}' : ']';
        return byte == closing ? close_container(checker, expect) : read_comma(checker, expect);
    }
    case EXPECT_NOTHING: break;
    }
    check(false); /* the loop ends there */
    return ERR_INTERNAL;
}

static Err read_document(Checker *checker) {
    static const char *const expected[] = {
        [EXPECT_VALUE] = "expected a value",
        [EXPECT_VALUE_OR_END] = "expected a value or ']'",
        [EXPECT_KEY] = "expected a key in quotes",
        [EXPECT_KEY_OR_END] = "expected a key in quotes or '}'",
        [EXPECT_COMMA_OR_END] = "expected ',' or the closing bracket",
    };
    Expect expect = EXPECT_VALUE;
    while (expect != EXPECT_NOTHING) {
        checker->at = json_skip_blanks(checker->at, checker->end);
        if (checker->at == checker->end) return fail_syntax(checker, checker->at, expected[expect]);
        TRY(read_token(checker, &expect));
    }
    return OK;
}

Err json_check(Str document, Json *ret, Error *error) {
    Checker checker; /* not zeroed: its stacks are several KiB, and most documents are small */
    checker.begin = document.ptr ? document.ptr : "";
    checker.at = checker.begin;
    checker.end = checker.begin + document.len;
    checker.error = error;
    checker.depth = 0;
    json_keys_init(&checker.keys);
    Err err = read_document(&checker);
    json_keys_done(&checker.keys);
    if (err != OK) return err;

    const char *root = json_skip_blanks(checker.begin, checker.end);
    const char *behind = json_skip_blanks(checker.at, checker.end);
    if (behind < checker.end) return fail_syntax(&checker, behind, "expected the end");
    *ret = (Json){json_kind_of(*root), {root, (size_t)(checker.at - root)}};
    return OK;
}
