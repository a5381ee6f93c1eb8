/* See the header. The URL is taken apart by libcurl, which decodes its parts too (RFC 3986). */
#include "broker/redis/address.h"

#include "base/alloc.h"
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

enum { PORT = 6379, DATABASES_MOST = 1000000 };
#define PREFIX "takt:"

static char *part(CURLU *url, CURLUPart which, unsigned flags) {
    char *text = NULL;
    if (curl_url_get(url, which, &text, flags) != CURLUE_OK) return alloc_string("");
    char *copy = alloc_string(text);
    curl_free(text);
    return copy;
}

static Err read_database(const char *path, RedisAddress *ret, Error *error) {
    if (path[0] == '\0' || strcmp(path, "/") == 0) return OK;
    if (str_to_int64(str_from(path + 1), &ret->database) && ret->database >= 0 &&
        ret->database <= DATABASES_MOST) {
        return OK;
    }
    return error_set(error, ERR_INVALID,
                     "broker.url: the path of a redis:// URL is the number of a database");
}

static Err read_query(const char *query, RedisAddress *ret, Error *error) {
    Str rest = str_from(query);
    while (rest.len > 0) {
        Str value = str_split(&rest, '&');
        Str name = str_split(&value, '=');
        bool known = str_eq(name, STR("prefix")) && value.len > 0 && value.len <= 64;
        if (!known || memchr(value.ptr, '{', value.len)) {
            return error_set(
                error, ERR_INVALID,
                "broker.url: a redis:// URL takes ?prefix= with 1 to 64 characters but "
                "'{', and nothing else");
        }
        free(ret->prefix);
        ret->prefix = alloc_zero(1, value.len + 1);
        memcpy(ret->prefix, value.ptr, value.len);
    }
    return OK;
}

static Err take_apart(CURLU *url, RedisAddress *ret, Error *error) {
    ret->host = part(url, CURLUPART_HOST, CURLU_URLDECODE);
    ret->user = part(url, CURLUPART_USER, CURLU_URLDECODE);
    ret->password = part(url, CURLUPART_PASSWORD, CURLU_URLDECODE);
    char *port cleanup(free_pointer) = part(url, CURLUPART_PORT, 0);
    char *path cleanup(free_pointer) = part(url, CURLUPART_PATH, CURLU_URLDECODE);
    char *query cleanup(free_pointer) = part(url, CURLUPART_QUERY, CURLU_URLDECODE);
    int64_t number = PORT;
    if (port[0]) (void)str_to_int64(str_from(port), &number);
    ret->port = (int)number;
    TRY(read_database(path, ret, error));
    return read_query(query, ret, error);
}

Err redis_address_parse(Str url, RedisAddress *ret, Error *error) {
    *ret = (RedisAddress){.prefix = alloc_string(PREFIX)};
    char *text cleanup(free_pointer) = alloc_zero(1, url.len + 1);
    memcpy(text, url.ptr, url.len);
    CURLU *parts = curl_url();
    check(parts);
    Err err = OK;
    if (curl_url_set(parts, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK) {
        err = take_apart(parts, ret, error);
    } else {
        err = error_set(error, ERR_INVALID,
                        "broker.url is not of the form redis://[USER[:PASSWORD]@]HOST[:PORT][/DB]");
    }
    curl_url_cleanup(parts);
    return err;
}

void redis_address_done(RedisAddress *address) {
    free(address->host);
    free(address->user);
    free(address->password);
    free(address->prefix);
    *address = (RedisAddress){0};
}
