/* The registry behind metric.h: per metric a table of cells, one per set of label values.
 *
 * Cells are found by their joined label values and shown in the order of their first use. Once
 * made, a cell of a counter or histogram stays, so its value never goes back. */
#include "telemetry/metric.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/map.h"
#include "telemetry/metric_process.h"
#include "telemetry/metric_table.h"

enum { MAX_KEY = 4096 };

/* Between label values in a key: never part of UTF-8 text. */
#define KEY_SEPARATOR '\xff'

typedef struct Cell {
    Str key;            /* label values, joined; behind the buckets in the same block */
    double value;       /* the sum of a histogram */
    uint64_t count;     /* observations of a histogram */
    uint64_t buckets[]; /* not cumulative; one more than there are bounds */
} Cell;

typedef struct Family {
    Map by_key;
    Cell **cells; /* owned, in order of first use */
    size_t count;
    size_t capacity;
} Family;

typedef struct Collector {
    MetricCollector *run;
    void *context;
} Collector;

static Family families[METRIC_COUNT];
static Map known_types; /* the values are their own keys */
static Collector collectors[METRIC_MAX_COLLECTORS];
static size_t collector_count;

static size_t label_count(const MetricRow *row) {
    size_t count = 0;
    while (count < METRIC_MAX_LABELS && row->labels[count])
        count++;
    return count;
}

static bool is_label(const MetricRow *row, size_t i, const char *name) {
    return strcmp(row->labels[i], name) == 0;
}

/* The names users choose; all others come from the program's own small sets. */
static bool is_open_label(const MetricRow *row, size_t i) {
    return is_label(row, i, "queue") || is_label(row, i, "type");
}

/* Keys of known_types carry a NUL behind them. */
static bool type_is_known(Str type) {
    if (map_get(&known_types, type)) return true;
    if (known_types.count >= METRIC_MAX_TYPES) return false;
    char *copy = alloc(type.len + 1);
    if (type.len > 0) memcpy(copy, type.ptr, type.len);
    copy[type.len] = '\0';
    map_put(&known_types, (Str){copy, type.len}, copy);
    return true;
}

static Str join_labels(Buf *key, const MetricRow *row, const Str *labels, bool fold_open,
                       bool *ret_folded) {
    bool folded = false;
    size_t count = label_count(row);
    for (size_t i = 0; i < count; i++) {
        bool fold = is_open_label(row, i) &&
                    (fold_open || (is_label(row, i, "type") && !type_is_known(labels[i])));
        if (i > 0) buf_add_char(key, KEY_SEPARATOR);
        buf_add(key, fold ? STR("other") : labels[i]);
        folded = folded || fold;
    }
    check(!key->overflow);
    *ret_folded = folded;
    return buf_str(key);
}

static Cell *make_cell(Family *family, const MetricRow *row, Str key) {
    size_t buckets = row->buckets ? row->buckets->count + 1 : 0;
    size_t head = sizeof(Cell) + buckets * sizeof(uint64_t);
    Cell *cell = alloc_zero(1, head + key.len);
    char *copy = (char *)cell + head;
    if (key.len > 0) memcpy(copy, key.ptr, key.len);
    cell->key = (Str){copy, key.len};
    if (family->count == family->capacity) {
        family->capacity = family->capacity ? family->capacity * 2 : 8;
        family->cells = alloc_again(family->cells, family->capacity, sizeof(Cell *));
    }
    family->cells[family->count++] = cell;
    map_put(&family->by_key, cell->key, cell);
    return cell;
}

/* The cell of these labels, made if need be; *ret_folded says whether it is an `other`. */
static Cell *find_cell(MetricId id, const Str *labels, bool *ret_folded) {
    Family *family = &families[id];
    const MetricRow *row = &METRIC_TABLE[id];
    cleanup(buf_done) Buf key;
    buf_init(&key, MAX_KEY);
    Str joined = join_labels(&key, row, labels, /* fold_open= */ false, ret_folded);
    Cell *cell = map_get(&family->by_key, joined);
    if (cell) return cell;
    if (family->count >= METRIC_MAX_CELLS) {
        buf_clear(&key);
        joined = join_labels(&key, row, labels, /* fold_open= */ true, ret_folded);
        cell = map_get(&family->by_key, joined);
        if (cell) return cell;
    }
    return make_cell(family, row, joined);
}

void metric_add(MetricId id, const Str *labels, double count) {
    check(METRIC_TABLE[id].kind == METRIC_COUNTER && count >= 0);
    bool folded = false;
    find_cell(id, labels, &folded)->value += count;
}

void metric_set(MetricId id, const Str *labels, double value) {
    check(METRIC_TABLE[id].kind == METRIC_GAUGE);
    bool folded = false;
    Cell *cell = find_cell(id, labels, &folded);
    cell->value = folded ? cell->value + value : value;
}

void metric_observe(MetricId id, const Str *labels, double value) {
    const MetricRow *row = &METRIC_TABLE[id];
    check(row->kind == METRIC_HISTOGRAM);
    if (!(value > 0)) value = 0;
    bool folded = false;
    Cell *cell = find_cell(id, labels, &folded);
    size_t bucket = 0;
    while (bucket < row->buckets->count && value > row->buckets->bounds[bucket])
        bucket++;
    cell->buckets[bucket]++;
    cell->count++;
    cell->value += value;
}

double metric_value(MetricId id, const Str *labels) {
    const MetricRow *row = &METRIC_TABLE[id];
    cleanup(buf_done) Buf key;
    buf_init(&key, MAX_KEY);
    bool folded = false;
    const Cell *cell =
        map_get(&families[id].by_key, join_labels(&key, row, labels, false, &folded));
    if (!cell) return 0;
    return row->kind == METRIC_HISTOGRAM ? (double)cell->count : cell->value;
}

void metric_collect_with(MetricCollector *collector, void *context) {
    check(collector_count < METRIC_MAX_COLLECTORS);
    collectors[collector_count++] = (Collector){collector, context};
}

static void empty_family(Family *family) {
    for (size_t i = 0; i < family->count; i++)
        free(family->cells[i]);
    family->count = 0;
    map_clear(&family->by_key);
}

static void collect_process(void) {
    ProcessFigures figures;
    Error error;
    if (process_figures(&figures, &error) != OK)
        return; /* without /proc the samples are left out */
    bool folded = false;
    find_cell(METRIC_PROCESS_CPU, NULL, &folded)->value = figures.cpu_seconds;
    metric_set(METRIC_PROCESS_RESIDENT, NULL, figures.resident_bytes);
    metric_set(METRIC_PROCESS_VIRTUAL, NULL, figures.virtual_bytes);
    metric_set(METRIC_PROCESS_OPEN_FDS, NULL, figures.open_fds);
    metric_set(METRIC_PROCESS_MAX_FDS, NULL, figures.max_fds);
    metric_set(METRIC_PROCESS_START, NULL, figures.start_seconds);
}

static void collect(void) {
    for (MetricId id = 0; id < METRIC_COUNT; id++) {
        if (METRIC_TABLE[id].collected) empty_family(&families[id]);
    }
    for (size_t i = 0; i < collector_count; i++) {
        collectors[i].run(collectors[i].context);
    }
    collect_process();
}

/* The shortest of two forms that reads back as the same number. */
static void add_number(Buf *buf, double value) {
    char text[40];
    snprintf(text, sizeof(text), "%.15g", value);
    if (strtod(text, NULL) != value) snprintf(text, sizeof(text), "%.17g", value);
    buf_add(buf, str_from(text));
}

/* Exposition format 0.0.4: backslash, quote and line feed are escaped, the rest is UTF-8. */
static void add_label_value(Buf *buf, Str value) {
    for (size_t i = 0; i < value.len; i++) {
        char byte = value.ptr[i];
        if (byte == '\n') {
            buf_add(buf, STR("\\n"));
            continue;
        }
        if (byte == '\\' || byte == '"') buf_add_char(buf, '\\');
        buf_add_char(buf, byte);
    }
}

/* name{labels,le} and a blank; le is left out when NULL. */
static void add_series(Buf *buf, const MetricRow *row, const Cell *cell, const char *suffix,
                       const char *le) {
    buf_add(buf, str_from(row->name));
    buf_add(buf, str_from(suffix));
    size_t count = label_count(row);
    if (count > 0 || le) buf_add_char(buf, '{');
    Str rest = cell->key;
    for (size_t i = 0; i < count; i++) {
        buf_format(buf, "%s%s=\"", i > 0 ? "," : "", row->labels[i]);
        add_label_value(buf, str_split(&rest, KEY_SEPARATOR));
        buf_add_char(buf, '"');
    }
    if (le) buf_format(buf, "%sle=\"%s\"", count > 0 ? "," : "", le);
    if (count > 0 || le) buf_add_char(buf, '}');
    buf_add_char(buf, ' ');
}

static void add_histogram(Buf *buf, const MetricRow *row, const Cell *cell) {
    uint64_t below = 0;
    for (size_t i = 0; i <= row->buckets->count; i++) {
        char bound[32] = "+Inf";
        if (i < row->buckets->count) {
            snprintf(bound, sizeof(bound), "%.15g", row->buckets->bounds[i]);
        }
        below += cell->buckets[i];
        add_series(buf, row, cell, "_bucket", bound);
        buf_add_uint(buf, below);
        buf_add_char(buf, '\n');
    }
    add_series(buf, row, cell, "_sum", NULL);
    add_number(buf, cell->value);
    buf_add_char(buf, '\n');
    add_series(buf, row, cell, "_count", NULL);
    buf_add_uint(buf, cell->count);
    buf_add_char(buf, '\n');
}

static void add_family(Buf *buf, MetricId id) {
    static const char *const KINDS[] = {
        [METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge", [METRIC_HISTOGRAM] = "histogram"};
    const MetricRow *row = &METRIC_TABLE[id];
    const Family *family = &families[id];
    buf_format(buf, "# HELP %s %s\n# TYPE %s %s\n", row->name, row->help, row->name,
               KINDS[row->kind]);
    for (size_t i = 0; i < family->count; i++) {
        if (row->kind == METRIC_HISTOGRAM) {
            add_histogram(buf, row, family->cells[i]);
            continue;
        }
        add_series(buf, row, family->cells[i], "", NULL);
        add_number(buf, family->cells[i]->value);
        buf_add_char(buf, '\n');
    }
}

/* A series that exists from the start lets rate() see its first increment. */
static void touch_unlabelled(MetricId id) {
    bool folded = false;
    if (METRIC_TABLE[id].kind != METRIC_GAUGE && label_count(&METRIC_TABLE[id]) == 0) {
        (void)find_cell(id, NULL, &folded);
    }
}

void metric_expose(Buf *buf) {
    collect();
    for (MetricId id = 0; id < METRIC_COUNT; id++) {
        touch_unlabelled(id);
        add_family(buf, id);
    }
}

void metric_reset(void) {
    for (MetricId id = 0; id < METRIC_COUNT; id++) {
        empty_family(&families[id]);
        map_done(&families[id].by_key);
        free(families[id].cells);
        families[id] = (Family){0};
    }
    size_t at = 0;
    for (char *type = map_next(&known_types, &at); type; type = map_next(&known_types, &at)) {
        free(type);
    }
    map_done(&known_types);
    known_types = (Map){0};
    collector_count = 0;
}
