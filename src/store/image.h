/* SPDX-License-Identifier: MIT */
/* The pages of a database file as they are on the disk and in its -wal, without SQLite, which gives up
 * at a page that is damaged. Format: https://www.sqlite.org/fileformat2.html */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/base/err.h"

struct image {
    uint64_t
        *wal_at; /* by page number: where its latest content is in the -wal; 0: nowhere; owned */
    int64_t wal_bytes;  /* of the -wal */
    uint32_t page_size; /* bytes of a page */
    uint32_t usable;    /* ... of which hold data */
    uint32_t n_pages;   /* numbered from 1 on */
    uint32_t n_missing; /* ... of which so many, the last ones, were cut off */
    int fd, wal_fd;     /* read-only; owned; -1: none */
    int edition;        /* PRAGMA user_version; 0: the first page is damaged */
    int newer;   /* ... where it is beyond what is known here, by all that is to be seen; else 0 */
    bool vacuum; /* there are pages that tell the parent of each page */
};

#define IMAGE_PAGE_MAX 65536

/* Errors of opening and reading; -EISDIR, -EMEDIUMTYPE: it is no file. */
int image_open(const char *path, struct image *ret, struct err *err);
void image_close(struct image *image);

/* Reads a page, number from 1 on, into buf of IMAGE_PAGE_MAX bytes. False: it is outside, or the disk
 * can't read it. */
bool image_read(const struct image *image, uint32_t number, uint8_t *buf);

static inline uint32_t be16(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 8 | bytes[1];
}

static inline uint32_t be32(const uint8_t *bytes)
{
    return be16(bytes) << 16 | be16(bytes + 2);
}
