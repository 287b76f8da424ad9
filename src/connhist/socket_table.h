/* SPDX-License-Identifier: MIT */
/* Rows of sockets for `netstat` and `list`: for programs one field each, for people an address with
 * its port. */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/base/timetext.h"
#include "connhist/render/writer.h"
#include "connhist/report/sockets.h"

#include "context.h"
#include "resolver.h"
#include "users.h"

#define SCOPED_MAX     (ADDRESS_TEXT_MAX + IF_NAMESIZE + 2)
#define PROCESS_MAX    260
#define CLOSED_MAX     (TIME_TEXT_MAX + 8)
#define NAME_SHOWN_MAX 253
#define ENDPOINT_MAX   (NAME_SHOWN_MAX + 70)

enum socket_table_kind {
    SOCKETS_LIVE, /* what the kernel tells now */
    SOCKETS_AT,   /* and what the record knows about it */
    SOCKETS_LIST, /* and how it ended */
};

struct socket_table {
    enum socket_table_kind kind;
    struct names *names;       /* names of ports in tables; NULL: numbers */
    struct resolver *resolver; /* names of remote addresses; NULL: numbers; not owned */
    uint64_t limit;            /* rows shown at most; 0: all */
    uint64_t rows;             /* shown so far */
    bool cut;                  /* there were more than limit */
    bool listen_only;          /* only listening TCP and unconnected UDP sockets are shown */
    bool open_only;            /* list: no closings are shown, but what open ones do */
    bool people;               /* the format is a table */
    bool many_netns;           /* a column shows the network namespace */
    int failed;                /* negative errno: the output is broken; 0 */
    struct writer *writer;     /* owned */
    bool pids;                 /* people see process ids */
    bool programs;             /* ... and programs, units and containers */
    bool offloads;             /* ... and what holds each connection */
    bool utc;                  /* how times are written to people */
    struct users users;        /* owned */
    struct column columns[45]; /* of the document */
    struct document document;
};

/* Whether a column is to show the namespace: the record has more than one that fits the filter.
 * Returns an exit status. */
int socket_table_choose_netns(struct socket_table *table, struct context *ctx,
                              const struct filter *filter);

/* A socket_row_fn that shows nothing: notes whose names table->resolver is to find. arg: struct
 * socket_table. */
int socket_table_want_name(void *arg, const struct socket_row *row);

/* Begins the output. document: schema, fields and coverage are taken from it, and must stay until
 * socket_table_end(). Returns an exit status. */
int socket_table_begin(struct socket_table *table, const struct context *ctx,
                       const struct document *document);

/* A socket_row_fn; arg: struct socket_table. -ECANCELED: limit reached, or the output is broken. */
int socket_table_row(void *arg, const struct socket_row *row);

/* Ends the output. Returns an exit status. */
int socket_table_end(struct socket_table *table);

/* The address with its interface if that belongs to it, as fe80::1%eth0. Returns buf. */
const char *socket_table_address(const struct socket_row *row, const struct address *address,
                                 char buf[static SCOPED_MAX]);

/* Of its remote address; NULL: none is known. */
const char *socket_table_name(const struct socket_table *table, const struct socket_row *row);

/* "192.0.2.7:http", "[::1]:80", "0.0.0.0:*", "host.example.org:443"; "*:80": :: that takes IPv4, too;
 * "0.0.0.0%eth0:80": bound to an interface. Returns buf. */
const char *socket_table_endpoint(const struct socket_table *table, const struct socket_row *row,
                                  const struct address *address, uint16_t port,
                                  char buf[static ENDPOINT_MAX]);

/* The state for people: "-" for UDP without a peer, where the kernel says CLOSE of want of a state. */
const char *socket_state_text(const struct socket_row *row);

/* "nginx/812"; without a process the unit; "": neither is known. May return buf. */
const char *socket_process_text(const struct socket_row *row, char buf[static PROCESS_MAX]);

/* When it closed, for people: "after" the last instant at which it was there, if it ended in a gap of
 * the record. May point to buf. */
struct cell socket_closed_cell(const struct socket_row *row, bool utc, char buf[static CLOSED_MAX]);

void socket_table_finish(struct socket_table *table);
