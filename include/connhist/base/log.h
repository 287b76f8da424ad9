/* SPDX-License-Identifier: MIT */
/* Lines for the journal: "<N>text" with syslog's priorities (sd-daemon(3)). Only programs log. */
#pragma once

#include <stdbool.h>
#include <syslog.h>

struct log {
    int fd;                /* where lines go; not owned */
    _Atomic int max_level; /* LOG_ERR … LOG_DEBUG: lines above this number are dropped */
    bool prefix;           /* whether "<N>" stands before each line */
};

/* Writes one line with one write(2), so that threads don't mix. Control characters inside the
 * text are replaced by '?'. */
__attribute__((format(printf, 3, 4))) void log_line(const struct log *log, int level,
                                                    const char *format, ...);
