/* SPDX-License-Identifier: MIT */
/* What the record lacks, and why. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum loss_kind {
    LOSS_TICKS_MISSED = 1, /* the recorder was late (busy, suspended): `count` ticks not taken */
    LOSS_DUMP_FAILED = 2,  /* a snapshot was interrupted */
    LOSS_QUEUE_FULL = 3,   /* the disk could not keep up: `count` snapshots not written */
    LOSS_WRITE_FAILED =
        4, /* the file could not be written for a time (disk full, locked, damaged) */
    LOSS_RECORDER_DIED = 5, /* the run before ended without its closing note */
    LOSS_EVENTS = 6, /* destroy events were lost, or nobody listened: how many nobody knows */
    LOSS_DETAIL = 7, /* sockets were counted, but not recorded one by one: they did not fit into the
                        file, or its -wal; `count` snapshots */
    LOSS_FILE = 8,   /* the file was damaged, and `count` pages of it could not be saved */
};

/* "ticks missed", "dump failed" …; "?" otherwise. */
const char *loss_kind_name(unsigned kind);

/* Whether `count` of a loss are snapshots that were not taken or not written. */
bool loss_kind_misses(unsigned kind);

/* Whether nobody heard what the kernel told of closed sockets in that time. */
bool loss_kind_is_deaf(unsigned kind);

struct loss {
    int64_t from_ms;  /* record time: begin of the span in which something may lack */
    int64_t until_ms; /* its end */
    uint64_t count;   /* how many, where it is known; else 0 */
    uint8_t kind;     /* enum loss_kind */
    char text[120];   /* words for people, "" if none */
};
