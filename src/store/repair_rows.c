/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "repair.h"
#include "sql.h"
#include "targets.h"

/* Whether rows of the target stand in such a page. */
static bool has_rows(const struct target *target, const struct page *page)
{
    if (target->index || target->without_rowid)
        return page->kind == PAGE_INDEX_LEAF || page->kind == PAGE_INDEX_INTERIOR;
    return page->kind == PAGE_TABLE_LEAF;
}

/* Whether it can be a page of the target's tree at all. */
static bool belongs(const struct target *target, const struct page *page)
{
    return has_rows(target, page) ||
           (page->kind == PAGE_TABLE_INTERIOR && !target->index && !target->without_rowid);
}

/* Keys of a table ascend within a page: one that does not is damaged. */
static bool ascends(const struct target *target, uint32_t i, int64_t last, int64_t rowid)
{
    return target->index || target->without_rowid || i == 0 || rowid > last;
}

static int save_page(struct repair *repair, struct target *target, const struct page *page,
                     bool *ret_damaged, struct err *err)
{
    int64_t last = INT64_MIN;
    int r = 0;

    for (uint32_t i = 0; i < page->n_cells && r >= 0; i++) {
        if (!record_read(&repair->image, page, i, &repair->record) ||
            !target_fits(target, &repair->record) ||
            !ascends(target, i, last, repair->record.rowid)) {
            *ret_damaged = true;
            continue;
        }
        last = repair->record.rowid;
        r = target_insert(target, repair->db, &repair->record, err);
        target->saved += r > 0;
        target->refused += r == 0;
    }
    return r < 0 ? r : 0;
}

static int save_tree(struct repair *repair, struct target *target, struct err *err)
{
    int tree = pages_find(&repair->pages, target->tree), r = 0;

    for (uint32_t i = 1; i <= repair->image.n_pages && tree >= 0 && r >= 0; i++) {
        bool damaged = false;
        struct page page;

        if (repair->pages.owner[i] != tree)
            continue;
        progress_show(repair->work->progress, target->table, repair->done++, repair->image.n_pages);
        if (!image_read(&repair->image, i, repair->buf) ||
            !page_open(&repair->image, i, repair->buf, &page) || !belongs(target, &page))
            damaged = true;
        else if (has_rows(target, &page))
            r = save_page(repair, target, &page, &damaged, err);
        target->damaged_pages += damaged;
    }
    return r;
}

/* How many of a page's rows can be the target's; 0 if one can't. */
static uint32_t count_fits(struct repair *repair, const struct target *target,
                           const struct page *page)
{
    for (uint32_t i = 0; i < page->n_cells; i++)
        if (!record_read(&repair->image, page, i, &repair->record) ||
            !target_fits(target, &repair->record) || repair->record.n != target->n_columns)
            return 0;
    return page->n_cells;
}

/* A page of which nothing tells whose it is: its rows do, if they can be those of one table alone. */
static int save_stray(struct repair *repair, struct targets *targets, uint32_t number,
                      struct err *err)
{
    struct target *found = NULL;
    bool damaged = false;
    struct page page;

    if (!image_read(&repair->image, number, repair->buf) ||
        !page_open(&repair->image, number, repair->buf, &page) || page.n_cells == 0 ||
        page.kind == PAGE_TABLE_INTERIOR)
        return 0;
    for (size_t i = 0; i < targets->n; i++) {
        if (!has_rows(targets->items[i], &page) || !count_fits(repair, targets->items[i], &page))
            continue;
        if (found)
            return 0;
        found = targets->items[i];
    }
    return found ? save_page(repair, found, &page, &damaged, err) : 0;
}

/* Where a damaged schema does not say where a table begins: where it does in a new file. Root pages stand
 * at the begin of a file that gives space back, in the order of their making. */
static int add_roots(struct repair *repair, struct err *err)
{
    static const char sql[] = "SELECT name, rootpage FROM sqlite_schema WHERE rootpage > 0";
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stmt = NULL;
    int r = sql_prepare(repair->db, sql, &stmt, err);

    while (r >= 0 && (r = sql_step(stmt, err)) > 0)
        if (pages_add(&repair->pages, &repair->image, (const char *)sqlite3_column_text(stmt, 0),
                      (uint32_t)sqlite3_column_int64(stmt, 1)) < 0)
            return err_errno(err, -ENOMEM, "reading the schema");
    return r < 0 ? r : 0;
}

static int save_strays(struct repair *repair, struct targets *targets, struct err *err)
{
    int64_t strays = 0;
    int r = 0;

    for (uint32_t i = 2; i <= repair->image.n_pages && r >= 0; i++) {
        if (repair->pages.owner[i] != PAGE_UNKNOWN)
            continue;
        strays++;
        r = save_stray(repair, targets, i, err);
    }
    if (strays)
        repair_tell(repair, "%lld page%s of which nothing tells whose they are", (long long)strays,
                    strays > 1 ? "s" : "");
    return r;
}

static void tell_losses(struct repair *repair, const struct targets *targets)
{
    for (size_t i = 0; i < targets->n; i++) {
        const struct target *target = targets->items[i];

        if (target->damaged_pages && target->index)
            repair_tell(repair, "index %s: %lld damaged page%s; it is built anew", target->tree,
                        (long long)target->damaged_pages, target->damaged_pages > 1 ? "s" : "");
        if (target->index)
            continue;
        repair->lost_pages += target->damaged_pages;
        if (target->damaged_pages)
            repair_tell(repair, "%s: %lld damaged page%s, %lld rows saved", target->table,
                        (long long)target->damaged_pages, target->damaged_pages > 1 ? "s" : "",
                        (long long)target->saved);
        if (target->refused)
            repair_tell(repair, "%s: %lld row%s can't be what they say", target->table,
                        (long long)target->refused, target->refused > 1 ? "s" : "");
    }
}

int repair_rows(struct repair *repair, struct err *err)
{
    _cleanup_(targets_finish) struct targets targets = {0};
    int r = targets_init(&targets, repair->db, err);

    if (r >= 0)
        r = add_roots(repair, err);
    if (r >= 0)
        r = sql_exec(repair->db, "BEGIN", err);
    for (size_t i = 0; i < targets.n && r >= 0; i++)
        r = targets.items[i]->index ? 0 : save_tree(repair, targets.items[i], err);
    if (r >= 0)
        r = save_strays(repair, &targets, err);
    /* last: a row of an index only fills a hole */
    for (size_t i = 0; i < targets.n && r >= 0; i++)
        r = targets.items[i]->index ? save_tree(repair, targets.items[i], err) : 0;
    if (r >= 0)
        r = sql_exec(repair->db, "COMMIT", err);
    if (r >= 0)
        tell_losses(repair, &targets);
    return r;
}
