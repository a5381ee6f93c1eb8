/* What the files of src/config share: the table's rows, the values as written with their origins,
 * and the report of problems. Only for src/config. */
#pragma once

#include "config/config.h"

typedef enum ConfigKind {
    KIND_STRING,
    KIND_ADDRESS, /* HOST:PORT */
    KIND_BOOL,
    KIND_INT,
    KIND_SIZE,     /* 1MiB */
    KIND_DURATION, /* 1h30m, in ms */
    KIND_CHOICE,   /* one of `choices` */
    KIND_LIST,     /* of strings, of `choices` when there are any */
    KIND_SECRET,   /* @/path reads a file */
    KIND_URL,      /* @/path reads a file; its password is masked */
    KIND_RESERVED, /* not available yet: only the default, or nothing at all, is accepted */
} ConfigKind;

struct ConfigRow {
    const char *key; /* "section.name", or a name alone at the top */
    const char *flag;
    const char *initial; /* the default, as written; lists with commas */
    const char *help;
    const char *choices; /* with commas */
    size_t offset;       /* in Config */
    int64_t least;       /* of INT, SIZE, DURATION */
    int64_t most;
    ConfigKind kind;
    bool reloads;
};

enum { CONFIG_ROWS = 41, CONFIG_MAX_FILE = 1 << 20, CONFIG_MAX_SECRET = 64 * 1024 };

extern const ConfigRow CONFIG_TABLE[CONFIG_ROWS];

/* Where a value was written: the words that begin its problems. */
typedef struct Origin {
    const char *file; /* NULL: `name` says it */
    size_t line;      /* from 1 */
    size_t column;
    const char *name; /* "TAKT_…", "--http"; NULL: the default */
} Origin;

/* A value as written. A list has its items; all else has text. */
typedef struct Written {
    Str text;
    Str *items;
    size_t item_count;
    bool is_list;
    bool is_complex;       /* a mapping, or a list of other things than scalars */
    bool is_empty_complex; /* a mapping or list all of whose scalars are empty */
    bool is_set;
    Origin origin;
} Written;

typedef struct ConfigState {
    Arena arena;
    Written written[CONFIG_ROWS];
    Origin *type_origins; /* beside Config.types */
} ConfigState;

/* A load in progress. */
typedef struct ConfigLoad {
    Config *config;
    Arena *arena; /* the config's */
    ConfigReport *report;
    size_t problems;
} ConfigLoad;

/* Adds a line to the errors. */
void config_problem(ConfigLoad *load, Origin origin, const char *format, ...) printf_like(3, 4);
void config_warning(ConfigLoad *load, Origin origin, const char *format, ...) printf_like(3, 4);

/* The row's index by its key; false when there is none. */
bool config_find_row(Str section, Str name, size_t *ret);

/* config_yaml.c: reads the file into state->written and config->types. */
void config_read_file(ConfigLoad *load, const char *path);

/* config_environment.c: the same for the environment and the flags. */
void config_read_environment(ConfigLoad *load, const char *const *environment);
void config_read_flags(ConfigLoad *load, const ConfigFlag *flags, size_t count);

/* config_value.c: turns what was written, else the default, into the Config's typed value. */
void config_set_value(ConfigLoad *load, size_t row);
Err config_parse_size(Str text, int64_t *ret_bytes, Error *error) must_check;

/* config_rules.c: what must hold between settings, and of each type. */
void config_check_rules(ConfigLoad *load);
/* 1–max bytes of A-Za-z0-9_.:- and `more`. */
bool config_is_name(Str text, size_t max, const char *more);
