/* The program. */
#include "cli/cli.h"

#include <fcntl.h>
#include <unistd.h>

/* Whoever starts us without stdin, stdout or stderr must not find them on a socket or a database.
 * What is read-only here fails to be written, as a closed one does. */
static void hold_standard_descriptors(void) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) < 0) _exit(EXIT_FAILED);
    }
}

int main(int argc, char **argv) {
    hold_standard_descriptors();
    return (int)cli_main(argc, argv);
}
