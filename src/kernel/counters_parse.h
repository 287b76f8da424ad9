/* SPDX-License-Identifier: MIT */
/* From the text of /proc/net/snmp and its like to counters. Pure. */
#pragma once

#include <stddef.h>

#include "connhist/model/counter.h"

enum counters_format {
    COUNTERS_PAIRS,    /* snmp, netstat: "Tcp: InSegs OutSegs", then "Tcp: 1 2" */
    COUNTERS_LINES,    /* snmp6: "Ip6InReceives   \t1" */
    COUNTERS_SOCKSTAT, /* sockstat, sockstat6: "TCP: inuse 1 orphan 0" */
};

/* Adds what the text (n bytes, no NUL needed) tells. Columns that later kernels add are counters
 * like others; names without a value, values without a name and lines of another form are passed
 * over, numbers beyond int64 counted in table->n_left_out. 0 or -ENOMEM. */
int counters_parse(enum counters_format format, const char *text, size_t n,
                   struct counter_table *table);
