/* SPDX-License-Identifier: MIT */
/* The parts of a repair. */
#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/base/vec.h"
#include "connhist/store/maintain.h"
#include "image.h"
#include "pages.h"
#include "ranges.h"
#include "record_cell.h"

#define COLUMNS_MAX 48

struct repair {
    const struct maintenance *work;
    sqlite3 *db; /* the new file */
    struct image image;
    struct pages pages;
    int64_t lost;         /* lines told */
    int64_t saved;        /* rows */
    int64_t lost_pages;   /* pages of rows that were damaged */
    int64_t done;         /* pages looked at */
    uint8_t *buf;         /* of a page; owned */
    struct record record; /* the row at hand */
    struct repair_numbers {
        VEC_FIELDS(int64_t);
    } numbers; /* of rows on the page at hand */
    int edition;
    bool counts_lost; /* rows of tallies or of snapshots may be among what is gone */
};

__attribute__((format(printf, 2, 3))) void repair_tell(struct repair *repair, const char *format,
                                                       ...);

/* A table of the new file, or an index of the old one that has all of its table's columns. */
struct target {
    char table[TREE_NAME_MAX]; /* whose rows they are */
    char tree[TREE_NAME_MAX];  /* where they stand in the old file */
    struct {
        char name[TREE_NAME_MAX];
        enum value_kind kind;      /* what its values are, unless NULL */
        const struct range *range; /* of its integers */
        bool may_be_null;
        bool is_any;        /* of any kind */
        bool is_rowid;      /* its value is the row's number; NULL stands in its place in a table */
    } columns[COLUMNS_MAX]; /* as they follow one another in a row */
    sqlite3_stmt *inserts[COLUMNS_MAX + 1]; /* by the number of columns that a row has; owned */
    int64_t damaged_pages;
    int64_t saved;      /* rows */
    int64_t refused;    /* rows that can't be what they say */
    sqlite3_stmt *find; /* a row like one at hand; owned */
    unsigned n_columns;
    unsigned n_key;     /* how many of its columns, from the first on, its rows are ordered by */
    bool index;         /* rows of an index, with the row's number at their end */
    bool is_decoy;      /* an index that does not have all of its table's columns */
    bool without_rowid; /* its rows stand in a tree like an index's */
    bool filled;        /* the new file has rows of it from the start, which give way */
};

/* Saves the rows of all tables, then from indexes what tables have lost. */
int repair_rows(struct repair *repair, struct err *err);

struct targets;

/* Saves what stands on pages that nothing leads to: whose they are is told by their rows, or it is not
 * saved. */
int repair_strays(struct repair *repair, struct targets *targets, struct err *err);

/* Saves the rows of a page that is the target's; *ret_damaged is set if some can't be read. */
int repair_page(struct repair *repair, struct target *target, const struct page *page,
                bool *ret_damaged, struct err *err);

/* 1: all rows of the page can be the target's, and no damage shows; 0: one can't. */
int repair_can_be(struct repair *repair, const struct target *target, const struct page *page);

/* Whether rows of the target stand in such a page. */
bool repair_has_rows(const struct target *target, const struct page *page);

/* Makes sense of what was saved. */
int repair_mend(struct repair *repair, struct err *err);
