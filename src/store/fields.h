/* The columns of a job by what a statement is about; the SQL of every adapter derives from these lists.
 * For adapters only. */
#pragma once

#include "core/job.h"

typedef enum FieldSet {
    FIELDS_ALL,
    FIELDS_CHANGING, /* what an update writes */
    FIELDS_START,    /* what core's job_start changes */
    FIELDS_SUCCEED,  /* what core's job_succeed changes */
    FIELDS_LIGHT,    /* what a row HIT by a succeed holds (batch.h) */
    FIELDS_LIST,     /* all but args and result */
    FIELDS_RUNNING,  /* what QUERY_RUNNING tells */
    FIELDS_COUNT
} FieldSet;

enum { FIELDS_MOST = 64 };

typedef struct FieldList {
    const JobField *at[FIELDS_MOST];
    size_t count;
} FieldList;

/* Thread safe; valid for ever. */
const FieldList *field_list(FieldSet set);

/* By the name that stands in a statement's text: "all", "changing", "start", … */
FieldSet field_set_named(Str name);
