/* SPDX-License-Identifier: MIT */
/* The command line of connhistd. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "connhist/base/err.h"

struct daemon_options {
    const char *config;   /* --config; NULL: the default path, if it is there */
    const char *database; /* --db; NULL: the configuration's */
    int64_t interval_ms;  /* --interval; 0: the configuration's */
    const char *to;       /* --to; NULL: not given */
    uint64_t count;       /* --count, --once; 0: no end */
    int log_level;        /* --log-level; -1: the configuration's */
    bool check;           /* --check */
    bool repair;          /* --repair */
    bool help;            /* --help */
    bool version;         /* --version */
};

/* Reads argv. -EINVAL: err says what is wrong and what would be right. */
int options_read(int argc, char **argv, struct daemon_options *ret, struct err *err);

/* Prints --help to standard output. */
void options_help(void);
