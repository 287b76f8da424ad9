/* SPDX-License-Identifier: MIT */
/* Options as tables: what is parsed and what --help shows come from the same rows. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "connhist/base/err.h"
#include "connhist/base/vec.h"

enum option_id {
    OPT_HELP = 1,
    OPT_VERSION,
    OPT_DB,
    OPT_CONFIG,
    OPT_FORMAT,
    OPT_COLOR,
    OPT_UTC,
    OPT_NETNS,
    OPT_PORT,
    OPT_PROTO,
    OPT_STATE,
    OPT_ROLE,
    OPT_PEER,
    OPT_LOCAL,
    OPT_PROCESS,
    OPT_UNIT,
    OPT_CONTAINER,
    OPT_PID,
    OPT_BY,
    OPT_MEASURE,
    OPT_COUNTER,
    OPT_SINCE,
    OPT_UNTIL,
    OPT_STEP,
    OPT_TOP,
    OPT_ALL,
    OPT_NUMERIC,
    OPT_OWNER,
    OPT_PROGRAM,
    OPT_FQDN,
    OPT_OFFLOAD,
    OPT_ETHERNET,
    OPT_ROUTE,
    OPT_STATISTICS,
    OPT_TABLE,
    OPT_AT,
    OPT_FROM,
    OPT_TO,
    OPT_LISTEN,
    OPT_REPEATS,
    OPT_NO_PAGER,
    OPT_OPEN,
    OPT_CLOSED_BY,
    OPT_LIMIT,
    OPT_TIMEOUT,
    OPT_TO_SQLITE,
    OPT_COUNT,
};

enum option_repeat {
    REPEAT_LAST, /* the last one counts, so that an alias can be overruled */
    REPEAT_ADDS, /* all count */
    REPEAT_NOT,  /* a second one is refused: it would silently change the question */
};

struct option_row {
    uint8_t id;       /* enum option_id */
    uint8_t repeat;   /* enum option_repeat */
    char letter;      /* short form; 0: none */
    const char *name; /* long form without "--" */
    const char *arg;  /* name of its value in help; NULL: takes none */
    const char *help; /* lines for people, separated by '\n' */
};

/* What to say to those who want an option that has another name here. */
struct option_hint {
    const char *letters; /* that it has elsewhere; "": none; NULL: the end of the hints */
    const char *name;    /* long form, without "--"; NULL: none */
    const char *instead; /* what it is here */
};

struct option_table {
    const struct option_row *rows;
    size_t n;
    const struct option_hint *hints; /* NULL: none */
};

#define OPTION_TABLE(array)                                      \
    {                                                            \
        .rows = (array), .n = sizeof(array) / sizeof((array)[0]) \
    }

/* One option as it was given. */
struct given {
    const char *text; /* its value, in argv; NULL: takes none */
    uint8_t id;       /* enum option_id */
};

/* Options in the order given. Zeroed: none. */
struct options {
    VEC_FIELDS(struct given); /* owned */
};

void options_finish(struct options *options);

/* Reads the options behind argv[0] and appends them. Rows of `own` go before rows of `common` with
 * the same id (common may be NULL). only_leading: stops at the first word that is no option; else
 * words may stand between options and are moved behind them in argv. *ret_word: index of the first
 * such word, argc if none. -EINVAL: err says which option is wrong, and how; -ENOMEM. */
int options_parse(struct options *options, const struct option_table *own,
                  const struct option_table *common, int argc, char **argv, bool only_leading,
                  int *ret_word, struct err *err);

bool options_has(const struct options *options, enum option_id id);

/* The value given last; NULL: not given. */
const char *options_text(const struct options *options, enum option_id id);

/* The row of an id; NULL when the table has none. table may be NULL. */
const struct option_row *option_table_find(const struct option_table *table, unsigned id);

/* Prints the table's rows as help: "  -a, --all  …", leaving out those that `except` (may be NULL)
 * has too. */
void option_table_help(FILE *out, const struct option_table *table,
                       const struct option_table *except);
