/* SPDX-License-Identifier: MIT */
/* Small files for the tests of the report room, written through the store as the recorder does. */
#pragma once

#include "connhist/model/batch.h"
#include "connhist/report/walltime.h"
#include "connhist/store/db.h"
#include "connhist/store/store.h"

struct record_file {
    char folder[64];          /* made for it, removed at the end */
    char path[96];            /* the database */
    struct store *store;      /* while it is written */
    struct batch *batch;      /* of the snapshot that is being made */
    struct db *db;            /* while it is read */
    struct walltime walltime; /* its epochs, while it is read */
    bool deaf;                /* what is written is of runs that the kernel tells nothing */
};

/* Makes an empty file; every failure fails the test. */
void record_file_init(struct record_file *file);

/* Begins a run: its boot is named by one letter. */
void record_begin(struct record_file *file, char boot, int64_t started_ms, int64_t interval_ms);

/* Begins a snapshot; what follows goes into it, until record_write(). */
void record_snapshot(struct record_file *file, int64_t start_ms, bool anchor);
void record_interrupted(struct record_file *file, int64_t start_ms);

void record_tally(struct record_file *file, uint8_t protocol, uint8_t role, int32_t port,
                  uint8_t state, uint32_t count);
void record_loss(struct record_file *file, uint8_t kind, int64_t from_ms, int64_t until_ms,
                 uint64_t count);
void record_epoch(struct record_file *file, int64_t from_ms, int64_t offset_ms);

/* What came and went in a minute. */
void record_rate(struct record_file *file, const struct rate_change *rate);

/* A life by text: "127.0.0.1:80 10.0.0.1:4711" or "[::1]:80 [::2]:4711"; states: the history's
 * bytes. */
struct life record_life(uint64_t number, const char *ends, uint8_t role, const uint8_t *states,
                        size_t n_states, int64_t since_ms);
void record_write(struct record_file *file);

/* Ends the run with its closing note. */
void record_end(struct record_file *file, int64_t ended_ms);

/* Closes the writer and opens the file for reading. */
void record_read(struct record_file *file);

/* Opens it for reading beside the writer. */
void record_look(struct record_file *file);
void record_file_finish(struct record_file *file);
