/* From a Job to the API's JSON: one table of members with a writer each. Pure. */
#pragma once

#include "base/json.h"
#include "core/job.h"

/* A set of members, as bits of the table's rows. */
typedef uint64_t JobFields;

/* All of them; and what lists show. */
JobFields job_fields_all(void);
JobFields job_fields_list(void);
/* args or result are in it. */
bool job_fields_have_bodies(JobFields fields);
/* Adds the member of this name; false when there is none. */
bool job_fields_add(JobFields *fields, Str name);

/* Writes the job as an object. `now_us` decides how its state shows. */
void job_output(JsonWriter *writer, const Job *job, JobFields fields, bool duplicate,
                int64_t now_us);

/* The rows of the table, for the API's document and tests; false past the end. `schema` is a
 * JSON schema. */
bool job_output_row(size_t index, const char **ret_name, const char **ret_schema);
