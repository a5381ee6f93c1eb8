/* The JSON checker and reader against jansson on random documents, whole and damaged: both accept
 * and read the same values, or both refuse. (A failure prints the document; the seed is fixed.)
 *
 * Known differences, each allowed by name and nothing else: takt refuses depth over 64, and jansson
 * refuses numbers that overflow a double and NUL in a key. Duplicate keys are refused by both,
 * jansson being told to. Damage puts in no NUL byte, which jansson drops behind a number. */
#include "base/json.h"

/* jansson's names that are also takt's are renamed while its header is read. Its own calls are
 * bound inside the library, so the function of the same name is no conflict at run time. */
#define JSON_OBJECT JANSSON_OBJECT
#define JSON_ARRAY JANSSON_ARRAY
#define JSON_STRING JANSSON_STRING
#define JSON_TRUE JANSSON_TRUE
#define JSON_FALSE JANSSON_FALSE
#define JSON_NULL JANSSON_NULL
#define json_string jansson_string
#include <jansson.h>
#undef JSON_OBJECT
#undef JSON_ARRAY
#undef JSON_STRING
#undef JSON_TRUE
#undef JSON_FALSE
#undef JSON_NULL
#undef json_string

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"

enum { DOCUMENTS = 60000, LONGEST = 4000 };

static const char *pick(Random *random, const char *const *choices, size_t count) {
    return choices[random_below(random, count)];
}

static void add_blanks(Buf *buf, Random *random) {
    static const char *const blanks[] = {"", "", "", "", " ", "\n", "\t \r\n"};
    buf_add(buf, str_from(pick(random, blanks, LENGTH(blanks))));
}

static void add_random_string(Buf *buf, Random *random) {
    static const char *const pieces[] = {
        "a",
        "b",
        "key",
        "\\u0061",
        "\\n",
        "\\\"",
        "\\\\",
        "\\/",
        "\xc3\xbc",
        "\\u00fc",
        "0",
        "\xe2\x82\xac",
        "\\ud83d\\ude00",
        "\xf0\x9f\x98\x80",
        "\\u0000",
        "a longer piece of text",
    };
    buf_add_char(buf, '"');
    for (uint64_t left = random_below(random, 4); left > 0; left--) {
        buf_add(buf, str_from(pick(random, pieces, LENGTH(pieces))));
    }
    buf_add_char(buf, '"');
}

static void add_scalar(Buf *buf, Random *random) {
    static const char *const words[] = {
        "null",
        "true",
        "false",
        "0",
        "-0",
        "-1",
        "1.5",
        "1e5",
        "-12.5E-3",
        "1e400",
        "0.10",
        "9223372036854775807",
        "12345678901234567890",
        "1e-400",
    };
    if (random_below(random, 2)) {
        add_random_string(buf, random);
    } else {
        buf_add(buf, str_from(pick(random, words, LENGTH(words))));
    }
}

static void add_value(Buf *buf, Random *random, unsigned depth) {
    add_blanks(buf, random);
    uint64_t kind = depth == 0 ? 2 : random_below(random, 4);
    if (kind >= 2) {
        add_scalar(buf, random);
        add_blanks(buf, random);
        return;
    }
    buf_add_char(buf, kind == 0 ? '{' : '[');
    uint64_t count = random_below(random, random_below(random, 12) ? 5 : 40);
    for (uint64_t i = 0; i < count; i++) {
        if (i > 0) buf_add_char(buf, ',');
        if (kind == 0) {
            add_blanks(buf, random);
            add_random_string(buf, random);
            if (count > 4 || random_below(random, 8)) { /* mostly tell the keys apart */
                buf->len--;
                buf_format(buf, "%d\"", (int)i);
            }
            add_blanks(buf, random);
            buf_add_char(buf, ':');
        }
        add_value(buf, random, depth - 1);
    }
    add_blanks(buf, random);
    buf_add_char(buf, kind == 0 ? '}' : ']');
    add_blanks(buf, random);
}

static void damage(Buf *buf, Random *random) {
    static const char bytes[] = "{}[]\",:\\u0019eE.+-truefalsn \n\t\x01\x80\xc3\xe2\xf0\xff/d8";
    for (uint64_t left = 1 + random_below(random, 2); left > 0 && buf->len > 0; left--) {
        size_t at = random_below(random, buf->len);
        char byte = bytes[random_below(random, sizeof(bytes) - 1)];
        switch (random_below(random, 4)) {
        case 0: buf->data[at] = byte; break;
        case 1: buf->len = at; break;
        case 2:
            memmove(buf->data + at, buf->data + at + 1, buf->len - at - 1);
            buf->len--;
            break;
        default:
            if (!buf_reserve(buf, 1)) break;
            memmove(buf->data + at + 1, buf->data + at, buf->len - at - 1);
            buf->data[at] = byte;
            break;
        }
    }
}

static bool same(Json value, const json_t *theirs, Arena *arena);

static bool same_container(Json value, const json_t *theirs, Arena *arena) {
    bool is_object = value.kind == JSON_OBJECT;
    if (json_count(value) != (is_object ? json_object_size(theirs) : json_array_size(theirs))) {
        return false;
    }
    JsonIter iter = json_iter(value);
    Str raw_key;
    Json element;
    for (size_t i = 0; json_next(&iter, &raw_key, &element); i++) {
        const json_t *their_element = NULL;
        if (is_object) {
            Str key = json_key(raw_key, arena);
            their_element = json_object_getn(theirs, key.ptr, key.len);
            if (!str_eq(json_member(value, key).text, element.text)) return false;
        } else {
            their_element = json_array_get(theirs, i);
        }
        if (!their_element || !same(element, their_element, arena)) return false;
    }
    return true;
}

static bool same(Json value, const json_t *theirs, Arena *arena) {
    switch (value.kind) {
    case JSON_NULL: return json_typeof(theirs) == JANSSON_NULL;
    case JSON_FALSE: return json_typeof(theirs) == JANSSON_FALSE;
    case JSON_TRUE: return json_typeof(theirs) == JANSSON_TRUE;
    case JSON_STRING: {
        if (json_typeof(theirs) != JANSSON_STRING) return false;
        Str text = {json_string_value(theirs), json_string_length(theirs)};
        return str_eq(json_string(value, arena), text);
    }
    case JSON_NUMBER: {
        double number = 0;
        double their_number = json_number_value(theirs);
        return json_typeof(theirs) == JSON_REAL && json_double(value, &number) &&
               memcmp(&number, &their_number, sizeof(number)) == 0;
    }
    case JSON_ARRAY:
        return json_typeof(theirs) == JANSSON_ARRAY && same_container(value, theirs, arena);
    case JSON_OBJECT:
        return json_typeof(theirs) == JANSSON_OBJECT && same_container(value, theirs, arena);
    }
    return false;
}

static bool is_known_difference(const Error *ours, const json_error_t *theirs) {
    if (ours) return strcmp(ours->code, "json-too-deep") == 0;
    return json_error_code(theirs) == json_error_numeric_overflow ||
           json_error_code(theirs) == json_error_null_byte_in_key;
}

typedef struct Tally {
    int accepted;
    int refused;
    int known;
} Tally;

static void compare(Str document, Tally *tally, Arena *arena) {
    Json root = {0};
    Error error = {0};
    json_error_t their_error;
    bool accepted = json_check(document, &root, &error) == OK;
    size_t flags =
        JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL;
    json_t *theirs = json_loadb(document.ptr, document.len, flags, &their_error);
    if (accepted && theirs) {
        tally->accepted++;
        if (!same(root, theirs, arena)) fail_msg("read otherwise: " STR_FMT, STR_ARG(document));
    } else if (!accepted && !theirs) {
        tally->refused++;
    } else if (is_known_difference(accepted ? NULL : &error, &their_error)) {
        tally->known++;
    } else {
        fail_msg("%s by takt only: " STR_FMT " (%s / %s)", accepted ? "accepted" : "refused",
                 STR_ARG(document), error.message, their_error.text);
    }
    json_decref(theirs);
    arena_reset(arena);
}

static void test_differential(void **state) {
    (void)state;
    Random random;
    random_init(&random, 2026);
    Buf buf;
    buf_init(&buf, LONGEST);
    cleanup(arena_done) Arena arena = {0};
    Tally tally = {0};
    for (int i = 0; i < DOCUMENTS; i++) {
        buf_clear(&buf);
        add_value(&buf, &random, (unsigned)random_below(&random, 5));
        if (random_below(&random, 2)) damage(&buf, &random);
        if (buf.len > 0) compare(buf_str(&buf), &tally, &arena);
    }
    buf_done(&buf);
    print_message("accepted %d, refused %d, known differences %d\n", tally.accepted, tally.refused,
                  tally.known);
    assert_true(tally.accepted > DOCUMENTS / 4 && tally.refused > DOCUMENTS / 4);
}

static void test_depth_difference(void **state) {
    (void)state;
    char document[131];
    memset(document, '[', 65);
    memset(document + 65, ']', 65);
    Tally tally = {0};
    cleanup(arena_done) Arena arena = {0};
    compare((Str){document, 130}, &tally, &arena);
    assert_int_equal(tally.known, 1);
    compare((Str){document + 1, 128}, &tally, &arena);
    assert_int_equal(tally.accepted, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_differential),
        cmocka_unit_test(test_depth_difference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
