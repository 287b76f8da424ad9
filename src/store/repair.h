/* SPDX-License-Identifier: MIT */
/* The parts of a repair. */
#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/store/maintain.h"
#include "image.h"
#include "pages.h"
#include "record_cell.h"

#define COLUMNS_MAX 48

struct repair {
    const struct maintenance *work;
    sqlite3 *db; /* the new file */
    struct image image;
    struct pages pages;
    int64_t lost;         /* lines told */
    int64_t lost_pages;   /* pages of rows that were damaged */
    int64_t done;         /* pages looked at */
    uint8_t *buf;         /* of a page; owned */
    struct record record; /* the row at hand */
    int edition;
};

__attribute__((format(printf, 2, 3))) void repair_tell(struct repair *repair, const char *format,
                                                       ...);

/* A table of the new file, or an index of the old one that has all of its table's columns. */
struct target {
    char table[TREE_NAME_MAX]; /* whose rows they are */
    char tree[TREE_NAME_MAX];  /* where they stand in the old file */
    struct {
        char name[TREE_NAME_MAX];
        enum value_kind kind; /* what its values are, unless NULL */
        bool may_be_null;
        bool is_any;        /* of any kind */
        bool is_rowid;      /* its value is the row's number; NULL stands in its place in a table */
    } columns[COLUMNS_MAX]; /* as they follow one another in a row */
    sqlite3_stmt *inserts[COLUMNS_MAX + 1]; /* by the number of columns that a row has; owned */
    int64_t damaged_pages;
    int64_t saved;   /* rows */
    int64_t refused; /* rows that can't be what they say */
    unsigned n_columns;
    bool index;         /* rows of an index, with the row's number at their end */
    bool without_rowid; /* its rows stand in a tree like an index's */
    bool filled;        /* the new file has rows of it from the start, which give way */
};

/* Saves the rows of all tables, then from indexes what tables have lost. */
int repair_rows(struct repair *repair, struct err *err);

/* Makes sense of what was saved. */
int repair_mend(struct repair *repair, struct err *err);
