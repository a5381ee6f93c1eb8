/* The parameters of one statement, in the binary format of the protocol: numbers, texts, keys, and
 * arrays of them, so that one statement takes a whole batch. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "core/job.h"

enum { PARAMS_MOST = 64 };

/* pg_type's oids of what is sent: fixed for ever. */
enum { PG_BYTEA = 17, PG_INT8 = 20, PG_TEXT = 25, PG_UUID = 2950 };

typedef struct PgParam {
    unsigned type;
    Buf bytes;
    bool null;
    int32_t elements; /* arrays */
    bool has_null;
} PgParam;

typedef struct PgParams {
    PgParam at[PARAMS_MOST];
    size_t count;
} PgParams;

/* In place; params_done() afterwards. */
void params_init(PgParams *params);
void params_done(PgParams *params);

void params_add_int(PgParams *params, int64_t value);
void params_add_text(PgParams *params, Str text); /* absent: NULL */
void params_add_bytes(PgParams *params, Str bytes);
void params_add_key(PgParams *params, const JobKey *key);

/* Begins an array; elements are added until the next parameter is. `type`: that of an element. */
PgParam *params_add_array(PgParams *params, unsigned type);
void array_add_int(PgParam *array, int64_t value);
void array_add_int_or_null(PgParam *array, int64_t value); /* 0: NULL */
/* A zero byte, which PostgreSQL does not take in a text, becomes U+FFFD. */
void array_add_text(PgParam *array, Str text); /* absent: NULL */
void array_add_key(PgParam *array, const JobKey *key);

/* Completes the headers of the arrays: before it is sent. */
void params_seal(PgParams *params);
/* The type of the whole parameter. */
unsigned param_type(const PgParam *param);
