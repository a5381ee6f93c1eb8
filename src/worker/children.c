/* Lists direct children. The one invariant: only a direct child is ever signalled, whose number
 * can't be given to a stranger before it was waited for. */
#include "worker/children.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

static int open_list(void) {
    return open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
}

void children_each(void (*visit)(pid_t child, void *context), void *context) {
    int fd = open_list();
    if (fd < 0) return;
    char chunk[4096];
    ssize_t len;
    pid_t pid = 0;
    while ((len = read(fd, chunk, sizeof chunk)) > 0) {
        for (ssize_t i = 0; i < len; i++) {
            if (chunk[i] >= '0' && chunk[i] <= '9') {
                pid = pid * 10 + (chunk[i] - '0');
            } else if (pid > 0) {
                visit(pid, context);
                pid = 0;
            }
        }
    }
    if (pid > 0) visit(pid, context);
    close(fd);
}

static void kill_one(pid_t child, void *context) {
    (void)context;
    kill(child, SIGKILL);
}

void children_kill(void) {
    children_each(kill_one, NULL);
}
