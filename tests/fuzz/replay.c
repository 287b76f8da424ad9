/* SPDX-License-Identifier: MIT */
/* Runs a fuzzer's entry on every file of a directory, so that the ordinary test run replays what
 * was once found. */
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "connhist/base/cleanup.h"
#include "fuzz.h"

static int read_file(FILE *file, uint8_t **ret, size_t *ret_n)
{
    _cleanup_free_ uint8_t *data = NULL;
    struct stat st;
    size_t n;

    if (fstat(fileno(file), &st) < 0)
        return -errno;
    n = (size_t)st.st_size;
    data = malloc(n ? n : 1); /* exactly as large, so that ASan sees every byte too many */
    if (!data)
        return -ENOMEM;
    if (fread(data, 1, n, file) != n)
        return -EIO;
    *ret = TAKE_PTR(data);
    *ret_n = n;
    return 0;
}

static int replay(const char *folder, const char *name)
{
    _cleanup_free_ char *path = NULL;
    _cleanup_free_ uint8_t *data = NULL;
    _cleanup_fclose_ FILE *file = NULL;
    size_t n = 0;
    int r;

    if (asprintf(&path, "%s/%s", folder, name) < 0) {
        path = NULL;
        return -ENOMEM;
    }
    file = fopen(path, "rb");
    if (!file)
        return -errno;
    r = read_file(file, &data, &n);
    if (r < 0)
        return r;
    printf("%s\n", path);
    fflush(stdout); /* the last line names the input that a crash came from */
    return LLVMFuzzerTestOneInput(data, n);
}

/* How many files were replayed, or a negative errno. */
static int replay_all(const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    int n = 0, r = 0;

    if (!dir)
        return -errno;
    while (r == 0 && (entry = readdir(dir))) {
        if (entry->d_name[0] == '.')
            continue;
        r = replay(folder, entry->d_name);
        if (r < 0)
            fprintf(stderr, "%s/%s: %s\n", folder, entry->d_name, strerror(-r));
        n++;
    }
    closedir(dir);
    return r < 0 ? r : n;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: %s FOLDER...\n", argv[0]);
        return 2;
    }
    for (int i = 1; i < argc; i++) {
        int n = replay_all(argv[i]);

        if (n <= 0) {
            fprintf(stderr, "%s: %s\n", argv[i], n < 0 ? strerror(-n) : "no inputs");
            return 1;
        }
    }
    return 0;
}
