/* Reads flat objects by a table. The one invariant: a target is written only with a value of its
 * kind. */
#include "proto/members.h"

static Err wrong_type(const Member *member, const char *wanted, Json value, Error *error) {
    return error_set(error, ERR_INVALID, STR_FMT " must be %s, not %s", STR_ARG(member->name),
                     wanted,
                     value.kind == JSON_NUMBER ? "such a number" : json_kind_name(value.kind));
}

static Err read_container(const Member *member, JsonKind kind, const char *wanted, Json value,
                          Error *error) {
    if (value.kind != kind) return wrong_type(member, wanted, value, error);
    *(Json *)member->target = value;
    return OK;
}

static Err read_value(const Member *member, Json value, Arena *arena, Error *error) {
    switch (member->kind) {
    case MEMBER_KIND_STR:
        if (value.kind != JSON_STRING) return wrong_type(member, "a string", value, error);
        *(Str *)member->target = json_string(value, arena);
        return OK;
    case MEMBER_KIND_INT:
        if (json_int64(value, member->target)) return OK;
        return wrong_type(member, "an integer", value, error);
    case MEMBER_KIND_BOOL:
        if (value.kind != JSON_TRUE && value.kind != JSON_FALSE) {
            return wrong_type(member, "true or false", value, error);
        }
        *(bool *)member->target = value.kind == JSON_TRUE;
        return OK;
    case MEMBER_KIND_ARRAY: return read_container(member, JSON_ARRAY, "an array", value, error);
    case MEMBER_KIND_OBJECT: return read_container(member, JSON_OBJECT, "an object", value, error);
    case MEMBER_KIND_ANY: *(Json *)member->target = value; return OK;
    }
    return OK;
}

Err members_read(Json object, const Member *members, size_t count, Arena *arena, Error *error) {
    if (object.kind != JSON_OBJECT || !object.text.ptr) {
        return error_set(error, ERR_INVALID, "expected an object, not %s",
                         json_kind_name(object.kind));
    }
    JsonIter iter = json_iter(object);
    Str key;
    Json value;
    while (json_next(&iter, &key, &value)) {
        const Member *member = NULL;
        for (size_t i = 0; i < count && !member; i++) {
            if (str_eq(members[i].name, key)) member = &members[i];
        }
        if (!member || (value.kind == JSON_NULL && member->kind != MEMBER_KIND_ANY)) continue;
        TRY(read_value(member, value, arena, error));
        if (member->seen) *member->seen = value.kind != JSON_NULL;
    }
    return OK;
}
