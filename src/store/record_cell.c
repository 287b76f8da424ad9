/* SPDX-License-Identifier: MIT */
#include "record_cell.h"

#include <stdlib.h>
#include <string.h>

#define FILE_HEAD_BYTES 100
#define ROW_MAX_BYTES   (1 << 18) /* far more than any row of ours */

bool page_open(const struct image *image, uint32_t number, const uint8_t *bytes, struct page *ret)
{
    struct page page = {.bytes = bytes, .head = number == 1 ? FILE_HEAD_BYTES : 0};
    uint32_t head_bytes, content;

    page.kind = bytes[page.head];
    page.n_cells = be16(bytes + page.head + 3);
    content = be16(bytes + page.head + 5);
    if (page.kind != PAGE_INDEX_INTERIOR && page.kind != PAGE_TABLE_INTERIOR &&
        page.kind != PAGE_INDEX_LEAF && page.kind != PAGE_TABLE_LEAF)
        return false;
    head_bytes = page_is_interior(&page) ? 12 : 8;
    if (content == 0)
        content = 65536;
    if (content > image->usable || page.head + head_bytes + 2 * page.n_cells > content)
        return false;
    *ret = page;
    return true;
}

/* Where a cell begins; 0: damaged. */
static uint32_t cell_at(const struct image *image, const struct page *page, uint32_t i)
{
    uint32_t first = page->head + (page_is_interior(page) ? 12u : 8u);
    uint32_t at = be16(page->bytes + first + 2 * (size_t)i);

    return at >= first + 2 * page->n_cells && at + 4 <= image->usable ? at : 0;
}

uint32_t page_child(const struct image *image, const struct page *page, uint32_t i)
{
    uint32_t at = i < page->n_cells ? cell_at(image, page, i) : page->head + 8;

    return at ? be32(page->bytes + at) : 0;
}

/* SQLite's variable-length integer: bytes read, 0: cut off. */
static size_t get_number(const uint8_t *bytes, size_t n, uint64_t *ret)
{
    uint64_t value = 0;

    for (size_t i = 0; i < n && i < 9; i++) {
        if (i == 8) {
            *ret = value << 8 | bytes[i];
            return 9;
        }
        value = value << 7 | (bytes[i] & 0x7f);
        if (!(bytes[i] & 0x80)) {
            *ret = value;
            return i + 1;
        }
    }
    return 0;
}

/* Collects a row whose end stands in pages of its own. */
static const uint8_t *collect(const struct image *image, struct record *record,
                              const uint8_t *local, size_t n_local, size_t n, uint32_t next)
{
    uint8_t *page, *grown = realloc(record->buf, n + IMAGE_PAGE_MAX);
    size_t done = n_local;

    if (!grown)
        return NULL;
    record->buf = grown;
    page = grown + n;
    memcpy(grown, local, n_local);
    while (done < n) { /* each page brings some bytes: a ring ends, too */
        size_t part = n - done < image->usable - 4 ? n - done : image->usable - 4;

        if (!image_read(image, next, page))
            return NULL;
        memcpy(grown + done, page + 4, part);
        done += part;
        next = be32(page);
    }
    return grown;
}

/* The bytes of row i, also of one that goes on in other pages. */
static const uint8_t *get_payload(const struct image *image, const struct page *page, uint32_t i,
                                  struct record *record, size_t *ret_n)
{
    const uint32_t usable = image->usable, min = (usable - 12) * 32 / 255 - 23;
    bool table = page->kind == PAGE_TABLE_LEAF;
    uint32_t max = table ? usable - 35 : (usable - 12) * 64 / 255 - 23, local;
    size_t at = cell_at(image, page, i), used;
    uint64_t n, rowid = 0;

    if (at == 0)
        return NULL;
    if (page->kind == PAGE_INDEX_INTERIOR)
        at += 4;
    used = get_number(page->bytes + at, usable - at, &n);
    at += used;
    if (used == 0 || n < 1 || n > ROW_MAX_BYTES)
        return NULL;
    used = table ? get_number(page->bytes + at, usable - at, &rowid) : 0;
    if (table && used == 0)
        return NULL;
    at += used;
    record->rowid = (int64_t)rowid;
    local = min + (uint32_t)((n - min) % (usable - 4));
    if (n <= max)
        local = (uint32_t)n;
    else if (local > max)
        local = min;
    if (at + local + (n > local ? 4 : 0) > usable)
        return NULL;
    *ret_n = (size_t)n;
    return n == local ? page->bytes + at
                      : collect(image, record, page->bytes + at, local, (size_t)n,
                                be32(page->bytes + at + local));
}

static int64_t get_signed(const uint8_t *bytes, size_t n)
{
    uint64_t value = bytes[0] & 0x80 ? UINT64_MAX : 0;

    for (size_t i = 0; i < n; i++)
        value = value << 8 | bytes[i];
    return (int64_t)value;
}

/* Reads a value of a serial type; its bytes, or SIZE_MAX: they are not there, or there is no such type. */
static size_t get_value(uint64_t type, const uint8_t *bytes, size_t n, struct value *ret)
{
    static const uint8_t lengths[] = {0, 1, 2, 3, 4, 6, 8, 8, 0, 0};
    size_t length = type < 10 ? lengths[type] : type < 12 ? SIZE_MAX : (size_t)(type - 12) / 2;

    if (length > n)
        return SIZE_MAX;
    *ret = (struct value){.kind = VALUE_INTEGER, .bytes = bytes, .n = length};
    if (type == 0)
        ret->kind = VALUE_NULL;
    else if (type == 8 || type == 9)
        ret->integer = type == 9;
    else if (type < 7)
        ret->integer = get_signed(bytes, length);
    else if (type == 7) {
        int64_t bits = get_signed(bytes, length);

        ret->kind = VALUE_REAL;
        memcpy(&ret->real, &bits, sizeof(bits));
    } else
        ret->kind = type & 1 ? VALUE_TEXT : VALUE_BLOB;
    return length;
}

bool record_read(const struct image *image, const struct page *page, uint32_t i,
                 struct record *record)
{
    size_t n, at, value_at, used;
    uint64_t head, type;
    const uint8_t *bytes = get_payload(image, page, i, record, &n);

    if (!bytes)
        return false;
    at = get_number(bytes, n, &head);
    if (at == 0 || head > n || head < at)
        return false;
    value_at = (size_t)head;
    for (record->n = 0; at < head; record->n++) {
        used = get_number(bytes + at, (size_t)head - at, &type);
        if (used == 0 || record->n == RECORD_VALUES_MAX)
            return false;
        at += used;
        used = get_value(type, bytes + value_at, n - value_at, &record->values[record->n]);
        if (used == SIZE_MAX)
            return false;
        value_at += used;
    }
    return value_at == n;
}

void record_finish(struct record *record)
{
    free(record->buf);
    record->buf = NULL;
}
