/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "connhist/store/file.h"
#include "connhist/store/maintain.h"
#include "image.h"
#include "reader.h"
#include "senses.h"
#include "sql.h"
#include "work.h"

#define FAULTS_TOLD 20 /* of each table */

struct check {
    const struct maintenance *work;
    sqlite3 *db;
    int64_t found;   /* lines told */
    int64_t unsound; /* snapshots whose counts don't add up */
    int64_t first_unsound_ms;
    int64_t unlike; /* counts of minutes that are not those of their snapshots */
    struct {
        int64_t at_ms, service, state;
    } first_unlike;
    int64_t denied; /* stretches of hours that lack what closed in them */
    int64_t first_denied_ms;
    int64_t done, total; /* steps */
    int edition;
};

__attribute__((format(printf, 2, 3))) static void find(struct check *check, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    work_vtell(check->work, format, args);
    va_end(args);
    check->found++;
}

static void step(struct check *check, const char *what)
{
    progress_show(check->work->progress, what, check->done++, check->total);
}

/* What ends the look at a table is a finding if it is damage. */
static int find_damage(struct check *check, const char *what, int r, const struct err *err)
{
    if (r != -EBADMSG)
        return r;
    find(check, "%s: can't be read to its end (%s)", what,
         err->text[0] ? err->text : "its content makes no sense");
    return 0;
}

/* By the table, with its indexes: that is where progress can be shown. */
static int check_table(struct check *check, const char *table, struct err *err)
{
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stmt = NULL;
    char sql[256];
    int r;

    step(check, table);
    snprintf(sql, sizeof(sql), "PRAGMA integrity_check(%s)", table);
    r = sql_prepare(check->db, sql, &stmt, err);
    for (int n = 0; r >= 0 && n < FAULTS_TOLD && (r = sql_step(stmt, err)) > 0; n++) {
        const char *text = (const char *)sqlite3_column_text(stmt, 0);

        if (text && sqlite3_stricmp(text, "ok") != 0)
            find(check, "%s: %s", table, text);
    }
    return find_damage(check, table, r < 0 ? r : 0, err);
}

static int check_tables(struct check *check, struct err *err)
{
    static const char sql[] = "SELECT name FROM sqlite_schema WHERE type = 'table' "
                              "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY rootpage";
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stmt = NULL;
    int64_t tables = 0;
    int r = sql_query_i64(check->db, "SELECT count(*) FROM sqlite_schema WHERE type = 'table'",
                          &tables, err);

    check->total = tables + (int64_t)senses_n + 2;
    if (r >= 0)
        r = sql_prepare(check->db, sql, &stmt, err);
    while (r >= 0 && (r = sql_step(stmt, err)) > 0)
        r = check_table(check, (const char *)sqlite3_column_text(stmt, 0), err);
    return find_damage(check, "sqlite_schema", r, err);
}

static int check_sense(struct check *check, const struct sense *sense, struct err *err)
{
    char place[SENSES_PLACE_MAX] = "";
    int64_t n = 0;
    int r = senses_count(check->db, sense, &n, err);

    if (r >= 0 && n > 0)
        r = senses_place(check->db, sense, place, err);
    if (r >= 0 && n > 0)
        find(check, "%s: %lld row%s %s: %s%s", sense->table, (long long)n, n > 1 ? "s" : "",
             sense->words, n > 1 ? "the first is " : "", place);
    return r < 0 ? find_damage(check, sense->table, r, err) : 0;
}

static int check_senses(struct check *check, struct err *err)
{
    int r = 0;

    for (size_t i = 0; i < senses_n && r >= 0; i++) {
        step(check, senses[i].table);
        if (senses[i].edition <= check->edition)
            r = check_sense(check, &senses[i], err);
    }
    return r;
}

static int note_unsound(void *arg, int64_t start_ms)
{
    struct check *check = arg;

    if (check->unsound++ == 0)
        check->first_unsound_ms = start_ms;
    return 0;
}

static int note_unlike(void *arg, int64_t at_ms, int64_t service, int64_t state)
{
    struct check *check = arg;

    if (check->unlike++ == 0) {
        check->first_unlike.at_ms = at_ms;
        check->first_unlike.service = service;
        check->first_unlike.state = state;
    }
    return 0;
}

static void tell_unlike(struct check *check)
{
    char row[64] = "";

    if (check->unlike == 0)
        return;
    if (check->first_unlike.service)
        snprintf(row, sizeof(row), "service %lld, state %lld, ",
                 (long long)check->first_unlike.service, (long long)check->first_unlike.state);
    find(check,
         "%s: %lld count%s of minutes unlike those of their snapshots: %stier 1, %sat_ms %lld",
         check->first_unlike.service ? "tally_rollups" : "cover_rollups", (long long)check->unlike,
         check->unlike > 1 ? "s" : "", check->unlike > 1 ? "the first is " : "", row,
         (long long)check->first_unlike.at_ms);
}

static int check_counts(struct check *check, struct err *err)
{
    const struct counts_faults faults = {
        .unsound = note_unsound, .unlike = note_unlike, .arg = check};
    int r;

    step(check, "counts");
    r = senses_each_counts_fault(check->db, check->edition, &faults, err);
    tell_unlike(check);
    if (check->unsound > 0)
        find(check,
             "tallies: the counts of %lld complete snapshots are not those of their sockets, the "
             "first at %lld ms",
             (long long)check->unsound, (long long)check->first_unsound_ms);
    return find_damage(check, "tallies", r, err);
}

static int note_denied(void *arg, int64_t end_ms)
{
    struct check *check = arg;

    if (check->denied++ == 0)
        check->first_denied_ms = end_ms;
    return 0;
}

static int check_hours(struct check *check, struct err *err)
{
    int r;

    step(check, "hours");
    r = senses_each_denied(check->db, check->edition, note_denied, check, err);
    if (check->denied > 0)
        find(check,
             "hours: %lld stretches do not tell of all that closed in them, so that searches miss "
             "it; one ends at %lld ms",
             (long long)check->denied, (long long)check->first_denied_ms);
    return find_damage(check, "hours", r, err);
}

static int check_free_pages(struct check *check, struct err *err)
{
    int64_t pages = 0, free_pages = 0;
    int r = sql_query_i64(check->db, "PRAGMA page_count", &pages, err);

    if (r >= 0)
        r = sql_query_i64(check->db, "PRAGMA freelist_count", &free_pages, err);
    if (r >= 0 && free_pages >= pages)
        find(check, "the file has %lld pages, of which %lld are free", (long long)pages,
             (long long)free_pages);
    return r < 0 ? r : 0;
}

static int check_open(struct check *check, struct db *db, struct err *err)
{
    int r;

    check->db = db->db;
    check->edition = db_edition(db);
    /* one instant of it; nobody writes */
    r = db_begin(db, err);
    if (r >= 0)
        r = senses_register(db->db, err);
    if (r >= 0)
        r = check_tables(check, err);
    if (r >= 0)
        r = check_free_pages(check, err);
    if (r >= 0)
        r = check_senses(check, err);
    if (r >= 0)
        r = check_counts(check, err);
    if (r >= 0)
        r = check_hours(check, err);
    db_end(db);
    return r;
}

/* The commonest damage has words of its own. */
static void find_cut(struct check *check, const char *path)
{
    struct image image;
    struct err err = {0};

    if (image_open(path, &image, &err) < 0)
        return; /* what is known of it is told anyway */
    if (image.n_missing)
        find(check, "the file was cut off: the last %u of its %u pages are not there",
             image.n_missing, image.n_pages);
    image_close(&image);
}

int maintain_check(const char *path, const struct maintenance *work, int64_t *ret_findings,
                   struct err *err)
{
    _cleanup_(cleanup_db_close) struct db *db = NULL;
    struct check check = {.work = work};
    struct err damage = {0};
    int r = work_refuse_recorder(path, err);

    if (r < 0)
        return r;
    r = db_open(path, &db, &damage);
    if (r >= 0)
        r = check_open(&check, db, &damage);
    progress_clear(work->progress);
    if (r == -EBADMSG) {
        find_cut(&check, path);
        find(&check, "%s", damage.text);
        r = 0;
    }
    if (r < 0)
        return err_set(err, r, "%s", damage.text);
    *ret_findings = check.found;
    return 0;
}
