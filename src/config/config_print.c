/* The settings as YAML again, for people to read.
 *
 * What it prints loads again but for the secrets, which are ***. */
#include "config/config_internal.h"

#include <string.h>

#include "base/json.h"
#include "base/time.h"

/* Copies one query, "a=b&password=c", with the values of password parameters masked. */
static void mask_query(Buf *out, Str query) {
    bool first = true;
    while (query.ptr) {
        Str value = str_split(&query, '&');
        Str name = str_split(&value, '=');
        if (!first) buf_add_char(out, '&');
        first = false;
        buf_add(out, name);
        if (!value.ptr) continue;
        bool is_secret = str_eq_ignore_case(name, STR("password")) ||
                         str_eq_ignore_case(name, STR("sslpassword"));
        buf_add_char(out, '=');
        buf_add(out, is_secret ? STR("***") : value);
    }
}

/* RFC 3986 section 3.2: the authority ends at the first slash, question mark or hash; the last @ in
 * it ends the user information. */
void config_mask_url(Buf *out, Str url) {
    const char *slashes = url.len > 0 ? memmem(url.ptr, url.len, "://", 3) : NULL;
    size_t begin = slashes ? (size_t)(slashes - url.ptr) + 3 : 0;
    size_t end = begin;
    size_t at = 0; /* of the last @ */
    while (slashes && end < url.len && !strchr("/?#", url.ptr[end])) {
        if (url.ptr[end] == '@') at = end;
        end++;
    }
    size_t colon = begin;
    while (colon < at && url.ptr[colon] != ':')
        colon++;
    if (colon < at) {
        buf_add(out, (Str){url.ptr, colon + 1});
        buf_add(out, STR("***"));
        begin = at;
    } else {
        buf_add(out, (Str){url.ptr, begin});
    }
    Str rest = {url.ptr ? url.ptr + begin : "", url.len - begin};
    Str path = str_split(&rest, '?');
    buf_add(out, path);
    if (!rest.ptr) return;
    buf_add_char(out, '?');
    mask_query(out, rest);
}

/* The length of the sequence at `at` that YAML takes for a line break or does not take at all: the
 * controls from U+0080 on, U+2028 and U+2029, U+FEFF, U+FFFE and U+FFFF. 0: it is none. */
static size_t unprintable(const unsigned char *at, size_t room) {
    if (room < 2 || at[0] < 0xc2) return 0;
    if (at[0] == 0xc2) return at[1] < 0xa0 ? 2 : 0;
    if (room < 3) return 0;
    if (at[0] == 0xe2) return at[1] == 0x80 && (at[2] == 0xa8 || at[2] == 0xa9) ? 3 : 0;
    if (at[0] != 0xef) return 0;
    return (at[1] == 0xbb && at[2] == 0xbf) || (at[1] == 0xbf && at[2] >= 0xbe) ? 3 : 0;
}

static unsigned code_point(const unsigned char *at, size_t len) {
    if (len == 2) return (at[0] & 0x1fU) << 6 | (at[1] & 0x3fU);
    return (at[0] & 0x0fU) << 12 | (at[1] & 0x3fU) << 6 | (at[2] & 0x3fU);
}

/* JSON strings are YAML's double-quoted ones, but for those few characters. */
static void print_string(Buf *out, Str text) {
    size_t plain = 0; /* everything before is written */
    buf_add_char(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        const unsigned char *at = (const unsigned char *)text.ptr + i;
        size_t len = unprintable(at, text.len - i);
        if (len == 0) continue;
        json_escape(out, (Str){text.ptr + plain, i - plain});
        buf_format(out, "\\u%04x", code_point(at, len));
        plain = i + len;
        i = plain - 1;
    }
    json_escape(out, (Str){text.ptr ? text.ptr + plain : NULL, text.len - plain});
    buf_add_char(out, '"');
}

static void print_url(Buf *out, Str url) {
    cleanup(buf_done) Buf masked;
    buf_init(&masked, url.len + 64);
    config_mask_url(&masked, url);
    print_string(out, buf_str(&masked));
}

static void print_list(Buf *out, ConfigList list) {
    buf_add_char(out, '[');
    for (size_t i = 0; i < list.count; i++) {
        if (i > 0) buf_add(out, STR(", "));
        print_url(out, list.items[i]); /* worker.url may hold a password */
    }
    buf_add_char(out, ']');
}

static void print_address(Buf *out, const ConfigAddress *address) {
    bool is_six = address->host.ptr && strchr(address->host.ptr, ':');
    cleanup(buf_done) Buf text;
    buf_init(&text, address->host.len + 16);
    buf_format(&text, is_six ? "[" STR_FMT "]:%d" : STR_FMT ":%d", STR_ARG(address->host),
               (int)address->port);
    print_string(out, buf_str(&text));
}

static void print_value(Buf *out, const ConfigRow *row, const void *value) {
    switch (row->kind) {
    case KIND_STRING:
    case KIND_CHOICE: print_string(out, *(const Str *)value); break;
    case KIND_URL: print_url(out, *(const Str *)value); break;
    case KIND_ADDRESS: print_address(out, value); break;
    case KIND_BOOL: buf_add(out, *(const bool *)value ? STR("true") : STR("false")); break;
    case KIND_INT:
    case KIND_SIZE: buf_add_int(out, *(const int64_t *)value); break;
    case KIND_DURATION: duration_format(out, *(const int64_t *)value); break;
    case KIND_LIST: print_list(out, *(const ConfigList *)value); break;
    case KIND_SECRET:
        buf_add(out, ((const Secret *)value)->text.len > 0 ? STR("\"***\"") : STR("\"\""));
        break;
    case KIND_RESERVED: break;
    }
}

static void print_type_name(Buf *out, const ConfigType *type) {
    cleanup(buf_done) Buf name;
    buf_init(&name, type->name.len + 32);
    buf_add(&name, type->name);
    if (type->version > 0) buf_format(&name, "@%lld", (long long)type->version);
    print_string(out, buf_str(&name));
}

static void print_member(Buf *out, const char *name, Str value) {
    if (!value.ptr) return;
    buf_format(out, ", %s: ", name);
    print_string(out, value);
}

/* What commands find in their environment is often a secret. */
static void print_env(Buf *out, const ConfigType *type) {
    if (type->env_count == 0) return;
    buf_add(out, STR(", env: {"));
    for (size_t i = 0; i < type->env_count; i++) {
        if (i > 0) buf_add(out, STR(", "));
        print_string(out, type->env[i].name);
        buf_add(out, STR(": \"***\""));
    }
    buf_add_char(out, '}');
}

static void print_types(Buf *out, const Config *config) {
    if (config->type_count > 0) buf_add(out, STR("types:\n"));
    for (size_t i = 0; i < config->type_count; i++) {
        const ConfigType *type = &config->types[i];
        buf_add(out, STR("  "));
        print_type_name(out, type);
        buf_add(out, STR(": {exec: "));
        print_list(out, type->exec);
        if (type->timeout_ms > 0) {
            buf_add(out, STR(", timeout: "));
            duration_format(out, type->timeout_ms);
        }
        print_env(out, type);
        print_member(out, "user", type->user);
        print_member(out, "cwd", type->cwd);
        buf_add(out, STR("}\n"));
    }
}

void config_print(const Config *config, Buf *out) {
    Str section = {NULL, 0};
    for (size_t i = 0; i < CONFIG_ROWS; i++) {
        const ConfigRow *row = &CONFIG_TABLE[i];
        if (row->kind == KIND_RESERVED) continue;
        Str name = str_from(row->key);
        Str first = str_split(&name, '.');
        bool at_top = !name.ptr;
        if (!at_top && !str_eq(first, section)) buf_format(out, STR_FMT ":\n", STR_ARG(first));
        section = at_top ? (Str){NULL, 0} : first;
        buf_format(out, "%s" STR_FMT ": ", at_top ? "" : "  ", STR_ARG(at_top ? first : name));
        print_value(out, row, (const char *)config + row->offset);
        buf_add_char(out, '\n');
    }
    print_types(out, config);
}
