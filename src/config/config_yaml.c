/* The file: YAML by libyaml's parser and composer, walked to a fixed depth.
 *
 * It records what was written and where; what a value means is config_value.c. Aliases are composed
 * to shared nodes, never expanded, so a small file can't become a large one. */
#include "config/config_internal.h"
#include "config/config_types.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "base/alloc.h"
#include "base/map.h"

typedef struct YamlFile {
    ConfigLoad *load;
    const char *path;
    yaml_document_t *document;
} YamlFile;

static void close_file(FILE **file) {
    if (*file) fclose(*file);
}

static Origin mark_origin(const YamlFile *file, yaml_mark_t mark) {
    return (Origin){.file = file->path, .line = mark.line + 1, .column = mark.column + 1};
}

static Origin node_origin(const YamlFile *file, const yaml_node_t *node) {
    return mark_origin(file, node->start_mark);
}

static Str scalar_text(const YamlFile *file, const yaml_node_t *node) {
    Str text = {(const char *)node->data.scalar.value, node->data.scalar.length};
    return arena_str(file->load->arena, text);
}

/* YAML 1.2 section 10.3.2: what a plain scalar says for "nothing". */
static bool is_null(const yaml_node_t *node) {
    if (node->type != YAML_SCALAR_NODE || node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE) {
        return false;
    }
    Str text = {(const char *)node->data.scalar.value, node->data.scalar.length};
    return text.len == 0 || str_eq(text, STR("~")) || str_eq(text, STR("null"));
}

static yaml_node_t *get_node(const YamlFile *file, int index) {
    return yaml_document_get_node(file->document, index);
}

/* True when nothing but empty scalars is in it; one level of mappings and lists below is looked at.
 */
static bool is_hollow(const YamlFile *file, const yaml_node_t *node, int depth) {
    if (node->type == YAML_SCALAR_NODE) return node->data.scalar.length == 0 || is_null(node);
    if (depth == 0) return false;
    if (node->type == YAML_SEQUENCE_NODE) {
        return node->data.sequence.items.start == node->data.sequence.items.top;
    }
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
        if (!is_hollow(file, get_node(file, pair->value), depth - 1)) return false;
    }
    return true;
}

static void write_list(const YamlFile *file, const yaml_node_t *node, Written *written) {
    size_t count = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
    written->is_list = true;
    written->items = arena_zero(file->load->arena, count + 1, sizeof(Str));
    for (size_t i = 0; i < count; i++) {
        const yaml_node_t *item = get_node(file, node->data.sequence.items.start[i]);
        if (item->type != YAML_SCALAR_NODE) {
            written->is_complex = true;
            return;
        }
        written->items[i] = scalar_text(file, item);
    }
    written->item_count = count;
}

static Written write_node(const YamlFile *file, const yaml_node_t *node) {
    Written written = {.is_set = !is_null(node), .origin = node_origin(file, node)};
    switch (node->type) {
    case YAML_SCALAR_NODE: written.text = scalar_text(file, node); break;
    case YAML_SEQUENCE_NODE: write_list(file, node, &written); break;
    case YAML_MAPPING_NODE:
    case YAML_NO_NODE:
        written.is_complex = true;
        written.is_empty_complex = is_hollow(file, node, 3);
        break;
    }
    return written;
}

/* Reports a key that is no scalar, or that was seen in the mapping already; else gives its text. */
static bool read_key(const YamlFile *file, const yaml_node_pair_t *pair, Str section, Map *seen,
                     Str *ret) {
    yaml_node_t *key = get_node(file, pair->key);
    if (key->type != YAML_SCALAR_NODE) {
        config_problem(file->load, node_origin(file, key), "a key must be a word");
        return false;
    }
    Str name = scalar_text(file, key);
    const yaml_node_t *first = map_get(seen, name);
    if (first) {
        config_problem(file->load, node_origin(file, key),
                       "duplicate key '" STR_FMT "%s" STR_FMT "', first on line %zu",
                       STR_ARG(section), section.len > 0 ? "." : "", STR_ARG(name),
                       (size_t)first->start_mark.line + 1);
        return false;
    }
    map_put(seen, name, key);
    *ret = name;
    return true;
}

/* Names of a section's keys, or of the sections and top-level keys when section is empty. */
static size_t list_names(Str section, Str names[CONFIG_ROWS + 1]) {
    size_t count = 0;
    for (size_t i = 0; i < CONFIG_ROWS; i++) {
        Str rest = str_from(CONFIG_TABLE[i].key);
        Str first = str_split(&rest, '.');
        if (section.len == 0) {
            names[count++] = first;
        } else if (rest.ptr && str_eq(first, section)) {
            names[count++] = rest;
        }
    }
    if (section.len == 0) names[count++] = STR("types");
    return count;
}

static void report_unknown(const YamlFile *file, yaml_mark_t mark, Str section, Str name) {
    Str names[CONFIG_ROWS + 1];
    Str near = str_nearest(name, names, list_names(section, names));
    const char *dot = section.len > 0 ? "." : "";
    if (near.ptr) {
        config_problem(file->load, mark_origin(file, mark),
                       "unknown key '" STR_FMT "%s" STR_FMT "'; did you mean '" STR_FMT "%s" STR_FMT
                       "'?",
                       STR_ARG(section), dot, STR_ARG(name), STR_ARG(section), dot, STR_ARG(near));
        return;
    }
    config_problem(file->load, mark_origin(file, mark), "unknown key '" STR_FMT "%s" STR_FMT "'",
                   STR_ARG(section), dot, STR_ARG(name));
}

static void read_section(const YamlFile *file, Str section, const yaml_node_t *node) {
    if (is_null(node)) return;
    if (node->type != YAML_MAPPING_NODE) {
        config_problem(file->load, node_origin(file, node), STR_FMT ": expected a mapping",
                       STR_ARG(section));
        return;
    }
    cleanup(map_done) Map seen = {0};
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
        Str name;
        size_t row = 0;
        if (!read_key(file, pair, section, &seen, &name)) continue;
        if (!config_find_row(section, name, &row)) {
            report_unknown(file, get_node(file, pair->key)->start_mark, section, name);
            continue;
        }
        file->load->config->state->written[row] = write_node(file, get_node(file, pair->value));
    }
}

/* ---- types ---- */

static void read_pairs(const YamlFile *file, const yaml_node_t *node, Str where, ConfigType *type) {
    if (is_null(node)) return;
    if (node->type != YAML_MAPPING_NODE) {
        config_problem(file->load, node_origin(file, node),
                       STR_FMT ".env: expected a mapping of names to texts", STR_ARG(where));
        return;
    }
    size_t count = (size_t)(node->data.mapping.pairs.top - node->data.mapping.pairs.start);
    ConfigPair *pairs = arena_zero(file->load->arena, count + 1, sizeof(*pairs));
    size_t used = 0;
    cleanup(map_done) Map seen = {0};
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
        Str name;
        if (!read_key(file, pair, where, &seen, &name)) continue;
        const yaml_node_t *value = get_node(file, pair->value);
        if (value->type != YAML_SCALAR_NODE) {
            config_problem(file->load, node_origin(file, value),
                           STR_FMT ".env." STR_FMT ": expected a text", STR_ARG(where),
                           STR_ARG(name));
            continue;
        }
        pairs[used++] = (ConfigPair){name, scalar_text(file, value)};
    }
    type->env = pairs;
    type->env_count = used;
}

static void read_type(const YamlFile *file, Str name, const yaml_node_t *node, ConfigType *type) {
    Str where = arena_format(file->load->arena, "types." STR_FMT, STR_ARG(name));
    if (node->type != YAML_MAPPING_NODE) {
        config_problem(file->load, node_origin(file, node),
                       STR_FMT ": expected a mapping with 'exec'", STR_ARG(where));
        return;
    }
    cleanup(map_done) Map seen = {0};
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
        Str member;
        if (!read_key(file, pair, where, &seen, &member)) continue;
        const yaml_node_t *value = get_node(file, pair->value);
        if (str_eq(member, STR("env"))) {
            read_pairs(file, value, where, type);
            continue;
        }
        Written written = write_node(file, value);
        if (!config_type_member(file->load, type, where, member, &written)) {
            config_type_unknown(file->load, node_origin(file, get_node(file, pair->key)), where,
                                member);
        }
    }
}

static void read_types(const YamlFile *file, const yaml_node_t *node) {
    if (is_null(node)) return;
    if (node->type != YAML_MAPPING_NODE) {
        config_problem(file->load, node_origin(file, node), "types: expected a mapping");
        return;
    }
    size_t count = (size_t)(node->data.mapping.pairs.top - node->data.mapping.pairs.start);
    ConfigType *types = arena_zero(file->load->arena, count + 1, sizeof(*types));
    Origin *origins = arena_zero(file->load->arena, count + 1, sizeof(*origins));
    size_t used = 0;
    cleanup(map_done) Map seen = {0};
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
        Str name;
        if (!read_key(file, pair, STR("types"), &seen, &name)) continue;
        origins[used] = node_origin(file, get_node(file, pair->key));
        config_type_name(file->load, origins[used], name, &types[used]);
        size_t problems = file->load->problems;
        read_type(file, name, get_node(file, pair->value), &types[used]);
        if (file->load->problems == problems) {
            config_type_check(file->load, origins[used], &types[used]);
        }
        used++;
    }
    file->load->config->types = types;
    file->load->config->type_count = used;
    file->load->config->state->type_origins = origins;
}

/* ---- the file ---- */

static void read_root(const YamlFile *file, const yaml_node_t *root) {
    if (is_null(root)) return;
    if (root->type != YAML_MAPPING_NODE) {
        config_problem(file->load, node_origin(file, root), "expected a mapping of sections");
        return;
    }
    cleanup(map_done) Map seen = {0};
    for (const yaml_node_pair_t *pair = root->data.mapping.pairs.start;
         pair < root->data.mapping.pairs.top; pair++) {
        Str name;
        size_t row = 0;
        Str names[CONFIG_ROWS + 1];
        if (!read_key(file, pair, STR(""), &seen, &name)) continue;
        const yaml_node_t *value = get_node(file, pair->value);
        if (str_eq(name, STR("types"))) {
            read_types(file, value);
        } else if (config_find_row(STR(""), name, &row)) {
            file->load->config->state->written[row] = write_node(file, value);
        } else if (name.len > 0 && list_names(name, names) > 0) {
            read_section(file, name, value);
        } else {
            report_unknown(file, get_node(file, pair->key)->start_mark, STR(""), name);
        }
    }
}

static void report_syntax(const YamlFile *file, const yaml_parser_t *parser) {
    const char *problem = parser->problem ? parser->problem : "not readable as YAML";
    const char *hint = strstr(problem, "cannot start any token")
                           ? " (a tab can't indent; quote a text that begins with @, ` or %)"
                           : "";
    yaml_mark_t mark = parser->problem_mark;
    if (parser->error == YAML_READER_ERROR) mark = parser->mark;
    config_problem(file->load, mark_origin(file, mark), "%s%s", problem, hint);
}

static void parse(YamlFile *file, Str text) {
    yaml_parser_t parser;
    check(yaml_parser_initialize(&parser));
    yaml_parser_set_input_string(&parser, (const unsigned char *)text.ptr, text.len);
    if (!yaml_parser_load(&parser, file->document)) {
        report_syntax(file, &parser);
        yaml_parser_delete(&parser);
        return;
    }
    const yaml_node_t *root = yaml_document_get_root_node(file->document);
    if (root) read_root(file, root);
    yaml_document_delete(file->document);
    if (root && yaml_parser_load(&parser, file->document)) {
        const yaml_node_t *second = yaml_document_get_root_node(file->document);
        if (second) {
            config_problem(file->load, node_origin(file, second),
                           "a second document; the configuration is one");
        }
        yaml_document_delete(file->document);
    } else if (root) {
        report_syntax(file, &parser);
    }
    yaml_parser_delete(&parser);
}

/* The limit counts what is read, so an endless pipe ends as well. */
void config_read_file(ConfigLoad *load, const char *path) {
    Origin origin = {.file = arena_cstr(load->arena, str_from(path))};
    cleanup(free_pointer) char *text = alloc(CONFIG_MAX_FILE + 1);
    cleanup(close_file) FILE *stream = fopen(path, "re");
    size_t len = stream ? fread(text, 1, CONFIG_MAX_FILE + 1, stream) : 0;
    if (!stream || ferror(stream)) {
        config_problem(load, origin, "can't be read: %s", strerror(errno));
        return;
    }
    if (len > CONFIG_MAX_FILE) {
        config_problem(load, origin, "has more than %d bytes", CONFIG_MAX_FILE);
        return;
    }
    yaml_document_t document;
    YamlFile file = {.load = load, .path = origin.file, .document = &document};
    parse(&file, (Str){text, len});
    OPENSSL_cleanse(text, len);
}
