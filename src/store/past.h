/* SPDX-License-Identifier: MIT */
/* What earlier runs left in the file. All give 1: found; 0: there is none. */
#pragma once

#include "writer.h"

struct past_recording {
    int64_t id;         /* recordings.id */
    int64_t boot;       /* boots.id */
    int64_t started_ms; /* record time */
    int64_t ended_ms;   /* record time of its closing note; TIME_UNKNOWN: none */
};

struct past_snapshot {
    int64_t start_ms;  /* record time */
    int64_t recording; /* recordings.id */
    int64_t boot;      /* that of the recording */
};

int past_last_recording(sqlite3 *db, struct past_recording *ret, struct err *err);
int past_last_snapshot(sqlite3 *db, struct past_snapshot *ret, struct err *err);
int past_find_boot(sqlite3 *db, const char *boot_id, int64_t *ret_id, int64_t *ret_base_ms,
                   struct err *err);
