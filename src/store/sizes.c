/* SPDX-License-Identifier: MIT */
#include "connhist/store/sizes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "connhist/base/vec.h"
#include "image.h"
#include "reader.h"
#include "record_cell.h"
#include "sql.h"

#define DEPTH_MAX 20 /* as in SQLite */

struct count {
    struct image image;
    struct record record;
    uint8_t *buf;              /* of a page; owned */
    int64_t pages[SIZE_PARTS]; /* so far */
};

struct level {
    VEC_FIELDS(uint32_t); /* pages */
};

const char *size_part_name(enum size_part part)
{
    static const char *const names[SIZE_PARTS] = {"detail", "ticks", "minutes", "hours",
                                                  "days",   "names", "rest",    "free"};

    return names[part];
}

static enum size_part part_of(const char *table)
{
    static const char *const detail[] = {"open",    "closed",  "late",          "open_facts",
                                         "holders", "queues",  "owner_changes", "snapshots",
                                         "hours",   "offloads"};
    static const char *const names[] = {"services", "netns",     "service_names",
                                        "owners",   "processes", "programs",
                                        "cgroups",  "addresses", "counter_names"};
    /* by the age of which they go */
    static const char *const minutes[] = {"counters", "readings", "reading_lacks"};
    static const char *const hours[] = {"interfaces", "routes", "route_ways"};

    for (size_t i = 0; i < sizeof(detail) / sizeof(detail[0]); i++)
        if (strcmp(table, detail[i]) == 0)
            return SIZE_DETAIL;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(table, names[i]) == 0)
            return SIZE_NAMES;
    for (size_t i = 0; i < sizeof(minutes) / sizeof(minutes[0]); i++)
        if (strcmp(table, minutes[i]) == 0)
            return SIZE_MINUTES;
    for (size_t i = 0; i < sizeof(hours) / sizeof(hours[0]); i++)
        if (strcmp(table, hours[i]) == 0)
            return SIZE_HOURS;
    return strcmp(table, "tallies") == 0 ? SIZE_TICKS : SIZE_REST;
}

/* Levels below a page, down its left side. */
static unsigned depth_of(struct count *count, uint32_t number)
{
    for (unsigned depth = 0; depth < DEPTH_MAX; depth++) {
        struct page page;

        if (!image_read(&count->image, number, count->buf) ||
            !page_open(&count->image, number, count->buf, &page) || !page_is_interior(&page))
            return depth;
        number = page_child(&count->image, &page, 0);
    }
    return DEPTH_MAX;
}

/* Rows of a rollup begin with their tier, and stand in its order: the row right of a child tells. */
static enum size_part part_of_row(struct count *count, const struct page *page, uint32_t i,
                                  enum size_part before)
{
    int64_t tier;

    if (i >= page->n_cells || !record_read(&count->image, page, i, &count->record) ||
        count->record.n == 0)
        return before;
    tier = count->record.values[0].integer;
    return tier >= 1 && tier <= 3 ? (enum size_part)(SIZE_TICKS + tier) : before;
}

/* Counts the children of a page, and collects them if there is a level below them. */
static int count_children(struct count *count, uint32_t number, bool tiered, enum size_part part,
                          struct level *below)
{
    struct page page;
    int r = 0;

    if (!image_read(&count->image, number, count->buf) ||
        !page_open(&count->image, number, count->buf, &page) || !page_is_interior(&page))
        return 0;
    for (uint32_t i = 0; i <= page.n_cells && r >= 0; i++) {
        if (tiered)
            part = part_of_row(count, &page, i, part);
        count->pages[part]++;
        if (below)
            r = vec_push(below, page_child(&count->image, &page, i));
    }
    return r;
}

static int count_tree(struct count *count, uint32_t root, bool tiered, enum size_part part)
{
    struct level now = {0}, below = {0};
    unsigned depth = depth_of(count, root);
    int r = vec_push(&now, root);

    count->pages[part]++;
    for (; depth > 0 && r >= 0; depth--) {
        for (size_t i = 0; i < now.n && r >= 0; i++)
            r = count_children(count, now.items[i], tiered, part, depth > 1 ? &below : NULL);
        vec_finish(&now);
        now = below;
        below = (struct level){0};
    }
    vec_finish(&now);
    vec_finish(&below);
    return r;
}

static int count_trees(struct count *count, sqlite3 *db, struct err *err)
{
    static const char sql[] = "SELECT tbl_name, rootpage FROM sqlite_schema WHERE rootpage > 0";
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stmt = NULL;
    int r = sql_prepare(db, sql, &stmt, err);

    while (r >= 0 && (r = sql_step(stmt, err)) > 0) {
        const char *table = (const char *)sqlite3_column_text(stmt, 0);
        bool tiered = strcmp(table, "tally_rollups") == 0 || strcmp(table, "rate_rollups") == 0 ||
                      strcmp(table, "cover_rollups") == 0 || strcmp(table, "netns_tallies") == 0 ||
                      strcmp(table, "netns_covers") == 0 || strcmp(table, "counter_rollups") == 0 ||
                      strcmp(table, "counter_cover") == 0;

        if (count_tree(count, (uint32_t)sqlite3_column_int64(stmt, 1), tiered,
                       tiered ? SIZE_MINUTES : part_of(table)) < 0)
            return err_errno(err, -ENOMEM, "measuring the file");
    }
    return r < 0 ? r : 0;
}

static void finish(struct count *count)
{
    record_finish(&count->record);
    image_close(&count->image);
    free(count->buf);
}

/* The reader's transaction keeps pages that it may still see from being overwritten. */
int sizes_measure(struct db *db, int64_t ret[SIZE_PARTS], struct err *err)
{
    _cleanup_(finish) struct count count = {.image = {.fd = -1, .wal_fd = -1}};
    int64_t total = 0, sum = 0;
    int r = sql_query_i64(db->db, "PRAGMA page_count", &total, err);

    if (r >= 0)
        r = sql_query_i64(db->db, "PRAGMA freelist_count", &count.pages[SIZE_FREE], err);
    if (r >= 0)
        r = image_open(db->path, &count.image, err);
    if (r < 0)
        return r;
    count.buf = malloc(IMAGE_PAGE_MAX);
    if (!count.buf)
        return err_errno(err, -ENOMEM, "measuring the file");
    r = count_trees(&count, db->db, err);
    if (r < 0)
        return r;
    for (int i = 0; i < SIZE_PARTS; i++)
        sum += count.pages[i];
    /* schema, pages that lead to others, long rows */
    if (total > sum)
        count.pages[SIZE_REST] += total - sum;
    for (int i = 0; i < SIZE_PARTS; i++)
        ret[i] = count.pages[i] * (int64_t)count.image.page_size;
    return 0;
}
