/* Filling and wrapping of Error: see error.h.
 *
 * Neither logs nor allocates. The message is always NUL-terminated and never ends inside a UTF-8
 * sequence, whatever was formatted into it. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "base/utf8.h"

/* Takes off the sequence that a cut at `len` tore, if it tore one. */
static size_t cut_length(const char *text, size_t len) {
    size_t start = len;
    while (start > 0 && len - start < 3 && utf8_is_continuation(text[start - 1])) {
        start--;
    }
    if (start == 0) return len;
    start--;
    return utf8_sequence(text + start, text + len) == len - start ? len : start;
}

/* Formats into a message-sized buffer; returns the length. */
__attribute__((format(printf, 2, 0))) static size_t format_message(char *ret_text,
                                                                   const char *format,
                                                                   va_list arguments) {
    enum { SIZE = sizeof(((Error *)0)->message) };
    int wanted = vsnprintf(ret_text, SIZE, format, arguments);
    if (wanted < 0) {
        ret_text[0] = 0;
        return 0;
    }
    if (wanted < SIZE) return (size_t)wanted;
    size_t len = cut_length(ret_text, SIZE - 1);
    ret_text[len] = 0;
    return len;
}

__attribute__((format(printf, 4, 0))) static void fill(Error *error, Err err, const char *code,
                                                       const char *format, va_list arguments) {
    char message[sizeof(error->message)];
    size_t len = format_message(message, format, arguments);
    size_t code_len = strnlen(code, sizeof(error->code) - 1);
    error->err = err;
    memmove(error->code, code, code_len);
    error->code[code_len] = 0;
    memcpy(error->message, message, len + 1);
}

Err error_set(Error *error, Err err, const char *format, ...) {
    if (!error) return err;
    va_list arguments;
    va_start(arguments, format);
    fill(error, err, "", format, arguments);
    va_end(arguments);
    return err;
}

Err error_code(Error *error, Err err, const char *code, const char *format, ...) {
    if (!error) return err;
    va_list arguments;
    va_start(arguments, format);
    fill(error, err, code, format, arguments);
    va_end(arguments);
    return err;
}

Err error_context(Error *error, const char *format, ...) {
    if (!error) return ERR_INTERNAL;
    char message[sizeof(error->message)];
    va_list arguments;
    va_start(arguments, format);
    size_t len = format_message(message, format, arguments);
    va_end(arguments);

    const size_t room = sizeof(message) - 1;
    const Str parts[] = {STR(": "), {error->message, strlen(error->message)}};
    for (size_t i = 0; i < LENGTH(parts); i++) {
        size_t fits = parts[i].len < room - len ? parts[i].len : room - len;
        memcpy(message + len, parts[i].ptr, fits);
        len += fits;
    }
    len = cut_length(message, len);
    memcpy(error->message, message, len);
    error->message[len] = 0;
    return error->err;
}

const char *err_name(Err err) {
    switch (err) {
    case OK: return "ok";
    case ERR_INVALID: return "invalid";
    case ERR_NOT_FOUND: return "not-found";
    case ERR_CONFLICT: return "conflict";
    case ERR_DENIED: return "denied";
    case ERR_LIMIT: return "limit";
    case ERR_UNAVAILABLE: return "unavailable";
    case ERR_TIMEOUT: return "timeout";
    case ERR_INTERNAL: return "internal";
    }
    return "unknown";
}
