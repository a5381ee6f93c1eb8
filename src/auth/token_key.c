/* The signing keys: read from files, made once, and used to sign.
 *
 * A key is bytes and is bound to HS256. It leaves this file only as a signature and as its kid,
 * which is a part of a hash of it. */
#include "auth/token_internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/crash.h"

static void close_fd(const int *fd) {
    if (*fd >= 0) close(*fd);
}

TokenKeys *token_keys_new(void) {
    TokenKeys *keys = alloc_zero(1, sizeof(*keys));
    uint64_t seeds[4];
    check(RAND_bytes((unsigned char *)seeds, sizeof(seeds)) == 1);
    map_init(&keys->cache, seeds[0], seeds[1]);
    map_init(&keys->revoked, seeds[2], seeds[3]);
    return keys;
}

void token_keys_free(TokenKeys *keys) {
    if (!keys) return;
    for (size_t i = 0; i < keys->key_count; i++) {
        OPENSSL_cleanse(keys->keys[i], sizeof(TokenKey));
        free(keys->keys[i]);
    }
    for (size_t i = 0; i < TOKEN_CACHE_SIZE && keys->cached[i]; i++) {
        arena_done(&keys->cached[i]->arena);
        free(keys->cached[i]);
    }
    token_prune(keys, INT64_MAX);
    map_done(&keys->cache);
    map_done(&keys->revoked);
    free(keys);
}

/* The hash is over a prefix and the key, so that it is no hash anybody else computes of it. */
static void derive_kid(TokenKey *key) {
    static const Str PREFIX = {"takt key id:", 12};
    uint8_t digest[SHA256_SIZE];
    cleanup(buf_done) Buf text;
    buf_init(&text, TOKEN_KEY_MAX + PREFIX.len);
    buf_add(&text, PREFIX);
    buf_add_bytes(&text, key->bytes, key->len);
    hash_sha256(buf_str(&text), digest);
    OPENSSL_cleanse(text.data, text.len);
    buf_clear(&text);
    hex_encode(&text, digest, (TOKEN_KID_SIZE - 1) / 2);
    memcpy(key->kid, buf_cstr(&text), TOKEN_KID_SIZE);
}

Err token_keys_add(TokenKeys *keys, Str bytes, Error *error) {
    if (keys->key_count == TOKEN_MAX_KEYS) {
        return error_set(error, ERR_INVALID, "at most %d signing keys are allowed", TOKEN_MAX_KEYS);
    }
    if (bytes.len < TOKEN_KEY_SIZE || bytes.len > TOKEN_KEY_MAX) {
        return error_set(error, ERR_INVALID, "a signing key needs %d to %d bytes, this has %zu",
                         TOKEN_KEY_SIZE, TOKEN_KEY_MAX, bytes.len);
    }
    if (str_starts_with(bytes, STR("-----BEGIN "))) {
        return error_set(error, ERR_INVALID,
                         "a PEM file can't be a key for HS256; give random bytes");
    }
    TokenKey *key = alloc_zero(1, sizeof(*key));
    key->len = bytes.len;
    memcpy(key->bytes, bytes.ptr, bytes.len);
    derive_kid(key);
    keys->keys[keys->key_count++] = key;
    return OK;
}

bool token_keys_are_there(const TokenKeys *keys) {
    return keys->key_count > 0;
}

Err token_keys_load(TokenKeys *keys, const char *path, Error *error) {
    char bytes[TOKEN_KEY_MAX + 1];
    struct stat status;
    cleanup(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0) {
        return error_set(error, errno == ENOENT ? ERR_NOT_FOUND : ERR_INVALID,
                         "reading signing key %s: %s", path, strerror(errno));
    }
    if (!S_ISREG(status.st_mode)) {
        return error_set(error, ERR_INVALID, "signing key %s is not a file", path);
    }
    if (status.st_mode & S_IROTH) {
        return error_set(
            error, ERR_INVALID,
            "signing key %s may be read by every user; take that right away (chmod o-r)", path);
    }
    ssize_t len = read(fd, bytes, sizeof(bytes));
    if (len < 0) {
        return error_set(error, ERR_INVALID, "reading signing key %s: %s", path, strerror(errno));
    }
    Err err = token_keys_add(keys, (Str){bytes, (size_t)len}, error);
    OPENSSL_cleanse(bytes, sizeof(bytes));
    if (err != OK) (void)error_context(error, "signing key %s", path);
    return err;
}

static Err sync_directory(const char *directory, Error *error) {
    cleanup(close_fd) int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) {
        return error_set(error, ERR_UNAVAILABLE, "syncing %s: %s", directory, strerror(errno));
    }
    return OK;
}

/* Written aside and then linked, which fails when another process was first: its key stays. */
static Err make_key_file(const char *directory, const char *path, Error *error) {
    uint8_t bytes[TOKEN_KEY_SIZE];
    char *aside = NULL;
    check(RAND_bytes(bytes, sizeof(bytes)) == 1);
    check(asprintf(&aside, "%s.%d.new", path, (int)getpid()) > 0);
    cleanup(free_pointer) char *owned = aside;
    (void)unlink(owned); /* left by a crash of a process with our id */
    cleanup(close_fd) int fd = open(owned, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool written =
        fd >= 0 && write(fd, bytes, sizeof(bytes)) == (ssize_t)sizeof(bytes) && fsync(fd) == 0;
    crash_point(KEY_WRITTEN);
    written = written && (link(owned, path) == 0 || errno == EEXIST);
    crash_point(KEY_LINKED);
    int failure = errno;
    OPENSSL_cleanse(bytes, sizeof(bytes));
    if (fd >= 0) (void)unlink(owned);
    if (!written) {
        return error_set(error, ERR_UNAVAILABLE, "making signing key %s: %s", path,
                         strerror(failure));
    }
    return sync_directory(directory, error);
}

Err token_keys_load_or_make(TokenKeys *keys, const char *directory, Error *error) {
    char *path = NULL;
    check(asprintf(&path, "%s/signing.key", directory) > 0);
    cleanup(free_pointer) char *owned = path;
    Err err = token_keys_load(keys, owned, error);
    if (err != ERR_NOT_FOUND) return err;
    TRY(make_key_file(directory, owned, error));
    return token_keys_load(keys, owned, error);
}

void token_sign(const TokenKey *key, Str text, uint8_t ret[TOKEN_SIGNATURE_SIZE]) {
    unsigned len = 0;
    const uint8_t *made = HMAC(EVP_sha256(), key->bytes, (int)key->len, (const uint8_t *)text.ptr,
                               text.len, ret, &len);
    check(made && len == TOKEN_SIGNATURE_SIZE);
}

void token_derive(const TokenKeys *keys, Str label, uint8_t ret[TOKEN_KEY_SIZE]) {
    static_assert((int)TOKEN_KEY_SIZE == (int)TOKEN_SIGNATURE_SIZE, "a derived key is an HMAC");
    /* what tokens sign has a '.' in it */
    check(keys->key_count > 0 && label.len > 0 && !memchr(label.ptr, '.', label.len));
    token_sign(keys->keys[0], label, ret);
}

const TokenKey *token_find_key(const TokenKeys *keys, Str kid) {
    if (!kid.ptr) return keys->key_count == 1 ? keys->keys[0] : NULL;
    for (size_t i = 0; i < keys->key_count; i++) {
        if (str_eq(kid, str_from(keys->keys[i]->kid))) return keys->keys[i];
    }
    return NULL;
}
