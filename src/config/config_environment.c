/* The environment and the flags: texts that take the place of what the file says.
 *
 * A list is written with commas. An empty variable counts as not set, as compose files write it. */
#include "config/config_internal.h"

#include <string.h>

/* Variables of commands, tests and jobs' processes, which share the prefix but are no settings. */
static const Str OTHERS[] = {
    {"TAKT_SERVER", 11},   {"TAKT_TOKEN", 10},    {"TAKT_CONFIG", 11}, {"TAKT_FENCE", 10},
    {"TAKT_JOB_ID", 11},   {"TAKT_JOB_TYPE", 13}, {"TAKT_QUEUE", 10},  {"TAKT_ATTEMPT", 12},
#ifdef TAKT_CRASH_POINTS
    {"TAKT_CRASH_AT", 13},
#endif
};

enum { MAX_NAME = 64 };

static bool is_other(Str name) {
    for (size_t i = 0; i < LENGTH(OTHERS); i++) {
        if (str_eq(OTHERS[i], name)) return true;
    }
    return false;
}

static Str row_variable(ConfigLoad *load, size_t row) {
    cleanup(buf_done) Buf name;
    buf_init(&name, MAX_NAME);
    config_row_environment(&CONFIG_TABLE[row], &name);
    check(!name.overflow);
    return arena_str(load->arena, buf_str(&name));
}

static void split_items(ConfigLoad *load, Written *written) {
    size_t count = 1;
    for (size_t i = 0; i < written->text.len; i++)
        count += written->text.ptr[i] == ',';
    written->items = arena_zero(load->arena, count, sizeof(Str));
    Str rest = written->text;
    while (rest.ptr) {
        Str item = str_trim(str_split(&rest, ','));
        if (item.len > 0) written->items[written->item_count++] = arena_str(load->arena, item);
    }
    written->is_list = true;
}

static void put(ConfigLoad *load, size_t row, Str text, const char *name) {
    Written written = {
        .text = arena_str(load->arena, text), .is_set = true, .origin = {.name = name}};
    if (CONFIG_TABLE[row].kind == KIND_LIST) split_items(load, &written);
    load->config->state->written[row] = written;
}

static void report_unknown(ConfigLoad *load, const Str names[CONFIG_ROWS], Str name) {
    Str near = str_nearest(name, names, CONFIG_ROWS);
    Origin origin = {.name = arena_cstr(load->arena, name)};
    if (near.ptr) {
        config_warning(load, origin, "unknown variable, ignored; did you mean " STR_FMT "?",
                       STR_ARG(near));
        return;
    }
    config_warning(load, origin, "unknown variable, ignored");
}

void config_read_environment(ConfigLoad *load, const char *const *environment) {
    Str names[CONFIG_ROWS];
    for (size_t i = 0; i < CONFIG_ROWS; i++)
        names[i] = row_variable(load, i);
    for (; environment && *environment; environment++) {
        Str value = str_from(*environment);
        if (!str_starts_with(value, STR("TAKT_"))) continue;
        Str name = str_split(&value, '=');
        if (!value.ptr || is_other(name)) continue;
        size_t row = 0;
        while (row < CONFIG_ROWS && !str_eq(names[row], name))
            row++;
        if (row == CONFIG_ROWS) {
            report_unknown(load, names, name);
        } else if (value.len > 0) {
            put(load, row, value, names[row].ptr);
        }
    }
}

void config_read_flags(ConfigLoad *load, const ConfigFlag *flags, size_t count) {
    for (size_t i = 0; i < count; i++) {
        size_t row = 0;
        while (row < CONFIG_ROWS &&
               (!CONFIG_TABLE[row].flag || strcmp(CONFIG_TABLE[row].flag, flags[i].name) != 0)) {
            row++;
        }
        check(row < CONFIG_ROWS);
        const char *name = arena_format(load->arena, "--%s", flags[i].name).ptr;
        put(load, row, str_from(flags[i].value), name);
    }
}
