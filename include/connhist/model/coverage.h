/* SPDX-License-Identifier: MIT */
/* Coverage: which snapshots of a span were planned and done, and where nothing was recorded. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "connhist/base/vec.h"

struct gap {
    int64_t from_ms;        /* last complete snapshot before, or the begin of the span */
    int64_t until_ms;       /* first complete snapshot after, or the end of the span */
    char reason[96];        /* for people: "recorder not running", "3 ticks missed" … */
    int64_t record_from_ms; /* both once more, on the record's clock */
    int64_t record_until_ms;
    bool pruned; /* it was recorded, and is removed by now */
};

struct gap_vec {
    VEC_FIELDS(struct gap);
};

/* What was removed of a span, to keep the file small. */
struct pruned {
    int64_t from_ms;   /* wall time */
    int64_t until_ms;  /* wall time */
    const char *what;  /* "detail", "ticks", "minutes", "hours" or "days"; static */
    const char *cause; /* "age" or "size"; static */
};

/* What runs of the recorder kept of connections; a set of bits. */
enum coverage_detail {
    COVERAGE_DETAIL_ON = 1,
    COVERAGE_DETAIL_ANONYMOUS = 2, /* remote addresses are cut */
    COVERAGE_DETAIL_OFF = 4,       /* listening sockets alone; all are counted */
};

struct coverage {
    int64_t planned;     /* done + interrupted + missed */
    int64_t done;        /* complete snapshots */
    int64_t interrupted; /* snapshots whose dump failed */
    int64_t missed;      /* ticks not taken or not written */
    int64_t events_lost; /* how often destroy events were lost: how many each time nobody knows */
    int64_t unkept;      /* sockets tallied without detail, once in each snapshot */
    unsigned details;    /* enum coverage_detail of the runs that took snapshots here */
    struct gap_vec gaps; /* oldest first; owned */
    struct gap_vec deaf; /* when events were lost, by end: short connections may lack; owned */
    struct {
        VEC_FIELDS(struct pruned);
    } pruned; /* oldest first; owned */
};

/* The bit of "on", "anonymous" or "off"; 0: none of these. */
unsigned coverage_detail_parse(const char *text);

/* "on", "anonymous", "off" for a single bit; "?" otherwise. */
const char *coverage_detail_name(unsigned detail);

/* Whether two complete snapshots lie further apart than planned: by more than 1.5 intervals. */
bool coverage_is_gap(int64_t interval_ms, int64_t distance_ms);

/* Whether a gap says already that nothing was recorded in all of a span. */
bool coverage_in_gap(const struct coverage *coverage, const struct gap *span);

/* How often events were lost outside of gaps. */
int64_t coverage_events_apart(const struct coverage *coverage);

void coverage_finish(struct coverage *coverage);
