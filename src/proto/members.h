/* A table-driven reader of flat protocol objects: one row each, one pass over the object.
 *
 * Shared by the messages of this folder. null counts as absent, unknown members are ignored, a
 * wrong type is refused by name. Members that are absent leave their target as it was. */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "base/json.h"

typedef enum MemberKind {
    MEMBER_KIND_STR,
    MEMBER_KIND_INT,
    MEMBER_KIND_BOOL,
    MEMBER_KIND_ARRAY,
    MEMBER_KIND_OBJECT,
    MEMBER_KIND_ANY, /* any value, null included */
} MemberKind;

typedef struct Member {
    Str name;
    MemberKind kind;
    void *target; /* Str, int64_t, bool or Json by kind */
    bool *seen;   /* set when the member is there and not null; may be NULL */
} Member;

#define MEMBER_STR(name, target)                                                                   \
    { STR(name), MEMBER_KIND_STR, (target), NULL }
#define MEMBER_INT(name, target)                                                                   \
    { STR(name), MEMBER_KIND_INT, (target), NULL }
#define MEMBER_INT_SEEN(name, target, seen)                                                        \
    { STR(name), MEMBER_KIND_INT, (target), (seen) }
#define MEMBER_BOOL(name, target)                                                                  \
    { STR(name), MEMBER_KIND_BOOL, (target), NULL }
#define MEMBER_BOOL_SEEN(name, target, seen)                                                       \
    { STR(name), MEMBER_KIND_BOOL, (target), (seen) }
#define MEMBER_ARRAY(name, target)                                                                 \
    { STR(name), MEMBER_KIND_ARRAY, (target), NULL }
#define MEMBER_OBJECT(name, target)                                                                \
    { STR(name), MEMBER_KIND_OBJECT, (target), NULL }
#define MEMBER_ANY(name, target)                                                                   \
    { STR(name), MEMBER_KIND_ANY, (target), NULL }

/* Reads the members of `object` (from json_check). Strings are slices of it, or live in the
 * arena when they hold escapes. ERR_INVALID names the member and what was expected, or says that
 * it is no object. */
Err members_read(Json object, const Member *members, size_t count, Arena *arena, Error *error)
    must_check;
