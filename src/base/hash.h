/* SHA-256 (libcrypto), SipHash-1-3 for tables, hex and base64. All pure. */
#pragma once

#include "base/buf.h"
#include "base/str.h"

enum { SHA256_SIZE = 32 };

void hash_sha256(Str bytes, uint8_t ret[SHA256_SIZE]);

/* Keyed hash for hash tables fed by strangers. */
uint64_t hash_sip(const uint64_t key[2], const void *bytes, size_t len);

void hex_encode(Buf *buf, const uint8_t *bytes, size_t len); /* lower case */

/* Standard alphabet with padding, and the URL alphabet without (RFC 4648 sections 4 and 5). */
void base64_encode(Buf *buf, const void *bytes, size_t len);
void base64url_encode(Buf *buf, const void *bytes, size_t len);
/* Strict: right alphabet, no blanks, canonical trailing bits, padding required (standard) or
 * refused (URL). false when malformed; buf may then hold a part. */
bool base64_decode(Buf *buf, Str text);
bool base64url_decode(Buf *buf, Str text);
