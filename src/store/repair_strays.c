/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "connhist/base/cleanup.h"
#include "connhist/base/vec.h"
#include "repair.h"
#include "sql.h"
#include "targets.h"

#define ROWS_ENOUGH 8 /* so many do not look like another table's by chance */

struct strays {
    struct repair *repair;
    struct targets *targets;
    struct {
        VEC_FIELDS(struct target *);
    } found;       /* whose a page can be; not owned */
    size_t tables; /* ... those of them that are no indexes */
    int64_t n;     /* pages */
    int64_t saved; /* rows */
    int64_t lost_pages, lost_rows;
};

static void finish(struct strays *strays)
{
    vec_finish(&strays->found);
}

/* How many of the page's rows are in the new file, as the target's, at least half of them: 1. */
static int is_there(struct strays *strays, struct target *target, const struct page *page,
                    struct err *err)
{
    struct repair *repair = strays->repair;
    uint32_t n = 0;
    int r = 0;

    for (uint32_t i = 0; i < page->n_cells && r >= 0; i++) {
        if (!record_read(&repair->image, page, i, &repair->record))
            continue;
        r = target_has(target, repair->db, &repair->record, err);
        n += r > 0;
    }
    return r < 0 ? r : 2 * n >= page->n_cells;
}

static unsigned count_narrow(const struct target *target)
{
    unsigned n = 0;

    for (unsigned i = 0; i < target->n_columns; i++)
        n += range_is_narrow(target->columns[i].range);
    return n;
}

/* The one of which nobody would believe that the other's rows look like it by chance. */
static struct target *choose(const struct strays *strays, const struct page *page)
{
    struct target *best = NULL;
    unsigned most = 0, second = 0;

    for (size_t i = 0; i < strays->found.n; i++) {
        unsigned narrow = count_narrow(strays->found.items[i]);

        if (!best || narrow > most) {
            second = best ? most : 0;
            most = narrow;
            best = strays->found.items[i];
        } else if (narrow > second)
            second = narrow;
    }
    if (strays->found.n == 1)
        return best;
    return page->n_cells >= ROWS_ENOUGH && most >= second + 2 ? best : NULL;
}

/* Counts by namespace, which look like those of all, stand only where a period has their cover. 0: it is not theirs. */
static int has_covers(struct strays *strays, const struct page *page, struct err *err)
{
    static const char sql[] = "SELECT 1 FROM netns_covers WHERE tier = ?1 AND at_ms = ?2 LIMIT 1";
    struct repair *repair = strays->repair;
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stmt = NULL;
    int r = sql_prepare(repair->db, sql, &stmt, err);

    for (uint32_t i = 0; i < page->n_cells && r >= 0; i++) {
        if (!record_read(&repair->image, page, i, &repair->record))
            continue;
        SQL_BIND(stmt, repair->record.values[0].integer, repair->record.values[3].integer);
        r = sql_step(stmt, err);
        sqlite3_reset(stmt);
        if (r == 0)
            return 0;
    }
    return r < 0 ? r : 1;
}

static int find_candidates(struct strays *strays, const struct page *page, bool is_last,
                           struct err *err)
{
    vec_clear(&strays->found);
    strays->tables = 0;
    for (size_t i = 0; i < strays->targets->n; i++) {
        size_t before = strays->found.n;
        int r = repair_can_be(strays->repair, strays->targets->items[i], page);

        if (r > 0 && is_last && strcmp(strays->targets->items[i]->table, "netns_tallies") == 0) {
            r = has_covers(strays, page, err);
            if (r < 0)
                return r;
        }
        if (r > 0)
            r = vec_push(&strays->found, strays->targets->items[i]);
        if (r < 0)
            return err_errno(err, r, "a page of an unknown table");
        if (strays->found.n > before)
            strays->tables += !strays->targets->items[i]->index;
    }
    return 0;
}

/* Whether the rows of the page stand in the new file already: one of an index, or an old one. */
static int is_known(struct strays *strays, const struct page *page, struct err *err)
{
    int r = 0;

    for (size_t i = 0; i < strays->found.n && r == 0; i++)
        r = is_there(strays, strays->found.items[i], page, err);
    return r;
}

static int save(struct strays *strays, struct target *target, const struct page *page,
                uint32_t number, struct err *err)
{
    int64_t before = target->saved;
    bool damaged = false;
    int r = repair_page(strays->repair, target, page, &damaged, err);

    strays->saved += target->saved - before;
    strays->repair->pages.owner[number] = PAGE_OTHER;
    return r;
}

/* At first those alone that can't be another table's; then what these have is known. */
static int look_at(struct strays *strays, uint32_t number, bool is_last, struct err *err)
{
    struct repair *repair = strays->repair;
    struct target *target;
    struct page page;
    int r;

    if (!image_read(&repair->image, number, repair->buf) ||
        !page_open(&repair->image, number, repair->buf, &page)) {
        strays->lost_pages += is_last;
        return 0;
    }
    if (page.n_cells == 0 || page.kind == PAGE_TABLE_INTERIOR)
        return 0;
    r = find_candidates(strays, &page, is_last, err);
    if (r < 0)
        return r;
    target = choose(strays, &page);
    if (target && !target->index && strays->found.n == 1)
        return save(strays, target, &page, number, err);
    if (!is_last)
        return 0;
    r = is_known(strays, &page, err);
    if (r != 0)
        return r < 0 ? r : 0;
    if (target && !target->is_decoy)
        return save(strays, target, &page, number, err);
    if (strays->found.n > 0 &&
        strays->tables == 0) /* their tables have the rows, or lack them and tell so */
        return 0;
    strays->lost_pages++;
    strays->lost_rows += page.n_cells;
    return 0;
}

static int look_at_all(struct strays *strays, bool is_last, struct err *err)
{
    struct repair *repair = strays->repair;
    int r = 0;

    for (uint32_t i = 2; i <= repair->image.n_pages && r >= 0; i++) {
        if (repair->pages.owner[i] != PAGE_UNKNOWN)
            continue;
        progress_show(repair->work->progress, "pages that nothing leads to", i,
                      repair->image.n_pages);
        strays->n += !is_last;
        r = look_at(strays, i, is_last, err);
    }
    return r;
}

int repair_strays(struct repair *repair, struct targets *targets, struct err *err)
{
    _cleanup_(finish) struct strays strays = {.repair = repair, .targets = targets};
    int r = look_at_all(&strays, false, err);

    if (r >= 0)
        r = look_at_all(&strays, true, err);
    if (r < 0 || strays.n == 0)
        return r;
    repair_tell(repair,
                "%lld page%s that nothing leads to: %lld row%s saved by what they look like",
                (long long)strays.n, strays.n > 1 ? "s" : "", (long long)strays.saved,
                strays.saved == 1 ? "" : "s");
    if (strays.lost_rows)
        repair_tell(repair, "%lld row%s of an unknown table not saved", (long long)strays.lost_rows,
                    strays.lost_rows > 1 ? "s" : "");
    repair->lost_pages += strays.lost_pages;
    repair->counts_lost |= strays.lost_pages > 0;
    return 0;
}
