/* See the header. */
#include "cli/cell.h"

enum { CELL_MAX = 16 * 1024 * 1024 };

typedef struct Range {
    uint32_t from, to;
} Range;

/* Of Unicode's East Asian Width: what terminals draw two columns wide, roughly. */
static const Range WIDE[] = {
    {0x1100, 0x115f}, {0x2e80, 0xa4cf}, {0xac00, 0xd7a3},   {0xf900, 0xfaff},   {0xfe30, 0xfe6f},
    {0xff00, 0xff60}, {0xffe0, 0xffe6}, {0x1f300, 0x1faff}, {0x20000, 0x3fffd},
};
static const Range COMBINING[] = {
    {0x300, 0x36f}, {0x1ab0, 0x1aff}, {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}};
/* C0, DEL and C1; zero-width and direction marks; line separators; the byte order mark. */
static const Range HIDDEN[] = {
    {0, 0x1f}, {0x7f, 0x9f}, {0x200b, 0x200f}, {0x2028, 0x202e}, {0x2060, 0x206f}, {0xfeff, 0xfeff},
};

static bool is_in(uint32_t point, const Range *ranges, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (point >= ranges[i].from && point <= ranges[i].to) return true;
    }
    return false;
}

/* Length of the sequence at the text's beginning and its code point; 0 when it is no UTF-8. The
 * text is not empty. */
static size_t next_point(Str text, uint32_t *ret_point) {
    unsigned char first = (unsigned char)text.ptr[0];
    size_t len = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (len > text.len || !str_is_utf8((Str){text.ptr, len})) return 0;
    static const unsigned char payload[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t point = first & payload[len];
    for (size_t i = 1; i < len; i++) {
        point = point << 6 | ((unsigned char)text.ptr[i] & 0x3f);
    }
    *ret_point = point;
    return len;
}

static bool is_shown(uint32_t point, CellEscape escape) {
    if (escape == CELL_LINES && (point == '\n' || point == '\t')) return true;
    return !is_in(point, HIDDEN, LENGTH(HIDDEN));
}

static void add_escaped(Buf *buf, uint32_t point) {
    switch (point) {
    case '\n': buf_add(buf, STR("\\n")); break;
    case '\r': buf_add(buf, STR("\\r")); break;
    case '\t': buf_add(buf, STR("\\t")); break;
    default: buf_format(buf, point < 0x100 ? "\\x%02x" : "\\u%04x", point); break;
    }
}

Str cell_escape(Arena *arena, Str text, CellEscape escape) {
    cleanup(buf_done) Buf buf;
    buf_init(&buf, CELL_MAX);
    bool changed = false;
    for (Str rest = text; rest.len > 0;) {
        uint32_t point = 0;
        size_t len = next_point(rest, &point);
        if (len > 0 && is_shown(point, escape)) {
            buf_add(&buf, (Str){rest.ptr, len});
        } else {
            changed = true;
            add_escaped(&buf, len > 0 ? point : (unsigned char)rest.ptr[0]);
        }
        if (len == 0) len = 1;
        rest = (Str){rest.ptr + len, rest.len - len};
    }
    return changed ? arena_str(arena, buf_str(&buf)) : text;
}

static size_t width_of(uint32_t point) {
    if (is_in(point, COMBINING, LENGTH(COMBINING))) return 0;
    return is_in(point, WIDE, LENGTH(WIDE)) ? 2 : 1;
}

/* The beginning that fits into *width; *width becomes what it takes. */
static Str measure(Str text, size_t *width) {
    size_t at = 0;
    size_t used = 0;
    while (at < text.len) {
        uint32_t point = '?';
        size_t len = next_point((Str){text.ptr + at, text.len - at}, &point);
        if (used + width_of(point) > *width) break;
        used += width_of(point);
        at += len > 0 ? len : 1;
    }
    *width = used;
    return (Str){text.ptr, at};
}

size_t cell_width(Str text) {
    size_t width = SIZE_MAX;
    measure(text, &width);
    return width;
}

Str cell_cut(Str text, size_t width) {
    return measure(text, &width);
}

/* ---- members ---- */

Json cell_member(Json object, const char *path) {
    Json value = object;
    for (Str rest = str_from(path); rest.ptr;) {
        Str name = str_split(&rest, '.');
        if (!value.text.ptr || value.kind != JSON_OBJECT) return (Json){0};
        value = json_member(value, name);
    }
    return value;
}

static Str list_text(Json array, Arena *arena) {
    cleanup(buf_done) Buf buf;
    buf_init(&buf, CELL_MAX);
    JsonIter iter = json_iter(array);
    Json item;
    while (json_next(&iter, NULL, &item)) {
        if (buf.len > 0) buf_add_char(&buf, ',');
        if (item.kind == JSON_STRING) {
            buf_add(&buf, json_string(item, arena));
        } else {
            json_compact(&buf, item);
        }
    }
    return arena_str(arena, buf_str(&buf));
}

Str cell_text(Json object, const char *path, Arena *arena) {
    Json value = cell_member(object, path);
    if (!value.text.ptr) return STR("");
    switch (value.kind) {
    case JSON_NULL: return STR("");
    case JSON_FALSE: return STR("no");
    case JSON_TRUE: return STR("yes");
    case JSON_NUMBER: return value.text;
    case JSON_STRING: return json_string(value, arena);
    case JSON_ARRAY: return list_text(value, arena);
    case JSON_OBJECT: break;
    }
    cleanup(buf_done) Buf buf;
    buf_init(&buf, CELL_MAX);
    json_compact(&buf, value);
    return arena_str(arena, buf_str(&buf));
}

Str cell_of(Json object, const char *path, Arena *arena) {
    Str text = cell_escape(arena, cell_text(object, path, arena), CELL_ONE_LINE);
    return text.len > 0 ? text : STR("-");
}
