/* Fuzzes the configuration: the YAML file, the environment and every kind of value.
 *
 * An input is a file, then after a line "%%" lines of the environment. "=KEY" on the first line is
 * one setting instead, whose value is the rest. "@/secret" is the one file that values may name.
 *
 * Checked: a mistake is told in a line of its own, with its place and no secret in it; what was read
 * is printed without secrets, loads again as the same and is printed the same again; one setting is
 * taken or refused alike, in the same words, from the file and from the environment. */
#include "config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);

#define SECRET "hunter2-from-a-file"
enum { SIZE_MOST = 16 * 1024, ENVIRONMENT_MAX = 32 };

typedef struct Load {
    Config *config;
    ConfigReport report;
    Error error;
    Err err;
} Load;

static char file_path[64];
static char secret_path[64];
static int file_fd = -1;

/* Other files of this machine are none of the fuzzer's business. */
int __wrap_open64(const char *path, int flags, ...) {
    if (strcmp(path, "/secret") == 0) return __real_open64(secret_path, flags);
    errno = ENOENT;
    return -1;
}

static int make_file(const char *name, char *ret_path) {
    int fd = memfd_create(name, 0);
    check(fd >= 0 && fchmod(fd, 0600) == 0);
    snprintf(ret_path, sizeof file_path, "/proc/self/fd/%d", fd);
    return fd;
}

static void make_files(void) {
    if (file_fd >= 0) return;
    file_fd = make_file("file", file_path);
    int fd = make_file("secret", secret_path);
    check(write(fd, SECRET "\n", strlen(SECRET) + 1) == (ssize_t)strlen(SECRET) + 1);
}

static Load load(Str file, const char *const *environment) {
    Load it = {0};
    check(ftruncate(file_fd, 0) == 0);
    check(pwrite(file_fd, file.ptr, file.len, 0) == (ssize_t)file.len);
    config_report_init(&it.report);
    ConfigSource source = {.path = file_path, .environment = environment};
    it.err = config_load(&source, &it.config, &it.report, &it.error);
    return it;
}

static void load_done(Load *it) {
    config_free(it->config);
    config_report_done(&it->report);
}

static bool holds(Str text, const char *what) {
    return text.len > 0 && memmem(text.ptr, text.len, what, strlen(what));
}

/* ---- mistakes ---- */

static size_t check_lines(const Buf *lines) {
    size_t count = 0;
    Str rest = buf_str(lines);
    check(!holds(rest, SECRET));
    while (rest.len > 0) {
        Str line = str_split(&rest, '\n');
        check(rest.ptr && str_starts_with(line, STR("takt: ")) && line.len > 10);
        for (size_t i = 0; i < line.len; i++) {
            check((unsigned char)line.ptr[i] >= ' ' && line.ptr[i] != 0x7f);
        }
        count++;
    }
    return count;
}

static void check_mistakes(const Load *it) {
    char number[32];
    size_t count = check_lines(&it->report.errors);
    check_lines(&it->report.warnings);
    check((it->err == OK) == (count == 0));
    if (it->err == OK) return;
    check(it->err == ERR_INVALID && strcmp(it->error.code, "invalid-config") == 0);
    snprintf(number, sizeof number, "%zu mistake", count);
    check(it->report.errors.overflow ||
          str_starts_with(str_from(it->error.message), str_from(number)));
}

/* ---- printing ---- */

/* What is masked can't come back. */
static bool may_differ(Str printed, Str key) {
    static const Str MASKED[] = {{"protocol.password", 17}, {"worker.password", 15},
                                 {"worker.url", 10},        {"worker.labels", 13},
                                 {"auth.keys", 9},          {"store.url", 9},
                                 {"broker.url", 10},        {"types", 5}};
    for (size_t i = 0; i < LENGTH(MASKED); i++) {
        if (str_eq(key, MASKED[i])) return holds(printed, "***");
    }
    return false;
}

static void check_printed(const Load *it) {
    Buf once, twice, now, restart;
    buf_init(&once, 1 << 20);
    buf_init(&twice, 1 << 20);
    buf_init(&now, 1 << 20);
    buf_init(&restart, 1 << 20);
    config_print(it->config, &once);
    check(!once.overflow && !holds(buf_str(&once), SECRET));
    Load again = load(buf_str(&once), NULL);
    check(again.err == OK);
    config_print(again.config, &twice);
    check(str_eq(buf_str(&once), buf_str(&twice)));
    config_compare(it->config, again.config, &now, &restart);
    buf_add(&now, buf_str(&restart));
    for (Str rest = buf_str(&now); rest.len > 0;) {
        Str key = str_split(&rest, '\n');
        check(may_differ(buf_str(&once), key));
    }
    load_done(&again);
    buf_done(&once);
    buf_done(&twice);
    buf_done(&now);
    buf_done(&restart);
}

/* ---- a file and an environment ---- */

static void fuzz_file(Str input, Arena *arena) {
    const char *environment[ENVIRONMENT_MAX + 1] = {NULL};
    const char *end = memmem(input.ptr, input.len, "\n%%\n", 4);
    Str file = {input.ptr, end ? (size_t)(end + 1 - input.ptr) : input.len};
    Str rest = end ? (Str){end + 4, input.len - file.len - 3} : (Str){0};
    bool is_text = str_is_utf8(rest); /* a path need not be, but YAML must */
    for (size_t i = 0; i < ENVIRONMENT_MAX && rest.len > 0; i++) {
        environment[i] = arena_cstr(arena, str_split(&rest, '\n'));
    }
    Load it = load(file, environment);
    check_mistakes(&it);
    if (it.err == OK && is_text) check_printed(&it);
    load_done(&it);
}

/* ---- one setting ---- */

static const ConfigRow *find_row(Str key) {
    for (size_t i = 0; config_row(i); i++) {
        if (str_eq(key, str_from(config_row_key(config_row(i))))) return config_row(i);
    }
    return NULL;
}

static void add_quoted(Buf *buf, Str text) {
    buf_add_char(buf, '"');
    for (size_t i = 0; i < text.len; i++) {
        buf_format(buf, "\\x%02x", (unsigned char)text.ptr[i]);
    }
    buf_add_char(buf, '"');
}

/* The keys whose values are lists, which the environment writes with commas. */
static bool is_list(Str key) {
    static const Str LISTS[] = {{"protocol.roles", 14},
                                {"worker.queues", 13},
                                {"worker.labels", 13},
                                {"worker.url", 10},
                                {"auth.keys", 9}};
    for (size_t i = 0; i < LENGTH(LISTS); i++) {
        if (str_eq(key, LISTS[i])) return true;
    }
    return false;
}

static void write_setting(Buf *file, Str key, Str value) {
    Str name = key;
    Str section = str_split(&name, '.');
    buf_add(file, section);
    buf_add(file, STR(": "));
    if (name.ptr) buf_format(file, "{" STR_FMT ": ", STR_ARG(name));
    if (is_list(key)) {
        buf_add_char(file, '[');
        for (Str rest = value; rest.ptr;) {
            Str item = str_trim(str_split(&rest, ','));
            if (item.len == 0) continue;
            add_quoted(file, item);
            buf_add_char(file, ',');
        }
        buf_add_char(file, ']');
    } else {
        add_quoted(file, value);
    }
    if (name.ptr) buf_add_char(file, '}');
}

/* The sentence of the first mistake, without its place. */
static Str sentence(const Load *it, const char *place) {
    Str text = buf_str(&it->report.errors);
    const char *at = memmem(text.ptr, text.len, place, strlen(place));
    if (!at) return text;
    text = (Str){at, (size_t)(text.ptr + text.len - at)};
    text = str_split(&text, '\n');
    at = memmem(text.ptr, text.len, ": ", 2);
    return at ? (Str){at, (size_t)(text.ptr + text.len - at)} : text;
}

static void fuzz_setting(Str input) {
    Str value = {input.ptr + 1, input.len - 1};
    Str key = str_split(&value, '\n');
    const ConfigRow *row = find_row(key);
    if (!row || value.len == 0 || memchr(value.ptr, '\0', value.len)) return;
    for (size_t i = 0; i < value.len; i++) {
        if ((unsigned char)value.ptr[i] >= 0x80) return; /* \x80 is U+0080 to YAML */
    }
    Buf file, variable, name;
    buf_init(&file, 1 << 20);
    buf_init(&variable, 1 << 20);
    buf_init(&name, 100);
    write_setting(&file, key, value);
    config_row_environment(row, &name);
    buf_format(&variable, "%s=" STR_FMT, buf_cstr(&name), STR_ARG(value));
    const char *const environment[] = {buf_cstr(&variable), NULL};
    Load written = load(buf_str(&file), NULL);
    Load given = load(STR(""), environment);
    check_mistakes(&written);
    check_mistakes(&given);
    check(written.err == given.err);
    if (written.err == OK) {
        Buf now, restart;
        buf_init(&now, 1000);
        buf_init(&restart, 1000);
        config_compare(written.config, given.config, &now, &restart);
        check(now.len == 0 && restart.len == 0);
        check_printed(&given);
        buf_done(&now);
        buf_done(&restart);
    } else {
        check(str_eq(sentence(&written, file_path), sentence(&given, buf_cstr(&name))));
    }
    load_done(&written);
    load_done(&given);
    buf_done(&file);
    buf_done(&variable);
    buf_done(&name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1 || size > SIZE_MOST) return 0;
    Str input = {(const char *)data, size};
    Arena arena = {0};
    make_files();
    if (holds(input, "hunter")) return 0; /* found out, and so no secret */
    if (input.ptr[0] == '=') {
        fuzz_setting(input);
    } else {
        fuzz_file(input, &arena);
    }
    arena_done(&arena);
    return 0;
}
