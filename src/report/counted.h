/* SPDX-License-Identifier: MIT */
/* What answers about counters share: which namespaces of the file, which rows. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "connhist/base/err.h"
#include "connhist/base/vec.h"
#include "connhist/model/service.h"
#include "connhist/report/filter.h"
#include "connhist/report/tables_live.h"

struct db;
struct growth; /* report/tables_past.h */
struct reading_choice;
struct walltime;

#define COUNTED_HOUR_MS INT64_C(3600000)
#define COUNTED_DAY_MS  (24 * COUNTED_HOUR_MS)

/* What is counted of each interface: interface.NAME.rx_bytes ... */
#define COUNTED_STATS(X) \
    X(rx_bytes)          \
    X(tx_bytes)          \
    X(rx_packets)        \
    X(tx_packets)        \
    X(rx_errors)         \
    X(tx_errors)         \
    X(rx_dropped)        \
    X(tx_dropped)        \
    X(rx_multicast)      \
    X(rx_missed)         \
    X(rx_nohandler)      \
    X(tx_collisions)     \
    X(tx_carrier)

/* A namespace while it was recorded, record time. */
struct counted_span {
    int64_t netns; /* netns.id */
    int64_t from_ms;
    int64_t until_ms; /* INT64_MAX: it still is */
    int64_t boot;     /* boots.id; 0: not known */
    int64_t inode;
    int64_t cookie;
    char name[NETNS_NAME_MAX];
    bool gone;   /* it ended there; else it was only not recorded any more */
    bool is_new; /* it came into being just before from_ms: all its counters were 0 */
};

struct counted_spans {
    VEC_FIELDS(struct counted_span); /* by from_ms */
    int64_t minutes_from_ms;         /* readings are there from here on; 0: none was removed */
    int64_t hours_from_ms;           /* likewise */
    int64_t hours_until_ms;          /* hours are whole up to here */
};

/* Sets these three alone. Errors as stmt_step(). */
int counted_kept_load(struct counted_spans *ret, struct db *db, struct err *err);

/* The namespace at that place of the spans has an earlier one. */
bool counted_is_again(const struct counted_spans *spans, size_t at);

/* Those of the filter's namespace, or else of the recorder's own. -ENOENT: there is none. An older
 * file gives none and 0. */
int counted_spans_load(struct counted_spans *ret, struct db *db, const struct filter *filter,
                       struct err *err);
void counted_spans_finish(struct counted_spans *spans);

/* The name of one of them, with its number where others had the same name in that boot; "" of one's
 * own. */
void counted_netns_text(const struct counted_spans *spans, int64_t netns,
                        char ret[static TABLES_NETNS_MAX]);

/* The last reading of one of them before at_ms (wall time) that lacks nothing of `which` (bits of enum
 * table_bit), or where readings are gone that of the hour or day before. Sets all of *choice. */
int reading_choose(struct db *db, const struct walltime *walltime,
                   const struct counted_spans *spans, unsigned which, int64_t at_ms,
                   struct reading_choice *choice, struct err *err);

/* A stretch of rows: of one tier, [from_ms, end_ms) of record time. */
struct counted_piece {
    int64_t from_ms, end_ms;
    int tier; /* 1 readings, 2 hours, 3 days */
};

/* Of one reading, or of the readings of an hour or a day that begins at at_ms: how many, and how long it
 * was from the one before to each of them, without gaps. */
typedef void (*counted_cover_fn)(void *arg, int64_t at_ms, uint32_t readings, int64_t covered_ms);

/* Calls fn for those of a namespace's counters, in order of time. */
int counted_cover_each(struct db *db, const struct counted_spans *spans, int64_t netns,
                       const struct counted_piece *piece, counted_cover_fn fn, void *arg,
                       struct err *err);

/* The last reading that told a namespace's counters at or before an instant, or the first one at or
 * after it, of those that are kept. netns 0: of any of them. 1: there is one. */
int counted_reading_before(struct db *db, const struct counted_spans *spans, int64_t netns,
                           int64_t at_ms, int64_t *ret, struct err *err);
int counted_reading_after(struct db *db, const struct counted_spans *spans, int64_t netns,
                          int64_t at_ms, int64_t *ret, struct err *err);

/* When the first of them that came into being while others were recorded, by until_ms, did so: an
 * interval before the snapshot that found it, when all its counters were 0. 1: there is one, and all
 * readings since are kept. */
int counted_birth(struct db *db, const struct counted_spans *spans, int64_t until_ms, int64_t *ret,
                  struct err *err);

/* An hour or a day in which a namespace's counters were read. Record time. */
struct counted_period {
    int64_t from_ms, end_ms;
    int64_t first_ms, last_ms; /* its readings */
};

/* The last one that was over at at_ms, or the first one with a reading from at_ms on: an hour where
 * hours are kept, else a day. 1: there is one. */
int counted_period_before(struct db *db, const struct counted_spans *spans, int64_t netns,
                          int64_t at_ms, struct counted_period *ret, struct err *err);
int counted_period_first(struct db *db, const struct counted_spans *spans, int64_t netns,
                         int64_t at_ms, struct counted_period *ret, struct err *err);
/* That which an instant lies in, or else the next one. */
int counted_period_at(struct db *db, const struct counted_spans *spans, int64_t netns,
                      int64_t at_ms, struct counted_period *ret, struct err *err);

/* Cuts (from_ms, until_ms] in pieces: days where they are whole, then hours, then readings. Returns
 * how many, at most 5. */
unsigned counted_cut(int64_t from_ms, int64_t until_ms, struct counted_piece ret[static 5]);

/* Of the interfaces' counters in a growth it keeps those of interfaces that were there between its
 * readings, and adds those that never moved. rows_from_ms: behind that record time its rows begin. */
int grown_choose_interfaces(struct db *db, const struct counted_spans *spans, int64_t rows_from_ms,
                            struct growth *growth, struct err *err);
