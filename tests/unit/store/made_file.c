/* SPDX-License-Identifier: MIT */
#include "made_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "store/image.h"

void made_file(const struct place *place, uint32_t page_size, bool vacuum, const char *sql)
{
    char settings[128];
    sqlite3 *db = NULL;

    snprintf(settings, sizeof(settings), "PRAGMA page_size = %u; PRAGMA auto_vacuum = %d;",
             page_size, vacuum ? 2 : 0);
    assert_int_equal(sqlite3_open(place->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, settings, NULL, NULL, NULL), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s", sqlite3_errmsg(db));
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

void made_damage(const struct place *place, int64_t at, const void *bytes, size_t n)
{
    int fd = open(place->path, O_WRONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, n, at), n);
    close(fd);
}

void made_blank(const struct place *place, uint32_t page_size, uint32_t page)
{
    static const uint8_t blank[IMAGE_PAGE_MAX];

    made_damage(place, ((int64_t)page - 1) * page_size, blank, page_size);
}

void made_open(const struct place *place, struct image *ret)
{
    struct err err = {0};

    assert_ok(image_open(place->path, ret, &err));
}
