/* Command lines out of a job's args: {args.NAME} is replaced by one scalar, inside one argument.
 *
 * Nothing is ever split, globbed or given to a shell: whatever a value holds (blanks, quotes, `;`,
 * newlines, a leading '-'), it stays a part of the one argument it was put into. Put `--` before
 * arguments whose value may begin with '-'. */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "base/json.h"
#include "base/str.h"

/* Expands one argument. NAME is a member's name, dots for depth ({args.file.name}); an element
 * of an array is named by its index ({args.0}). Where args is an array of just one object, as
 * clients of the line protocol send it, a name is looked up in that object. Every other brace is
 * literal. Strings are inserted unescaped, numbers with the digits they came with, true and
 * false as such. ERR_INVALID "bad-template" when the value is missing, null, an object or an
 * array, or holds a NUL. */
Err template_expand(Str template, Json args, Arena *arena, Str *ret, Error *error) must_check;

/* The whole command line, NULL-terminated, in the arena. argv[0], the program, is taken as it
 * stands: which program runs is the configuration's decision alone. count ≥ 1. */
Err template_command(const Str *templates, size_t count, Json args, Arena *arena, char ***ret_argv,
                     Error *error) must_check;
