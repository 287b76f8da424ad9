/* SPDX-License-Identifier: MIT */
/* A damaged file: four bytes that tell how long the database is, the database, its -wal. Whatever it is, the
 * repair ends, and what it makes is whole. */
#include "fuzz.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "connhist/base/cleanup.h"
#include "connhist/store/maintain.h"

struct place {
    char folder[32];
    char old[64], wal[64], new[64];
};

static void place_init(struct place *place)
{
    *place = (struct place){.folder = "/tmp/fuzz-repair-XXXXXX"};
    if (!mkdtemp(place->folder))
        abort();
    snprintf(place->old, sizeof(place->old), "%s/old", place->folder);
    snprintf(place->wal, sizeof(place->wal), "%s/old-wal", place->folder);
    snprintf(place->new, sizeof(place->new), "%s/new", place->folder);
}

static void place_finish(struct place *place)
{
    unlink(place->old);
    unlink(place->wal);
    unlink(place->new);
    if (rmdir(place->folder) < 0)
        abort(); /* something was left behind */
}

static void put(const char *path, const uint8_t *data, size_t n)
{
    _cleanup_fclose_ FILE *file = fopen(path, "wb");

    if (!file || fwrite(data, 1, n, file) != n)
        abort();
}

static void tell(void *arg, const char *line)
{
    bool *quiet = arg;

    if (!*quiet)
        fprintf(stderr, "%s\n", line);
}

static size_t length_of_database(const uint8_t *data, size_t n)
{
    size_t length = (size_t)data[0] << 24 | (size_t)data[1] << 16 | (size_t)data[2] << 8 | data[3];

    return length < n - 4 ? length : n - 4;
}

static void repair(const struct place *place)
{
    bool quiet = true;
    const struct maintenance work = {.tell = tell, .arg = &quiet};
    int64_t lost = -1, found = -1;
    struct err err = {0};
    int r = maintain_repair(place->old, place->new, &work, &lost, &err);

    if (r < 0) {
        assert(err.text[0] && access(place->new, F_OK) < 0);
        return;
    }
    quiet = false;
    r = maintain_check(place->new, &work, &found, &err);
    if (r < 0)
        fprintf(stderr, "%s\n", err.text);
    assert(r == 0 && found == 0 && lost >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct place place;
    size_t length;

    if (n < 4)
        return 0;
    place_init(&place);
    length = length_of_database(data, n);
    put(place.old, data + 4, length);
    if (n - 4 > length)
        put(place.wal, data + 4 + length, n - 4 - length);
    repair(&place);
    place_finish(&place);
    return 0;
}
