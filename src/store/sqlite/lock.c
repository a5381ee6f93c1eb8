/* See lock.h. The file stays when the lock goes: removing it would let two processes lock two
 * files of one name. */
#include "store/sqlite/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { PATH_MOST = 4096, PID_TEXT = 32 };

/* The process that has the lock, as it wrote itself down. */
static void read_holder(int fd, char ret_text[PID_TEXT]) {
    ssize_t len = pread(fd, ret_text, PID_TEXT - 1, 0);
    ret_text[len > 0 ? len : 0] = '\0';
    ret_text[strcspn(ret_text, "\n")] = '\0';
}

static Err write_holder(int fd, const char *path, Error *error) {
    char text[PID_TEXT];
    int len = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)len, 0) == len) return OK;
    return error_code(error, ERR_UNAVAILABLE, "store-unavailable", "writing '%s': %s", path,
                      strerror(errno));
}

Err lock_take(const char *path, int *ret_fd, Error *error) {
    char name[PATH_MOST];
    int len = snprintf(name, sizeof name, "%s.lock", path);
    if (len < 0 || (size_t)len >= sizeof name) {
        return error_set(error, ERR_INVALID, "the store's path is too long");
    }
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return error_code(error, ERR_UNAVAILABLE, "store-unavailable", "opening '%s': %s", name,
                          strerror(errno));
    }
    Err err = OK;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        char holder[PID_TEXT];
        read_holder(fd, holder);
        err = error_code(error, ERR_CONFLICT, "store-locked", "'%s' is in use by process %s ('%s')",
                         path, holder[0] ? holder : "unknown", name);
    } else {
        err = write_holder(fd, name, error);
    }
    if (err != OK) {
        close(fd);
        return err;
    }
    *ret_fd = fd;
    return OK;
}

void lock_release(int fd) {
    if (fd >= 0) close(fd);
}
