/* SPDX-License-Identifier: MIT */
#include "pages.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connhist/base/cleanup.h"
#include "connhist/base/vec.h"
#include "record_cell.h"

#define TREES_MAX    1000
#define DEPTH_MAX    20          /* of a tree, as in SQLite */
#define PENDING_BYTE 0x40000000u /* SQLite leaves the page with this byte alone */

enum { MAP_ROOT = 1, MAP_FREE = 2, MAP_BTREE = 5 };

static void load_map_page(struct pages *pages, const struct image *image, uint32_t map,
                          const uint8_t *bytes)
{
    uint32_t n = image->usable / 5;

    for (uint32_t i = 0; i < n && map + 1 + i <= image->n_pages; i++)
        if (bytes[(size_t)i * 5] > MAP_BTREE || be32(bytes + (size_t)i * 5 + 1) > image->n_pages)
            return; /* it is damaged itself */
    for (uint32_t i = 0; i < n && map + 1 + i <= image->n_pages; i++) {
        pages->type[map + 1 + i] = bytes[(size_t)i * 5];
        pages->parent[map + 1 + i] = be32(bytes + (size_t)i * 5 + 1);
    }
}

static void load_map(struct pages *pages, const struct image *image, uint8_t *buf)
{
    uint32_t pending = PENDING_BYTE / image->page_size + 1;

    if (pending <= image->n_pages)
        pages->owner[pending] = PAGE_OTHER;
    for (uint64_t map = 2; image->vacuum && map <= image->n_pages; map += image->usable / 5 + 1) {
        uint32_t at = map == pending ? (uint32_t)map + 1 : (uint32_t)map;

        if (at > image->n_pages)
            break;
        pages->owner[at] = PAGE_OTHER;
        if (image_read(image, at, buf))
            load_map_page(pages, image, at, buf);
    }
    for (uint32_t i = 1; i <= image->n_pages; i++)
        if (pages->type[i] > MAP_ROOT && pages->type[i] < MAP_BTREE)
            pages->owner[i] = PAGE_OTHER;
}

/* The map has the last word here, too: the list may be damaged. */
static void free_page(struct pages *pages, const struct image *image, uint32_t number)
{
    if (number >= 2 && number <= image->n_pages &&
        (pages->type[number] == 0 || pages->type[number] == MAP_FREE))
        pages->owner[number] = PAGE_OTHER;
}

/* Pages in the list of free ones keep old rows: they must not come back. */
static void mark_free(struct pages *pages, const struct image *image, uint8_t *buf)
{
    uint32_t trunk = image->edition > 0 && image_read(image, 1, buf) ? be32(buf + 32) : 0;

    for (uint32_t i = 0; i < image->n_pages && image_read(image, trunk, buf); i++) {
        uint32_t n = be32(buf + 4);

        if (n > image->usable / 4 - 2)
            return;
        free_page(pages, image, trunk);
        for (uint32_t k = 0; k < n; k++)
            free_page(pages, image, be32(buf + 8 + (size_t)k * 4));
        trunk = be32(buf);
    }
}

struct todo {
    VEC_FIELDS(uint32_t); /* pages of a tree whose children are to be looked at */
};

/* The map has the last word, where there is one. */
static int claim(struct pages *pages, const struct image *image, uint32_t child, uint32_t parent,
                 uint16_t tree, struct todo *todo)
{
    if (child < 2 || child > image->n_pages || pages->owner[child] != PAGE_UNKNOWN)
        return 0;
    if (pages->type[child] && (pages->type[child] != MAP_BTREE || pages->parent[child] != parent))
        return 0;
    pages->owner[child] = tree;
    return vec_push(todo, child);
}

static int walk(struct pages *pages, const struct image *image, uint32_t from, uint16_t tree,
                uint8_t *buf)
{
    struct todo todo = {0};
    int r = vec_push(&todo, from);

    pages->owner[from] = tree;
    while (r >= 0 && todo.n > 0) {
        uint32_t number = todo.items[--todo.n];
        struct page page;

        if (!image_read(image, number, buf) || !page_open(image, number, buf, &page) ||
            !page_is_interior(&page))
            continue;
        for (uint32_t i = 0; i <= page.n_cells && r >= 0; i++)
            r = claim(pages, image, page_child(image, &page, i), number, tree, &todo);
    }
    vec_finish(&todo);
    return r;
}

/* The tree that a page hangs in by the parents that the map tells. A ring of them ends, too. */
static uint16_t tree_above(const struct pages *pages, uint32_t number)
{
    for (int depth = 0; depth < DEPTH_MAX; depth++) {
        if (pages->owner[number] != PAGE_UNKNOWN)
            return pages->owner[number];
        if (pages->type[number] != MAP_BTREE || pages->parent[number] == 0)
            return PAGE_UNKNOWN;
        number = pages->parent[number];
    }
    return PAGE_UNKNOWN;
}

/* What hangs below a damaged page: the map knows. */
static int climb(struct pages *pages, const struct image *image, uint8_t *buf)
{
    int r = 0;

    for (uint32_t i = 2; i <= image->n_pages && r >= 0; i++) {
        uint16_t tree = pages->owner[i] == PAGE_UNKNOWN ? tree_above(pages, i) : PAGE_UNKNOWN;

        if (tree < PAGE_OTHER)
            r = walk(pages, image, i, tree, buf);
    }
    return r;
}

/* -ENOSPC: more than any file of ours has. */
static int add_tree(struct pages *pages, const char *name, size_t length, uint32_t root)
{
    struct tree *tree;

    if (pages->n_trees >= TREES_MAX)
        return -ENOSPC;
    tree = realloc(pages->trees, (pages->n_trees + 1) * sizeof(*tree));
    if (!tree)
        return -ENOMEM;
    pages->trees = tree;
    tree += pages->n_trees++;
    snprintf(tree->name, sizeof(tree->name), "%.*s", (int)length, name);
    tree->root = root;
    tree->is_guess = false;
    return 0;
}

/* A row of sqlite_schema: type, name, table, root, SQL. */
static int add_from_row(struct pages *pages, const struct image *image, const struct record *record)
{
    const struct value *name = &record->values[1], *root = &record->values[3];

    if (record->n != 5 || name->kind != VALUE_TEXT || name->n >= TREE_NAME_MAX ||
        root->kind != VALUE_INTEGER || root->integer < 2 || root->integer > image->n_pages)
        return 0;
    return add_tree(pages, (const char *)name->bytes, name->n, (uint32_t)root->integer);
}

static int read_schema(struct pages *pages, const struct image *image, uint8_t *buf)
{
    struct record record = {0};
    struct page page;
    int r = 0;

    for (uint32_t i = 1; i <= image->n_pages && r >= 0; i++) {
        if (pages->owner[i] != TREE_SCHEMA || !image_read(image, i, buf) ||
            !page_open(image, i, buf, &page) || page.kind != PAGE_TABLE_LEAF)
            continue;
        for (uint32_t k = 0; k < page.n_cells && r >= 0; k++)
            if (record_read(image, &page, k, &record))
                r = add_from_row(pages, image, &record);
        r = r == -ENOSPC ? 0 : r;
    }
    record_finish(&record);
    return r;
}

static bool is_text(const struct value *value, const char *text)
{
    return value->kind == VALUE_TEXT && value->n == strlen(text) &&
           memcmp(value->bytes, text, value->n) == 0;
}

/* A page with rows of the schema, which are like no others. */
static bool is_schema(const struct image *image, const struct page *page, struct record *record)
{
    for (uint32_t i = 0; i < page->n_cells; i++)
        if (!record_read(image, page, i, record) || record->n != 5 ||
            record->values[1].kind != VALUE_TEXT || record->values[2].kind != VALUE_TEXT ||
            record->values[3].kind != VALUE_INTEGER ||
            (!is_text(&record->values[0], "table") && !is_text(&record->values[0], "index") &&
             !is_text(&record->values[0], "view")))
            return false;
    return page->n_cells > 0;
}

/* Where neither the first page nor the map leads to the schema: its pages are known by their rows. */
static void find_schema(struct pages *pages, const struct image *image, uint8_t *buf)
{
    struct record record = {0};
    struct page page;

    if (image_read(image, 1, buf) && page_open(image, 1, buf, &page) &&
        (page.kind == PAGE_TABLE_LEAF || page.kind == PAGE_TABLE_INTERIOR) &&
        (!image->vacuum || image->n_pages < 3 || pages->type[3] != 0))
        return;
    for (uint32_t i = 2; i <= image->n_pages; i++)
        if (pages->owner[i] == PAGE_UNKNOWN && pages->type[i] != MAP_ROOT &&
            image_read(image, i, buf) && page_open(image, i, buf, &page) &&
            page.kind == PAGE_TABLE_LEAF && is_schema(image, &page, &record))
            pages->owner[i] = TREE_SCHEMA;
    record_finish(&record);
}

static int walk_all(struct pages *pages, const struct image *image, uint8_t *buf)
{
    int r = add_tree(pages, "sqlite_schema", 13, 1);

    if (r >= 0)
        r = walk(pages, image, 1, TREE_SCHEMA, buf);
    if (r >= 0)
        r = climb(pages, image, buf);
    if (r >= 0) {
        find_schema(pages, image, buf);
        r = read_schema(pages, image, buf);
    }
    for (size_t i = 1; i < pages->n_trees && r >= 0; i++)
        if (pages->owner[pages->trees[i].root] == PAGE_UNKNOWN)
            r = walk(pages, image, pages->trees[i].root, (uint16_t)i, buf);
    return r < 0 ? r : climb(pages, image, buf);
}

int pages_init(struct pages *pages, const struct image *image)
{
    _cleanup_free_ uint8_t *buf = malloc(IMAGE_PAGE_MAX);
    size_t n = (size_t)image->n_pages + 1;

    *pages = (struct pages){
        .owner = malloc(n * sizeof(*pages->owner)),
        .parent = calloc(n, sizeof(*pages->parent)),
        .type = calloc(n, sizeof(*pages->type)),
    };
    if (!buf || !pages->owner || !pages->parent || !pages->type)
        return -ENOMEM;
    memset(pages->owner, 0xff, n * sizeof(*pages->owner));
    if (image->n_pages == 0)
        return 0;
    load_map(pages, image, buf);
    mark_free(pages, image, buf);
    return walk_all(pages, image, buf);
}

void pages_finish(struct pages *pages)
{
    free(pages->trees);
    free(pages->owner);
    free(pages->parent);
    free(pages->type);
    *pages = (struct pages){0};
}

int pages_find(const struct pages *pages, const char *name)
{
    for (size_t i = 0; i < pages->n_trees; i++)
        if (strcmp(pages->trees[i].name, name) == 0)
            return (int)i;
    return -1;
}

int pages_add(struct pages *pages, const struct image *image, const char *name, uint32_t root)
{
    _cleanup_free_ uint8_t *buf = NULL;
    int r;

    if (root < 2 || root > image->n_pages || pages->owner[root] != PAGE_UNKNOWN ||
        pages_find(pages, name) >= 0)
        return 0;
    buf = malloc(IMAGE_PAGE_MAX);
    if (!buf)
        return -ENOMEM;
    r = add_tree(pages, name, strlen(name), root);
    if (r == -ENOSPC)
        return 0;
    if (r >= 0) {
        pages->trees[pages->n_trees - 1].is_guess = true;
        r = walk(pages, image, root, (uint16_t)(pages->n_trees - 1), buf);
    }
    return r < 0 ? r : climb(pages, image, buf);
}
