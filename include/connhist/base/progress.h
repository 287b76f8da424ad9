/* SPDX-License-Identifier: MIT */
/* How far a long piece of work is, on one line of a terminal that is written again and again. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct progress {
    int64_t next_ns; /* CLOCK_MONOTONIC; before it nothing is written again */
    int fd;          /* where to; not owned */
    bool on;         /* fd is a terminal */
    bool shown;      /* a line stands there */
};

/* Where fd is no terminal, nothing is ever written. */
void progress_init(struct progress *progress, int fd);

/* Writes "what  42 %" with a bar, at most some times a second. total 0: nobody knows how much there
 * is. what: short words of our own. progress may be NULL. */
void progress_show(struct progress *progress, const char *what, int64_t done, int64_t total);

/* Takes the line away, so that other lines can be written. progress may be NULL. */
void progress_clear(struct progress *progress);
