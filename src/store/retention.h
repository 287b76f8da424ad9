/* SPDX-License-Identifier: MIT */
/* What the store does so that the file stays within its bounds: how much fits (budget.c), what goes
 * (prune.c, prune_rows.c), which names nobody refers to any more (orphans.c). All on the thread that
 * writes, in steps of a few milliseconds, each a transaction of its own. */
#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/model/batch.h"
#include "connhist/store/upkeep.h"

enum prune_cause {
    PRUNE_AGE = 1,  /* older than its limit */
    PRUNE_SIZE = 2, /* the file was at its largest size */
};

/* A tier that is being removed from its oldest end: from_ms is raised first, the rows before it go
 * in steps. What a crash leaves of them goes in the next run. */
struct prune_tier {
    int64_t from_ms;  /* as in `tiers` */
    int64_t until_ms; /* as in `tiers` when that was last read */
    int64_t row;      /* prunings.id that counts what goes; 0: none in this run */
    int64_t at[2];    /* where in a part the next step begins */
    unsigned part;    /* of the tier's tables, see prune_rows.c */
    bool dirty;       /* rows before from_ms may be left */
};

struct orphans; /* orphans.c */

struct retention {
    struct store_retention wanted; /* as it was set */
    struct prune_tier tiers[TIER_COUNT];
    struct orphans *sweep; /* the sweep that runs; NULL: none; owned */
    sqlite3_file *wal;     /* SQLite's own; NULL: no transaction */
    int64_t page_bytes;    /* of the database; 0: wanted is not applied to this connection yet */
    int64_t most_pages;    /* that the database may have; 0: no bound */
    int64_t most_wal;      /* bytes that the -wal may have while a transaction runs; 0: no bound */
    int64_t wal_frames;    /* pages in the -wal after the last commit */
    int64_t last_ms;       /* the latest snapshot written; nothing after it is removed */
    int64_t removed;       /* rows of detail removed since the last sweep */
    int64_t named_ms;      /* last_ms when the last sweep began; 0: none did */
    bool set;              /* store_set_retention() was called */
    bool loaded;           /* tiers are as in the file */
    bool capped;           /* SQLite refuses pages beyond most_pages */
    bool vacuuming;        /* free pages are being given back */
    bool has_changes;      /* there is a table of earlier owners */
    bool crowded;          /* open sockets alone take much of what there is */
    bool names_short;      /* the file has about as many names of counters as it may */
    bool log_full;         /* the last statement was broken off since the -wal reached most_wal */
};

struct store;

/* A connection was made. */
void budget_connect(struct store *store);

/* Applies what was set to the connection, if it was not yet. */
int budget_apply(struct store *store, struct err *err);

/* Before and after each transaction. */
int budget_begin(struct store *store, struct err *err);
void budget_end(struct store *store);

/* The error of a transaction, in the words of the budget where that is why it failed. */
int budget_explain(struct store *store, int r, struct err *err);

/* How many sockets are open, before a batch is written. */
void budget_note_crowd(struct store *store, const struct batch *batch);

/* What a batch takes, at most in ordinary cases. */
struct budget_need {
    int64_t pages;  /* that the database grows by */
    int64_t frames; /* pages that are written to the -wal */
    bool counts;    /* counts may go for it */
};
struct budget_need budget_estimate(const struct store *store, const struct batch *batch);

/* Removes what must go for the batch to fit. 0: it may be tried; -EXFULL: it can't be now. */
int budget_make_room(struct store *store, const struct budget_need *need, struct err *err);

/* After a batch did not fit: 1: more was removed; 0: that is not why, or there is nothing left. */
int budget_squeeze(struct store *store, const struct budget_need *need, struct err *err);

/* When that gave nothing: -EXFULL with why, or -ENOSPC if it is the disk that is full. */
int budget_no_room(struct store *store, const struct budget_need *need, struct err *err);

/* Pages that are free within the bound; INT64_MAX: there is none. */
int budget_free_pages(struct store *store, int64_t *ret, struct err *err);

/* The file is larger than it may be, since that was made less. */
bool budget_is_above(const struct store *store);

/* Whether a step of upkeep may add to the -wal now. */
bool budget_may_work(struct store *store);

/* What of the following is most urgent. */
int retention_step(struct store *store, int64_t now_ms, struct err *err);

/* Each does one step. 1: there is more to do; 0: nothing for now. */
int prune_step(struct store *store, int64_t now_ms, struct err *err);
int vacuum_step(struct store *store, struct err *err);
int orphans_step(struct store *store, struct err *err);

/* One step towards free pages; 1: something went, or was found out; 0: nothing is left. counts: they may go, too, when
 * there is no more detail. */
int prune_for_space(struct store *store, bool counts, struct err *err);

/* Removes some rows of a tier that are before its from_ms, inside a transaction. *ret_rows: how many. When none
 * is left, the tier is not dirty any more. */
int prune_rows(struct store *store, enum tier tier, int64_t *ret_rows, struct err *err);

/* Removes what else the file tells of a life. Inside a transaction. */
int prune_life(struct store *store, int64_t life, struct err *err);

/* The oldest closing of a life that is not after until_ms; 1: there is one. */
int prune_oldest_closing(struct store *store, int64_t until_ms, int64_t *ret, struct err *err);

/* A number of a dictionary was looked up: a sweep that runs must not remove it. find: enum writer_stmt
 * by which it is found; STMT_PUT_OPEN: a life was written. */
void orphans_note(struct store *store, unsigned find, int64_t id);

/* Ends the sweep that runs, if any: it begins anew some day. */
void orphans_abandon(struct store *store);
