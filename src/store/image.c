/* SPDX-License-Identifier: MIT */
#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "connhist/base/cleanup.h"
#include "connhist/store/file.h"

#define PAGE_SIZE_DEFAULT 4096
#define HEAD_BYTES        100
#define WAL_HEAD_BYTES    32
#define FRAME_HEAD_BYTES  24
#define EDITIONS_MAX      1000        /* a greater number is damage */
#define WAL_MAGIC         0x377f0682u /* + 1: sums of big-endian words */

static bool read_at(int fd, void *buf, size_t n, int64_t at)
{
    for (size_t done = 0; done < n;) {
        ssize_t got = pread(fd, (char *)buf + done, n - done, at + (int64_t)done);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        done += (size_t)got;
    }
    return true;
}

static bool is_page_size(uint32_t size)
{
    return size >= 512 && size <= IMAGE_PAGE_MAX && (size & (size - 1)) == 0;
}

/* What the first page tells; it may be the one that is damaged. */
static void read_head(struct image *image, const uint8_t head[static HEAD_BYTES])
{
    uint32_t size = be16(head + 16) == 1 ? IMAGE_PAGE_MAX : be16(head + 16);
    uint32_t edition = be32(head + 60);

    image->page_size = image->usable = PAGE_SIZE_DEFAULT;
    image->vacuum = true; /* as the recorder makes it */
    if (memcmp(head, "SQLite format 3", 16) != 0 || !is_page_size(size) || head[20] > size - 480)
        return;
    image->page_size = size;
    image->usable = size - head[20];
    image->vacuum = be32(head + 52) != 0;
    if (be32(head + 68) != FILE_APPLICATION_ID)
        return;
    if (edition <= (uint32_t)file_edition())
        image->edition = (int)edition;
    image->newer = edition > (uint32_t)file_edition() && edition <= EDITIONS_MAX ? (int)edition : 0;
}

struct sums {
    uint32_t a, b;
    bool big; /* words are big-endian */
};

static void add(struct sums *sums, const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i + 8 <= n; i += 8) {
        uint32_t x = be32(bytes + i), y = be32(bytes + i + 4);

        sums->a += (sums->big ? x : __builtin_bswap32(x)) + sums->b;
        sums->b += (sums->big ? y : __builtin_bswap32(y)) + sums->a;
    }
}

static bool agrees(const struct sums *sums, const uint8_t *bytes)
{
    return be32(bytes) == sums->a && be32(bytes + 4) == sums->b;
}

/* A file has no more pages than this: most of them stand in it or in its -wal, for free ones alone are
 * left unwritten. A head that was damaged may tell any number. */
static bool is_believable(const struct image *image, uint32_t pages, size_t written)
{
    return pages / 64 <= image->n_pages + written;
}

/* Notes the frames of a transaction that is complete: those that were read since the last one. */
static int note_frames(struct image *image, uint64_t *frames, size_t n, uint32_t pages)
{
    if (!is_believable(image, pages, n))
        return 0;
    if (pages > image->n_pages) {
        uint64_t *grown = realloc(image->wal_at, ((size_t)pages + 1) * sizeof(*grown));

        if (!grown)
            return -ENOMEM;
        memset(grown + image->n_pages + 1, 0, (pages - image->n_pages) * sizeof(*grown));
        image->wal_at = grown;
    }
    image->n_pages = pages;
    for (size_t i = 0; i < n; i += 2)
        if (frames[i] <= pages)
            image->wal_at[frames[i]] = frames[i + 1];
    return 0;
}

/* As far as sums and salts agree; what comes behind is of an earlier time, or damaged. */
static int read_frames(struct image *image, const uint8_t head[static WAL_HEAD_BYTES],
                       struct sums sums, uint8_t *frame)
{
    const size_t size = FRAME_HEAD_BYTES + image->page_size;
    _cleanup_free_ uint64_t *pending = NULL;
    size_t n = 0, room = 0;

    for (int64_t at = WAL_HEAD_BYTES; read_at(image->wal_fd, frame, size, at);
         at += (int64_t)size) {
        uint32_t number = be32(frame), pages = be32(frame + 4);

        add(&sums, frame, 8);
        add(&sums, frame + FRAME_HEAD_BYTES, image->page_size);
        if (memcmp(frame + 8, head + 16, 8) != 0 || !agrees(&sums, frame + 16) || number == 0)
            return 0;
        if (n + 2 > room) {
            uint64_t *grown = realloc(pending, (room = 2 * room + 1024) * sizeof(*grown));

            if (!grown)
                return -ENOMEM;
            pending = grown;
        }
        pending[n++] = number;
        pending[n++] = (uint64_t)at + FRAME_HEAD_BYTES;
        if (pages > 0 && note_frames(image, pending, n, pages) < 0)
            return -ENOMEM;
        if (pages > 0)
            n = 0;
    }
    return 0;
}

static int read_wal(struct image *image)
{
    _cleanup_free_ uint8_t *frame = NULL;
    uint8_t head[WAL_HEAD_BYTES];
    struct sums sums = {0};

    if (image->wal_fd < 0 || !read_at(image->wal_fd, head, sizeof(head), 0) ||
        (be32(head) & ~1u) != WAL_MAGIC)
        return 0;
    sums.big = be32(head) & 1;
    add(&sums, head, 24);
    if (!agrees(&sums, head + 24) || !is_page_size(be32(head + 8)))
        return 0;
    if (image->edition == 0) /* nothing better is known */
        image->page_size = image->usable = be32(head + 8);
    if (be32(head + 8) != image->page_size)
        return 0;
    frame = malloc(FRAME_HEAD_BYTES + (size_t)image->page_size);
    return frame ? read_frames(image, head, sums, frame) : -ENOMEM;
}

/* The first page may be newer in the -wal. */
static void read_newer_head(struct image *image)
{
    uint8_t head[HEAD_BYTES];
    uint32_t size = image->page_size, usable = image->usable;

    if (image->n_pages == 0 || image->wal_at[1] == 0 ||
        !read_at(image->wal_fd, head, sizeof(head), (int64_t)image->wal_at[1]))
        return;
    read_head(image, head);
    if (image->page_size != size) {
        image->page_size = size;
        image->usable = usable;
    }
}

/* Whether the file is shorter than its head says; that is believed up to a bound. */
static bool was_cut(const struct image *image, const uint8_t *head)
{
    return memcmp(head, "SQLite format 3", 16) == 0 && be32(head + 24) == be32(head + 92) &&
           be32(head + 28) > image->n_pages && is_believable(image, be32(head + 28), 0);
}

static int open_files(struct image *image, const char *path, int64_t *ret_bytes)
{
    char wal[PATH_MAX];
    struct stat st;

    /* at a pipe, open() would wait for who writes to it */
    image->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (image->fd < 0 || fstat(image->fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return S_ISDIR(st.st_mode) ? -EISDIR : -EMEDIUMTYPE;
    if ((size_t)snprintf(wal, sizeof(wal), "%s-wal", path) >= sizeof(wal))
        return -ENAMETOOLONG;
    image->wal_fd = open(wal, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    *ret_bytes = st.st_size;
    return 0;
}

static int read_all(struct image *image, int64_t bytes)
{
    uint8_t head[HEAD_BYTES] = {0};
    int r;

    if (!read_at(image->fd, head, sizeof(head), 0))
        memset(head, 0, sizeof(head));
    read_head(image, head);
    image->n_pages = (uint32_t)((bytes + image->page_size - 1) / image->page_size);
    if (was_cut(image, head)) { /* what lacks is lost, and told */
        image->n_missing = be32(head + 28) - (uint32_t)(bytes / image->page_size);
        image->n_pages = be32(head + 28);
    }
    image->wal_at = calloc((size_t)image->n_pages + 1, sizeof(*image->wal_at));
    r = image->wal_at ? read_wal(image) : -ENOMEM;
    if (r >= 0)
        read_newer_head(image);
    return r;
}

int image_open(const char *path, struct image *ret, struct err *err)
{
    struct image image = {.fd = -1, .wal_fd = -1};
    int64_t bytes = 0;
    int r = open_files(&image, path, &bytes);

    if (r >= 0)
        r = read_all(&image, bytes);
    if (r >= 0) {
        *ret = image;
        return 0;
    }
    image_close(&image);
    if (r == -EISDIR)
        return err_set(err, r, "%s is a folder, not a file", path);
    if (r == -EMEDIUMTYPE)
        return err_set(err, r, "%s is not a regular file", path);
    return err_errno(err, r, "%s", path);
}

void image_close(struct image *image)
{
    if (image->fd >= 0)
        close(image->fd);
    if (image->wal_fd >= 0)
        close(image->wal_fd);
    free(image->wal_at);
    *image = (struct image){.fd = -1, .wal_fd = -1};
}

bool image_read(const struct image *image, uint32_t number, uint8_t *buf)
{
    if (number < 1 || number > image->n_pages)
        return false;
    if (image->wal_at[number])
        return read_at(image->wal_fd, buf, image->page_size, (int64_t)image->wal_at[number]);
    return read_at(image->fd, buf, image->page_size, (int64_t)(number - 1) * image->page_size);
}
