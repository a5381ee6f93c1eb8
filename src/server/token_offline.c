/* See the header. */
#include "server/token_offline.h"

#include "store/store.h"
#include <openssl/crypto.h>
#include <stdio.h>
#include <unistd.h>

enum { PATH_SIZE = 4096 };

static bool key_path(const char *directory, char path[PATH_SIZE]) {
    int len = snprintf(path, PATH_SIZE, "%s/signing.key", directory);
    return len > 0 && len < PATH_SIZE;
}

bool token_offline_is_possible(const char *directory) {
    char path[PATH_SIZE];
    return key_path(directory, path) && access(path, R_OK) == 0;
}

Err token_offline_mint(const char *directory, const TokenGrant *grant, int64_t now_us, Buf *token,
                       char ret_id[TOKEN_ID_SIZE], Error *error) {
    char path[PATH_SIZE];
    if (!key_path(directory, path)) {
        return error_set(error, ERR_INVALID, "the data directory's name is too long");
    }
    TokenKeys *keys = token_keys_new();
    Err err = token_keys_load(keys, path, error);
    if (err == OK) err = token_mint(keys, grant, now_us, token, ret_id, error);
    token_keys_free(keys);
    return err;
}

Err token_offline_mint_for(Str store_url, const TokenGrant *grant, int64_t now_us, Buf *token,
                           char ret_id[TOKEN_ID_SIZE], Error *error) {
    cleanup(buf_done) Buf secret;
    buf_init(&secret, TOKEN_MAX_SIZE);
    TRY(store_read_secret(store_url, &secret, error));
    TokenKeys *keys = token_keys_new();
    Err err = token_keys_add(keys, buf_str(&secret), error);
    if (err == OK) err = token_mint(keys, grant, now_us, token, ret_id, error);
    token_keys_free(keys);
    OPENSSL_cleanse(secret.data, secret.len);
    return err;
}
