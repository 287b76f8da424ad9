/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "repair.h"
#include "sql.h"
#include "targets.h"

bool repair_has_rows(const struct target *target, const struct page *page)
{
    if (target->index || target->without_rowid)
        return page->kind == PAGE_INDEX_LEAF || page->kind == PAGE_INDEX_INTERIOR;
    return page->kind == PAGE_TABLE_LEAF;
}

/* Whether it can be a page of the target's tree at all. */
static bool belongs(const struct target *target, const struct page *page)
{
    return repair_has_rows(target, page) ||
           (page->kind == PAGE_TABLE_INTERIOR && !target->index && !target->without_rowid);
}

/* Keys of a table ascend within a page: one that does not is damaged. */
static bool ascends(const struct target *target, uint32_t i, int64_t last, int64_t rowid)
{
    return target->index || target->without_rowid || i == 0 || rowid > last;
}

int repair_page(struct repair *repair, struct target *target, const struct page *page,
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
        repair->saved += r > 0;
        target->refused += r == 0;
    }
    return r < 0 ? r : 0;
}

static bool are_readable(struct repair *repair, const struct target *target,
                         const struct page *page)
{
    for (uint32_t i = 0; i < page->n_cells; i++)
        if (!record_read(&repair->image, page, i, &repair->record) ||
            !target_fits(target, &repair->record))
            return false;
    return true;
}

/* What it has stands in the table, too, or is gone there: nothing is taken from a page in doubt. */
static int save_index_page(struct repair *repair, struct target *target, const struct page *page,
                           bool *ret_damaged, struct err *err)
{
    int r = repair_can_be(repair, target, page);

    if (r < 0)
        return err_errno(err, r, "%s", target->tree);
    *ret_damaged = !are_readable(repair, target, page);
    return r > 0 ? repair_page(repair, target, page, ret_damaged, err) : 0;
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
        else if (target->index)
            r = save_index_page(repair, target, &page, &damaged, err);
        else if (repair_has_rows(target, &page))
            r = repair_page(repair, target, &page, &damaged, err);
        target->damaged_pages += damaged;
    }
    return r;
}

/* At least half of what can be read on a page must look like the target's. */
static bool is_likely(struct repair *repair, const struct target *target, const struct page *page)
{
    uint32_t n = 0, likely = 0;

    if (!belongs(target, page))
        return false;
    for (uint32_t i = 0; repair_has_rows(target, page) && i < page->n_cells; i++) {
        if (!record_read(&repair->image, page, i, &repair->record))
            continue;
        n++;
        likely += target_is_likely(target, &repair->record);
    }
    return 2 * likely >= n;
}

/* What leads to a page may be damaged itself: without the map's word, and where the schema does not tell
 * the root, the rows must look like the table's. */
static void disown_tree(struct repair *repair, const struct target *target)
{
    int tree = pages_find(&repair->pages, target->tree);
    struct page page;

    for (uint32_t i = 2; i <= repair->image.n_pages && tree >= 0; i++)
        if (repair->pages.owner[i] == tree &&
            (repair->pages.type[i] == 0 || repair->pages.trees[tree].is_guess) &&
            image_read(&repair->image, i, repair->buf) &&
            page_open(&repair->image, i, repair->buf, &page) && !is_likely(repair, target, &page))
            repair->pages.owner[i] = PAGE_UNKNOWN;
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
        repair->counts_lost |=
            (target->damaged_pages || target->refused) &&
            (strcmp(target->table, "tallies") == 0 || strcmp(target->table, "snapshots") == 0 ||
             strcmp(target->table, "incomplete") == 0);
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
        disown_tree(repair, targets.items[i]);
    for (size_t i = 0; i < targets.n && r >= 0; i++)
        r = targets.items[i]->index ? 0 : save_tree(repair, targets.items[i], err);
    if (r >= 0)
        r = repair_strays(repair, &targets, err);
    /* last: a row of an index only fills a hole */
    for (size_t i = 0; i < targets.n && r >= 0; i++)
        r = targets.items[i]->index && !targets.items[i]->is_decoy
                ? save_tree(repair, targets.items[i], err)
                : 0;
    if (r >= 0)
        r = sql_exec(repair->db, "COMMIT", err);
    if (r >= 0)
        tell_losses(repair, &targets);
    return r;
}
