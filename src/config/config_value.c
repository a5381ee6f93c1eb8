/* From what was written to a typed value, one function per kind of setting.
 *
 * Each says in its problem what was expected. A secret's text never gets into a problem. */
#include "config/config_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/time.h"

typedef struct Setting {
    ConfigLoad *load;
    const ConfigRow *row;
    const Written *written;
    void *place; /* in the Config */
} Setting;

static void expected(const Setting *setting, const char *what) {
    enum { SHOWN = 80 };
    Str text = setting->written->text;
    if (setting->written->is_list || setting->written->is_complex) {
        config_problem(setting->load, setting->written->origin, "%s: expected %s, got a %s",
                       setting->row->key, what, setting->written->is_list ? "list" : "mapping");
        return;
    }
    config_problem(setting->load, setting->written->origin, "%s: expected %s, got '%.*s'",
                   setting->row->key, what, (int)(text.len > SHOWN ? SHOWN : text.len),
                   text.ptr ? text.ptr : "");
}

static bool has_control(Str text) {
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] < ' ' || text.ptr[i] == 0x7f) return true;
    }
    return false;
}

/* An empty text is "not set": the absent Str. */
static void set_string(const Setting *setting) {
    Str text = setting->written->text;
    if (has_control(text)) {
        expected(setting, "a text without control characters");
        return;
    }
    *(Str *)setting->place = text.len > 0 ? text : (Str){NULL, 0};
}

static void set_address(const Setting *setting) {
    Str text = setting->written->text;
    size_t colon = text.len;
    while (colon > 0 && text.ptr[colon - 1] != ':')
        colon--;
    int64_t port = 0;
    if (colon < 2 || !str_to_int64((Str){text.ptr + colon, text.len - colon}, &port)) {
        expected(setting, "HOST:PORT");
        return;
    }
    if (port < 1 || port > 65535) {
        expected(setting, "a port from 1 to 65535");
        return;
    }
    Str host = {text.ptr, colon - 1};
    bool in_brackets = host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']';
    if (in_brackets) host = (Str){host.ptr + 1, host.len - 2};
    bool has_colon = memchr(host.ptr, ':', host.len) != NULL;
    if (has_colon != in_brackets || has_control(host) || memchr(host.ptr, ' ', host.len)) {
        expected(setting, "HOST:PORT, an IPv6 address in brackets");
        return;
    }
    *(ConfigAddress *)setting->place = (ConfigAddress){arena_str(setting->load->arena, host), port};
}

static void set_bool(const Setting *setting) {
    static const Str TRUE_WORDS[] = {{"true", 4}, {"yes", 3}, {"on", 2}, {"1", 1}};
    static const Str FALSE_WORDS[] = {{"false", 5}, {"no", 2}, {"off", 3}, {"0", 1}};
    for (size_t i = 0; i < LENGTH(TRUE_WORDS); i++) {
        bool is_true = str_eq_ignore_case(setting->written->text, TRUE_WORDS[i]);
        if (!is_true && !str_eq_ignore_case(setting->written->text, FALSE_WORDS[i])) continue;
        *(bool *)setting->place = is_true;
        return;
    }
    expected(setting, "true or false");
}

static void set_int(const Setting *setting) {
    int64_t value = 0;
    if (!str_to_int64(setting->written->text, &value) || value < setting->row->least ||
        value > setting->row->most) {
        char what[80];
        snprintf(what, sizeof(what), "an integer from %lld to %lld", (long long)setting->row->least,
                 (long long)setting->row->most);
        expected(setting, what);
        return;
    }
    *(int64_t *)setting->place = value;
}

Err config_parse_size(Str text, int64_t *ret_bytes, Error *error) {
    static const struct {
        Str unit;
        int64_t bytes;
    } UNITS[] = {{{"KiB", 3}, 1 << 10},
                 {{"MiB", 3}, 1 << 20},
                 {{"GiB", 3}, 1 << 30},
                 {{"B", 1}, 1},
                 {{"", 0}, 1}};
    for (size_t i = 0; i < LENGTH(UNITS); i++) {
        Str unit = UNITS[i].unit;
        int64_t count = 0;
        if (text.len <= unit.len) continue;
        size_t digits = text.len - unit.len;
        if (unit.len > 0 && memcmp(text.ptr + digits, unit.ptr, unit.len) != 0) continue;
        if (!str_to_int64((Str){text.ptr, digits}, &count) || count < 0 ||
            count > INT64_MAX / UNITS[i].bytes) {
            break;
        }
        *ret_bytes = count * UNITS[i].bytes;
        return OK;
    }
    return error_set(error, ERR_INVALID, "'" STR_FMT "' is not a size like 64KiB or 1MiB",
                     STR_ARG(text));
}

static void add_size(Buf *buf, int64_t bytes) {
    bool in_mib = bytes % (1 << 20) == 0;
    buf_format(buf, "%lld%s", (long long)(in_mib ? bytes >> 20 : bytes >> 10),
               in_mib ? "MiB" : "KiB");
}

static void set_size(const Setting *setting) {
    Error error;
    int64_t bytes = 0;
    if (config_parse_size(setting->written->text, &bytes, &error) == OK &&
        bytes >= setting->row->least && bytes <= setting->row->most) {
        *(int64_t *)setting->place = bytes;
        return;
    }
    cleanup(buf_done) Buf what;
    buf_init(&what, 100);
    buf_add(&what, STR("a size from "));
    add_size(&what, setting->row->least);
    buf_add(&what, STR(" to "));
    add_size(&what, setting->row->most);
    expected(setting, buf_cstr(&what));
}

static void set_duration(const Setting *setting) {
    Error error;
    int64_t ms = 0;
    if (duration_parse(setting->written->text, &ms, &error) == OK && ms >= setting->row->least &&
        ms <= setting->row->most) {
        *(int64_t *)setting->place = ms;
        return;
    }
    cleanup(buf_done) Buf what;
    buf_init(&what, 100);
    buf_add(&what, STR("a duration from "));
    duration_format(&what, setting->row->least);
    buf_add(&what, STR(" to "));
    duration_format(&what, setting->row->most);
    expected(setting, buf_cstr(&what));
}

static bool is_choice(const char *choices, Str text) {
    Str rest = str_from(choices);
    while (rest.ptr) {
        if (str_eq(str_split(&rest, ','), text)) return true;
    }
    return false;
}

static void set_choice(const Setting *setting) {
    if (is_choice(setting->row->choices, setting->written->text)) {
        *(Str *)setting->place = setting->written->text;
        return;
    }
    char what[200];
    snprintf(what, sizeof(what), "one of %s", setting->row->choices);
    expected(setting, what);
}

static void set_list(const Setting *setting) {
    const Written *written = setting->written;
    for (size_t i = 0; i < written->item_count; i++) {
        Str item = written->items[i];
        if (item.len == 0 || has_control(item)) {
            config_problem(setting->load, written->origin,
                           "%s: an item is empty or has control characters", setting->row->key);
            return;
        }
        if (setting->row->choices && !is_choice(setting->row->choices, item)) {
            config_problem(setting->load, written->origin,
                           "%s: expected some of %s, got '" STR_FMT "'", setting->row->key,
                           setting->row->choices, STR_ARG(item));
            return;
        }
    }
    *(ConfigList *)setting->place = (ConfigList){written->items, written->item_count};
}

/* ---- texts that may be in a file of their own ---- */

static void close_fd(const int *fd) {
    if (*fd >= 0) close(*fd);
}

/* Without the line end that editors put behind it. NULL: reported. */
static bool read_aside(const Setting *setting, const char *path, Str *ret) {
    static char bytes[CONFIG_MAX_SECRET];
    struct stat status;
    Origin origin = setting->written->origin;
    const char *key = setting->row->key;
    cleanup(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = -1;
    if (fd < 0 || fstat(fd, &status) != 0) {
        config_problem(setting->load, origin, "%s: %s: %s", key, path, strerror(errno));
        return false;
    }
    if (S_ISREG(status.st_mode) && (status.st_mode & S_IROTH)) {
        config_problem(setting->load, origin,
                       "%s: %s may be read by every user; take that right away (chmod o-r)", key,
                       path);
        return false;
    }
    if (status.st_size < CONFIG_MAX_SECRET) len = read(fd, bytes, sizeof(bytes));
    while (len > 0 && (bytes[len - 1] == '\n' || bytes[len - 1] == '\r'))
        len--;
    if (len <= 0 || memchr(bytes, '\0', (size_t)len)) {
        config_problem(setting->load, origin, "%s: %s does not hold a text of 1 to %d bytes", key,
                       path, CONFIG_MAX_SECRET - 1);
        OPENSSL_cleanse(bytes, sizeof(bytes));
        return false;
    }
    *ret = arena_str(setting->load->arena, (Str){bytes, (size_t)len});
    OPENSSL_cleanse(bytes, sizeof(bytes));
    return true;
}

static void set_secret(const Setting *setting) {
    Str text = setting->written->text;
    if (text.len > 0 && text.ptr[0] == '@' && !read_aside(setting, text.ptr + 1, &text)) return;
    if (text.len > 0 && memchr(text.ptr, '\0', text.len)) {
        config_problem(setting->load, setting->written->origin, "%s: a text can't hold a NUL byte",
                       setting->row->key);
        return;
    }
    *(Secret *)setting->place = (Secret){text.len > 0 ? text : (Str){NULL, 0}};
}

static void set_url(const Setting *setting) {
    Secret secret = {{NULL, 0}};
    Setting aside = *setting;
    aside.place = &secret;
    set_secret(&aside);
    if (!has_control(secret.text)) {
        *(Str *)setting->place = secret.text;
        return;
    }
    config_problem(setting->load, setting->written->origin, "%s: a URL has no control characters",
                   setting->row->key);
}

static bool equals_default(const Setting *setting) {
    const Written *written = setting->written;
    Str initial = str_from(setting->row->initial);
    if (written->is_list) {
        return !written->is_complex &&
               (written->item_count == 0 ||
                (written->item_count == 1 && str_eq(written->items[0], initial)));
    }
    if (written->is_complex) return written->is_empty_complex;
    return written->text.len == 0 || str_eq(written->text, initial);
}

static void refuse_reserved(const Setting *setting) {
    if (equals_default(setting)) return;
    config_problem(setting->load, setting->written->origin,
                   "%s is not available yet in this version", setting->row->key);
}

typedef void SetValue(const Setting *setting);

static SetValue *const SETTERS[] = {
    [KIND_STRING] = set_string,
    [KIND_ADDRESS] = set_address,
    [KIND_BOOL] = set_bool,
    [KIND_INT] = set_int,
    [KIND_SIZE] = set_size,
    [KIND_DURATION] = set_duration,
    [KIND_CHOICE] = set_choice,
    [KIND_LIST] = set_list,
    [KIND_SECRET] = set_secret,
    [KIND_URL] = set_url,
    [KIND_RESERVED] = refuse_reserved,
};

static Written write_default(ConfigLoad *load, const ConfigRow *row) {
    Written written = {.text = str_from(row->initial)};
    if (row->kind != KIND_LIST) return written;
    written.items = arena_zero(load->arena, 16, sizeof(Str));
    Str rest = written.text;
    while (rest.len > 0) {
        written.items[written.item_count++] = arena_str(load->arena, str_split(&rest, ','));
    }
    written.is_list = true;
    return written;
}

static void set_written(ConfigLoad *load, const ConfigRow *row, const Written *written) {
    Setting setting = {load, row, written, (char *)load->config + row->offset};
    bool wants_list = row->kind == KIND_LIST;
    if (row->kind != KIND_RESERVED && (written->is_complex || written->is_list != wants_list)) {
        expected(&setting, wants_list ? "a list of texts" : "one value");
        return;
    }
    SETTERS[row->kind](&setting);
}

/* The default takes the place of a wrong value, so that the rules between settings don't complain
 * about what follows from it. */
void config_set_value(ConfigLoad *load, size_t row) {
    Written *written = &load->config->state->written[row];
    Written initial = write_default(load, &CONFIG_TABLE[row]);
    if (!written->is_set) *written = initial;
    size_t problems = load->problems;
    set_written(load, &CONFIG_TABLE[row], written);
    if (load->problems > problems) set_written(load, &CONFIG_TABLE[row], &initial);
}
