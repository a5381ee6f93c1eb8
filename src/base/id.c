/* UUIDs: see id.h. Version 7 after RFC 9562 section 5.7, with the 12 bits of rand_a as the counter
 * (method 1 of section 6.2).
 *
 * A maker's (last_ms, counter) pair rises with every UUID, which is what keeps them in order. */
#include "base/id.h"

enum { COUNTER_MAX = 0xfff };

static void advance(UuidMaker *maker, int64_t now_ms) {
    if (now_ms > maker->last_ms) {
        maker->last_ms = now_ms;
        maker->counter = 0;
    } else if (maker->counter < COUNTER_MAX) {
        maker->counter++;
    } else {
        maker->last_ms++;
        maker->counter = 0;
    }
}

Uuid uuid_make(UuidMaker *maker, int64_t now_us, Random *random) {
    advance(maker, now_us / 1000);
    uint64_t high = ((uint64_t)maker->last_ms << 16) | 0x7000u | maker->counter;
    uint64_t low = (random_next(random) >> 2) | UINT64_C(0x8000000000000000);
    Uuid uuid;
    for (int i = 0; i < 8; i++) {
        uuid.bytes[i] = (uint8_t)(high >> (56 - 8 * i));
        uuid.bytes[8 + i] = (uint8_t)(low >> (56 - 8 * i));
    }
    return uuid;
}

static bool dash_before(int byte) {
    return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

void uuid_format(const Uuid *uuid, char ret_text[UUID_TEXT_SIZE]) {
    static const char digits[] = "0123456789abcdef";
    char *at = ret_text;
    for (int i = 0; i < 16; i++) {
        if (dash_before(i)) *at++ = '-';
        *at++ = digits[uuid->bytes[i] >> 4];
        *at++ = digits[uuid->bytes[i] & 15];
    }
    *at = 0;
}

static int digit_value(char digit) {
    if (digit >= '0' && digit <= '9') return digit - '0';
    if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
    return -1;
}

bool uuid_parse(Str text, Uuid *ret) {
    if (text.len != UUID_TEXT_SIZE - 1) return false;
    const char *at = text.ptr;
    Uuid uuid;
    for (int i = 0; i < 16; i++) {
        if (dash_before(i) && *at++ != '-') return false;
        int high = digit_value(*at++);
        int low = digit_value(*at++);
        if (high < 0 || low < 0) return false;
        uuid.bytes[i] = (uint8_t)(high << 4 | low);
    }
    *ret = uuid;
    return true;
}

unsigned uuid_version(const Uuid *uuid) {
    return uuid->bytes[6] >> 4;
}
