/* UUIDs: made (version 7, RFC 9562), written and read. */
#pragma once

#include "base/random.h"
#include "base/str.h"

typedef struct Uuid {
    uint8_t bytes[16];
} Uuid;

enum { UUID_TEXT_SIZE = 37 };

/* Makes strictly rising version 7 UUIDs: 48 bits of milliseconds, a 12-bit counter, 62 random bits.
 * The counter moves the time on when it is exhausted or the clock stood still or went back. */
typedef struct UuidMaker {
    int64_t last_ms;
    unsigned counter;
} UuidMaker;

Uuid uuid_make(UuidMaker *maker, int64_t now_us, Random *random);

/* Lower-case canonical text with a NUL. */
void uuid_format(const Uuid *uuid, char ret_text[UUID_TEXT_SIZE]);

/* Accepts the canonical lower-case form only. */
bool uuid_parse(Str text, Uuid *ret);

/* 1 … 15: the version nibble. */
unsigned uuid_version(const Uuid *uuid);
