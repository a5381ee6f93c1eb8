/* The rules for the names that users give, and the sentence that each of them gets when it
 * is broken.
 *
 * Ids, queues and types share one table-driven rule; tags have their own. A sentence never
 * repeats bytes that could break a line of a protocol or a log. */
#include "core/name.h"

#include "core/limits.h"

#include <string.h>

#define PLAIN "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_.:-"

typedef struct NameRule {
    const char *what;
    size_t max;
    const char *allowed;
    const char *allowed_text;
} NameRule;

static const NameRule RULE_ID = {"id", LIMIT_ID, PLAIN, "letters, digits and _.:-"};
static const NameRule RULE_QUEUE = {"queue", LIMIT_QUEUE, PLAIN, "letters, digits and _.:-"};
static const NameRule RULE_TYPE = {"type", LIMIT_TYPE, PLAIN "/\\", "letters, digits and _.:-/\\"};

enum { SHOWN_MAX = 64 };

/* The name as far as a sentence shows it: what is not printable ASCII as '?'. */
static const char *shown(Str name, char ret_text[SHOWN_MAX + 1]) {
    size_t len = name.len < SHOWN_MAX ? name.len : SHOWN_MAX;
    for (size_t i = 0; i < len; i++) {
        char byte = name.ptr[i];
        ret_text[i] = byte >= ' ' && byte <= '~' ? byte : '?';
    }
    ret_text[len] = 0;
    return ret_text;
}

static bool follows(const NameRule *rule, Str name) {
    if (name.len == 0 || name.len > rule->max) return false;
    for (size_t i = 0; i < name.len; i++) {
        /* strchr would find the end of the text for a NUL byte */
        if (name.ptr[i] == 0 || !strchr(rule->allowed, name.ptr[i])) return false;
    }
    return true;
}

static Err name_check(const NameRule *rule, Str name, Error *error) {
    char text[SHOWN_MAX + 1];
    if (!follows(rule, name)) {
        return error_code(error, ERR_INVALID, "invalid-name",
                          "the %s '%s' must be 1 to %zu characters, only %s", rule->what,
                          shown(name, text), rule->max, rule->allowed_text);
    }
    /* a path with such a segment means another path, so that nobody could ask for it */
    if (str_eq(name, STR(".")) || str_eq(name, STR(".."))) {
        return error_code(error, ERR_INVALID, "invalid-name", "the %s must not be '.' or '..'",
                          rule->what);
    }
    if (str_starts_with(name, STR("takt."))) {
        return error_code(error, ERR_INVALID, "reserved-name",
                          "the %s '%s' is reserved: names that begin with 'takt.' are", rule->what,
                          shown(name, text));
    }
    return OK;
}

Err name_check_id(Str id, Error *error) {
    return name_check(&RULE_ID, id, error);
}

Err name_check_queue(Str queue, Error *error) {
    return name_check(&RULE_QUEUE, queue, error);
}

Err name_check_type(Str type, Error *error) {
    return name_check(&RULE_TYPE, type, error);
}

/* C0 and DEL; C1 (U+0080 to U+009F) is 0xc2 and a byte below 0xa0. Expects UTF-8. */
static bool has_control(Str text) {
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = (uint8_t)text.ptr[i];
        if (byte < 0x20 || byte == 0x7f) return true;
        if (byte == 0xc2 && (uint8_t)text.ptr[i + 1] < 0xa0) return true;
    }
    return false;
}

Err name_check_tag(Str tag, Error *error) {
    if (tag.len > 0 && tag.len <= LIMIT_TAG && str_is_utf8(tag) && !has_control(tag)) return OK;
    char text[SHOWN_MAX + 1];
    return error_code(error, ERR_INVALID, "invalid-name",
                      "the tag '%s' must be 1 to %d bytes of UTF-8 without control characters",
                      shown(tag, text), LIMIT_TAG);
}
