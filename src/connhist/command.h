/* SPDX-License-Identifier: MIT */
/* Commands of the query program: a file and a const descriptor each. */
#pragma once

#include <stdbool.h>

#include "options.h"

struct context; /* context.h */

enum command_needs {
    NEEDS_NOTHING, /* the command opens the file itself, if it wants it */
    NEEDS_FILE,    /* the file is open */
    NEEDS_RECORD,  /* the same, as of one instant, with its wall times */
};

struct command {
    const char *name;
    const char *args;    /* what stands behind the options in the usage line; "" if nothing may */
    const char *summary; /* one line, for the list of commands */
    const char *notes;   /* more lines for its --help; NULL: none */
    struct option_table options;
    enum command_needs needs;
    bool charts;                     /* --format chart is one of its formats */
    bool measures;                   /* --format openmetrics is */
    int (*run)(struct context *ctx); /* returns an enum exit_status */
    /* Reads the options as run() does, without a file; returns an enum exit_status. NULL: there is
     * nothing to read. */
    int (*check)(struct context *ctx);
};

extern const struct command cmd_report, cmd_netstat, cmd_diff, cmd_list, cmd_who, cmd_status,
    cmd_export, cmd_sql;

/* Rows that several commands have. */
#define ROW_PORT(words)                                 \
    {                                                   \
        OPT_PORT, REPEAT_ADDS, 0, "port", "LIST", words \
    }
#define ROW_STATE(words)                                  \
    {                                                     \
        OPT_STATE, REPEAT_ADDS, 0, "state", "LIST", words \
    }
#define ROW_ROLE                                                      \
    {                                                                 \
        OPT_ROLE, REPEAT_NOT, 0, "role", "ROLE",                      \
            "only sockets whose local port is the service (server)\n" \
            "or whose remote port is it (client)"                     \
    }
#define ROW_PEER                                                   \
    {                                                              \
        OPT_PEER, REPEAT_NOT, 0, "peer", "CIDR",                   \
            "only with these remote addresses: 10.0.0.0/8, ::1;\n" \
            "IPv4 matches IPv4-mapped IPv6 too"                    \
    }
#define ROW_LOCAL                                                                    \
    {                                                                                \
        OPT_LOCAL, REPEAT_NOT, 0, "local", "CIDR", "only with these local addresses" \
    }
#define ROW_SINCE                                                        \
    {                                                                    \
        OPT_SINCE, REPEAT_NOT, 0, "since", "TIME",                       \
            "begin: 03:14, -2h, yesterday 18:00, 2026-11-22 03:14 …\n" \
            "(24 hours ago, or where the record begins)"                 \
    }
#define ROW_UNTIL                                              \
    {                                                          \
        OPT_UNTIL, REPEAT_NOT, 0, "until", "TIME", "end (now)" \
    }
#define ROW_NETNS                                                                     \
    {                                                                                 \
        OPT_NETNS, REPEAT_NOT, 0, "netns", "NAME",                                    \
            "only this network namespace: a name, own, inode:NUMBER\nor net:[NUMBER]" \
    }
#define ROW_NO_PAGER                                           \
    {                                                          \
        OPT_NO_PAGER, REPEAT_LAST, 0, "no-pager", NULL,        \
            "no pager for tables on a terminal ($PAGER, less)" \
    }
/* Four rows: which owner sockets have. */
#define ROWS_OWNER                                                                             \
    {OPT_PROCESS,                                                                              \
     REPEAT_NOT,                                                                               \
     0,                                                                                        \
     "process",                                                                                \
     "NAME",                                                                                   \
     "only of programs of this name, or path if it has a\n'/'; "                               \
     "wildcards as in the shell: 'php-fpm*'"},                                                 \
        {OPT_UNIT, REPEAT_NOT, 0,                                                              \
         "unit",   "NAME",     "only of this systemd unit: nginx.service, nginx,\n'user@*'"},  \
        {OPT_CONTAINER, REPEAT_NOT, 0,                                                         \
         "container",   "ID",       "only of this container: the begin of its id, docker:ID"}, \
    {                                                                                          \
        OPT_PID, REPEAT_NOT, 0, "pid", "PID", "only of the process with this id"               \
    }
