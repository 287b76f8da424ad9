/* SPDX-License-Identifier: MIT */
/* The bound of database, -wal and -shm together. The database can't grow beyond its part because SQLite
 * refuses further pages; the -wal can't because a transaction that writes too much is broken off.
 * What is below sees to it that neither happens in the ordinary course. */
#include <errno.h>
#include <stdio.h>

#include "connhist/base/timetext.h"
#include "retention.h"
#include "sql.h"
#include "writer.h"

#define FRAME_HEAD  24             /* bytes of the -wal beside each page */
#define SHM_BYTES   INT64_C(32768) /* of the -shm for as many frames as follow */
#define SHM_FRAMES  4062
#define CHECK_STEPS 1000 /* of SQLite's machine between two looks at the -wal */
#define CACHE_SLACK \
    (INT64_C(3) << 19) /* what comes to the -wal after the last look: the page cache, and some */
#define TIDY_FRAMES     1000 /* in the -wal before they are copied to the database */
#define READERS_WAIT_MS 100  /* for those that read only for a moment */
#define VACUUM_PAGES    32   /* given back in a step ... */
#define VACUUM_DOWN     256  /* ... on the way down to a smaller size */
#define VACUUM_MIN_FREE 256  /* fewer free pages are not worth it */
#define OPEN_BYTES      72   /* that an open socket takes in the file, about */
#define CROWD_SHARE     3    /* with one of so many parts of the file they are a crowd */
#define LEAST_PAGES     64   /* that a database has, whatever was asked for */

static int64_t frame_bytes(const struct retention *retention)
{
    return retention->page_bytes + FRAME_HEAD;
}

/* Looks at the size of the -wal now and then while a statement runs: it has all that no longer fits
 * the page cache. */
static int check_log(void *arg)
{
    struct retention *retention = arg;
    sqlite3_int64 size = 0;

    if (!retention->wal || !retention->wal->pMethods ||
        retention->wal->pMethods->xFileSize(retention->wal, &size) != SQLITE_OK)
        return 0;
    if (size <= retention->most_wal)
        return 0;
    retention->log_full = true;
    return 1;
}

static int note_frames(void *arg, sqlite3 *db, const char *name, int frames)
{
    struct retention *retention = arg;

    (void)db;
    (void)name;
    retention->wal_frames = frames;
    return SQLITE_OK;
}

void store_set_retention(struct store *store, const struct store_retention *wanted)
{
    store->retention.wanted = *wanted;
    store->retention.set = true;
    store->retention.page_bytes = 0;
    store->retention.capped = false;
}

/* SQLite sets no bound below what there is: it is tried again as the file shrinks. */
static int cap_pages(struct store *store, struct err *err)
{
    struct retention *retention = &store->retention;
    char sql[64];
    int64_t most = 0;
    int r;

    if (retention->capped)
        return 0;
    snprintf(sql, sizeof(sql), "PRAGMA max_page_count = %lld",
             retention->most_pages ? (long long)retention->most_pages : 4294967294LL);
    r = sql_query_i64(store->db, sql, &most, err);
    if (r >= 0)
        retention->capped = !retention->most_pages || most <= retention->most_pages;
    return r < 0 ? r : 0;
}

void budget_connect(struct store *store)
{
    struct retention *retention = &store->retention;
    int frames = 0;

    sqlite3_wal_hook(store->db, note_frames, retention);
    sqlite3_wal_checkpoint_v2(store->db, "main", SQLITE_CHECKPOINT_PASSIVE, &frames, NULL);
    retention->wal_frames = frames > 0 ? frames : 0;
    retention->page_bytes = 0;
    retention->capped = retention->loaded = false;
}

int budget_apply(struct store *store, struct err *err)
{
    struct retention *retention = &store->retention;
    const struct store_retention *wanted = &retention->wanted;
    int64_t frames, shm, page_bytes = 0;
    int r;

    if (!retention->set)
        return 0;
    if (retention->page_bytes)
        return cap_pages(store, err);
    r = sql_query_i64(store->db, "PRAGMA page_size", &page_bytes, err);
    if (r < 0)
        return r;
    frames = wanted->wal_bytes / (page_bytes + FRAME_HEAD);
    shm = (frames / SHM_FRAMES + 2) * SHM_BYTES;
    retention->most_pages = retention->most_wal = 0;
    if (wanted->max_bytes) {
        retention->most_pages = (wanted->max_bytes - wanted->wal_bytes - shm) / page_bytes;
        if (retention->most_pages < LEAST_PAGES)
            retention->most_pages = LEAST_PAGES;
    }
    if (wanted->wal_bytes)
        retention->most_wal = wanted->wal_bytes > 2 * CACHE_SLACK ? wanted->wal_bytes - CACHE_SLACK
                                                                  : wanted->wal_bytes / 2;
    sqlite3_progress_handler(store->db, retention->most_wal ? CHECK_STEPS : 0,
                             retention->most_wal ? check_log : NULL, retention);
    retention->capped = false;
    r = cap_pages(store, err);
    if (r >= 0)
        retention->page_bytes = page_bytes;
    return r;
}

/* A -wal that was larger once is cut, since its size is what tells how much a transaction writes. */
static void cut_log(struct store *store)
{
    struct retention *retention = &store->retention;
    sqlite3_int64 size = 0;

    if (!retention->most_wal || !retention->wal || !retention->wal->pMethods ||
        retention->wal->pMethods->xFileSize(retention->wal, &size) != SQLITE_OK ||
        size <= retention->most_wal)
        return;
    if (sqlite3_wal_checkpoint_v2(store->db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) ==
        SQLITE_OK)
        retention->wal_frames = 0;
    writer_note_sizes(store);
}

int budget_begin(struct store *store, struct err *err)
{
    int r = budget_apply(store, err);

    store->retention.log_full = false;
    store->retention.wal = NULL;
    if (r < 0)
        return r;
    sqlite3_file_control(store->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &store->retention.wal);
    cut_log(store);
    return 0;
}

void budget_end(struct store *store)
{
    store->retention.wal = NULL;
    if (store->retention.wal_frames >= TIDY_FRAMES)
        sqlite3_wal_checkpoint_v2(store->db, "main", SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

int budget_explain(struct store *store, int r, struct err *err)
{
    char size[TIME_TEXT_MAX];

    if (r != -EINTR || !store->retention.log_full)
        return r;
    size_format(store->retention.wanted.wal_bytes, size);
    return err_set(err, -EXFULL, "%s: it takes more than the -wal may have (%s)", store->path,
                   size);
}

/* Sockets that are open can't go. Where they alone take much of what there is, it is them that there is no room
 * for, and not counts that must go for them. */
void budget_note_crowd(struct store *store, const struct batch *batch)
{
    struct retention *retention = &store->retention;

    if (batch->has_snapshot && batch->snapshot.status == SNAPSHOT_COMPLETE)
        retention->crowded = retention->most_pages &&
                             (int64_t)batch->snapshot.sockets * OPEN_BYTES >
                                 retention->most_pages * retention->page_bytes / CROWD_SHARE;
}

struct budget_need budget_estimate(const struct store *store, const struct batch *batch)
{
    size_t lives = batch->opened.n + batch->changed.n + batch->closed.n + batch->amended.n;
    size_t bytes = lives * 96 + batch->histories.n + batch->late.n * 40 + batch->sampled.n * 80 +
                   batch->tallies.n * 16 + batch->rates.n * 160 + batch->owners.n * 300 +
                   batch->texts.n + batch->holders.n * 16 + batch->queues.n * 24 +
                   batch->losses.n * 160 + batch->counting.counters.n * 60 +
                   batch->counting.interfaces.n * 100 +
                   (batch->counting.routes.n + batch->counting.hops.n) * 120;
    size_t scattered = batch->changed.n + batch->amended.n + batch->late.n + batch->sampled.n +
                       batch->tallies.n + batch->rates.n + batch->queues.n +
                       batch->counting.netns.n * 4;
    int64_t page = store->retention.page_bytes ? store->retention.page_bytes : 4096;
    struct budget_need need = {.pages =
                                   (int64_t)bytes * 3 / 2 / page + (int64_t)scattered / 16 + 48};

    need.frames = need.pages + (int64_t)scattered + 64;
    need.counts = lives == 0 || !store->retention.crowded;
    if (store->retention.most_pages && need.frames > store->retention.most_pages)
        need.frames = store->retention.most_pages;
    return need;
}

int budget_free_pages(struct store *store, int64_t *ret, struct err *err)
{
    const struct retention *retention = &store->retention;
    sqlite3_stmt *pages, *unused;
    int64_t used;
    int r = writer_stmt(store, STMT_PAGE_COUNT, "PRAGMA page_count", &pages, err);

    *ret = INT64_MAX;
    if (r < 0 || !retention->most_pages)
        return r;
    r = writer_stmt(store, STMT_FREE_COUNT, "PRAGMA freelist_count", &unused, err);
    if (r >= 0)
        r = sql_step(pages, err);
    if (r <= 0)
        return r;
    used = sqlite3_column_int64(pages, 0);
    sqlite3_reset(pages);
    r = sql_step(unused, err);
    if (r <= 0)
        return r;
    used -= sqlite3_column_int64(unused, 0);
    sqlite3_reset(unused);
    *ret = retention->most_pages - used;
    return 0;
}

/* Makes that so many frames fit into the -wal, if need be by beginning it anew, for which all
 * readers must have read on. */
static int tidy_log(struct store *store, int64_t frames, struct err *err)
{
    struct retention *retention = &store->retention;
    char size[TIME_TEXT_MAX];

    if (!retention->most_wal ||
        (retention->wal_frames + frames) * frame_bytes(retention) <= retention->most_wal)
        return 0;
    sqlite3_busy_timeout(store->db, READERS_WAIT_MS);
    if (sqlite3_wal_checkpoint_v2(store->db, "main", SQLITE_CHECKPOINT_RESTART, NULL, NULL) ==
        SQLITE_OK)
        retention->wal_frames = 0;
    sqlite3_busy_timeout(store->db, WRITER_BUSY_MS);
    writer_note_sizes(store);
    if (retention->wal_frames == 0)
        return 0;
    size_format(retention->wanted.wal_bytes, size);
    return err_set(
        err, -EXFULL,
        "%s: somebody has been reading it for long, and its -wal may have no more than %s",
        store->path, size);
}

bool budget_may_work(struct store *store)
{
    if (budget_apply(store, NULL) < 0)
        return true; /* the step will tell */
    return tidy_log(store, TIDY_FRAMES / 4, NULL) == 0;
}

bool budget_is_above(const struct store *store)
{
    return store->retention.most_pages && !store->retention.capped;
}

/* Free pages of a file that is above its bound, and can't grow; -1: it is not, or that can't be told. */
static int64_t unused_in_file(struct store *store)
{
    int64_t pages, unused;

    if (sql_query_i64(store->db, "PRAGMA page_count", &pages, NULL) <= 0 ||
        pages <= store->retention.most_pages ||
        sql_query_i64(store->db, "PRAGMA freelist_count", &unused, NULL) <= 0)
        return -1;
    return unused;
}

int budget_make_room(struct store *store, const struct budget_need *need, struct err *err)
{
    int64_t unused = INT64_MAX;
    int r = budget_apply(store, err);

    if (r >= 0)
        r = tidy_log(store, need->frames, err);
    for (;;) {
        if (r >= 0)
            r = budget_free_pages(store, &unused, err);
        if (r < 0 || unused >= need->pages)
            return r;
        r = prune_for_space(store, need->counts, err);
        if (r <= 0)
            return r;
        r = tidy_log(store, need->frames, err);
        /* a size that was made smaller is come down to between ticks: what is free in the file will do */
        if (r >= 0 && unused_in_file(store) >= need->pages)
            return 0;
    }
}

/* With so much left it is the disk that is full, and nothing must go for that. */
static bool is_plenty(int64_t unused, const struct budget_need *need)
{
    return unused > 4 * need->pages + VACUUM_MIN_FREE;
}

int budget_squeeze(struct store *store, const struct budget_need *need, struct err *err)
{
    int64_t unused = INT64_MAX, target;
    int r = budget_free_pages(store, &unused, err), more = 0;

    if (r < 0 || is_plenty(unused, need))
        return r;
    for (target = unused + need->pages + VACUUM_MIN_FREE; unused < target; more = 1) {
        r = tidy_log(store, need->frames, err);
        if (r >= 0)
            r = prune_for_space(store, need->counts, err);
        if (r > 0)
            r = budget_free_pages(store, &unused, err);
        else
            return r < 0 ? r : more;
        if (r < 0)
            return r;
    }
    return 1;
}

int budget_no_room(struct store *store, const struct budget_need *need, struct err *err)
{
    char size[TIME_TEXT_MAX];
    int64_t unused = INT64_MAX;

    if (budget_free_pages(store, &unused, NULL) < 0 || is_plenty(unused, need))
        return -ENOSPC;
    size_format(store->retention.wanted.max_bytes, size);
    return err_set(err, -EXFULL, "%s: more comes in than the largest size of %s can hold",
                   store->path, size);
}

/* Free pages are for what comes next, as long as they are not much of the file; what is beyond the
 * bound goes in any case. */
static bool wants_vacuum(const struct retention *retention, int64_t pages, int64_t unused)
{
    int64_t share = retention->vacuuming ? 8 : 4;

    if (retention->most_pages && pages > retention->most_pages)
        return unused > 0;
    return unused > VACUUM_MIN_FREE && unused > pages / share;
}

int vacuum_step(struct store *store, struct err *err)
{
    struct retention *retention = &store->retention;
    int64_t pages = 0, unused = 0;
    bool before = retention->vacuuming;
    char sql[64];
    int r;

    if (!retention->set)
        return 0;
    r = sql_query_i64(store->db, "PRAGMA page_count", &pages, err);
    if (r >= 0)
        r = sql_query_i64(store->db, "PRAGMA freelist_count", &unused, err);
    if (r < 0)
        return r;
    retention->vacuuming = wants_vacuum(retention, pages, unused);
    if (!retention->vacuuming) {
        if (before) { /* the file is cut when all is in it */
            sqlite3_wal_checkpoint_v2(store->db, "main", SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
            writer_note_sizes(store);
        }
        return 0;
    }
    snprintf(sql, sizeof(sql), "PRAGMA incremental_vacuum(%d)",
             budget_is_above(store) ? VACUUM_DOWN : VACUUM_PAGES);
    r = writer_begin(store, err);
    if (r >= 0)
        r = writer_end(store, sql_exec(store->db, sql, err), err);
    return r < 0 ? r : 1;
}

int retention_step(struct store *store, int64_t now_ms, struct err *err)
{
    int64_t unused = 0;
    int r = 0;

    if (!store->retention.set)
        return 0;
    if (budget_is_above(store)) { /* the disk need not wait until all has gone */
        r = sql_query_i64(store->db, "PRAGMA freelist_count", &unused, err);
        if (r > 0)
            r = unused < VACUUM_DOWN ? 0 : vacuum_step(store, err);
    }
    if (r == 0)
        r = prune_step(store, now_ms, err);
    if (r == 0)
        r = vacuum_step(store, err);
    return r ? r : orphans_step(store, err);
}
