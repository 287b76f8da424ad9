/* SPDX-License-Identifier: MIT */
/* Which page of a damaged file belongs to which table or index: told by the pages above it, and where
 * those are damaged by the pointer map, which tells the parent of each page. */
#pragma once

#include "image.h"

#define TREE_NAME_MAX 64
#define TREE_SCHEMA   0 /* the tree of sqlite_schema, always there */

struct tree {
    char name[TREE_NAME_MAX]; /* of table or index */
    uint32_t root;            /* its page; 0: not known */
    bool is_guess;            /* the schema does not tell it */
};

#define PAGE_UNKNOWN 0xffff /* nobody knows, but it holds rows for all that is known */
#define PAGE_OTHER   0xfffe /* of no tree: free, overflow, pointer map */

struct pages {
    struct tree *trees; /* owned */
    uint16_t *owner;    /* by page number: index in trees, or PAGE_…; owned */
    uint32_t *parent;   /* by page number, from the pointer map; owned */
    uint8_t *type; /* ...: 1 root, 2 free, 3 and 4 overflow, 5 with a parent; 0: not known; owned */
    size_t n_trees;
};

/* Reads the map, finds the pages of the schema and then those of each tree it names. */
int pages_init(struct pages *pages, const struct image *image);
void pages_finish(struct pages *pages);

/* Adds a tree that the damaged schema did not name, if nobody has the page. */
int pages_add(struct pages *pages, const struct image *image, const char *name, uint32_t root);

/* The tree of a name; -1: none. */
int pages_find(const struct pages *pages, const char *name);
