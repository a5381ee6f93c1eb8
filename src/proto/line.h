/* The outer frame of the worker protocol: lines and commands.
 *
 * A request is one line that ends in LF or CRLF: a verb, one space, the rest of the line as the
 * argument. Pure; everything handed out is a slice of the input. */
#pragma once

#include "base/str.h"

enum { LINE_MAX_DEFAULT = 16 * 1024 * 1024 };

typedef enum LineStatus {
    LINE_MORE,     /* no whole line yet: append and ask again */
    LINE_READY,    /* one line was cut off */
    LINE_TOO_LONG, /* longer than the maximum: answer and close */
} LineStatus;

/* Remembers how far an incomplete line was searched, so that a line that arrives in many pieces
 * costs linear time. Zero searches from the start. */
typedef struct LineScan {
    size_t searched;
} LineScan;

/* Looks for the line at the start of `input`. On LINE_READY *ret_line is the line without its
 * end and *ret_used the bytes to drop from the input, and the scan begins anew. `max` bounds the
 * line without its end. The input must begin with the same bytes at each call until then. */
LineStatus line_scan(LineScan *scan, Str input, size_t max, Str *ret_line, size_t *ret_used);

typedef struct Command {
    Str verb;
    Str argument; /* ptr NULL when the line has no space, as in "INFO" */
} Command;

/* Splits at the first space. */
Command command_split(Str line);
