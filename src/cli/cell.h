/* Texts from the network made fit for a terminal, and members of JSON made texts. Pure.
 *
 * Control characters, and those that turn the reading direction, are shown escaped, so that a job's
 * words can't move the cursor, retitle the window or hide. */
#pragma once

#include "base/arena.h"
#include "base/json.h"

typedef enum CellEscape {
    CELL_ONE_LINE, /* line ends and tabs are escaped too */
    CELL_LINES,    /* they are kept */
} CellEscape;

/* The text itself when there is nothing to escape, else a copy in the arena. Bytes that aren't
 * UTF-8 become \xNN. */
Str cell_escape(Arena *arena, Str text, CellEscape escape);

/* Columns that the text takes on a terminal: wide characters two, combining ones none. */
size_t cell_width(Str text);

/* The longest beginning that takes at most `width` columns. */
Str cell_cut(Str text, size_t width);

/* A member by its path ("counts.pending") as it is: strings unquoted, scalars as written, arrays of
 * scalars with commas, "" when absent or null; anything else compact JSON. Not escaped. */
Str cell_text(Json object, const char *path, Arena *arena);

/* The same, escaped for one line; "-" when there is nothing. */
Str cell_of(Json object, const char *path, Arena *arena);

/* The member, or the absent value. */
Json cell_member(Json object, const char *path);
