/* See the header. Files appear whole or not at all: written beside, synced, renamed. */
#include "server/data_directory.h"

#include "base/clock.h"
#include "base/crash.h"
#include "base/time.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ADMIN_TOKEN_TTL_S (INT64_C(10) * 365 * 24 * 3600)

Err data_directory_make(const char *path, Error *error) {
    if (mkdir(path, 0700) == 0) return OK;
    struct stat info;
    if (errno != EEXIST) {
        return error_set(error, ERR_INVALID, "can't make the data directory '%s': %s", path,
                         strerror(errno));
    }
    if (stat(path, &info) != 0 || !S_ISDIR(info.st_mode)) {
        return error_set(error, ERR_INVALID, "the data directory '%s' is not a directory", path);
    }
    if (access(path, R_OK | W_OK | X_OK) != 0) {
        return error_set(error, ERR_INVALID, "no right to write in the data directory '%s'", path);
    }
    return OK;
}

static bool token_still_counts(const char *path, TokenKeys *keys) {
    char text[TOKEN_MAX_SIZE];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t len = read(fd, text, sizeof text);
    close(fd);
    if (len <= 0) return false;
    Arena arena = {0};
    Principal principal;
    Str token = str_trim((Str){text, (size_t)len});
    bool counts = token_verify(keys, token, clock_real_us(), &arena, &principal) == TOKEN_VALID;
    arena_done(&arena);
    return counts;
}

static Err write_whole(const char *path, Str text, Error *error) {
    char beside[4096];
    snprintf(beside, sizeof beside, "%s.new", path);
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool good = fd >= 0 && write(fd, text.ptr, text.len) == (ssize_t)text.len && fsync(fd) == 0;
    if (fd >= 0) good &= close(fd) == 0;
    crash_point(TOKEN_WRITTEN);
    if (good && rename(beside, path) == 0) return OK;
    return error_set(error, ERR_INVALID, "can't write '%s': %s", path, strerror(errno));
}

Err admin_token_write(const char *directory, TokenKeys *keys, Error *error) {
    char path[4000];
    snprintf(path, sizeof path, "%s/admin.token", directory);
    if (token_still_counts(path, keys)) return OK;
    Role role = ROLE_ADMIN;
    TokenGrant grant = {
        .subject = STR("admin"), .roles = &role, .role_count = 1, .ttl_s = ADMIN_TOKEN_TTL_S};
    char id[TOKEN_ID_SIZE];
    Buf token;
    buf_init(&token, TOKEN_MAX_SIZE);
    Err err = token_mint(keys, &grant, clock_real_us(), &token, id, error);
    buf_add_char(&token, '\n');
    if (err == OK) err = write_whole(path, buf_str(&token), error);
    buf_done(&token);
    return err;
}
