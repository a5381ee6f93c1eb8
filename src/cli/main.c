/* The program. */
#include "cli/cli.h"

#include <fcntl.h>
#include <unistd.h>

/* Whoever starts us without stdin, stdout or stderr must not find them on a socket or a database. */
static void hold_standard_descriptors(void) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0) _exit(EXIT_FAILED);
    }
}

int main(int argc, char **argv) {
    hold_standard_descriptors();
    return (int)cli_main(argc, argv);
}
