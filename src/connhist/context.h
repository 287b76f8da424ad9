/* SPDX-License-Identifier: MIT */
/* What a command works with: its options, the configuration, the file, the names of ports. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "connhist/config/config.h"
#include "connhist/render/writer.h"
#include "connhist/report/names.h"
#include "connhist/report/walltime.h"
#include "connhist/store/db.h"

#include "command.h"
#include "options.h"

struct context {
    const struct command *command;
    struct options options; /* all that were given, before and behind the command */
    char **words;           /* what is no option, behind the command; in argv */
    int n_words;
    int64_t now_ms;           /* when the program started, or began this repetition; wall time */
    uint64_t repetition;      /* tables of this command shown so far */
    pid_t pager;              /* where stdout leads; 0: none */
    int terminal_fd;          /* where it led before; meaningful with a pager; owned */
    bool no_pager;            /* it could not be run */
    bool repeats;             /* the command shows its table again and again */
    bool utc;                 /* --utc */
    bool color;               /* colour may be used on stdout */
    bool metrics;             /* --format openmetrics */
    bool chart;               /* --format chart, or the default of a command that charts */
    enum format format;       /* meaningful unless chart */
    struct config config;     /* owned */
    struct names *names;      /* context_names(); owned */
    struct db *db;            /* NULL: not open; owned */
    struct walltime walltime; /* of db; owned */
};

/* Reads common options and the configuration. Returns an exit status; complains itself, like all
 * that follow. */
int context_init(struct context *ctx);
void context_finish(struct context *ctx);

/* Opens the file that --db, the configuration or the default names. as_of_now: all that follows
 * sees one instant of it, and walltime is read. When that fails, wrong usage that the command's
 * check() finds is told in place of it. */
int context_open(struct context *ctx, bool as_of_now);

/* Makes ctx->names: the system's, the recorder's (if the file is open), the configuration's, the
 * latter go first. */
int context_names(struct context *ctx);

/* Columns of the terminal on stdout; 0: stdout is none. */
int context_width(void);

/* Prints a line for people, broken where the terminal ends. */
__attribute__((format(printf, 1, 2))) void context_say(const char *format, ...);

/* A writer for stdout in ctx->format. */
int context_writer(const struct context *ctx, struct writer **ret);
