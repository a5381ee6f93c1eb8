/* A plain driver in the place of libFuzzer's: feeds files, and all files of directories, to the
 * target, so that the corpus is replayed by any compiler. Usage: fuzz-NAME PATH… */
#include "base/alloc.h"
#include "base/check.h"
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t files;

/* The input is exactly as large as its memory, so that reading past its end shows. */
static void replay_file(const char *path, size_t size) {
    puts(path); /* the last line is the culprit */
    FILE *stream = fopen(path, "rb");
    uint8_t *data = alloc(size > 0 ? size : 1);
    check(stream && fread(data, 1, size, stream) == size);
    fclose(stream);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    files++;
}

static int is_visible(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

static void replay(const char *path) {
    struct stat status;
    struct dirent **entries;
    if (stat(path, &status) != 0) {
        perror(path);
        exit(2);
    }
    if (!S_ISDIR(status.st_mode)) {
        replay_file(path, (size_t)status.st_size);
        return;
    }
    int count = scandir(path, &entries, is_visible, alphasort);
    check(count >= 0);
    for (int i = 0; i < count; i++) {
        char inside[4096];
        int len = snprintf(inside, sizeof inside, "%s/%s", path, entries[i]->d_name);
        check(len > 0 && len < (int)sizeof inside);
        replay(inside);
        free(entries[i]);
    }
    free(entries);
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 1; i < argc; i++) {
        replay(argv[i]);
    }
    printf("%zu inputs replayed\n", files);
    return files > 0 ? 0 : 1;
}
