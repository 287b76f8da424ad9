/* SPDX-License-Identifier: MIT */
/* Rows as they stand in a page of a database, read without trust. */
#pragma once

#include "image.h"

enum page_kind {
    PAGE_INDEX_INTERIOR = 2, /* has rows, too */
    PAGE_TABLE_INTERIOR = 5,
    PAGE_INDEX_LEAF = 10,
    PAGE_TABLE_LEAF = 13,
};

struct page {
    const uint8_t *bytes; /* all of it; not owned */
    uint32_t head;        /* where its head begins: behind the file's in page 1 */
    uint32_t n_cells;
    uint8_t kind; /* enum page_kind */
};

/* Whether the bytes can be a page of a table or index. */
bool page_open(const struct image *image, uint32_t number, const uint8_t *bytes, struct page *ret);

static inline bool page_is_interior(const struct page *page)
{
    return page->kind == PAGE_INDEX_INTERIOR || page->kind == PAGE_TABLE_INTERIOR;
}

/* The child left of cell i, or for n_cells the one right of all; interior pages only. 0: damaged. */
uint32_t page_child(const struct image *image, const struct page *page, uint32_t i);

enum value_kind { VALUE_NULL, VALUE_INTEGER, VALUE_REAL, VALUE_TEXT, VALUE_BLOB };

struct value {
    const uint8_t *bytes; /* of text or blob; into the page or the record's buffer */
    size_t n;
    int64_t integer;
    double real;
    enum value_kind kind;
};

#define RECORD_VALUES_MAX 64

struct record {
    struct value values[RECORD_VALUES_MAX];
    uint8_t *buf;  /* for rows that do not fit into a page; owned */
    int64_t rowid; /* of a table's leaf; else 0 */
    unsigned n;
};

void record_finish(struct record *record);

/* Reads row i of a page that has rows. False: it is damaged. */
bool record_read(const struct image *image, const struct page *page, uint32_t i,
                 struct record *record);
