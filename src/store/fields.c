/* Which of a job's fields a statement is about: see fields.h. */
#include "store/fields.h"

#include <pthread.h>
#include <string.h>

static const char *const SET_NAMES[FIELDS_COUNT] = {
    [FIELDS_ALL] = "all",         [FIELDS_CHANGING] = "changing", [FIELDS_START] = "start",
    [FIELDS_SUCCEED] = "succeed", [FIELDS_LIGHT] = "light",       [FIELDS_LIST] = "list",
    [FIELDS_RUNNING] = "running",
};

/* Blank-separated, a blank at both ends. NULL: see is_in(). */
static const char *const SET_MEMBERS[FIELDS_COUNT] = {
    [FIELDS_START] = " state reason deadline_us fence attempt worker started_us result progress"
                     " outcome ",
    [FIELDS_SUCCEED] = " state reason deadline_us finished_us result outcome ",
    [FIELDS_LIGHT] = " key id type queue state priority due_us created_us started_us finished_us"
                     " attempt failures fence worker correlation_id run ",
    [FIELDS_RUNNING] = " key id type queue state started_us deadline_us fence attempt worker run"
                       " timeout_ms ",
};

static bool is_in(FieldSet set, const JobField *field) {
    if (set == FIELDS_ALL) return true;
    if (set == FIELDS_CHANGING) return field->changes;
    if (set == FIELDS_LIST)
        return strcmp(field->name, "args") != 0 && strcmp(field->name, "result") != 0;
    const char *found = SET_MEMBERS[set];
    size_t len = strlen(field->name);
    while ((found = strstr(found, field->name))) {
        if (found[-1] == ' ' && found[len] == ' ') return true;
        found += len;
    }
    return false;
}

static FieldList lists[FIELDS_COUNT];
static pthread_once_t lists_made = PTHREAD_ONCE_INIT;

static void make_lists(void) {
    check(job_field_count <= FIELDS_MOST);
    for (FieldSet set = 0; set < FIELDS_COUNT; set++) {
        for (size_t i = 0; i < job_field_count; i++) {
            if (!is_in(set, &job_fields[i])) continue;
            lists[set].at[lists[set].count++] = &job_fields[i];
        }
    }
}

const FieldList *field_list(FieldSet set) {
    pthread_once(&lists_made, make_lists);
    return &lists[set];
}

FieldSet field_set_named(Str name) {
    FieldSet set = 0;
    while (set < FIELDS_COUNT && !str_eq(name, str_from(SET_NAMES[set])))
        set++;
    check(set < FIELDS_COUNT);
    return set;
}
