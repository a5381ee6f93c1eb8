/* Binary parameters: see params.h. An array is its header (dimensions, has_null, element type, length,
 * lower bound) and its elements, each behind its length; all numbers in network order. */
#include "store/postgres/params.h"

#include <endian.h>
#include <string.h>

enum {
    ARRAY_HEADER = 20,
    PARAM_MOST = 512 * 1024 * 1024,
    PG_INT8_ARRAY = 1016,
    PG_TEXT_ARRAY = 1009,
    PG_BYTEA_ARRAY = 1001,
    PG_UUID_ARRAY = 2951,
};

void params_init(PgParams *params) {
    params->count = 0;
}

void params_done(PgParams *params) {
    for (size_t i = 0; i < params->count; i++) {
        buf_done(&params->at[i].bytes);
    }
    params->count = 0;
}

static PgParam *add(PgParams *params, unsigned type) {
    check(params->count < PARAMS_MOST);
    PgParam *param = &params->at[params->count++];
    *param = (PgParam){.type = type, .elements = -1};
    buf_init(&param->bytes, PARAM_MOST);
    return param;
}

static void put_int32(Buf *buf, int32_t value) {
    uint32_t wire = htobe32((uint32_t)value);
    buf_add_bytes(buf, &wire, sizeof wire);
}

static void put_int64(Buf *buf, int64_t value) {
    uint64_t wire = htobe64((uint64_t)value);
    buf_add_bytes(buf, &wire, sizeof wire);
}

/* Returns how many bytes were written. */
static size_t put_text(Buf *buf, Str text) {
    static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */
    size_t begin = buf->len;
    while (text.len > 0) {
        const char *zero = memchr(text.ptr, 0, text.len);
        size_t len = zero ? (size_t)(zero - text.ptr) : text.len;
        buf_add_bytes(buf, text.ptr, len);
        if (!zero) break;
        buf_add_bytes(buf, replacement, sizeof replacement - 1);
        text = (Str){zero + 1, text.len - len - 1};
    }
    return buf->len - begin;
}

void params_add_int(PgParams *params, int64_t value) {
    put_int64(&add(params, PG_INT8)->bytes, value);
}

void params_add_text(PgParams *params, Str text) {
    PgParam *param = add(params, PG_TEXT);
    param->null = !text.ptr;
    (void)put_text(&param->bytes, text);
}

void params_add_bytes(PgParams *params, Str bytes) {
    buf_add(&add(params, PG_BYTEA)->bytes, bytes);
}

void params_add_key(PgParams *params, const JobKey *key) {
    buf_add_bytes(&add(params, PG_UUID)->bytes, key->bytes, sizeof key->bytes);
}

PgParam *params_add_array(PgParams *params, unsigned type) {
    PgParam *array = add(params, type);
    array->elements = 0;
    check(buf_reserve(&array->bytes, ARRAY_HEADER));
    return array;
}

static void put_null(PgParam *array) {
    array->has_null = true;
    put_int32(&array->bytes, -1);
}

void array_add_int(PgParam *array, int64_t value) {
    array->elements++;
    put_int32(&array->bytes, sizeof value);
    put_int64(&array->bytes, value);
}

void array_add_int_or_null(PgParam *array, int64_t value) {
    if (value != 0) {
        array_add_int(array, value);
        return;
    }
    array->elements++;
    put_null(array);
}

void array_add_text(PgParam *array, Str text) {
    array->elements++;
    if (!text.ptr) {
        put_null(array);
        return;
    }
    size_t at = array->bytes.len;
    put_int32(&array->bytes, 0);
    size_t len = put_text(&array->bytes, text);
    uint32_t wire = htobe32((uint32_t)len);
    check(!array->bytes.overflow);
    memcpy(array->bytes.data + at, &wire, sizeof wire);
}

void array_add_key(PgParam *array, const JobKey *key) {
    array->elements++;
    put_int32(&array->bytes, sizeof key->bytes);
    buf_add_bytes(&array->bytes, key->bytes, sizeof key->bytes);
}

void params_seal(PgParams *params) {
    for (size_t i = 0; i < params->count; i++) {
        PgParam *param = &params->at[i];
        check(!param->bytes.overflow);
        if (param->elements < 0) continue;
        const uint32_t header[5] = {htobe32(param->elements > 0), htobe32(param->has_null),
                                    htobe32(param->type), htobe32((uint32_t)param->elements),
                                    htobe32(1)};
        /* without elements it has no dimension, and ends behind the type */
        if (param->elements == 0) param->bytes.len = 3 * sizeof *header;
        memcpy(param->bytes.data, header, param->elements > 0 ? sizeof header : 3 * sizeof *header);
    }
}

unsigned param_type(const PgParam *param) {
    if (param->elements < 0) return param->type;
    switch (param->type) {
    case PG_INT8: return PG_INT8_ARRAY;
    case PG_TEXT: return PG_TEXT_ARRAY;
    case PG_BYTEA: return PG_BYTEA_ARRAY;
    default: check(param->type == PG_UUID); return PG_UUID_ARRAY;
    }
}
