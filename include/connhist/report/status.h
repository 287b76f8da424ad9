/* SPDX-License-Identifier: MIT */
/* The recorder's health, cost and coverage. The answer of `connhist status`. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "connhist/base/err.h"
#include "connhist/model/coverage.h"
#include "connhist/report/walltime.h"

struct db;

struct status {
    int recorder_pid;    /* 0: nobody records into this file; negative errno: can't be told */
    int64_t recordings;  /* runs so far */
    int64_t started_ms;  /* the latest run's start, wall time; TIME_UNKNOWN: never */
    int64_t ended_ms;    /* its end in good order; TIME_UNKNOWN: running or died */
    int64_t interval_ms; /* its interval */
    char detail[16];     /* its detail */
    char version[32];    /* of the recorder that wrote it */
    int64_t
        begin_ms; /* of the oldest that there is, snapshots or counts; wall time; TIME_UNKNOWN */
    int64_t first_snapshot_ms; /* of the file, wall time; TIME_UNKNOWN */
    int64_t last_snapshot_ms;  /* wall time; TIME_UNKNOWN */
    int64_t last_took_us;      /* how long the last snapshot took */
    int64_t last_sockets;      /* sockets in it */
    int64_t open_lives;        /* rows in `open` */
    int64_t closed_lives;      /* rows in `closed` (an estimate above 100,000: see closed_exact) */
    bool closed_exact;
    int64_t cpu_ms;   /* the latest run's CPU time */
    double cpu_share; /* of one core, since it started; 0 …, below 0: the run was too short */
    int64_t rss_bytes;
    int64_t queue_peak_bytes;
    int64_t roles_guessed;
    int64_t services_other;
    int64_t
        counters_left_out; /* counters, interfaces and routes at the last reading, beyond a bound */
    int64_t owners_later;  /* sockets at the last snapshot without a known owner: not looked for
                                 to the end yet */
    int64_t owners_absent; /* … held by no process: half-open connections, orphans */
    int64_t owners_denied; /* … held by none of those that may be looked into */
    int64_t closings;      /* events of closed sockets that were connected, in the latest run */
    int64_t unconnected;   /* … of sockets that never were: counted, not stored */
    int64_t unresolved;    /* … of aborted ones whose endpoints nobody knows: counted */
    int64_t event_buffer_others; /* … for each network namespace but the own; 0: no others */
    int64_t netns;               /* network namespaces at the last snapshot, with the own */
    int64_t netns_lacks;         /* why others are not recorded: bits of enum netns_lack */
    int64_t event_buffer;        /* bytes of receive buffer for events; 0: none are received */
    int64_t events_asked;        /* bytes asked for, of all namespaces together; 0: not known */
    int64_t file_bytes;          /* database */
    int64_t wal_bytes;           /* -wal */
    struct coverage coverage;    /* of the last 24 hours, or of the file's life if shorter; owned */
    int64_t coverage_from_ms;    /* wall time */
    int64_t coverage_until_ms;
};

int status_ask(struct db *db, const struct walltime *walltime, int64_t now_ms, struct status *ret,
               struct err *err);
void status_finish(struct status *status);
