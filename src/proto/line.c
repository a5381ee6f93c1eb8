/* Cuts lines and commands. The one invariant: nothing is looked at twice, however small the
 * pieces. */
#include "proto/line.h"

#include "base/check.h"
#include <string.h>

LineStatus line_scan(LineScan *scan, Str input, size_t max, Str *ret_line, size_t *ret_used) {
    check(scan->searched <= input.len);
    size_t rest = input.len - scan->searched;
    const char *end = rest ? memchr(input.ptr + scan->searched, '\n', rest) : NULL;
    if (!end) {
        scan->searched = input.len;
        /* the last byte may be the CR of the line's end */
        return input.len > max && input.len - max > 1 ? LINE_TOO_LONG : LINE_MORE;
    }
    size_t len = (size_t)(end - input.ptr);
    *ret_used = len + 1;
    scan->searched = 0;
    if (len > 0 && input.ptr[len - 1] == '\r') len--;
    if (len > max) return LINE_TOO_LONG;
    *ret_line = (Str){input.ptr, len};
    return LINE_READY;
}

Command command_split(Str line) {
    const char *space = line.len ? memchr(line.ptr, ' ', line.len) : NULL;
    if (!space) return (Command){.verb = line};
    size_t verb_len = (size_t)(space - line.ptr);
    return (Command){.verb = {line.ptr, verb_len},
                     .argument = {space + 1, line.len - verb_len - 1}};
}
