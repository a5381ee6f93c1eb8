/* Parses server URLs. The one invariant: no part of a password is ever in an error. */
#include "client/address.h"

#include <string.h>

static Err copy(Str from, char *to, size_t size, const char *what, Error *error) {
    if (from.len >= size || (from.len > 0 && memchr(from.ptr, '\0', from.len))) {
        return error_set(error, ERR_INVALID, "the URL's %s is too long or holds a NUL", what);
    }
    if (from.len > 0) memcpy(to, from.ptr, from.len);
    to[from.len] = '\0';
    return OK;
}

static int hex_digit(char byte) {
    if (byte >= '0' && byte <= '9') return byte - '0';
    if (byte >= 'a' && byte <= 'f') return byte - 'a' + 10;
    if (byte >= 'A' && byte <= 'F') return byte - 'A' + 10;
    return -1;
}

static Err decode_password(Str text, ServerAddress *address, Error *error) {
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        char byte = text.ptr[i];
        if (byte == '%') {
            int high = text.len - i > 2 ? hex_digit(text.ptr[i + 1]) : -1;
            int low = high >= 0 ? hex_digit(text.ptr[i + 2]) : -1;
            if (low < 0) {
                return error_set(error, ERR_INVALID,
                                 "the URL's password has a '%%' without two "
                                 "hexadecimal digits (write %%25)");
            }
            byte = (char)(high * 16 + low);
            i += 2;
        }
        if (byte == '\0' || len + 1 >= sizeof address->password) {
            return error_set(error, ERR_INVALID, "the URL's password is too long or holds a NUL");
        }
        address->password[len++] = byte;
    }
    address->password[len] = '\0';
    return OK;
}

/* The last '@' ends the user's part: older clients write '@' in passwords as it is. */
static Err take_user(Str *rest, ServerAddress *address, Error *error) {
    const char *at = rest->len ? memrchr(rest->ptr, '@', rest->len) : NULL;
    if (!at) return OK;
    Str user = {rest->ptr, (size_t)(at - rest->ptr)};
    *rest = (Str){at + 1, rest->len - user.len - 1};
    const char *colon = user.len ? memchr(user.ptr, ':', user.len) : NULL;
    if (!colon) return OK;
    size_t name_len = (size_t)(colon - user.ptr);
    return decode_password((Str){colon + 1, user.len - name_len - 1}, address, error);
}

static Err take_host(Str rest, ServerAddress *address, Error *error) {
    Str host = rest;
    Str port = {0};
    if (rest.len > 0 && rest.ptr[0] == '[') {
        const char *end = memchr(rest.ptr, ']', rest.len);
        if (!end) return error_set(error, ERR_INVALID, "the URL lacks a ']' after its address");
        host = (Str){rest.ptr + 1, (size_t)(end - rest.ptr) - 1};
        port = (Str){end + 1, rest.len - host.len - 2};
        if (port.len > 0 && port.ptr[0] != ':') {
            return error_set(error, ERR_INVALID, "expected ':' and a port after the address");
        }
        port = port.len > 0 ? (Str){port.ptr + 1, port.len - 1} : (Str){0};
    } else {
        port = rest;
        host = str_split(&port, ':');
    }
    uint64_t number = 1;
    if (port.ptr && (!str_to_uint64(port, &number) || number < 1 || number > 65535)) {
        return error_set(error, ERR_INVALID, "the URL's port must be 1 to 65535");
    }
    if (host.len == 0) return error_set(error, ERR_INVALID, "the URL names no host");
    TRY(copy(host, address->host, sizeof address->host, "host", error));
    return copy(port.ptr ? port : STR(ADDRESS_PORT), address->port, sizeof address->port, "port",
                error);
}

Err server_address_parse(Str url, ServerAddress *ret, Error *error) {
    ServerAddress address = {0};
    Str rest = url;
    if (str_starts_with(url, STR("tcp://"))) {
        rest = (Str){url.ptr + 6, url.len - 6};
    } else if (str_starts_with(url, STR("tcp+tls://"))) {
        rest = (Str){url.ptr + 10, url.len - 10};
        address.tls = true;
    } else {
        return error_set(error, ERR_INVALID,
                         "a server's URL begins with tcp:// or tcp+tls://, as in "
                         "tcp://:password@localhost:7419");
    }
    if (rest.len > 0 && rest.ptr[rest.len - 1] == '/') rest.len--;
    TRY(take_user(&rest, &address, error));
    TRY(take_host(rest, &address, error));
    *ret = address;
    return OK;
}
